package githubtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
)

// field is one that a GraphQL query asks for.
type field struct {
	name string
	on   string // a type, for a fragment; then name is ""
	args map[string]string
	of   []field
}

// operation is a GraphQL query or mutation.
type operation struct {
	kind      string
	variables map[string]string // types by name
	of        []field
}

var tokens = regexp.MustCompile(`\.\.\.|[A-Za-z_][A-Za-z0-9_]*|[(){}:$!,]|\S`)

// parser reads the part of GraphQL that tallyman has need of: variables, arguments that are
// variables, fields and fragments by type.
type parser struct {
	rest []string
	err  error
}

func parseQuery(text string) (operation, error) {
	p := &parser{rest: slices.DeleteFunc(tokens.FindAllString(text, -1), func(t string) bool { return t == "," })}
	op := operation{kind: p.next(), variables: make(map[string]string)}
	if p.peek() == "(" {
		p.next()
		for p.peek() != ")" && p.err == nil {
			p.want("$")
			name := p.next()
			p.want(":")
			op.variables[name] = p.next()
			if p.peek() == "!" {
				op.variables[name] += p.next()
			}
		}
		p.want(")")
	}
	op.of = p.selection()
	if len(p.rest) > 0 {
		p.fail("the end")
	}
	return op, p.err
}

func (p *parser) peek() string {
	if len(p.rest) == 0 {
		return ""
	}
	return p.rest[0]
}

func (p *parser) next() string {
	t := p.peek()
	if t == "" {
		p.fail("more")
		return ""
	}
	p.rest = p.rest[1:]
	return t
}

func (p *parser) want(t string) {
	if p.peek() != t {
		p.fail(t)
		return
	}
	p.next()
}

func (p *parser) fail(wanted string) {
	if p.err == nil {
		p.err = fmt.Errorf("parse error on %q: expected %s", p.peek(), wanted)
	}
}

func (p *parser) selection() (fields []field) {
	p.want("{")
	for p.peek() != "}" && p.err == nil {
		f := field{name: p.next(), args: make(map[string]string)}
		if f.name == "..." {
			p.want("on")
			f.name, f.on = "", p.next()
		}
		if p.peek() == "(" {
			p.next()
			for p.peek() != ")" && p.err == nil {
				name := p.next()
				p.want(":")
				p.want("$")
				f.args[name] = p.next()
			}
			p.want(")")
		}
		if p.peek() == "{" {
			f.of = p.selection()
		}
		fields = append(fields, f)
	}
	p.want("}")
	return fields
}

// problem is an error of GraphQL's, which comes with status 200.
type problem struct {
	kind, message string
	ours          bool // a mistake in the query, which fails the test
}

func unprocessable(format string, args ...any) *problem {
	return &problem{kind: "UNPROCESSABLE", message: fmt.Sprintf(format, args...)}
}

func mistake(format string, args ...any) *problem {
	return &problem{message: fmt.Sprintf(format, args...), ours: true}
}

// answerGraphQL answers a query: of one node, or one mutation.
func (s *Server) answerGraphQL(w http.ResponseWriter, r *http.Request, holder *token) {
	var asked struct {
		Query     string
		Variables map[string]json.RawMessage
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		s.refuse(w, r, http.StatusBadRequest, "Problems parsing JSON: %v", err)
		return
	}
	if !s.withinLimits(w, r) {
		return
	}
	op, err := parseQuery(asked.Query)
	if err != nil || len(op.of) != 1 {
		s.complain(w, r, "", mistake("%v: a query about one thing", err))
		return
	}
	for name := range op.variables {
		if _, given := asked.Variables[name]; !given {
			s.complain(w, r, "", mistake("Variable $%s was not given", name))
			return
		}
	}
	if len(asked.Variables) != len(op.variables) {
		s.complain(w, r, "", mistake("variables are given that the query does not have"))
		return
	}
	root := op.of[0]
	argument := func(name string) json.RawMessage { return asked.Variables[root.args[name]] }
	var data any
	var wrong *problem
	switch {
	case op.kind == "query" && root.name == "node":
		data, wrong = s.node(holder, argument("id"), root.of)
	case op.kind == "mutation" && mutationsKnown[root.name].apply != nil:
		data, wrong = s.mutate(holder, root, argument("input"))
	default:
		wrong = mistake("Field '%s' doesn't exist on type '%s'", root.name, op.kind)
	}
	if wrong != nil {
		s.complain(w, r, root.name, wrong)
		return
	}
	answer(w, http.StatusOK, map[string]any{"data": map[string]any{root.name: data}})
}

// complain answers an error.
func (s *Server) complain(w http.ResponseWriter, r *http.Request, path string, wrong *problem) {
	if wrong.ours || wrong.kind == "FORBIDDEN" && !s.expected[http.StatusForbidden] {
		s.t.Errorf("GitHub would refuse %s %s: %s", r.Method, r.URL.Path, wrong.message)
	}
	said := map[string]any{"message": wrong.message, "locations": []any{map[string]int{"line": 2, "column": 3}}}
	if wrong.kind != "" {
		said["type"], said["path"] = wrong.kind, []string{path}
	}
	body := map[string]any{"errors": []any{said}}
	if !wrong.ours {
		body["data"] = map[string]any{path: nil}
	}
	answer(w, http.StatusOK, body)
}

// node answers what is asked of one pull request.
func (s *Server) node(holder *token, id json.RawMessage, fields []field) (any, *problem) {
	p, wrong := s.pullOf(holder, id, "read")
	if wrong != nil {
		return nil, wrong
	}
	data := make(map[string]any)
	for _, fragment := range fields {
		if fragment.on != "PullRequest" {
			return nil, mistake("Field '%s' doesn't exist on type 'Node'", fragment.name+fragment.on)
		}
		for _, f := range fragment.of {
			value, wrong := p.field(f)
			if wrong != nil {
				return nil, wrong
			}
			data[f.name] = value
		}
	}
	return data, nil
}

// field is one field of a pull request.
func (p *pull) field(f field) (any, *problem) {
	simple := map[string]any{
		"id": p.node(), "state": map[bool]string{true: "OPEN", false: "CLOSED"}[p.open], "headRefOid": p.head,
		"isInMergeQueue": p.queued, "isMergeQueueEnabled": hasRule(p.repository.effective(p.base), "merge_queue"), "reviewDecision": p.decision(),
	}
	if p.merged {
		simple["state"] = "MERGED"
	}
	if value, ok := simple[f.name]; ok && len(f.of) == 0 {
		return value, nil
	}
	if f.name != "autoMergeRequest" || len(f.of) == 0 {
		return nil, mistake("Field '%s' doesn't exist on type 'PullRequest'", f.name)
	}
	if p.auto == nil {
		return nil, nil
	}
	of := map[string]any{"mergeMethod": p.auto.graphMethod(), "commitHeadline": orNil(p.auto.headline), "commitBody": orNil(p.auto.body)}
	asked := make(map[string]any)
	for _, each := range f.of {
		value, ok := of[each.name]
		if !ok {
			return nil, mistake("Field '%s' doesn't exist on type 'AutoMergeRequest'", each.name)
		}
		asked[each.name] = value
	}
	return asked, nil
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}
