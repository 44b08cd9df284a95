package rollout

import (
	"path"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops/image"
)

// reference is an image as a container names it: REPOSITORY, and a tag, a digest or both.
type reference struct {
	repository, tag, digest string
}

func parseReference(text string) (r reference) {
	r.repository, r.digest, _ = strings.Cut(text, "@")
	if colon := strings.LastIndex(r.repository, ":"); colon > strings.LastIndex(r.repository, "/") {
		r.repository, r.tag = r.repository[:colon], r.repository[colon+1:]
	}
	return r
}

// String is the image as people read it, without its registry.
func (r reference) String() string {
	name := path.Base(r.repository)
	switch {
	case r.tag != "":
		return name + ":" + r.tag
	case r.digest != "":
		return name + "@" + r.digest[:min(len(r.digest), len("sha256:")+12)]
	}
	return name
}

// match says what an image is to the update.
type match int

const (
	foreign  match = iota // of another repository
	ours                  // the update's
	another               // of its repository, with another tag
	byDigest              // of its repository, by a digest that says neither
)

// matcher tells the update's images from others, once it is known which repositories in the
// Application are the update's.
type matcher struct {
	Subject
	repositories map[string]bool
}

// newMatcher looks for the update's repository among images. If it is not there, a repository
// with the same last part is taken: clusters may pull from a mirror. If the update's repository
// is not known, every repository with the update's tag is taken.
func newMatcher(s Subject, images []string) matcher {
	m := matcher{Subject: s, repositories: make(map[string]bool)}
	take := func(is func(reference) bool) {
		for _, text := range images {
			if r := parseReference(text); len(text) > 0 && is(r) {
				m.repositories[r.repository] = true
			}
		}
	}
	if s.Image == "" {
		take(func(r reference) bool { return m.compare(r) == ours })
		return m
	}
	name := image.Canonical(s.Image)
	take(func(r reference) bool { return image.Canonical(r.repository) == name })
	if len(m.repositories) == 0 {
		take(func(r reference) bool { return path.Base(r.repository) == path.Base(name) })
	}
	return m
}

// compare classifies an image of the update's repository. A digest is what is pulled, so it
// decides over the tag. The update's tag with a different digest is left open, because an image
// for several platforms has several digests.
func (s Subject) compare(r reference) match {
	switch {
	case r.digest != "" && r.digest == s.Digest:
		return ours
	case r.tag != "" && r.tag != s.Tag, r.tag == "" && r.digest == "": // no tag at all is "latest"
		return another
	case r.digest == "", r.tag != "" && s.Digest == "":
		return ours
	case r.tag == "" && s.Digest != "":
		return another
	}
	return byDigest
}

func (m matcher) match(text string) match {
	r := parseReference(text)
	if !m.repositories[r.repository] {
		return foreign
	}
	return m.compare(r)
}
