package values

import (
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// checkScalar refuses to write over a node that is not a scalar of one line's text.
func (s *source) checkScalar(p place) error {
	if err := s.checkPlaceholder(p); err != nil {
		return err
	}
	n := p.node()
	switch n.Kind {
	case yaml.MappingNode:
		return refuse(NotScalar, "is a map, not a single value; %s", has(n, ""))
	case yaml.SequenceNode:
		return refuse(NotScalar, "is a list, not a single value; name an item of it")
	}
	if n.Style&yaml.TaggedStyle != 0 || strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		return refuse(ExplicitTag, "has the explicit tag %s; remove it first", n.Tag)
	}
	return nil
}

// checkColon refuses a key that stands alone: { tag } has an empty value, and no
// colon to write one behind.
func (s *source) checkColon(n *yaml.Node, start, end int) error {
	if start != end || n.Anchor != "" {
		return nil
	}
	before := strings.TrimRight(string(s.text[:start]), " \t\r\n")
	if before == "" || strings.HasSuffix(before, ":") || strings.HasSuffix(before, "-") {
		return nil
	}
	return refuse(NotRepresentable, "has neither a colon nor a value in line %d; write the key with its colon by hand once", n.Line)
}

// checkAlias refuses a place that an alias leads to.
func (s *source) checkAlias(p place) error {
	anchor := s.wayToAnchor(p.doc, p.node())
	verb := "is"
	if p.raw != p.alias {
		verb = "lies beyond"
	}
	return refuse(Alias, "%s the alias *%s in line %d, and an edit changes every use of &%s%s; set it with anchor: follow, or write a value of its own in place of the alias",
		verb, show(p.alias.Value), p.alias.Line, show(p.alias.Value), anchor)
}

// wayToAnchor names where a node is written, for a sentence.
func (s *source) wayToAnchor(doc int, n *yaml.Node) string {
	way, ok := findNode(s.docs[doc], n, nil)
	if !ok {
		return ""
	}
	return ", written at " + s.showPlace(doc, way)
}

func findNode(in, n *yaml.Node, way []any) ([]any, bool) {
	if in == n {
		return way, true
	}
	for i, below := range in.Content {
		step := any(i)
		if in.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			step = helmKey(meant(in.Content[i-1]))
		}
		if found, ok := findNode(below, n, append(way[:len(way):len(way)], step)); ok {
			return found, true
		}
	}
	return nil, false
}

// checkOldValue refuses to write over text that means more than the new value
// says: the form of the old value decides what the new one must have.
func (t target) checkOldValue(n *yaml.Node, key, value string) error {
	if n.Value == "" || n.ShortTag() != "!!str" {
		return nil
	}
	now, ok := parseReference(value, func(string, bool) bool { return t.value.uses("tag") })
	if !ok {
		return t.checkOldText(n.Value, key, value)
	}
	was, ok := parseReference(n.Value, func(word string, pinned bool) bool { return wordIsTag(word, pinned, key, now.name) })
	if !ok {
		return refuse(NotATag, "holds %s, which is not an image's tag or reference, so the key may be meant for something else; change it by hand once if it is not", show(n.Value))
	}
	return t.checkReference(was, now)
}

// wordIsTag tells a tag from a name where one word stands. A name is what the
// reference's grammar says (name@digest); a tag before a digest is a habit of charts
// and stands in keys that say so.
func wordIsTag(word string, pinned bool, key, name string) bool {
	key = strings.ToLower(key)
	switch {
	case !nameWord.MatchString(word), strings.Contains(key, "tag"), strings.Contains(key, "version"):
		return true
	case name != "" && sameRepository(word, name):
		return false
	case !pinned && name == "":
		return true
	case strings.HasSuffix(key, "image"), strings.HasSuffix(key, "repository"), strings.HasSuffix(key, "name"):
		return versionWord.MatchString(word)
	}
	return strings.ContainsAny(word, "0123456789")
}

// checkReference compares what two image scalars name.
func (t target) checkReference(was, now reference) error {
	switch {
	case was.name != "" && now.name == "":
		return refuse(Reference, "holds the image %s with its name; the value's template must have one, too, such as {repository}:{tag}", show(was.name))
	case was.name == "" && now.name != "":
		return refuse(Reference, "holds no image's name, and the value's template has one; use a template without {repository}")
	case was.name != "" && !t.mayReplace(was.name, now.name):
		return refuse(Reference, "holds the image %s, which is not %s; give the key of that image, or list %s under replaces", show(was.name), show(now.name), show(was.name))
	case was.digest && !now.digest:
		return refuse(Reference, "is pinned by digest, which this value would drop; use a template with {digest}")
	case was.tag && !now.tag:
		return refuse(Reference, "has a tag, which this value would drop; use a template with {tag}, or remove the tag by hand once")
	}
	return nil
}

func (t target) mayReplace(old, name string) bool {
	return sameRepository(old, name) || slices.ContainsFunc(t.replaces, func(r string) bool { return sameRepository(old, r) })
}

// checkOldText does the same for a template with text around the image.
func (t target) checkOldText(old, key, value string) error {
	before, after := t.value.frame()
	if len(old) < len(before)+len(after) || !strings.HasPrefix(old, before) || !strings.HasSuffix(old, after) {
		switch {
		case t.value.uses("repository"):
			return refuse(NotATag, "holds %s, which does not have the form %s; write it in that form by hand once", show(old), t.value)
		case longDigest.MatchString(old) && !longDigest.MatchString(value):
			return refuse(Reference, "has a digest, which this value would drop; use a template with {digest}")
		}
		return nil // free text takes the place of free text
	}
	now, ok := parseReference(value[len(before):len(value)-len(after)], func(string, bool) bool { return t.value.uses("tag") })
	was, oldOK := parseReference(old[len(before):len(old)-len(after)], func(word string, pinned bool) bool { return wordIsTag(word, pinned, key, now.name) })
	if !ok || !oldOK {
		return nil
	}
	return t.checkReference(was, now)
}
