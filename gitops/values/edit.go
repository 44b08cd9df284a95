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
	// Value is what is written: text with {tag}, {digest}, {digestHex} (the digest
	// without "sha256:") and {repository}. Empty means {tag}. A {digest} alone is
	// written without "sha256:" where 64 hexadecimal digits without it stand.
	Value string
	// Create makes the key when the map it belongs in is there and has no such
	// key. Without it a key that selects nothing is refused, because most such
	// keys are mistyped.
	Create bool
	// CreateParents makes the maps that lead to the key, too (create: parents).
	// Files and documents are never made.
	CreateParents bool
	// Inside is the key of a block scalar (|) whose text is YAML of its own, such as
	// .spec.source.helm.values of an Argo CD Application; Key selects in that text.
	// Empty means the file itself.
	Inside string
	// Anchor says what happens when the value belongs to an anchor (&name) that
	// other places use. Empty refuses the edit. "follow" edits the anchor, also when
	// Key selects an alias (*name), and the other places change with it.
	Anchor string
	// Follows are the keys that may change with an anchor: yq expressions, which may
	// select several. Empty means every key of the file, unless Shared is set.
	Follows []string
	// Shared says that other apps or environments are set in the same file, so that
	// Follows must list what may change. Whoever wires targets to files sets it.
	Shared bool
	// Replaces are repositories, such as mirrors, that a reference with {repository}
	// may take the place of. A reference to any other repository is refused.
	Replaces []string
	// KeepType writes a number as a number, and true and false as what they are, where
	// the old value is one and the key is not a tag's: replicas, enabled. For edits by
	// hand; an image's tag is always text.
	KeepType bool
}

// Edit is a compiled list of targets. It is immutable and safe for concurrent use.
type Edit struct {
	targets []target
	limits  Limits // of the files
}

// Within returns the edit for files within other limits than the default ones.
func (e *Edit) Within(l Limits) *Edit { return &Edit{e.targets, l} }

// Limits are those of the edit's files.
func (e *Edit) Limits() Limits { return e.limits }

type target struct {
	key           key
	value         template
	create        bool
	createParents bool
	inside        *key
	follow        bool
	follows       []query
	shared        bool
	replaces      []string
	keepType      bool
}

// Compile checks the targets and makes an [Edit] of them. The error is an
// Invalid [gitops.Error] whose Field is that of a target: "[0].key", "[1].value",
// "[1].follows[0]".
func Compile(targets []Target) (*Edit, error) {
	if len(targets) == 0 {
		return nil, gitops.Errorf(gitops.Invalid, "there must be a key to set")
	}
	e := &Edit{}
	seen := map[string]int{}
	for i, t := range targets {
		compiled, err := compile(t)
		if err != nil {
			err.Field = fmt.Sprintf("[%d].%s", i, err.Field)
			return nil, err
		}
		id := spelling(compiled.key.all.tree)
		if compiled.inside != nil {
			id = spelling(compiled.inside.all.tree) + "\x00" + id
		}
		if j, twice := seen[id]; twice {
			return nil, gitops.FieldErrorf(fmt.Sprintf("[%d].key", i), "is the same as that of [%d]", j)
		}
		seen[id] = i
		e.targets = append(e.targets, compiled)
	}
	return e, nil
}

// compile checks one target. The error's Field is one of its fields.
func compile(t Target) (target, *gitops.Error) {
	c := target{create: t.Create || t.CreateParents, createParents: t.CreateParents, shared: t.Shared, replaces: t.Replaces, keepType: t.KeepType}
	var err error
	if c.key, err = parseKey(t.Key); err != nil {
		return c, gitops.FieldErrorf("key", "%s", err)
	}
	if t.Value == "" {
		t.Value = "{tag}"
	}
	if c.value, err = parseTemplate(t.Value); err != nil {
		return c, gitops.FieldErrorf("value", "%s", err)
	}
	switch {
	case strings.HasSuffix(strings.ToLower(c.key.last), "digest") && !c.value.uses("digest") && !c.value.uses("digestHex"):
		return c, gitops.FieldErrorf("value", "writes no digest under the key %s; write {digest}, or set the key of the tag", c.key.last)
	case c.create && (c.key.last == "" || !plainGrammar.MatchString(c.key.last)):
		return c, gitops.FieldErrorf("create", "needs a key that ends in a plain name, such as .image.tag")
	case t.Anchor != "" && t.Anchor != "follow":
		return c, gitops.FieldErrorf("anchor", "must be follow or left out, not %s", show(t.Anchor))
	case t.Anchor == "" && len(t.Follows) > 0:
		return c, gitops.FieldErrorf("follows", "needs anchor: follow")
	}
	if t.Inside != "" {
		inside, err := parseKey(t.Inside)
		if err != nil {
			return c, gitops.FieldErrorf("inside", "%s", err)
		}
		c.inside = &inside
	}
	c.follow = t.Anchor == "follow"
	for i, text := range t.Follows {
		k, err := parseKey(text)
		if err != nil {
			return c, gitops.FieldErrorf(fmt.Sprintf("follows[%d]", i), "%s", err)
		}
		c.follows = append(c.follows, k.all)
	}
	for i, name := range t.Replaces {
		if !repositoryGrammar.MatchString(name) {
			return c, gitops.FieldErrorf(fmt.Sprintf("replaces[%d]", i), "must be an image's name without tag and digest, not %s", show(name))
		}
	}
	return c, nil
}

// Result is what an edit makes of a file.
type Result struct {
	Text    []byte // the edited text, or the file itself when nothing changed
	Changed bool
	// Paths are all paths of the file whose values changed, with aliases and merge
	// keys applied: the targets' first, then those that followed an anchor.
	Paths []string
}

// Set sets the targets in a file's text: all of them, or none and an error. The
// text differs from file in the targets' bytes alone; it is file itself when every
// target holds its value as a string already. Set keeps no reference to file and
// does not change it.
//
// The error is a [*gitops.Error] that carries a [Refusal]; its Field is the key
// at fault, or empty when it is the file. Its Code is TooLarge, Invalid (not
// UTF-8, not YAML), NotFound (the key selects nothing) or Rejected.
func (e *Edit) Set(file []byte, v Vars) (Result, error) {
	s, err := parseSource(file, e.limits)
	if err != nil {
		return Result{}, err
	}
	p, err := s.plan(e, v)
	if err != nil {
		return Result{}, err
	}
	r, err := p.result()
	if err == nil && p.creates() {
		err = e.checkCreated(r.Text, v)
	}
	if err != nil {
		return Result{}, err
	}
	return r, nil
}

// checkCreated refuses to create what the next edit would refuse to set, such as a
// value beside a comment that is a template.
func (e *Edit) checkCreated(file []byte, v Vars) error {
	s, err := parseSource(file, e.limits)
	if err != nil {
		return err
	}
	p, err := s.plan(e, v)
	switch {
	case err != nil:
		return refuseWithCause(Unverified, err, "would be created where no later edit could set it: %s", gitops.PublicOf(err))
	case len(p.splices) > 0 || p.creates():
		return refuse(Unverified, "would be created, and not be read back as what is wanted")
	}
	return nil
}

// Apply is [Edit.Set] for those that need no paths.
func (e *Edit) Apply(file []byte, v Vars) (out []byte, changed bool, err error) {
	r, err := e.Set(file, v)
	return r.Text, r.Changed, err
}

// at names the key in an error that is about what it selects.
func at(k key, err error) error {
	var e *gitops.Error
	if !errors.As(err, &e) || e.Field != "" {
		return err
	}
	named := *e
	named.Field = k.text
	return &named
}
