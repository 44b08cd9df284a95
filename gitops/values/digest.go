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
func (s *source) checkDigest(parent place, name string, setToo func(name string) bool) error {
	m, _ := helmAt(s.helm[parent.doc], helmPath(parent))
	siblings, ok := m.(map[any]any)
	if !ok {
		return nil
	}
	names := map[string]string{}
	for k, v := range siblings {
		if text, ok := v.(string); ok {
			names[fmt.Sprint(k)] = strings.TrimSpace(text)
		}
	}
	known := digestNames(name)
	for _, sibling := range slices.Sorted(maps.Keys(names)) {
		text := names[sibling]
		pins := digestValue.MatchString(text) || hexDigest.MatchString(text)
		if slices.Contains(known, sibling) {
			pins = text != "" && (pins || !strings.HasPrefix(sibling, "sha"))
		}
		if pins && sibling != name && !setToo(sibling) {
			return refuse(DigestWins, "has the digest %s beside it, which would be deployed whatever the tag says; empty it, or set it in the same edit with {digest}", show(sibling))
		}
	}
	return nil
}
