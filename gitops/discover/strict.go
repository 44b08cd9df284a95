package discover

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/values"
)

// strictReader reads a file of a few known fields. Whatever it does not know is a
// problem with the field and the line, as in the configuration.
type strictReader struct{ problems []string }

// reader reads the value of a field.
type reader func(field string, n *yaml.Node)

// maxReports is how many problems of one file are said.
const maxReports = 5

func (r *strictReader) report(field string, n *yaml.Node, format string, args ...any) {
	if field != "" {
		field = clip(field) + ": "
	}
	r.problems = append(r.problems, fmt.Sprintf("%s%s (line %d)", field, fmt.Sprintf(format, args...), n.Line))
}

// err joins the problems.
func (r *strictReader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	said := strings.Join(r.problems[:min(len(r.problems), maxReports)], "; ")
	if more := len(r.problems) - maxReports; more > 0 {
		said += fmt.Sprintf("; and %d more", more)
	}
	return gitops.Errorf(gitops.Invalid, "%s", said)
}

// fields reads a map of known fields.
func (r *strictReader) fields(field string, n *yaml.Node, known map[string]reader) {
	n = meant(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	names := strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	if n.Kind != yaml.MappingNode {
		r.report(field, n, "must be a map with some of: %s", names)
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := meant(n.Content[i])
		path := strings.TrimPrefix(field+"."+key.Value, ".")
		read := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.report(field, key, "has a key that is not plain text")
		case read == nil:
			r.report(path, key, "is not a field; there are %s", names)
		case seen[key.Value]:
			r.report(path, key, "is given twice")
		default:
			seen[key.Value] = true
			read(path, meant(n.Content[i+1]))
		}
	}
}

// list reads each item of a list.
func (r *strictReader) list(field string, n *yaml.Node, item reader) {
	if n = meant(n); n.Kind != yaml.SequenceNode {
		r.report(field, n, "must be a list")
		return
	}
	for i, below := range n.Content {
		item(fmt.Sprintf("%s[%d]", field, i), meant(below))
	}
}

// text reads one line of text.
func (r *strictReader) text(to *string) reader {
	return func(field string, n *yaml.Node) {
		switch {
		case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
			r.report(field, n, "must be text: write it in quotes")
		case strings.ContainsAny(n.Value, "\r\n") || strings.TrimSpace(n.Value) == "":
			r.report(field, n, "must be one line of text")
		default:
			*to = n.Value
		}
	}
}

// checked reads text that a function checks.
func (r *strictReader) checked(to *string, check func(string) error) reader {
	return func(field string, n *yaml.Node) {
		before := len(r.problems)
		if r.text(to)(field, n); len(r.problems) > before {
			return
		}
		if err := check(*to); err != nil {
			r.report(field, n, "%s", said(err))
		}
	}
}

func (r *strictReader) path(to *string) reader  { return r.checked(to, checkBelow) }
func (r *strictReader) image(to *string) reader { return r.checked(to, checkImage) }

func (r *strictReader) tags(to *Tags) reader {
	return func(field string, n *yaml.Node) {
		r.fields(field, n, map[string]reader{"match": r.text(&to.Match), "semver": r.text(&to.Semver)})
	}
}

func (r *strictReader) also(to *[]File) reader {
	return func(field string, n *yaml.Node) {
		*to = []File{}
		r.list(field, n, func(field string, n *yaml.Node) {
			var f File
			r.fields(field, n, map[string]reader{"file": r.path(&f.Path), "set": r.set(&f.Set)})
			if f.Path == "" {
				r.report(field, n, "needs a file")
			}
			*to = append(*to, f)
		})
	}
}

// set reads what is set: a list, or the name of one.
func (r *strictReader) set(to *[]values.Target) reader {
	return func(field string, n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			named, ok := values.Preset(n.Value)
			if *to = named; !ok {
				r.report(field, n, "must be a list, or one of %s, not %q", strings.Join(values.Presets(), ", "), clip(n.Value))
			}
			return
		}
		before := len(r.problems)
		r.list(field, n, func(field string, n *yaml.Node) {
			*to = append(*to, r.target(field, n))
		})
		if len(r.problems) > before {
			return
		}
		var e *gitops.Error
		if err := checkSet(*to); errors.As(err, &e) {
			r.report(field+e.Field, n, "%s", e.Message)
		}
	}
}

func (r *strictReader) target(field string, n *yaml.Node) (t values.Target) {
	texts := func(to *[]string) reader {
		return func(field string, n *yaml.Node) {
			r.list(field, n, func(field string, n *yaml.Node) {
				var text string
				r.text(&text)(field, n)
				*to = append(*to, text)
			})
		}
	}
	r.fields(field, n, map[string]reader{
		"key": r.text(&t.Key), "value": r.text(&t.Value), "inside": r.text(&t.Inside), "anchor": r.text(&t.Anchor),
		"follows": texts(&t.Follows), "replaces": texts(&t.Replaces),
		"create": func(field string, n *yaml.Node) {
			var add bool
			switch {
			case n.Kind == yaml.ScalarNode && n.Value == "parents":
				t.Create, t.CreateParents = true, true
			case n.Decode(&add) != nil:
				r.report(field, n, "must be true, false or parents")
			default:
				t.Create = add
			}
		},
	})
	return t
}

// said is an error's sentence, with the field that it names.
func said(err error) string {
	if e, ok := err.(*gitops.Error); ok {
		return e.Public()
	}
	return err.Error()
}

// meant is what an alias stands for. That the tree is bounded with it was seen when the
// file was read.
func meant(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}
