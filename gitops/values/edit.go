package values

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Target is one scalar to set, as configured.
type Target struct {
	// Key is a yq expression that selects exactly one scalar: .image.tag, or
	// .images[] | select(.name == "shop") | .newTag.
	Key string
	// Value is what is written: text with {tag}, {digest} and {repository}.
	// Empty means {tag}.
	Value string
	// Create makes the key when the map it belongs in is there and has no such
	// key. Without it a key that selects nothing is refused, because most such
	// keys are mistyped.
	Create bool
}

// Edit is a compiled list of targets. It is immutable and safe for concurrent use.
type Edit struct{ targets []target }

type target struct {
	key    key
	value  template
	create bool
}

// Compile checks the targets and makes an [Edit] of them. The error is an
// Invalid [gitops.Error] whose Field is "[0].key", "[1].value" or "[1].create".
func Compile(targets []Target) (*Edit, error) {
	if len(targets) == 0 {
		return nil, gitops.Errorf(gitops.Invalid, "there must be a key to set")
	}
	e := &Edit{}
	seen := map[string]int{}
	for i, t := range targets {
		k, err := parseKey(t.Key)
		if err != nil {
			return nil, gitops.FieldErrorf(fmt.Sprintf("[%d].key", i), "%s", err)
		}
		if t.Value == "" {
			t.Value = "{tag}"
		}
		v, err := parseTemplate(t.Value)
		if err != nil {
			return nil, gitops.FieldErrorf(fmt.Sprintf("[%d].value", i), "%s", err)
		}
		if t.Create && (k.last == "" || !plainGrammar.MatchString(k.last)) {
			return nil, gitops.FieldErrorf(fmt.Sprintf("[%d].create", i), "needs a key that ends in a plain name, such as .image.tag")
		}
		if j, twice := seen[strings.TrimSpace(t.Key)]; twice {
			return nil, gitops.FieldErrorf(fmt.Sprintf("[%d].key", i), "is the same as that of [%d]", j)
		}
		seen[strings.TrimSpace(t.Key)] = i
		e.targets = append(e.targets, target{key: k, value: v, create: t.Create})
	}
	return e, nil
}

// Apply sets the targets in a file's text: all of them, or none and an error.
// It returns the edited text, which differs from file in the targets' bytes
// alone, and true; or file itself and false when every target holds its value as
// a string already. It keeps no reference to file and does not change it.
//
// The error is a [*gitops.Error] that carries a [Refusal]; its Field is the key
// at fault, or empty when it is the file. Its Code is TooLarge, Invalid (not
// UTF-8, not YAML), NotFound (the key selects nothing) or Rejected.
func (e *Edit) Apply(file []byte, v Vars) (out []byte, changed bool, err error) {
	s, err := readSource(file)
	if err != nil {
		return nil, false, err
	}
	goals, err := s.goals(e, v)
	if err != nil {
		return nil, false, err
	}
	p := newPlan(s)
	if err := p.setAll(goals); err != nil {
		return nil, false, err
	}
	if len(p.splices) == 0 && len(p.order) == 0 {
		return file, false, nil
	}
	if out, err = p.apply(); err != nil {
		return nil, false, err
	}
	return out, true, nil
}

// goals finds the place of each target, and its value.
func (s *source) goals(e *Edit, v Vars) (goals []goal, err error) {
	goals = make([]goal, len(e.targets))
	for i, t := range e.targets {
		if goals[i], err = s.locate(t); err == nil {
			goals[i].value, err = t.value.render(v)
		}
		if err != nil {
			return nil, at(t.key, err)
		}
	}
	return goals, nil
}

// setByOthers tells which keys the other goals set in the map that holds goal i.
func setByOthers(goals []goal, i int) func(name string) bool {
	return func(name string) bool {
		parent, ok := goals[i].parent()
		for j, g := range goals {
			if other, otherOK := g.parent(); j != i && ok && otherOK && other.node() == parent.node() && g.name() == name {
				return true
			}
		}
		return false
	}
}

// at names the key in an error that is about what it selects.
func at(k key, err error) error {
	var e *gitops.Error
	if errors.As(err, &e) && e.Field == "" {
		e.Field = k.text
	}
	return err
}
