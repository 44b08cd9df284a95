package cosign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

const (
	maxKeyFile = 64 << 10
	minRSA     = 2048 // bits
)

// ParseKey reads a public key in PEM, as cosign writes cosign.pub. name is its file's. The error says
// what the file has instead; it repeats none of it, as that may be a private key.
func ParseKey(name string, content []byte) (*image.Key, error) {
	reject := func(why string) (*image.Key, error) {
		return nil, gitops.Errorf(gitops.Invalid, "%s %s; it must have one public key in PEM, as cosign.pub does", name, why)
	}
	if len(content) > maxKeyFile {
		return reject("is larger than 64 KiB")
	}
	block, rest := pem.Decode(content)
	if block == nil {
		return reject("has no PEM block")
	}
	alone := bytes.HasPrefix(bytes.TrimSpace(content), []byte("-----BEGIN "+block.Type+"-----"))
	if !alone || len(bytes.TrimSpace(rest)) != 0 {
		return reject("has more than one PEM block, or text beside it")
	}
	public, err := parsePublic(block)
	switch {
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return reject("has a private key, which does not belong here: cosign public-key --key FILE writes the public one")
	case block.Type == "CERTIFICATE":
		return reject("has a certificate")
	case err != nil:
		return reject("cannot be read")
	}
	if why := unusable(public); why != "" {
		return reject(why)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return reject("cannot be read")
	}
	sum := sha256.Sum256(der)
	return &image.Key{Public: public, Name: name, ID: hex.EncodeToString(sum[:])}, nil
}

func parsePublic(block *pem.Block) (crypto.PublicKey, error) {
	if block.Type == "RSA PUBLIC KEY" {
		return x509.ParsePKCS1PublicKey(block.Bytes)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

// unusable says why a key is not of a kind that verify knows.
func unusable(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return "has a key of the curve " + key.Curve.Params().Name + ", and only P-256 and P-384 are supported"
		}
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return "has an RSA key of less than 2048 bits"
		}
	case ed25519.PublicKey:
	default:
		return "has a key that is not ECDSA, RSA or Ed25519"
	}
	return ""
}

// verify reports whether a signature of the message is the key's. cosign hashes with SHA-256 for
// the older form whatever the curve is, and with the curve's own hash for bundles.
func verify(public crypto.PublicKey, message, signature []byte) bool {
	sum := sha256.Sum256(message)
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(key, sum[:], signature) {
			return true
		}
		long := sha512.Sum384(message)
		return key.Curve == elliptic.P384() && ecdsa.VerifyASN1(key, long[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	}
	return false
}
