package gitops

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestProofKeysDiffer(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	a, b := NewProofKey(at), NewProofKey(at)
	if a.ID == b.ID || a.Secret == b.Secret || !a.MadeAt.Equal(at) {
		t.Errorf("two keys are %v and %v", a, b)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(a.ID) || a != ProofKeyOf(a.Secret, at) {
		t.Errorf("the id %q is not eight hexadecimal digits of the secret's", a.ID)
	}
}

func TestAStoredKeyThatIsDamagedIsRefused(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	key := NewProofKey(at)
	if got, err := StoredProofKey(key.ID, key.Secret[:], at); got != key || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	other := NewProofKey(at)
	for what, stored := range map[string]struct {
		id     string
		secret []byte
	}{
		"nothing": {key.ID, nil}, "cut short": {key.ID, key.Secret[:31]}, "too long": {key.ID, append(key.Secret[:], 0)},
		"another's": {key.ID, other.Secret[:]}, "zero": {key.ID, make([]byte, 32)}, "another id": {other.ID, key.Secret[:]}, "no id": {"", key.Secret[:]},
	} {
		got, err := StoredProofKey(stored.id, stored.secret, at)
		if CodeOf(err) != Internal || got != (ProofKey{}) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
		if strings.Contains(fmt.Sprint(err), hex.EncodeToString(key.Secret[:4])) {
			t.Errorf("%s: the secret shows in %v", what, err)
		}
	}
}

func TestAProofKeysSecretDoesNotShow(t *testing.T) {
	key := NewProofKey(time.Unix(1_700_000_000, 0))
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", key, &key, key.Secret)
	}
	encoded, err := json.Marshal([]any{key, &key, key.Secret})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("a key", "key", key, "secret", key.Secret)
	}
	numbers := strings.Trim(fmt.Sprint([]byte(key.Secret[:8])), "[]")
	for _, secret := range []string{
		string(key.Secret[:4]), hex.EncodeToString(key.Secret[:4]), base64.StdEncoding.EncodeToString(key.Secret[:6]),
		numbers, strings.ReplaceAll(numbers, " ", ","),
	} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
			t.Errorf("%q shows in:\n%s", secret, out.String())
		}
	}
	if n := strings.Count(out.String(), hiddenSecret); n < 20 {
		t.Errorf("%d times %s in:\n%s", n, hiddenSecret, out.String())
	}
}
