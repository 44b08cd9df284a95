package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Bounds of what is read beside one image.
const (
	maxReferrerPages = 10
	maxSignatures    = 50
	maxSignature     = 1 << 20 // bytes
)

// signatureTypes are what cosign writes signatures as: of an artifact that refers to the image
// (sigstore/cosign, specs/SIGNATURE_SPEC.md and BUNDLE_SPEC.md).
var signatureTypes = []string{"application/vnd.dev.cosign.", "application/vnd.dev.sigstore."}

// checkSignatures adds to the answer what it lacks of the signatures that the question asks
// for.
func (c *Client) checkSignatures(ctx context.Context, r *repository, q image.Question, answer *image.Answer) error {
	if answer.Presence != image.Present {
		return nil
	}
	if q.SignedBy != nil {
		if err := c.verify(ctx, r, q.SignedBy, answer); err != nil || answer.Unsigned != "" {
			return err
		}
	}
	if !q.ECRSigned {
		return nil
	}
	if !r.host.ecr {
		answer.Unsigned = "registry " + r.host.name + " is not ECR, whose managed signing must have signed it"
		return nil
	}
	var err error
	answer.Unsigned, answer.Pending, err = c.config.ECR.Signed(ctx, r.host.name, r.path, answer.Digest)
	return err
}

// verify adds to the answer why the image has no signature by the key. One that has none at
// all may still get it: it is signed after it is pushed. One that was signed stays so.
func (c *Client) verify(ctx context.Context, r *repository, key *image.Key, answer *image.Answer) error {
	of := digest.Digest(answer.Digest)
	if c.signed.has(key, of) {
		return nil
	}
	var found []image.Signature
	for _, read := range []func(context.Context, digest.Digest) ([]image.Signature, error){r.referringSignatures, r.taggedSignatures} {
		more, err := read(ctx, of)
		if err != nil {
			return err
		}
		found = append(found, more...)
		if answer.Unsigned, answer.Pending = c.config.Verify(key, answer.Digest, found); answer.Unsigned == "" {
			c.signed.add(key, of)
			return nil
		}
	}
	return nil
}

// referringSignatures reads the signatures that refer to an image. Where the registry does
// not know of that, oras reads the tag that stands for it.
func (r *repository) referringSignatures(ctx context.Context, of digest.Digest) ([]image.Signature, error) {
	var manifests []digest.Digest
	exchanging, x := withExchange(ctx, opReferrers)
	err := r.oras(maxReferrerPages).Referrers(exchanging, ocispec.Descriptor{Digest: of}, "", func(page []ocispec.Descriptor) error {
		for _, d := range page {
			if isSignature(d) && len(manifests) < maxSignatures {
				manifests = append(manifests, d.Digest)
			}
		}
		return nil
	})
	unknown := isStatus(err, http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented)
	if err != nil && !unknown && !errors.Is(err, errdef.ErrTooManyPages) {
		return nil, r.host.problem(ctx, x, err)
	}
	var all []image.Signature
	for _, named := range manifests {
		body, err := r.fetch(ctx, opManifest, named)
		if err != nil {
			return nil, err
		}
		if all, err = r.signatures(ctx, body, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// taggedSignatures reads those that are tagged by the image's digest, as cosign before
// version 3 has them.
func (r *repository) taggedSignatures(ctx context.Context, of digest.Digest) ([]image.Signature, error) {
	m, err := r.get(ctx, strings.Replace(of.String(), ":", "-", 1)+".sig")
	if err != nil || m == nil {
		return nil, err
	}
	return r.signatures(ctx, m.body, nil)
}

// signatures adds the layers of a manifest that has signatures; body is nil where it is gone.
func (r *repository) signatures(ctx context.Context, body []byte, all []image.Signature) ([]image.Signature, error) {
	var m struct {
		Layers []ocispec.Descriptor `json:"layers"`
	}
	if json.Unmarshal(body, &m) != nil {
		return all, nil // not a manifest of signatures; everybody who may push can put it there
	}
	for _, layer := range m.Layers {
		if len(all) >= maxSignatures || layer.Size > maxSignature || layer.Digest.Validate() != nil {
			continue
		}
		payload, err := r.fetch(ctx, opBlob, layer.Digest)
		if err != nil {
			return nil, err
		}
		if payload != nil {
			all = append(all, image.Signature{MediaType: layer.MediaType, Payload: payload, Annotations: layer.Annotations})
		}
	}
	return all, nil
}

func isSignature(d ocispec.Descriptor) bool {
	for _, prefix := range signatureTypes {
		if strings.HasPrefix(d.ArtifactType, prefix) {
			return d.Digest.Validate() == nil
		}
	}
	return false
}

// verified has the images whose signature was found to be good. A signature stays good.
type verified struct {
	mu  sync.Mutex
	all map[signed]bool
}

type signed struct {
	key *image.Key
	of  digest.Digest
}

// maxVerified bounds the memory. Beyond it all is forgotten, and checked again.
const maxVerified = 10_000

func (v *verified) has(key *image.Key, of digest.Digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.all[signed{key, of}]
}

func (v *verified) add(key *image.Key, of digest.Digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.all == nil || len(v.all) >= maxVerified {
		v.all = make(map[signed]bool)
	}
	v.all[signed{key, of}] = true
}
