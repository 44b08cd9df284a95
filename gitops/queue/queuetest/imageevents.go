package queuetest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Two digests, as tags name them.
const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// push is a new delivery of a registry's event: that a tag with a digest is there.
func (s *script) push(tag, digest string, targets ...string) gitops.Delivery {
	d := s.order(targets...)
	d.Source, d.Principal = "eventbridge", "push:eventbridge/123456789012"
	for i := range d.Updates {
		d.Updates[i].Tag, d.Updates[i].Digest = tag, digest
	}
	return d
}

// image is one that a delivery brought, or none, recorded now.
func (s *script) image(name, tag, digest string, by gitops.DeliveryKey) gitops.SeenImage {
	return gitops.SeenImage{Repository: "registry.example/" + name, Tag: tag, Digest: digest, At: s.clock.Now(), By: by}
}

// named is an image that a person named.
func named(i gitops.SeenImage) gitops.SeenImage {
	i.Named = true
	return i
}

func (s *script) recordImages(seen ...gitops.SeenImage) {
	s.t.Helper()
	s.code("RecordImages", s.q.RecordImages(s.t.Context(), seen), "")
	s.code("RecordImages of the model", s.model.RecordImages(s.t.Context(), seen), "")
	s.check()
}

// seen holds what is recorded of an app's tags to what the script expects.
func (s *script) seen(name string, tags []string, want ...gitops.SeenImage) {
	s.t.Helper()
	got, err := s.q.SeenImages(s.t.Context(), "registry.example/"+name, tags)
	s.same("SeenImages", got, err, want, nil)
}

// checkImages asks for all tags of each repository at once.
func (s *script) checkImages() {
	s.t.Helper()
	tags := map[string][]string{"registry.example/missing": {"v1"}}
	for key := range s.model.images {
		repository, tag, _ := strings.Cut(key, " ")
		tags[repository] = append(tags[repository], tag)
	}
	for _, repository := range slices.Sorted(maps.Keys(tags)) {
		asked := append(tags[repository], "missing", tags[repository][0])
		got, err := s.q.SeenImages(s.t.Context(), repository, asked)
		want, _ := s.model.SeenImages(s.t.Context(), repository, asked)
		s.same("SeenImages of "+repository, got, err, want, nil)
	}
}

func (s *script) checkHeads(environment string, apps ...string) []gitops.Head {
	s.t.Helper()
	got, err := s.q.Heads(s.t.Context(), environment, apps)
	want, _ := s.model.Heads(s.t.Context(), environment, apps)
	s.same("Heads", got, err, want, nil)
	return got
}

// found is a transition of an update whose image was inspected a moment ago.
func (s *script) found(t gitops.Transition, digest string, named bool) gitops.Transition {
	t.Found = &gitops.Found{Digest: digest, At: s.clock.Now().Add(-time.Second), Named: named}
	return t
}

// absent is a block of an image that is not there, which lifts after a time.
func (s *script) absent(d time.Duration) gitops.Block {
	return gitops.Block{Kind: gitops.BlockImage, Reason: reported + "the registry does not have it", Until: s.clock.Now().Add(d)}
}

// unknown is a block of an image of which the registry does not say whether it is there.
var unknown = gitops.Block{Kind: gitops.BlockImage, Reason: reported + "the registry does not answer"}

// taken is the one update that the lane's holder gets.
func (s *script) taken(l lent) gitops.Update {
	s.t.Helper()
	s.checkTake(l, queue.TakeOptions{Limit: everything})
	got, err := s.q.Take(s.t.Context(), l.store, queue.TakeOptions{Limit: everything})
	if err != nil || len(got) != 1 {
		s.t.Fatalf("%d updates were taken, %v; want one", len(got), err)
	}
	return got[0]
}
