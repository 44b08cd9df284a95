package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/config"
)

// inDev is minimal with more fields of its environment.
func inDev(fields ...string) string {
	return strings.Replace(minimal, "    tags:", "    "+strings.Join(append(fields, "tags:"), "\n    "), 1)
}

// An environment with pull requests has them as its defaults say, and writes the newest
// update of an app alone.
func TestPullRequestDefaults(t *testing.T) {
	for name, c := range map[string]struct {
		text           string
		proposes, auto bool
		coalesce       string
		want           *config.PullRequest
	}{
		"nothing":         {text: inDev(), coalesce: "none"},
		"push":            {text: inDev("write: push"), coalesce: "none"},
		"pull-request":    {text: inDev("write: pull-request"), proposes: true, coalesce: "newest", want: &config.PullRequest{Merge: "person"}},
		"an empty map":    {text: inDev("write: pull-request", "pullRequest: {}"), proposes: true, coalesce: "newest", want: &config.PullRequest{Merge: "person"}},
		"auto":            {text: inDev("write: pull-request", "pullRequest: {merge: auto}"), proposes: true, auto: true, coalesce: "newest", want: &config.PullRequest{Merge: "auto"}},
		"labels":          {text: inDev("write: pull-request", "pullRequest: {labels: ['a b', 'C/d']}"), proposes: true, coalesce: "newest", want: &config.PullRequest{Merge: "person", Labels: []string{"a b", "C/d"}}},
		"newest, as told": {text: inDev("write: pull-request", "coalesce: newest"), proposes: true, coalesce: "newest", want: &config.PullRequest{Merge: "person"}},
	} {
		t.Run(name, func(t *testing.T) {
			dev := parse(t, c.text).Environments["dev"]
			if dev.Proposes() != c.proposes || dev.MergesItself() != c.auto || dev.Coalesce != c.coalesce {
				t.Errorf("%+v", dev)
			}
			if diff := cmp.Diff(c.want, dev.PullRequest); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What cannot be is refused, and the error names the way out.
func TestPullRequestsThatAreRefused(t *testing.T) {
	labels := func(list string) string { return inDev("write: pull-request", "pullRequest: {labels: "+list+"}") }
	const at = "environments.dev.pullRequest.labels"
	for name, c := range map[string]struct{ text, want string }{
		"another way to write":   {inDev("write: merge-request"), `environments.dev.write: must be one of push, pull-request, not "merge-request"`},
		"no value":               {inDev("write:"), "environments.dev.write: has no value, which allows more and not less: write one, or leave the field out"},
		"an empty value":         {inDev(`write: ""`), "environments.dev.write: has no value"},
		"another way to merge":   {inDev("write: pull-request", "pullRequest: {merge: squash}"), `environments.dev.pullRequest.merge: must be one of person, auto, not "squash"`},
		"a field that is none":   {inDev("write: pull-request", "pullRequest: {reviewers: [ann]}"), "environments.dev.pullRequest.reviewers: is not a field; there are merge, labels"},
		"with pushes":            {inDev("pullRequest: {}"), "environments.dev.pullRequest: is for write: pull-request, and the updates of dev are pushed: set write: pull-request, or remove the field"},
		"one commit for a batch": {inDev("write: pull-request", "commits: one-per-batch"), "environments.dev.commits: must not be one-per-batch with write: pull-request"},
		"every update":           {inDev("write: pull-request", "coalesce: none"), "environments.dev.coalesce: must not be none with write: pull-request"},
		"all after a hold":       {inDev("write: pull-request", "afterHold: all"), "environments.dev.afterHold: must not be all with write: pull-request"},
		"no labels":              {labels("[]"), at + ": must name at least one label"},
		"an empty label":         {labels(`["a", ""]`), at + "[1]: is empty"},
		"a space before":         {labels(`[" a"]`), at + `[0]: " a" begins or ends with a space: write "a"`},
		"a long label":           {labels(`["` + strings.Repeat("ä", 51) + `"]`), at + "[0]: has 51 characters, and GitHub takes a label of at most 50"},
		"two labels in one":      {labels(`["a,b"]`), at + `[0]: "a,b" has a comma`},
		"a control character":    {labels(`["a\u0007b"]`), at + `[0]: "a?b" has a control character`},
		"a label twice":          {labels(`[Deploy, other, deploy]`), at + `[2]: "deploy" is there already, as ` + at + "[0]"},
		"many labels":            {labels("[" + strings.Join(numbered(21), ", ") + "]"), at + ": has 21 labels, and a pull request may have 20"},
		"a map for a label":      {labels("[{name: x}]"), at + "[0]: must be text"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.text, c.want) })
	}
	if c := parse(t, labels(`["`+strings.Repeat("ä", 50)+`"]`)); len(c.Environments["dev"].PullRequest.Labels) != 1 {
		t.Error("the longest label is refused")
	}
}

func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, "l"+string(rune('a'+i)))
	}
	return names
}

// refused wants one problem that begins so.
func refused(t *testing.T, text, want string) {
	t.Helper()
	_, err := config.Parse([]byte(text))
	if got := found(err); len(got) != 1 || !strings.HasPrefix(got[0], want) || gitops.CodeOf(err) != gitops.Invalid {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A source is a repository on GitHub; in discover {app} stands for the app's name.
func TestSources(t *testing.T) {
	ofApp := func(source string) string {
		return strings.Replace(minimal, "myshop-api: {}", "myshop-api: {source: '"+source+"'}", 1)
	}
	ofEntry := func(source string) string {
		return minimal + "discover: [{file: 'charts/{app}/values-{env}.yaml', source: '" + source + "'}]\n"
	}
	for _, source := range []string{"myshop/api", "a/b", "My-Shop_corp/a.b_c-d", "a/" + strings.Repeat("x", 100)} {
		if got := parse(t, ofApp(source)).Apps["myshop-api"].Source; got != source {
			t.Errorf("read %q", got)
		}
	}
	for _, source := range []string{"myshop/{app}", "{app}/{app}-service", "myshop/api"} {
		if got := parse(t, ofEntry(source)).Discover[0].Source; got != source {
			t.Errorf("read %q", got)
		}
	}
	for source, want := range map[string]string{
		"api": "must be owner/name", "/api": "must be owner/name", "myshop/": "must be owner/name", "a/b/c": "must be owner/name", "a b/c": "must be owner/name",
		"-a/b": "must be owner/name", "a/..": "must be owner/name", "a/" + strings.Repeat("x", 101): "must be owner/name",
		"myshop/api.git": "must be owner/name without .git", "https://github.com/myshop/api": "must be owner/name, not an address", "git@github.com:myshop/api": "must be owner/name, not an address",
	} {
		refused(t, ofApp(source), "apps.myshop-api.source: "+want)
		refused(t, ofEntry(source), "discover[0].source: "+want)
	}
	refused(t, ofApp("myshop/{app}"), `apps.myshop-api.source: must be owner/name of one repository, not "myshop/{app}"`)
	refused(t, ofEntry("myshop/{env}"), "discover[0].source: knows only {app} in braces")
	if fields := config.NeedRestart(parse(t, minimal), parse(t, strings.Replace(inDev("write: pull-request"), "myshop-api: {}", "myshop-api: {source: a/b}", 1))); !slices.Equal(fields, nil) {
		t.Errorf("%v cannot change while tallyman runs", fields)
	}
}
