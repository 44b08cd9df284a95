package values

import (
	"bytes"
	"regexp"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// placeholderText is text for another tool to fill in: the environment and Flux
// ($X, ${X}), Helm and Jinja ({{ x }}, {% x %}), Azure DevOps and Octopus (#{X}#,
// __X__), ytt ((@= x @)), ERB (<%= x %>), Concourse and spruce ((x)), Maven (@x@), Windows (%x%),
// Terraform (%{x}), and <x> in instructions to people.
var placeholderText = regexp.MustCompile(`\$|\{\{|\}\}|\{%|#\{|%\{|<%|^__.*__$|\(\(.*\)\)|\(@.*@\)|\[\[.*\]\]|@[\w.-]+@$|%[A-Za-z_]\w*%|<[A-Za-z][^<>]*>`)

// checkPlaceholder refuses to write over a value that another tool fills in,
// wherever that is written: in the value, in a comment in its place (ytt, Azure),
// or as brackets that are a list or a map to YAML.
func (s *source) checkPlaceholder(p place) error {
	n := p.node()
	text := n.Value
	switch {
	case n.Kind != yaml.ScalarNode:
		at, ok := s.offset(n.Line, n.Column)
		if !ok || n.Style&yaml.FlowStyle == 0 {
			return nil
		}
		text = string(s.text[at:min(at+3, len(s.text))])
		if !strings.HasPrefix(text, "{{") && !strings.HasPrefix(text, "{$") && text != "[[ " {
			return nil
		}
		return placeholder(strings.TrimSpace(text))
	case n.ShortTag() == "!!str" && placeholderText.MatchString(text):
		return placeholder(text)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return nil
	}
	if found := s.templateComment(p); found != "" {
		return placeholder(found)
	}
	return nil
}

func placeholder(text string) error {
	return refuse(Placeholder, "holds %s, which another tool fills in; set the value where that tool takes it from", show(text))
}

// templateComment is the comment behind a value that is a template of ytt (#@) or
// Azure (#{).
func (s *source) templateComment(p place) string {
	_, end, err := s.span(p.node())
	if err != nil {
		return ""
	}
	line := lineOf(s.text, end)
	rest := s.text[end:s.lineEnd(line)]
	if found := commentTemplate(rest); found != "" || p.node().Value != "" || p.name() == "" {
		return found
	}
	key := p.keys[len(p.keys)-1]
	if begin, ok := s.offset(key.Line, key.Column); ok && begin < end { // in braces, an empty value is behind the comment
		_, comment, _ := bytes.Cut(s.text[begin:end], []byte("#"))
		if found := commentTemplate(append([]byte("#"), comment...)); found != "" {
			return found
		}
	}
	if len(bytes.TrimSpace(rest)) > 0 && !isComment(rest) {
		return ""
	}
	return s.templateBelow(line+1, key.Column)
}

// templateBelow is a template in the comments from a line on, that are set in as
// far as the value of a key above would be.
func (s *source) templateBelow(line, indent int) string {
	for ; line <= len(s.lines); line++ {
		rest := s.text[s.lines[line-1]:s.lineEnd(line)]
		text := bytes.TrimLeft(rest, " ")
		switch {
		case len(bytes.TrimSpace(text)) == 0:
			continue
		case !isComment(text) || len(rest)-len(text) < indent:
			return ""
		}
		if found := commentTemplate(text); found != "" {
			return found
		}
	}
	return ""
}

func isComment(text []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(text, " \t"), []byte("#")) }

// commentTemplate is a comment that is a template.
func commentTemplate(rest []byte) string {
	text := strings.TrimSpace(string(rest))
	if strings.HasPrefix(text, "#@") || strings.HasPrefix(text, "#{") {
		return text
	}
	return ""
}
