package cosign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign/cosigntest"
)

var (
	digest = "sha256:" + strings.Repeat("ab", 32)
	other  = "sha256:" + strings.Repeat("cd", 32)
)

func parsed(t testing.TB, key crypto.Signer) *image.Key {
	t.Helper()
	k, err := cosign.ParseKey("cosign.pub", cosigntest.PublicPEM(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keys has one of each kind that is supported.
func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	all := map[string]crypto.Signer{"P-256": cosigntest.NewKey(t)}
	var err error
	must := func(key crypto.Signer) crypto.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	var key crypto.Signer
	key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	all["P-384"] = must(key)
	key, err = rsa.GenerateKey(rand.Reader, 2048)
	all["RSA"] = must(key)
	_, key25519, err25519 := ed25519.GenerateKey(rand.Reader)
	err = err25519
	all["Ed25519"] = must(key25519)
	return all
}

// A signature counts by its key and for its image, in both forms and with each kind of key.
func TestASignatureIsOneKeysOfOneImage(t *testing.T) {
	all := keys(t)
	for kind, key := range all {
		k := parsed(t, key)
		stranger := all["P-256"]
		if kind == "P-256" {
			stranger = all["P-384"]
		}
		for form, sign := range map[string]func(testing.TB, crypto.Signer, string) image.Signature{"simple": cosigntest.Sign, "bundle": cosigntest.Bundle} {
			good, foreign, elsewhere := sign(t, key, digest), sign(t, stranger, digest), sign(t, key, other)
			for want, signatures := range map[string][]image.Signature{
				"":                           {foreign, elsewhere, good},
				"it has no cosign signature": nil,
				"its signature is not by the key in cosign.pub":            {foreign},
				"none of its 2 signatures is by the key in cosign.pub":     {foreign, foreign},
				"the key in cosign.pub has signed " + other + ", not this": {foreign, elsewhere},
			} {
				got, pending := cosign.Verify(k, digest, signatures)
				if want == "" && got != "" || !strings.HasPrefix(got, want) || pending != (signatures == nil) {
					t.Errorf("%s, %s: %q, pending %v, want %q", kind, form, got, pending, want)
				}
			}
		}
	}
}

// What was changed after it was signed is not signed, whichever byte it was; nor is what
// another kind of statement says of the image.
func TestWhatIsNotASignatureOfAnImage(t *testing.T) {
	key := cosigntest.NewKey(t)
	k := parsed(t, key)
	simple := func(old, new string) image.Signature {
		return cosigntest.SignPayload(t, key, bytes.ReplaceAll(cosigntest.Payload(digest), []byte(old), []byte(new)))
	}
	bundle := func(old, new string) image.Signature {
		return cosigntest.BundleStatement(t, key, bytes.ReplaceAll(cosigntest.Statement(digest), []byte(old), []byte(new)))
	}
	change := func(s image.Signature, change func(*image.Signature)) image.Signature {
		s.Payload = slices.Clone(s.Payload)
		s.Annotations = map[string]string{"dev.cosignproject.cosign/signature": s.Annotations["dev.cosignproject.cosign/signature"]}
		change(&s)
		return s
	}
	good, goodBundle := cosigntest.Sign(t, key, digest), cosigntest.Bundle(t, key, digest)
	for name, s := range map[string]image.Signature{
		"a payload for another use":           simple("cosign container image signature", "atomic container signature"),
		"a critical member that is not known": simple(`"identity"`, `"expires":"2020-01-01","identity"`),
		"no digest":                           simple(digest, ""),
		"a payload that is not JSON":          cosigntest.SignPayload(t, key, []byte("signed garbage")),
		"an empty payload":                    cosigntest.SignPayload(t, key, nil),
		"a payload that is too large":         cosigntest.SignPayload(t, key, append(cosigntest.Payload(digest), bytes.Repeat([]byte(" "), cosign.MaxPayload)...)),
		"a changed payload":                   change(cosigntest.Sign(t, key, other), func(s *image.Signature) { s.Payload = cosigntest.Payload(digest) }),
		"a payload with more after it":        change(good, func(s *image.Signature) { s.Payload = append(s.Payload, ' ') }),
		"no signature":                        change(good, func(s *image.Signature) { s.Annotations = nil }),
		"a signature that is not base64":      change(good, func(s *image.Signature) { s.Annotations["dev.cosignproject.cosign/signature"] = "%" }),
		"another type of layer":               change(good, func(s *image.Signature) { s.MediaType = "application/octet-stream" }),
		"an older payload as a bundle":        change(good, func(s *image.Signature) { s.MediaType = goodBundle.MediaType }),
		"a statement of another kind":         bundle("https://sigstore.dev/cosign/sign/v1", "https://spdx.dev/Document"),
		"a statement in another form":         bundle("https://in-toto.io/Statement/v1", "https://example.com/Statement/v1"),
		"a statement of no image":             bundle(`"sha256":`, `"md5":`),
		"a statement of two images":           bundle(`"subject":[`, `"subject":[{"digest":{"sha256":"00"}},`),
		"a bundle of another payload":         change(goodBundle, func(s *image.Signature) { s.Payload = bytes.Replace(s.Payload, []byte("in-toto"), []byte("other"), 1) }),
		"a bundle without an envelope":        change(goodBundle, func(s *image.Signature) { s.Payload = []byte(`{}`) }),
		"a bundle without signatures": change(goodBundle, func(s *image.Signature) {
			s.Payload = bytes.Replace(s.Payload, []byte(`"signatures"`), []byte(`"others"`), 1)
		}),
		"a bundle that is not JSON": change(goodBundle, func(s *image.Signature) { s.Payload = s.Payload[1:] }),
	} {
		if why, _ := cosign.Verify(k, digest, []image.Signature{s}); why == "" {
			t.Errorf("%s counts as a signature", name)
		}
	}
	if why, _ := cosign.Verify(k, digest, []image.Signature{change(good, func(*image.Signature) {})}); why != "" {
		t.Errorf("one that was not changed: %s", why)
	}
	sbom := bundle("https://sigstore.dev/cosign/sign/v1", "https://spdx.dev/Document")
	if why, pending := cosign.Verify(k, digest, []image.Signature{sbom}); why != "it has no cosign signature" || !pending {
		t.Errorf("an SBOM alone: %q, pending %v: the signature may still come", why, pending)
	}
}

// Somebody who may push can put any number of layers beside an image: they cost a bound of time.
func TestOnlySoManySignaturesAreLookedAt(t *testing.T) {
	key, stranger := cosigntest.NewKey(t), cosigntest.NewKey(t)
	many := slices.Repeat([]image.Signature{cosigntest.Sign(t, stranger, digest)}, cosign.MaxSignatures)
	many = append(many, cosigntest.Sign(t, key, digest))
	if why, _ := cosign.Verify(parsed(t, key), digest, many); !strings.Contains(why, "none of its 100 signatures") {
		t.Errorf("the one behind the bound: %q", why)
	}
	if why, _ := cosign.Verify(parsed(t, key), digest, many[1:]); why != "" {
		t.Errorf("the last one within the bound: %q", why)
	}
}

// No input verifies that the key has not signed, and none panics.
func FuzzVerify(f *testing.F) {
	key := cosigntest.NewKey(f)
	k := parsed(f, key)
	simple, bundle := cosigntest.Sign(f, key, other), cosigntest.Bundle(f, key, other)
	f.Add(simple.MediaType, simple.Payload, simple.Annotations["dev.cosignproject.cosign/signature"])
	f.Add(bundle.MediaType, bundle.Payload, "")
	f.Add(simple.MediaType, cosigntest.Payload(digest), "")
	f.Fuzz(func(t *testing.T, mediaType string, payload []byte, signature string) {
		s := image.Signature{MediaType: mediaType, Payload: payload, Annotations: map[string]string{"dev.cosignproject.cosign/signature": signature}}
		if why, _ := cosign.Verify(k, digest, []image.Signature{s}); why == "" {
			t.Errorf("verified: %q %q %q", mediaType, payload, signature)
		}
	})
}
