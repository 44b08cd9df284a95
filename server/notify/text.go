package notify

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Fields are what a template may name. They are texts and flags without methods, so that a
// template can do nothing but write.
type Fields struct {
	Kind, Title, Notifier, ID string
	At                        string // RFC 3339, UTC
	Environment, App, Tag     string // of a hold: joined with ", ", and "" for all
	Digest, State, Code       string
	Reason                    string // why, one line
	Actor                     string // who ordered it, or placed or lifted the hold
	Update                    string // the update's id
	Commit, CommitURL         string
	PullRequest               string
	RollsBack                 string // the tag that is left, of what goes back
	Reverts                   string // the id of the update whose rollout failed
	Rollout                   string // the state of the rollout
	Hold, HoldKind, Until     string
	Link                      string // where to look first
	Lifted, Test              bool
}

// DefaultTemplate is the text where the configuration has no template.
const DefaultTemplate = `{{.Title}}{{if .Reason}}: {{.Reason}}{{end}}{{if .Actor}} ({{.Actor}}){{end}}{{if .Link}}
{{.Link}}{{end}}`

const (
	maxTemplate = 4 << 10
	// MaxText is how long a text is at most, in bytes.
	MaxText = 3000
)

// functions are all that a template may call: what cannot make a text longer.
var functions = []string{"and", "or", "not", "eq", "ne"}

// Text makes the texts of a notifier's messages. Safe for concurrent use.
type Text struct {
	template *template.Template
	escape   func(string) string
}

// ParseText compiles a template; "" is [DefaultTemplate]. Escape is applied to every field
// before it is written; nil means none. Its error is Invalid, without a field.
func ParseText(source string, escape func(string) string) (*Text, error) {
	if source == "" {
		source = DefaultTemplate
	}
	if len(source) > maxTemplate {
		return nil, gitops.Errorf(gitops.Invalid, "has %d bytes; at most %d", len(source), maxTemplate)
	}
	parsed, err := template.New("template").Parse(source)
	if err != nil {
		return nil, gitops.Errorf(gitops.Invalid, "is not a template: %s", strings.TrimPrefix(err.Error(), "template: "))
	}
	t := &Text{template: parsed, escape: escape}
	if t.escape == nil {
		t.escape = func(text string) string { return text }
	}
	if err := errors.Join(checkNode(parsed.Root), checkDefined(parsed)); err != nil {
		return nil, err
	}
	for _, sample := range []Fields{sampleFields(), {}} {
		if err := parsed.Execute(new(strings.Builder), sample); err != nil {
			return nil, gitops.Errorf(gitops.Invalid, "cannot be used: %s", strings.TrimPrefix(err.Error(), "template: "))
		}
	}
	return t, nil
}

// sampleFields has something in every field.
func sampleFields() (f Fields) {
	v := reflect.ValueOf(&f).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Bool {
			v.Field(i).SetBool(true)
		} else {
			v.Field(i).SetString("x")
		}
	}
	return f
}

// checkDefined refuses templates in the template: one could call itself without end.
func checkDefined(t *template.Template) error {
	for _, other := range t.Templates() {
		if other.Name() != t.Name() {
			return gitops.Errorf(gitops.Invalid, "defines %q: write one template, without define and block", gitops.Clip(other.Name(), 100))
		}
	}
	return nil
}

// checkNode refuses what is more than fields, conditions and comparisons, wherever it stands:
// a branch that no message takes yet is written one day.
func checkNode(node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return checkNodes(n.Nodes)
	case *parse.ActionNode:
		return checkPipe(n.Pipe)
	case *parse.IfNode:
		return errors.Join(checkPipe(n.Pipe), checkNode(n.List), checkNode(n.ElseList))
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		return nil
	case *parse.PipeNode:
		return checkPipe(n)
	case *parse.FieldNode:
		return checkField(n)
	case *parse.IdentifierNode:
		if !slices.Contains(functions, n.Ident) {
			return gitops.Errorf(gitops.Invalid, "calls %s; there are %s", n.Ident, strings.Join(functions, ", "))
		}
		return nil
	}
	return gitops.Errorf(gitops.Invalid, "has %q: there are fields such as {{.App}}, if, else, end, and the functions %s", gitops.Clip(node.String(), 60), strings.Join(functions, ", "))
}

func checkNodes(nodes []parse.Node) error {
	var problems []error
	for _, node := range nodes {
		problems = append(problems, checkNode(node))
	}
	return errors.Join(problems...)
}

func checkPipe(pipe *parse.PipeNode) error {
	if len(pipe.Decl) > 0 {
		return gitops.Errorf(gitops.Invalid, "has the variable %s: write the field itself", pipe.Decl[0])
	}
	var problems []error
	for _, command := range pipe.Cmds {
		problems = append(problems, checkNodes(command.Args))
	}
	return errors.Join(problems...)
}

func checkField(n *parse.FieldNode) error {
	var names []string
	for field := range reflect.TypeFor[Fields]().Fields() {
		names = append(names, field.Name)
	}
	if len(n.Ident) != 1 || !slices.Contains(names, n.Ident[0]) {
		return gitops.Errorf(gitops.Invalid, "names %s, which is not a field; there are .%s", gitops.Clip(n.String(), 60), strings.Join(names, ", ."))
	}
	return nil
}

// of is the text of a message.
func (t *Text) of(m Message) string {
	return t.write(fieldsOf(m))
}

// write is the text of fields, bounded.
func (t *Text) write(f Fields) string {
	for i, v := 0, reflect.ValueOf(&f).Elem(); i < v.NumField(); i++ {
		if field := v.Field(i); field.Kind() == reflect.String {
			field.SetString(t.escape(field.String()))
		}
	}
	var text strings.Builder
	err := t.template.Execute(&text, f)
	written := strings.TrimSpace(strings.ToValidUTF8(text.String(), "?"))
	if err != nil || written == "" { // a comparison that the samples did not reach, or a kind that the template does not have
		return f.Title
	}
	if len(written) <= MaxText {
		return written
	}
	const more = "..."
	end := MaxText - len(more)
	for !utf8.RuneStart(written[end]) {
		end--
	}
	return written[:end] + more
}

func fieldsOf(m Message) Fields {
	f := Fields{
		Kind: string(m.Kind), Title: m.Title, Notifier: m.Notifier, ID: m.ID, At: m.At.Format(time.RFC3339), Link: m.Link, Test: m.Kind == KindTest,
	}
	if u := m.Update; u != nil {
		f.Environment, f.App, f.Tag, f.Digest = u.Environment, u.App, u.Tag, u.Digest
		f.State, f.Code, f.Reason, f.Actor = string(u.State), string(u.Code), u.Reason, u.Actor
		f.Update, f.Commit, f.CommitURL, f.PullRequest = u.ID, u.Commit, u.CommitURL, u.PullRequest
		f.RollsBack, f.Reverts = u.RollsBack, u.Reverts
		if u.Rollout != nil {
			f.Rollout, f.Reason = string(u.Rollout.State), u.Rollout.Reason
		}
	}
	if h := m.Hold; h != nil {
		f.Environment, f.App, f.Tag = strings.Join(h.Environments, ", "), strings.Join(h.Apps, ", "), h.Tag
		f.Hold, f.HoldKind, f.Reason, f.Actor, f.Lifted = h.ID, string(h.Kind), h.Reason, h.Actor, h.Lifted
		if !h.Until.IsZero() {
			f.Until = h.Until.UTC().Format(time.RFC3339)
		}
	}
	return f
}
