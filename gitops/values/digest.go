package values

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	// longDigest is a digest within text.
	longDigest = regexp.MustCompile(`sha(256|512):[0-9A-Fa-f]{32,}`)
	// digestValue is a value that pins an image, alone or at the end of a reference.
	digestValue = regexp.MustCompile(`^(?:.*@)?sha(256|512):[0-9A-Fa-f]{32,}$`)
)

// digestNames are the keys that charts and kustomize let win over a tag beside
// them, whatever they hold. Some charts call a commit "sha", so that one must look
// like a digest.
func digestNames(tag string) []string {
	names := []string{"digest", "sha", "sha256"}
	if stem, ok := strings.CutSuffix(tag, "Tag"); ok {
		names = append(names, stem+"Digest")
	}
	if stem, ok := strings.CutSuffix(tag, "tag"); ok {
		names = append(names, stem+"digest")
	}
	return names
}

// checkDigest refuses a tag beside a digest that would be deployed in its
// place, unless the same edit sets that digest. What is a digest is seen by its
// value, whatever its key is, and as Helm sees it: it may come from a merge key.
func (s *source) checkDigest(doc int, parent []any, name string, setToo setToo) error {
	siblings := texts(s.helmMap(doc, parent))
	known := digestNames(name)
	for _, sibling := range slices.Sorted(maps.Keys(siblings)) {
		text := siblings[sibling]
		pins := digestValue.MatchString(text) || hexDigest.MatchString(text)
		if slices.Contains(known, sibling) {
			pins = text != "" && (pins || !strings.HasPrefix(sibling, "sha"))
		}
		if pins && sibling != name && !setToo(parent, sibling) {
			return digestWins("beside it", sibling)
		}
	}
	if err := s.checkDigestAbove(doc, parent, setToo); err != nil {
		return err
	}
	return s.checkDigestBelow(doc, parent, setToo)
}

// checkDigest does so for a goal's tag, also where its map is yet to be created.
func (g goal) checkDigest(s *source, setToo setToo) error {
	if !g.target.value.uses("tag") {
		return nil
	}
	if len(g.create) == 2 {
		return s.checkDigestAbove(g.place.doc, append(helmPath(g.place), g.create[0]), setToo)
	}
	parent, ok := g.parent()
	if !ok {
		return nil
	}
	return s.checkDigest(parent.doc, helmPath(parent), g.name(), setToo)
}

// checkDigestAbove does the same for the map that the tag's map is a value of. One
// that has a tag of its own has the digest of that.
func (s *source) checkDigestAbove(doc int, parent []any, setToo setToo) error {
	if len(parent) == 0 {
		return nil
	}
	above := parent[:len(parent)-1]
	all := texts(s.helmMap(doc, above)) // none in a list
	if namesImage(all) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if isPin(name, all[name]) && !setToo(above, name) {
			return digestWins("above it", name)
		}
	}
	return nil
}

// checkDigestBelow does the same for the maps beside the tag. One that names an image
// has the digest of that.
func (s *source) checkDigestBelow(doc int, parent []any, setToo setToo) error {
	in := s.helmMap(doc, parent)
	for _, key := range slices.SortedFunc(maps.Keys(in), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		below, ok := in[key].(map[any]any)
		if !ok {
			continue
		}
		all := texts(below)
		if namesImage(all) {
			continue
		}
		way := append(slices.Clone(parent), key)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if isPin(name, all[name]) && !setToo(way, name) {
				return digestWins("in "+show(fmt.Sprint(key))+" beside it", name)
			}
		}
	}
	return nil
}

// setToo tells whether the same edit sets a key of the map that a way leads to.
type setToo func(in []any, name string) bool

func digestWins(where, name string) error {
	return refuse(DigestWins, "has the digest %s %s, which would be deployed whatever the tag says; empty it, or set it in the same edit with {digest}", show(name), where)
}

// isPin reports whether a value at some distance from a tag is a digest of an image,
// and not of a file: those are bare.
func isPin(name, text string) bool {
	return digestText.MatchString(text) && longDigest.MatchString(text) ||
		hexDigest.MatchString(text) && strings.Contains(strings.ToLower(name), "digest")
}

// namesImage reports whether a map has a tag, or an image's name, of its own.
func namesImage(all map[string]string) bool {
	for name := range all {
		name = strings.ToLower(name)
		if strings.HasSuffix(name, "tag") || strings.HasSuffix(name, "version") || name == "image" || name == "repository" || name == "name" {
			return true
		}
	}
	return false
}

// helmMap is the map at the end of a way as Helm sees it; nil when it is not one.
func (s *source) helmMap(doc int, way []any) map[any]any {
	v, _ := helmAt(s.helm[doc], way)
	m, _ := v.(map[any]any)
	return m
}

// texts are the text values of a map.
func texts(m map[any]any) map[string]string {
	found := make(map[string]string)
	for k, v := range m {
		if text, ok := v.(string); ok {
			found[fmt.Sprint(k)] = strings.TrimSpace(text)
		}
	}
	return found
}
