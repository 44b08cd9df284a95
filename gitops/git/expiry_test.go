package git

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A key ends when no part of it can sign any more: with its primary key, or with the
// subkey that signs where the primary key may not.
func TestExpiryOfSigningKeys(t *testing.T) {
	made := time.Now().Add(-time.Hour).Truncate(time.Second)
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return made }}
	key := func(lifetime, subkey uint32) *openpgp.Entity {
		c := *config
		c.KeyLifetimeSecs = lifetime
		e := must(openpgp.NewEntity("bot", "", "bot@example.com", &c))(t)
		if subkey > 0 {
			c.KeyLifetimeSecs = subkey
			if err := e.AddSigningSubkey(&c); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	for _, c := range []struct {
		name string
		key  *openpgp.Entity
		ends time.Duration
	}{
		{"without an end", key(0, 0), 0},
		{"the primary key", key(2*3600, 0), 2 * time.Hour},
		{"its subkey first, and then the primary key signs", key(3*3600, 2*3600), 3 * time.Hour},
		{"the subkey may outlive the primary key", key(2*3600, 3*3600), 2 * time.Hour},
	} {
		var text bytes.Buffer
		if err := c.key.SerializePrivate(&text, config); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		ends, err := Signing{OpenPGPKeyFile: file}.Expires(time.Now())
		want := time.Time{}
		if c.ends > 0 {
			want = made.Add(c.ends)
		}
		if err != nil || !ends.Equal(want) {
			t.Errorf("%s: it ends at %s, %v; want %s", c.name, ends, err, want)
		}
	}
	if ends, err := (Signing{}).Expires(time.Now()); err != nil || !ends.IsZero() {
		t.Errorf("no key ends at %s, %v", ends, err)
	}
}
