package registry_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign"
	"github.com/tallyman-dev/tallyman/gitops/registry/cosign/cosigntest"
	"github.com/tallyman-dev/tallyman/gitops/registry/registrytest"
)

// Signatures are found wherever cosign puts them: in what refers to the image, and under the
// tag that its digest has. A verified one is not read again.
func TestSignatures(t *testing.T) {
	s := registrytest.New(t)
	private := cosigntest.NewKey(t)
	key, err := cosign.ParseKey("cosign.pub", cosigntest.PublicPEM(t, private))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, registry.Config{Verify: cosign.Verify})
	for name, test := range map[string]struct {
		sign              func(digest string)
		unsigned, pending bool
	}{
		"none":           {func(string) {}, true, true},
		"by the tag":     {func(d string) { s.Sign("acme/api", d, true, cosigntest.Sign(t, private, d)) }, false, false},
		"by what refers": {func(d string) { s.Sign("acme/api", d, false, cosigntest.Sign(t, private, d)) }, false, false},
		"a bundle":       {func(d string) { s.Sign("acme/api", d, false, cosigntest.Bundle(t, private, d)) }, false, false},
		"another key's, too": {func(d string) {
			s.Sign("acme/api", d, false, cosigntest.Sign(t, cosigntest.NewKey(t), d))
			s.Sign("acme/api", d, true, cosigntest.Sign(t, private, d))
		}, false, false},
		"an SBOM by the key": {func(d string) {
			sbom := bytes.ReplaceAll(cosigntest.Statement(d), []byte("https://sigstore.dev/cosign/sign/v1"), []byte("https://spdx.dev/Document"))
			s.Sign("acme/api", d, false, cosigntest.BundleStatement(t, private, sbom))
		}, true, true},
		"another key's":   {func(d string) { s.Sign("acme/api", d, true, cosigntest.Sign(t, cosigntest.NewKey(t), d)) }, true, false},
		"another image's": {func(d string) { s.Sign("acme/api", d, true, cosigntest.Sign(t, private, "sha256:00")) }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			pushed := s.Push("acme/api", "v1", registrytest.Image{Content: name})
			test.sign(pushed.Digest)
			q := image.Question{Repository: s.Host() + "/acme/api", Tag: "v1", SignedBy: key}
			answer := ask(t, c, q)
			wantDigest(t, answer, pushed.Digest)
			if answer.Unsigned != "" != test.unsigned || answer.Pending != test.pending {
				t.Errorf("unsigned: %q, pending: %v", answer.Unsigned, answer.Pending)
			}
			s.Forget()
			again := ask(t, c, q)
			if again.Unsigned != answer.Unsigned {
				t.Errorf("at the second look it is %q, was %q", again.Unsigned, answer.Unsigned)
			}
			if n := len(s.Requests()); !test.unsigned && n != 1 {
				t.Errorf("a verified signature cost %d requests", n)
			}
			other := ask(t, c, image.Question{Repository: q.Repository, Tag: "v1", SignedBy: &image.Key{Public: cosigntest.NewKey(t).Public()}})
			if other.Unsigned == "" {
				t.Error("what is signed by one key counts for another")
			}
		})
	}
}

// A registry that knows nothing of what refers has the tag; any other failure is an error, and
// an image is not taken for unsigned because of it.
func TestSignaturesOfRegistriesThatFail(t *testing.T) {
	s := registrytest.New(t)
	private := cosigntest.NewKey(t)
	key, err := cosign.ParseKey("cosign.pub", cosigntest.PublicPEM(t, private))
	if err != nil {
		t.Fatal(err)
	}
	one := s.Push("acme/api", "v1", registrytest.Image{})
	s.Sign("acme/api", one.Digest, true, cosigntest.Sign(t, private, one.Digest))
	q := image.Question{Repository: s.Host() + "/acme/api", Tag: "v1", SignedBy: key}
	for _, status := range []int{400, 404, 405, 501} {
		remove := s.Inject(registrytest.Fault{Kind: "referrers", Answer: registrytest.Status(status)})
		if answer := ask(t, client(t, registry.Config{Verify: cosign.Verify}), q); answer.Unsigned != "" {
			t.Errorf("referrers answer %d: %s", status, answer.Unsigned)
		}
		remove()
	}
	for _, f := range []registrytest.Fault{
		{Kind: "referrers", Answer: registrytest.Status(http.StatusServiceUnavailable)},
		{Kind: "blobs", Answer: registrytest.Status(http.StatusServiceUnavailable)},
		{Method: http.MethodGet, Kind: "manifests", Answer: registrytest.Reset()},
		{Kind: "blobs", Answer: registrytest.Body([]byte("other"))},
	} {
		remove := s.Inject(f)
		for range 2 {
			if answer, err := client(t, registry.Config{Verify: cosign.Verify}).Look(t.Context(), q); gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("with a fault of %s: %+v, %v", f.Kind, answer, err)
			}
		}
		remove()
	}
	if answer := ask(t, client(t, registry.Config{}), q); answer.Unsigned == "" {
		t.Error("without a verifier an image has a signature")
	}
}
