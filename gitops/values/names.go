package values

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mikefarah/yq/v4/pkg/yqlib"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What stands for {app}, {env} and {repository} in a key while it is taken apart:
// characters that no key has.
const (
	markApp        = "\ue000"
	markEnv        = "\ue001"
	markRepository = "\ue002"
	marks          = markApp + markEnv + markRepository
)

// Inverse is a key that names {app} or {env}, turned around: it finds the names with
// which the key selects a value of a file. Immutable and safe for concurrent use.
type Inverse struct {
	steps    []inverseStep
	app, env bool // which names it has
}

// inverseStep is one step down from a node.
type inverseStep struct {
	kind       stepKind
	text       pattern     // of toKey
	conditions []condition // of where
}

type stepKind int

const (
	toKey stepKind = iota // .name, ["name"], [0]
	toAll                 // []
	where                 // select(...)
)

// condition is .path == text.
type condition struct {
	path []string
	text pattern
}

// pattern is a text in which a name can stand.
type pattern struct {
	before, after string
	name          string // markApp, markEnv, or "" for none
}

// invertible says which keys can be turned around.
const invertible = `a key that names apps in a file has {app} and {env} as a step or in a comparison: .{app}.image.tag, .apps[{app}].{env}.tag, ` +
	`or .list[] | select(.name == "{app}" and .env == "{env}") | .tag, with ==, and, [] and plain steps, one name in each`

// Invert turns a key around that names {app}, {env} or both. The error is an Invalid
// [gitops.Error] on the field key.
func Invert(text string) (*Inverse, error) {
	if strings.ContainsAny(text, marks) {
		return nil, gitops.FieldErrorf("key", "has characters of a private use area; %s", invertible)
	}
	k, err := parseKey(marked(text))
	if err != nil {
		return nil, gitops.FieldErrorf("key", "%s", err)
	}
	v := &Inverse{}
	if err := v.add(k.all.tree); err != nil {
		return nil, gitops.FieldErrorf("key", "%s; %s", err, invertible)
	}
	if v.app, v.env = v.uses(markApp), v.uses(markEnv); !v.app && !v.env {
		return nil, gitops.FieldErrorf("key", "names neither {app} nor {env}; %s", invertible)
	}
	return v, nil
}

// marked is the key with marks in the places of names.
func marked(key string) string { return Names{markApp, markEnv, markRepository}.bind(key) }

// Names reports which names the key has.
func (v *Inverse) Names() (app, env bool) { return v.app, v.env }

func (v *Inverse) uses(mark string) bool {
	return slices.ContainsFunc(v.steps, func(s inverseStep) bool {
		return s.text.name == mark || slices.ContainsFunc(s.conditions, func(c condition) bool { return c.text.name == mark })
	})
}

// add adds the steps of an expression.
func (v *Inverse) add(n *yqlib.ExpressionNode) error {
	if n == nil {
		return nil
	}
	switch op := n.Operation; op.OperationType.Type {
	case "SELF":
		return nil
	case "PIPE", "SHORT_PIPE":
		if err := v.add(n.LHS); err != nil {
			return err
		}
		return v.add(n.RHS)
	case "TRAVERSE_PATH":
		return v.addKey(op.StringValue)
	case "TRAVERSE_ARRAY":
		if err := v.add(n.LHS); err != nil {
			return err
		}
		if index := n.RHS.RHS; isLiteral(index) {
			return v.addKey(index.Operation.StringValue)
		}
		v.steps = append(v.steps, inverseStep{kind: toAll})
		return nil
	case "SELECT":
		s := inverseStep{kind: where}
		if err := s.addConditions(n.RHS); err != nil {
			return err
		}
		v.steps = append(v.steps, s)
		return nil
	}
	return fmt.Errorf("has %s, and names cannot be found through it", strings.ToLower(n.Operation.OperationType.Type))
}

func (v *Inverse) addKey(text string) error {
	p, err := parseNamePattern(text)
	v.steps = append(v.steps, inverseStep{kind: toKey, text: p})
	return err
}

// addConditions adds comparisons that are joined by and.
func (s *inverseStep) addConditions(n *yqlib.ExpressionNode) error {
	switch n.Operation.OperationType.Type {
	case "AND":
		if err := s.addConditions(n.LHS); err != nil {
			return err
		}
		return s.addConditions(n.RHS)
	case "EQUALS":
		path, plain := plainSteps(n.LHS)
		if !plain || strings.ContainsAny(strings.Join(path, ""), marks) {
			return errors.New("compares something else than a plain path, and names cannot be found through it")
		}
		p, err := parseNamePattern(n.RHS.Operation.StringValue)
		s.conditions = append(s.conditions, condition{path, p})
		return err
	}
	return fmt.Errorf("has %s in select(...), and names cannot be found through it", strings.ToLower(n.Operation.OperationType.Type))
}

// parseNamePattern takes a text apart in which at most one name stands.
func parseNamePattern(text string) (pattern, error) {
	at := strings.IndexAny(text, marks)
	switch {
	case isGlob(text):
		return pattern{}, errors.New("has * or ?, and names cannot be found through it")
	case at < 0:
		return pattern{before: text}, nil
	case strings.HasPrefix(text[at:], markRepository):
		return pattern{}, errors.New("names {repository}, which cannot be found in the file")
	}
	p := pattern{before: text[:at], name: text[at : at+len(markApp)], after: text[at+len(markApp):]}
	if strings.ContainsAny(p.after, marks) {
		return p, errors.New("has two names in one text, and nothing says where one ends")
	}
	return p, nil
}

// SameTemplate is [SameKey] of a key that may name {app}, {env} and {repository}, which
// stay in the text: with names in their places it is the same for two keys that are the
// same with these names.
func SameTemplate(text string) (string, error) {
	same, err := SameKey(marked(text))
	return unmark.Replace(same), err
}

// unmark undoes what strconv.Quote makes of the marks.
var unmark = strings.NewReplacer(`\ue000`, "{app}", `\ue001`, "{env}", `\ue002`, "{repository}")
