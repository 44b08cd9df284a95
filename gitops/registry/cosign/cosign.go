// Package cosign verifies signatures that cosign made of images with a key. It is pure: it
// makes no request, and needs neither a transparency log nor a certificate authority.
//
// Both of cosign's forms count. The older is a simple signing payload with its signature in an
// annotation (cosign's SIGNATURE_SPEC.md); the newer, cosign 3's default, is a Sigstore bundle with an
// in-toto statement in a DSSE envelope. Signatures without a key (keyless) do not: a bundle with a
// certificate is not the key's.
package cosign

import (
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// What a layer of a signature's manifest must be, or it is not looked at.
const (
	SimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	BundlePrefix  = "application/vnd.dev.sigstore.bundle" // then a version, such as .v0.3+json
)

// Bounds on what somebody may put beside an image. cosign's own payloads have some hundred
// bytes, bundles some thousand.
const (
	MaxPayload    = 64 << 10
	MaxSignatures = 100 // of one image; others are not looked at
)

// Verify says why none of the signatures is the key's of the image with the digest; unsigned is
// "" where one is. Whatever else is beside the image, such as an SBOM that the key has signed, counts
// for nothing. pending: there is no signature at all, so that one may still come.
func Verify(key *image.Key, digest string, signatures []image.Signature) (unsigned string, pending bool) {
	tried, other := 0, ""
	for _, s := range signatures[:min(len(signatures), MaxSignatures)] {
		signed, is := read(key, s)
		if is {
			tried++
		}
		switch signed {
		case "":
		case digest:
			return "", false
		default:
			other = signed
		}
	}
	switch {
	case other != "":
		return fmt.Sprintf("the key in %s has signed %s, not this image", key.Name, gitops.Clip(other, 100)), false
	case tried == 0:
		return "it has no cosign signature", true
	case tried == 1:
		return fmt.Sprintf("its signature is not by the key in %s", key.Name), false
	}
	return fmt.Sprintf("none of its %d signatures is by the key in %s", tried, key.Name), false
}

// read returns the digest of the image that the key has signed; "" where it has not. is: it has the
// form of a signature of an image, whoever made it.
func read(key *image.Key, s image.Signature) (digest string, is bool) {
	switch {
	case len(s.Payload) > MaxPayload:
		return "", false
	case s.MediaType == SimpleSigning:
		return readSimple(key, s), true
	case strings.HasPrefix(s.MediaType, BundlePrefix+".") || strings.HasPrefix(s.MediaType, BundlePrefix+"+"):
		return readBundle(key, s.Payload)
	}
	return "", false
}
