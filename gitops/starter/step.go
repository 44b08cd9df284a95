package starter

import (
	"regexp"
	"strings"
	"unicode"
)

// step is one step of a key: a map's key, or the item of a list that has these fields.
// The step at the beginning of a key may select a document by its fields.
type step struct {
	name   string
	fields []field
	list   bool
}

// field is a field of an item, by which it is selected.
type field struct{ key, value string }

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// renderKey writes a key as an expression. A name with a brace in it is {app} or {env},
// with which the discovery fills what it finds.
func renderKey(steps []step) string {
	var b strings.Builder
	piped := true // nothing, or a pipe, stands before
	for _, s := range steps {
		if s.name == "" && !s.list {
			b.WriteString(selection(s.fields) + " | ")
			continue
		}
		if s.list {
			if piped {
				b.WriteString(".")
			}
			b.WriteString("[]")
			if len(s.fields) > 0 {
				b.WriteString(" | " + selection(s.fields) + " | ")
				piped = true
				continue
			}
			piped = false
			continue
		}
		b.WriteString(dotted(s.name, piped))
		piped = false
	}
	return strings.TrimSuffix(b.String(), " | ")
}

func dotted(name string, first bool) string {
	if plainKey.MatchString(name) || braced(name) {
		return "." + name
	}
	if first {
		return `.["` + name + `"]`
	}
	return `["` + name + `"]`
}

// braced reports whether a name is one placeholder and no more.
func braced(name string) bool { return name == appName || name == envName }

func selection(fields []field) string {
	var all []string
	for _, f := range fields {
		all = append(all, "."+f.key+` == "`+f.value+`"`)
	}
	return "select(" + strings.Join(all, " and ") + ")"
}

// selectable reports whether a text can stand in a selection as it is.
func selectable(text string) bool {
	return text != "" && len(text) <= 200 && !strings.ContainsAny(text, "\"\\{}") && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// with returns the steps and one more; the steps may be shared.
func with(steps []step, more step) []step {
	return append(steps[:len(steps):len(steps)], more)
}
