// Package cosigntest signs images as cosign does with a key, for tests.
package cosigntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

// NewKey makes a key of the kind that cosign generate-key-pair does.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PublicPEM is a key's public file, as cosign.pub.
func PublicPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Payload is a simple signing payload for an image.
func Payload(digest string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"ghcr.io/acme/api"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":{"creator":"ci"}}`, digest)
}

// Sign signs an image in cosign's older form.
func Sign(t testing.TB, key crypto.Signer, digest string) image.Signature {
	t.Helper()
	return SignPayload(t, key, Payload(digest))
}

// SignPayload is [Sign] with a payload of the caller's.
func SignPayload(t testing.TB, key crypto.Signer, payload []byte) image.Signature {
	t.Helper()
	signature := base64.StdEncoding.EncodeToString(sign(t, key, payload, crypto.SHA256))
	return image.Signature{
		MediaType:   "application/vnd.dev.cosign.simplesigning.v1+json",
		Payload:     payload,
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": signature},
	}
}

// Statement is the in-toto statement of cosign's newer form.
func Statement(digest string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q},"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`,
		strings.TrimPrefix(digest, "sha256:"))
}

// Bundle signs an image in cosign's newer form.
func Bundle(t testing.TB, key crypto.Signer, digest string) image.Signature {
	t.Helper()
	return BundleStatement(t, key, Statement(digest))
}

// BundleStatement is [Bundle] with a statement of the caller's.
func BundleStatement(t testing.TB, key crypto.Signer, statement []byte) image.Signature {
	t.Helper()
	const payloadType = "application/vnd.in-toto+json"
	hash := crypto.SHA256
	if public, ok := key.Public().(*ecdsa.PublicKey); ok && public.Curve == elliptic.P384() {
		hash = crypto.SHA384
	}
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement)
	content, err := json.Marshal(map[string]any{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": "anything"}, "tlogEntries": []any{}},
		"dsseEnvelope": map[string]any{
			"payload": statement, "payloadType": payloadType,
			"signatures": []any{map[string]any{"sig": sign(t, key, signed, hash)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return image.Signature{MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", Payload: content}
}

func sign(t testing.TB, key crypto.Signer, message []byte, hash crypto.Hash) []byte {
	t.Helper()
	digest := message
	switch {
	case isEd25519(key):
		hash = 0 // it signs the message itself
	case hash == crypto.SHA384:
		sum := sha512.Sum384(message)
		digest = sum[:]
	default:
		sum := sha256.Sum256(message)
		digest = sum[:]
	}
	signature, err := key.Sign(rand.Reader, digest, hash)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func isEd25519(key crypto.Signer) bool {
	_, ok := key.Public().(ed25519.PublicKey)
	return ok
}
