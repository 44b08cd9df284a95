package discover_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/discover"
)

// A result says when apps may be on the tip that it has no name of: whoever takes them for
// gone would cancel their updates.
func TestHiddenApps(t *testing.T) {
	umbrella := key("values-{env}.yaml", ".{app}.tag")
	many := files{}
	for i := range discover.MaxProblems + 1 {
		many[fmt.Sprintf("charts/app-%d/values-dev.yaml", i)] = "-> x"
	}
	for _, c := range []struct {
		what  string
		entry discover.Entry
		files files
		want  bool
	}{
		{"nothing is wrong", umbrella, files{"values-dev.yaml": "api: {tag: v}\n"}, false},
		{"a file of many apps is no YAML", umbrella, files{"values-dev.yaml": "api: {tag: v\n"}, true},
		{"one of its keys is no text", umbrella, files{"values-dev.yaml": "api: {tag: []}\n"}, false},
		{"one of its names is none of an app's", umbrella, files{"values-dev.yaml": "_x: {tag: v}\n"}, false},
		{"a path that names no app", file("charts/{app}/values-{env}.yaml"), files{"charts/_lib/values-dev.yaml": "a"}, false},
		{"a file of one app is no YAML", discover.Entry{File: "charts/{app}/values-{env}.yaml", RepositoryKey: ".image"}, files{"charts/api/values-dev.yaml": "a: ["}, false},
		{"a path of two readings", file("x/*-{app}/{env}.yaml"), files{"x/a-b-c/dev.yaml": "a"}, true},
		{"a path of many readings", file("{app}-*-{env}.yaml"), files{strings.Repeat("a-", 12) + "dev.yaml": "a"}, true},
		{"more problems than are kept", file("charts/{app}/values-{env}.yaml"), many, true},
		{"as many as are kept", file("charts/{app}/values-{env}.yaml"), many.with(files{"charts/app-0/values-dev.yaml": ""}), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := compile(t, c.entry).Look(tree(t, c.files), read)
			if got := hides(r); got != c.want {
				t.Errorf("it hides apps: %t, with %.500v", got, r.Problems)
			}
		})
	}
	if r := compile(t, file(strings.Repeat("*/", 3)+"{app}/{env}.yaml")).Look(bomb(t, 300, 4), read); !hides(r) {
		t.Error("what was left out hides none")
	}
}

// hides reports whether apps may be on a tip that are neither found nor named.
func hides(r *discover.Result) bool {
	return r.More > 0 || slices.ContainsFunc(r.Problems, func(p discover.Problem) bool { return p.HidesApps })
}

// Each of several targets that write one key has a problem of its own: one without would
// be taken for gone.
func TestEveryTargetOfACollisionHasTheProblem(t *testing.T) {
	r := compile(t, discover.Entry{File: "charts/{app}/values-{env}.yaml", AppFile: "charts/{app}/tallyman.yaml"}, file("more/{app}/{env}.yaml")).Look(tree(t, files{
		"charts/api/tallyman.yaml": "file: values.yaml\n", "charts/api/values.yaml": "a",
		"charts/web/values-dev.yaml": "a", "more/web/dev.yaml": "a", "charts/Job/values-dev.yaml": "a", "charts/job/values-prod.yaml": "a",
	}), read)
	said := make(map[string]bool)
	for _, p := range r.Problems {
		said[strings.ToLower(p.App)+" "+p.Environment] = true
	}
	for _, target := range []string{"api dev", "api prod", "api staging", "web dev", "job "} {
		if !said[target] {
			t.Errorf("%s has no problem: %+v", target, r.Problems)
		}
	}
	if len(r.Found) > 0 {
		t.Errorf("found %q", list(r))
	}
}
