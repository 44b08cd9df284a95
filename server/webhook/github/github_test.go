package github_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	library "github.com/google/go-github/v62/github"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
)

var _ webhook.Receiver = (*github.Receiver)(nil)

// GitHub's published example: docs.github.com, "Validating webhook deliveries".
const (
	exampleSecret    = "It's a Secret to Everybody"
	examplePayload   = "Hello, World!"
	exampleSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func receiver(t testing.TB, secrets ...string) *github.Receiver {
	t.Helper()
	raw := make([][]byte, len(secrets))
	for i, s := range secrets {
		raw[i] = []byte(s)
	}
	r, err := github.New(func() [][]byte { return raw }, []string{"update-image"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// The signatures of the recorded bodies, computed with another program: each is
// of its own body with that secret, and of no other.
func TestRecordedSignatures(t *testing.T) {
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "events", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var recorded struct {
		Secret     string            `json:"secret"`
		Signatures map[string]string `json:"signatures"`
	}
	if err := json.Unmarshal(read("signatures.json"), &recorded); err != nil || len(recorded.Signatures) < 9 {
		t.Fatal(recorded, err)
	}
	good, other := receiver(t, "another", recorded.Secret), receiver(t, "another")
	for name, signature := range recorded.Signatures {
		header := http.Header{"X-Hub-Signature-256": {signature}}
		if err := good.Authenticate(header, read(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := other.Authenticate(header, read(name)); gitops.CodeOf(err) != gitops.Unauthorized {
			t.Errorf("%s with another secret: %v", name, err)
		}
		if err := good.Authenticate(header, bytes.TrimSuffix(append([]byte(" "), read(name)...), []byte("\n"))); gitops.CodeOf(err) != gitops.Unauthorized {
			t.Errorf("%s with other white space: %v", name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	secret := [][]byte{[]byte("s")}
	for _, c := range []struct {
		name       string
		secrets    [][]byte
		eventTypes []string
		field      string
	}{
		{"no secret", nil, []string{"x"}, "sources.github.secretFiles: "},
		{"no secret in a list", [][]byte{}, []string{"x"}, "sources.github.secretFiles: "},
		{"an empty secret", [][]byte{{}}, []string{"x"}, "sources.github.secretFiles: "},
		{"an empty secret among others", [][]byte{[]byte("s"), nil}, []string{"x"}, "sources.github.secretFiles: "},
		{"no event type", secret, nil, "sources.github.eventTypes: "},
		{"an empty event type", secret, []string{"x", ""}, "sources.github.eventTypes: "},
		{"every event type", secret, []string{"*"}, `sources.github.eventTypes[0]: "*" is compared as it is, and * does not stand for others`},
		{"a pattern of event types", secret, []string{"x", "update-*"}, `sources.github.eventTypes[1]: "update-*" is compared as it is`},
		{"an event type with a space", secret, []string{"x "}, `sources.github.eventTypes[0]: "x " begins or ends with a space`},
		{"an event type that is too long", secret, []string{strings.Repeat("x", 101)}, "sources.github.eventTypes[0]: has 101 characters, and GitHub takes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := github.New(func() [][]byte { return c.secrets }, c.eventTypes)
			if r != nil || gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), c.field) {
				t.Errorf("New gives %v, %v", r, err)
			}
		})
	}
}

func TestAuthenticate(t *testing.T) {
	sha1Of := func(secret, body string) string {
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(body))
		return "sha1=" + hex.EncodeToString(mac.Sum(nil))
	}
	one := receiver(t, exampleSecret)
	for _, c := range []struct {
		name   string
		r      *github.Receiver
		header map[string]string
		body   string
		good   bool
	}{
		{"GitHub's example", one, map[string]string{"X-Hub-Signature-256": exampleSignature}, examplePayload, true},
		{"a header's name in other letters", one, map[string]string{"x-hub-signature-256": exampleSignature}, examplePayload, true},
		{"upper-case digits are the same number", one, map[string]string{"X-Hub-Signature-256": "sha256=" + strings.ToUpper(exampleSignature[7:])}, examplePayload, true},
		{"an empty body, signed", one, map[string]string{"X-Hub-Signature-256": sign(exampleSecret, "")}, "", true},
		{"another body", one, map[string]string{"X-Hub-Signature-256": exampleSignature}, examplePayload + " ", false},
		{"another secret", one, map[string]string{"X-Hub-Signature-256": sign("guess", examplePayload)}, examplePayload, false},
		{"the empty secret", one, map[string]string{"X-Hub-Signature-256": sign("", examplePayload)}, examplePayload, false},
		{"no header", one, nil, examplePayload, false},
		{"an empty header", one, map[string]string{"X-Hub-Signature-256": ""}, examplePayload, false},
		{"no digits", one, map[string]string{"X-Hub-Signature-256": "sha256="}, examplePayload, false},
		{"digits without the name", one, map[string]string{"X-Hub-Signature-256": exampleSignature[7:]}, examplePayload, false},
		{"the name in upper case", one, map[string]string{"X-Hub-Signature-256": "SHA256=" + exampleSignature[7:]}, examplePayload, false},
		{"a digit short", one, map[string]string{"X-Hub-Signature-256": exampleSignature[:len(exampleSignature)-1]}, examplePayload, false},
		{"a byte short", one, map[string]string{"X-Hub-Signature-256": exampleSignature[:len(exampleSignature)-2]}, examplePayload, false},
		{"a byte long", one, map[string]string{"X-Hub-Signature-256": exampleSignature + "00"}, examplePayload, false},
		{"no hexadecimal", one, map[string]string{"X-Hub-Signature-256": "sha256=" + strings.Repeat("zz", 32)}, examplePayload, false},
		{"a good SHA-1 alone", one, map[string]string{"X-Hub-Signature": sha1Of(exampleSecret, examplePayload)}, examplePayload, false},
		{"a good SHA-1 beside a bad one", one, map[string]string{
			"X-Hub-Signature": sha1Of(exampleSecret, examplePayload), "X-Hub-Signature-256": sign("guess", examplePayload)}, examplePayload, false},
		{"a good SHA-1 in its place", one, map[string]string{"X-Hub-Signature-256": sha1Of(exampleSecret, examplePayload)}, examplePayload, false},
		{"a good one in the SHA-1's place", one, map[string]string{"X-Hub-Signature": exampleSignature}, examplePayload, false},
		{"the first of three secrets", receiver(t, exampleSecret, "b", "c"), map[string]string{"X-Hub-Signature-256": exampleSignature}, examplePayload, true},
		{"the second", receiver(t, "a", exampleSecret, "c"), map[string]string{"X-Hub-Signature-256": exampleSignature}, examplePayload, true},
		{"the last", receiver(t, "a", "b", exampleSecret), map[string]string{"X-Hub-Signature-256": exampleSignature}, examplePayload, true},
		{"none of three", receiver(t, "a", "b", "c"), map[string]string{"X-Hub-Signature-256": exampleSignature}, examplePayload, false},
		{"two secrets in one", receiver(t, "a", "b"), map[string]string{"X-Hub-Signature-256": sign("ab", examplePayload)}, examplePayload, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			for name, value := range c.header {
				header.Set(name, value)
			}
			err := c.r.Authenticate(header, []byte(c.body))
			if c.good {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if gitops.CodeOf(err) != gitops.Unauthorized {
				t.Fatalf("answered with %v, want unauthorized", err)
			}
			if text := err.Error(); strings.Contains(text, exampleSecret) || strings.Contains(text, exampleSignature[7:]) || strings.Contains(text, examplePayload) {
				t.Errorf("the error %q gives away what it must not", text)
			}
		})
	}
}

// What is accepted is what GitHub's own client library accepts with one of the
// secrets, of SHA-256 alone.
func FuzzAuthenticate(f *testing.F) {
	f.Add(exampleSecret, "other", exampleSignature, examplePayload)
	f.Add("other", exampleSecret, exampleSignature, examplePayload)
	f.Add("a", "b", "sha1=00", "")
	f.Add("a", "b", "sha256=", "")
	f.Add("a", "b", sign("a", "x")+"=", "x")
	f.Fuzz(func(t *testing.T, first, second, signature, body string) {
		if first == "" || second == "" {
			return // New refuses them
		}
		r := receiver(t, first, second)
		err := r.Authenticate(http.Header{"X-Hub-Signature-256": {signature}}, []byte(body))
		want := strings.HasPrefix(signature, "sha256=") &&
			(library.ValidateSignature(signature, []byte(body), []byte(first)) == nil ||
				library.ValidateSignature(signature, []byte(body), []byte(second)) == nil)
		if (err == nil) != want || err != nil && gitops.CodeOf(err) != gitops.Unauthorized {
			t.Errorf("signature %q of %q with %q or %q: %v", signature, body, first, second, err)
		}
		for _, secret := range []string{first, second} {
			if r.Authenticate(http.Header{"X-Hub-Signature-256": {sign(secret, body)}}, []byte(body)) != nil {
				t.Errorf("a good signature of %q with %q is refused", body, secret)
			}
		}
	})
}
