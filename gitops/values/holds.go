package values

import (
	"regexp"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// What an image scalar may hold, see github.com/distribution/reference: a name,
// a tag, a digest, or some of them.
var (
	// A + is no part of a tag, but people write chart versions where tags go.
	tagText    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}$`)
	digestText = regexp.MustCompile(`^sha(256|512):[0-9A-Fa-f]+$`)
	imageText  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+/[A-Za-z0-9._-]+)?(/[A-Za-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9._+-]*)?$`)
)

// parts says what an image scalar names. A single word counts as a tag.
type parts struct{ name, tag, digest bool }

func partsOf(text string) (p parts, ok bool) {
	if digestText.MatchString(text) {
		return parts{digest: true}, true
	}
	image, digest, pinned := strings.Cut(text, "@")
	if pinned && !digestText.MatchString(digest) {
		return parts{}, false
	}
	switch {
	case tagText.MatchString(image):
		return parts{tag: true, digest: pinned}, true
	case imageText.MatchString(image):
		return parts{name: true, tag: strings.Contains(image[strings.LastIndex(image, "/")+1:], ":"), digest: pinned}, true
	}
	return parts{}, false
}

// checkScalar refuses to write over a node that is no scalar of one line's text.
func checkScalar(p place) error {
	n := p.node()
	switch n.Kind {
	case yaml.AliasNode:
		return refuse(Alias, "is the alias *%s; give the key of the anchor &%s itself", show(n.Value), show(n.Value))
	case yaml.MappingNode, yaml.SequenceNode:
		if n.Kind == yaml.SequenceNode {
			return refuse(NotScalar, "is a list, not a single value")
		}
		return refuse(NotScalar, "is a map, not a single value; %s", has(n, ""))
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return refuse(ExplicitTag, "has the explicit tag %s; remove it first", n.ShortTag())
	}
	return nil
}

// checkHeld refuses to write over text that means more than the new value says.
func checkHeld(n *yaml.Node, value string) error {
	old := n.Value
	if old == "" || n.ShortTag() != "!!str" {
		return nil
	}
	if strings.Contains(old, "$") || strings.Contains(old, "{{") {
		return refuse(Placeholder, "holds a placeholder for another tool to fill in")
	}
	now, ok := partsOf(value)
	if !ok {
		return nil // free text takes the place of free text
	}
	was, ok := partsOf(old)
	switch {
	case !ok:
		return refuse(NotATag, "holds text that is no image tag, so it may not be what the key was meant for")
	case was.name && !now.name:
		return refuse(Reference, "holds an image with its name; the value's template must be one too, such as {repository}:{tag}")
	case was.digest && !now.digest && !now.name:
		return refuse(Reference, "is pinned by digest, which this value would drop; use a template with {digest}")
	}
	return nil
}

// digestNames are the keys that charts and kustomize let win over a tag beside
// them. Some charts call a commit "sha", so that one must look like a digest.
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

var longHex = regexp.MustCompile(`^(sha(256|512):)?[0-9A-Fa-f]{32,}$`)

// checkDigest refuses a tag beside a digest that would be deployed in its
// place, unless the same edit sets that digest. It looks at what Helm sees: the
// digest may come from a merge key.
func (s *source) checkDigest(parent place, name string, setToo func(name string) bool) error {
	m, _ := helmAt(s.helm[parent.doc], helmPath(parent))
	siblings, ok := m.(map[any]any)
	if !ok {
		return nil
	}
	for _, d := range digestNames(name) {
		text, ok := siblings[d].(string)
		if !ok || strings.TrimSpace(text) == "" || d == name || setToo(d) {
			continue
		}
		if strings.HasPrefix(d, "sha") && !longHex.MatchString(text) {
			continue
		}
		return refuse(DigestWins, "has %s beside it, which would be deployed whatever the tag says; empty it, or set it in the same edit with {digest}", show(d))
	}
	return nil
}
