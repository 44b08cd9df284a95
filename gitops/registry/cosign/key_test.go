package cosign_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign/cosigntest"
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// A file that is not a public key says what it is, and the error has nothing of a private one.
func TestParseKeySaysWhatTheFileHas(t *testing.T) {
	key := cosigntest.NewKey(t)
	public := cosigntest.PublicPEM(t, key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := x509.MarshalPKIXPublicKey(agreement.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":           {nil, "has no PEM block"},
		"text":            {[]byte("ssh-ed25519 AAAA"), "has no PEM block"},
		"private":         {block("PRIVATE KEY", private), "has a private key"},
		"cosign.key":      {block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("secret")), "has a private key"},
		"certificate":     {block("CERTIFICATE", []byte("certificate")), "has a certificate"},
		"garbage":         {block("PUBLIC KEY", []byte("garbage")), "cannot be read"},
		"two keys":        {append(bytes.Clone(public), public...), "more than one PEM block"},
		"text before it":  {append([]byte("-----BEGIN -----\n"), public...), "more than one PEM block"},
		"text after it":   {append(bytes.Clone(public), "more"...), "more than one PEM block"},
		"P-521":           {cosigntest.PublicPEM(t, large), "P-521, and only P-256 and P-384"},
		"X25519":          {block("PUBLIC KEY", x25519), "not ECDSA, RSA or Ed25519"},
		"RSA of 1024 bit": {cosigntest.PublicPEM(t, weak), "less than 2048 bits"},
		"too large":       {append(bytes.Repeat([]byte("\n"), 64<<10), public...), "larger than 64 KiB"},
	} {
		_, err := cosign.ParseKey("/etc/tallyman/cosign.pub", c.content)
		if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(gitops.PublicOf(err), "/etc/tallyman/cosign.pub ") || !strings.Contains(gitops.PublicOf(err), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		for _, line := range bytes.Split(c.content, []byte("\n")) {
			if err != nil && len(line) > 8 && strings.Contains(err.Error(), string(line)) {
				t.Errorf("%s: the error repeats the file: %v", name, err)
			}
		}
	}
}

// A key is the same in both of the forms that RSA keys have, and its id is the key's.
func TestParseKeyReadsBothFormsOfRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := cosign.ParseKey("a", append([]byte("\n"), cosigntest.PublicPEM(t, key)...))
	if err != nil {
		t.Fatal(err)
	}
	pkcs1, err := cosign.ParseKey("b", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	another := parsed(t, cosigntest.NewKey(t))
	if pkix.ID != pkcs1.ID || len(pkix.ID) != 64 || another.ID == pkix.ID {
		t.Errorf("%s, %s, another's %s", pkix.ID, pkcs1.ID, another.ID)
	}
}
