package starter

import (
	"regexp"
	"strings"
)

// glob matches paths by an entry's file pattern.
type glob struct {
	expr  *regexp.Regexp
	names []string // of the expression's groups, in order
}

// newGlob compiles a pattern; an environment is one of those that are given, or with none
// any name.
func newGlob(file string, environments []string) glob {
	var g glob
	var b strings.Builder
	b.WriteString("^")
	for file != "" {
		switch {
		case strings.HasPrefix(file, appName):
			g.names = append(g.names, appName)
			b.WriteString(`([^/]+?)`)
			file = file[len(appName):]
		case strings.HasPrefix(file, envName):
			g.names = append(g.names, envName)
			var all []string
			for _, e := range environments {
				all = append(all, regexp.QuoteMeta(e))
			}
			if all == nil {
				all = []string{`[^/]+?`}
			}
			b.WriteString("(" + strings.Join(all, "|") + ")")
			file = file[len(envName):]
		case file[0] == '*':
			b.WriteString(`[^/]*`)
			file = file[1:]
		default:
			b.WriteString(regexp.QuoteMeta(file[:1]))
			file = file[1:]
		}
	}
	g.expr = regexp.MustCompile(b.String() + "$")
	return g
}

// match returns the names in a path; those that the pattern does not have are empty.
func (g glob) match(path string) (app, environment string, ok bool) {
	m := g.expr.FindStringSubmatch(path)
	if m == nil {
		return "", "", false
	}
	for i, name := range g.names {
		into := &app
		if name == envName {
			into = &environment
		}
		if *into != "" && *into != m[i+1] {
			return "", "", false
		}
		*into = m[i+1]
	}
	return app, environment, true
}
