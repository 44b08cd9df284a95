package values

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
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
func (s *source) checkDigest(parent place, name string, setToo setToo) error {
	siblings := texts(s.helmMap(parent))
	known := digestNames(name)
	for _, sibling := range slices.Sorted(maps.Keys(siblings)) {
		text := siblings[sibling]
		pins := digestValue.MatchString(text) || hexDigest.MatchString(text)
		if slices.Contains(known, sibling) {
			pins = text != "" && (pins || !strings.HasPrefix(sibling, "sha"))
		}
		if pins && sibling != name && !setToo(parent.node(), sibling) {
			return digestWins("beside it", sibling)
		}
	}
	if err := s.checkDigestAbove(parent, setToo); err != nil {
		return err
	}
	return s.checkDigestBelow(parent, setToo)
}

// checkDigestAbove does the same for the map that the tag's map is a value of. One
// that has a tag of its own has the digest of that.
func (s *source) checkDigestAbove(parent place, setToo setToo) error {
	n := len(parent.keys)
	if n == 0 || parent.keys[n-1] == nil {
		return nil
	}
	above := place{doc: parent.doc, chain: parent.chain[:n], keys: parent.keys[:n-1], index: parent.index[:n-1]}
	all := texts(s.helmMap(above))
	if namesImage(all) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if isPin(name, all[name]) && !setToo(above.node(), name) {
			return digestWins("above it", name)
		}
	}
	return nil
}

// checkDigestBelow does the same for the maps beside the tag. One that names an image
// has the digest of that.
func (s *source) checkDigestBelow(parent place, setToo setToo) error {
	in := s.helmMap(parent)
	for _, key := range slices.SortedFunc(maps.Keys(in), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		below, ok := in[key].(map[any]any)
		if !ok {
			continue
		}
		all := texts(below)
		if namesImage(all) {
			continue
		}
		node := valueOf(parent.node(), fmt.Sprint(key))
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if isPin(name, all[name]) && (node == nil || !setToo(node, name)) {
				return digestWins("in "+show(fmt.Sprint(key))+" beside it", name)
			}
		}
	}
	return nil
}

// setToo tells whether the same edit sets a key of a map.
type setToo func(in *yaml.Node, name string) bool

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

// helmMap is the map at a place as Helm sees it; nil when it is not one.
func (s *source) helmMap(p place) map[any]any {
	v, _ := helmAt(s.helm[p.doc], helmPath(p))
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

// valueOf is what a key of a map stands for; nil when the map does not write it
// itself.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if i, err := lookup(n, key); err == nil && i >= 0 {
		return meant(n.Content[i+1])
	}
	return nil
}
