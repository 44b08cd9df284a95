package queuetest

import (
	"context"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// SeenImages implements [queue.Images].
func (m *Model) SeenImages(ctx context.Context, repository string, tags []string) (seen []gitops.SeenImage, err error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	tags = slices.Clone(tags)
	slices.Sort(tags)
	for _, tag := range slices.Compact(tags) {
		seen = append(seen, m.images[repository+" "+tag]...)
	}
	return seen, nil
}

// RecordImages implements [queue.Images].
func (m *Model) RecordImages(ctx context.Context, seen []gitops.SeenImage) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, image := range seen {
		m.see(image)
	}
	return nil
}

// see keeps an image. Each list is replaced and not changed, since snapshots share it.
func (m *Model) see(image gitops.SeenImage) {
	key := image.Repository + " " + image.Tag
	known := m.images[key]
	image.At = m.now().UTC().Truncate(time.Microsecond)
	sameDigest := func(s gitops.SeenImage) bool { return s.Digest == image.Digest }
	switch {
	case len(known) == 0 || known[0].Digest == "" && image.Digest != "":
		m.images[key] = []gitops.SeenImage{image}
	case image.Named && image.Digest != "" && !slices.ContainsFunc(known, sameDigest):
		m.images[key] = append(slices.Clone(known), image)
	}
}

// found keeps what was found of an update's image, and that it was seen; nil is nothing.
func (m *Model) found(u *gitops.Update, found *gitops.Found) {
	if found == nil {
		return
	}
	kept := *found
	u.Found = &kept
	m.see(gitops.SeenImage{Repository: u.Repository, Tag: u.Tag, Digest: found.Digest, By: u.Delivery, Named: found.Named})
}
