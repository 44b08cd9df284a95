package registry

import (
	"context"
	"encoding/json"
	"regexp"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Bounds of what is asked about one image. Indexes that are built have some ten entries.
const (
	maxManifests = 100 // that are asked for
	maxDepth     = 3   // of indexes in indexes
)

// survey finds out which platforms an image is for.
type survey struct {
	repository *repository
	answer     *image.Answer
	asked      int
}

// describe adds to the answer which platforms the image is for.
func (r *repository) describe(ctx context.Context, m *manifest, answer *image.Answer) error {
	body := m.body
	if body == nil {
		var err error
		if body, err = r.fetch(ctx, opManifest, m.digest); err != nil {
			return err
		}
	}
	if body == nil { // it was deleted just now, or cannot be read yet
		answer.Presence, answer.Digest = image.Absent, ""
		return nil
	}
	s := &survey{repository: r, answer: answer}
	return s.manifest(ctx, body, 1)
}

// document is an index or a manifest, by what it has.
type document struct {
	Manifests []ocispec.Descriptor `json:"manifests"`
	Config    *ocispec.Descriptor  `json:"config"`
}

func (s *survey) manifest(ctx context.Context, body []byte, depth int) error {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return s.repository.host.notAManifest().WithCause(err)
	}
	if d.Manifests == nil {
		return s.single(ctx, d)
	}
	for _, entry := range d.Manifests {
		if isAttestation(entry) {
			continue
		}
		if s.asked++; s.asked > maxManifests || depth > maxDepth {
			return gitops.Errorf(gitops.Unavailable, "registry %s has an index of more than %d manifests, or of more than %d levels", s.repository.host.name, maxManifests, maxDepth)
		}
		if err := s.entry(ctx, entry, depth); err != nil {
			return err
		}
	}
	return nil
}

// entry looks at an index's entry. One with a platform is only asked for; an index in the
// index and an entry that does not say its platform are read.
func (s *survey) entry(ctx context.Context, entry ocispec.Descriptor, depth int) error {
	if err := entry.Digest.Validate(); err != nil {
		return s.repository.host.notAManifest().WithCause(err)
	}
	if entry.Platform != nil && !isIndex(entry) {
		s.answer.Platforms = append(s.answer.Platforms, platformOf(*entry.Platform))
		there, err := s.repository.resolve(ctx, entry.Digest.String(), false)
		if err == nil && there == nil {
			s.answer.Missing = append(s.answer.Missing, platformOf(*entry.Platform))
		}
		return err
	}
	body, err := s.repository.fetch(ctx, opManifest, entry.Digest)
	if err != nil {
		return err
	}
	if body == nil {
		return nil // what it was for is not known, and not there
	}
	return s.manifest(ctx, body, depth+1)
}

// single reads the platform of a manifest from its configuration. What has none, as a Helm
// chart, is for no platform.
func (s *survey) single(ctx context.Context, d document) error {
	if d.Config == nil || d.Config.Size > maxManifest {
		return nil
	}
	body, err := s.repository.fetch(ctx, opBlob, d.Config.Digest)
	if err != nil {
		return err
	}
	var of struct{ OS, Architecture, Variant string } // whatever else it has, which may be very much
	if json.Unmarshal(body, &of) != nil {
		return nil
	}
	if platform := platformOf(ocispec.Platform{OS: of.OS, Architecture: of.Architecture, Variant: of.Variant}); platform.IsReal() {
		s.answer.Platforms = append(s.answer.Platforms, platform)
	}
	return nil
}

// platformWord is what a part of a platform may be: it comes from the registry, and goes into
// sentences.
var platformWord = regexp.MustCompile(`^[a-z0-9._-]{0,32}$`)

// platformOf is the zero platform, which is not real, where the words are not those of one.
func platformOf(p ocispec.Platform) image.Platform {
	for _, word := range []string{p.OS, p.Architecture, p.Variant} {
		if !platformWord.MatchString(word) {
			return image.Platform{}
		}
	}
	return image.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

func isIndex(d ocispec.Descriptor) bool {
	return d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerIndex
}

// isAttestation reports whether an entry is not an image that runs: BuildKit's say how one was
// built (moby/buildkit, docs/attestations/attestation-storage.md).
func isAttestation(d ocispec.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" || d.Platform != nil && !platformOf(*d.Platform).IsReal()
}
