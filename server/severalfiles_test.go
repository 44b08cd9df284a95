package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// What is wrong with more files is said of their field.
func TestAlsoThatCannotBeRight(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(s *site)
		want string
	}{
		"the first file again": {func(s *site) { s.yaml += "also: [{file: 'charts/{app}/values-{env}.yaml', set: [{key: .other}]}]\n" },
			"also[0].file: is charts/api/values-dev.yaml, which the same update edits already: write both keys into one set"},
		"a file again": {func(s *site) {
			s.edit("  prod: {", "  prod: {also: [{file: 'a/{app}.yaml'}, {file: 'a/{app}.yaml'}], ")
		}, "environments.prod.also[1].file: is a/api.yaml, which"},
		"a file again for one app": {func(s *site) {
			s.edit("  api: {", "  api: {also: [{file: 'a/api.yaml'}, {file: 'a/{app}.yaml'}], ")
		}, "apps.api.also[1].file: is a/api.yaml, which"},
		"two environments": {func(s *site) { s.yaml += "also: [{file: 'charts/{app}/Chart.yaml', set: [{key: .appVersion}]}]\n" },
			"also[0].file: updates of api in dev and of api in prod would both set .appVersion in charts/api/Chart.yaml: give them different files or keys"},
		"another app's first file": {func(s *site) { s.edit("  worker: {", "  worker: {also: [{file: charts/api/values-dev.yaml}], ") },
			"apps.worker.also[0].file: updates of api in dev and of worker in dev would both set .image.tag in charts/api/values-dev.yaml"},
		"a key that computes": {func(s *site) { s.edit("  prod: {", "  prod: {also: [{file: x, set: [{key: .a}, {key: '.b = 1'}]}], ") },
			"environments.prod.also[0].set[1].key: must only select"},
		"an anchor in a file of several": {func(s *site) {
			s.yaml += "also: [{file: all.yaml, set: [{key: '.{env}.{app}', anchor: follow}]}]\n"
		}, "also[0].set[0].follows: is required with anchor: follow in all.yaml"},
		"an image without a name": {func(s *site) { s.edit("  worker: {", "  worker: {also: [{file: x, set: image}], ") },
			"apps.worker.repository: is missing, and apps.worker.also[0].set[0] writes {repository} in dev"},
		"a placeholder that keys do not know": {func(s *site) { s.yaml += "set: [{key: '.{environment}.tag'}]\n" },
			"set[0].key: knows {app}, {env} and {repository} in braces, and not {environment}: write {env}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.edit(s)
			_, err := s.newServer()
			if gitops.CodeOf(err) != gitops.Invalid || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

const chartOfAPI = "charts/api/Chart.yaml"

// withChart has updates of prod write the chart of the app, too, and one file hold the
// versions of all apps and environments.
func withChart(t *testing.T) *site {
	s := newSite(t)
	s.edit("  prod: {", "  prod: {also: [{file: 'charts/{app}/Chart.yaml', set: [{key: .appVersion}]}, {file: versions.yaml, set: [{key: '.{env}[] | select(.app == {app}) | .tag'}]}], ")
	s.edit("  dev: {", "  dev: {also: [{file: versions.yaml, set: [{key: '.{env}[] | select(.app == {app}) | .tag'}]}], ")
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{
		chartOfAPI:      "name: api\nappVersion: 0.9.0\n",
		"versions.yaml": "dev:\n- {app: api, tag: none}\n- {app: worker, tag: none}\nprod:\n- {app: api, tag: none}\n",
	}})
	s.must(err)
	return s
}

// One order is one commit of all files, of which the API shows each; what a person changes
// in one of them is said, and the next order of the same tag puts it right.
func TestAnUpdateOfSeveralFiles(t *testing.T) {
	s := withChart(t)
	r := s.start()
	order := func(id string, want gitops.State) gitops.Update {
		t.Helper()
		u := r.settled(r.order(id, `{"app": "api", "environment": "prod", "tag": "1.0.0"}`).delivery(t, 202).Updates[0].ID)
		if u.State != want {
			t.Fatalf("%s: %+v, want %s", id, u, want)
		}
		return u
	}
	changed := func(u gitops.Update) (files []string) {
		for _, f := range readAs[api.Commit](r, apiToken, "/api/v1/updates/"+u.ID+"/commit").Files {
			files = append(files, f.File+" "+f.Problem+strings.Join(f.Diff, ""))
		}
		return files
	}
	prod := func() api.App { return read[api.Environments](r, "/api/v1/environments").Environments[1].Apps[0] }

	first := order("first", gitops.Committed)
	want := []string{
		`charts/api/values-prod.yaml -  tag: "main-0000000" …+  tag: "1.0.0" …`, chartOfAPI + " -appVersion: 0.9.0+appVersion: 1.0.0", "versions.yaml -… tag: none …+… tag: 1.0.0 …",
	}
	if diff := cmp.Diff(want, changed(first)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(api.App{App: "api", File: "charts/api/values-prod.yaml", Tag: "1.0.0"}, prod()); diff != "" {
		t.Error(diff)
	}
	order("again", gitops.Unchanged)

	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{chartOfAPI: "name: api\nappVersion: 0.9.1\n"}})
	s.must(err)
	differs := api.App{App: "api", File: "charts/api/values-prod.yaml", Tag: "1.0.0", Differs: []api.AppFile{{File: chartOfAPI, Tag: "0.9.1"}}}
	for cmp.Diff(differs, prod()) != "" { // until the branch is looked at again
	}
	if c := readAs[api.Commit](r, apiToken, "/api/v1/updates/"+first.ID+"/commit"); c.Now == nil || cmp.Diff(differs, *c.Now) != "" {
		t.Errorf("the commit says of now: %+v", c.Now)
	}
	if diff := cmp.Diff([]string{chartOfAPI + " -appVersion: 0.9.1+appVersion: 1.0.0"}, changed(order("once-more", gitops.Committed))); diff != "" {
		t.Error(diff)
	}
}

// Of an update that fails in one file nothing is written, and the reason names the file, in
// a dry run, too.
func TestAnUpdateOfSeveralFilesThatFails(t *testing.T) {
	s := withChart(t)
	before, err := s.repository.Commit(gitserver.Change{Files: map[string]string{chartOfAPI: "name: api\n"}})
	s.must(err)
	r := s.start()
	u := r.settled(r.order("k", `{"app": "api", "environment": "prod", "tag": "1.0.0"}`).delivery(t, 202).Updates[0].ID)
	if u.State != gitops.Failed || !strings.HasPrefix(u.Reason, chartOfAPI+": .appVersion: ") {
		t.Errorf("%+v", u)
	}
	d, err := r.DryRun(t.Context(), Image{Tag: "1.0.0", Apps: []string{"api"}, Environments: []string{"prod"}}, false)
	if s.must(err); d.Taken() || !strings.HasPrefix(d.Targets[0].Reason, "it would be accepted, and then fail: "+chartOfAPI+": .appVersion: ") {
		t.Errorf("%+v", d)
	}
	if tip, err := s.repository.Git("rev-parse", "main"); err != nil || tip != before {
		t.Errorf("something was written: %s became %s, %v", before, tip, err)
	}
}

// A dry run and the check show every file that would change.
func TestDryRunOfSeveralFiles(t *testing.T) {
	s := withChart(t)
	d, err := s.dryRun(Image{Tag: "0.9.0", Apps: []string{"api"}, Environments: []string{"prod"}}, false)
	s.must(err)
	want := []string{"prod api: not taken: tag 0.9.0 does not satisfy"}
	if got := d.effects(); len(got) != 1 || !strings.HasPrefix(got[0], want[0]) {
		t.Errorf("%q", got)
	}
	d, err = s.dryRun(Image{Tag: "1.0.0", Apps: []string{"api"}, Environments: []string{"prod"}}, false)
	s.must(err)
	want = []string{"prod api: charts/api/values-prod.yaml .image.tag " + chartOfAPI + " .appVersion versions.yaml .prod[0].tag" +
		`|@@ -6 +6 @@|-  tag: "main-0000000" # written by the release bot|+  tag: "1.0.0" # written by the release bot` + "|@@ -2 +2 @@|-appVersion: 0.9.0|+appVersion: 1.0.0|@@ -5 +5 @@|-- {app: api, tag: none}|+- {app: api, tag: 1.0.0}|"}
	if diff := cmp.Diff(want, d.effects()); diff != "" {
		t.Error(diff)
	}
	out, err := s.check()
	if s.must(err); !strings.Contains(strings.Join(out, "\n"), "api in prod: charts/api/values-prod.yaml can be edited\napi in prod: "+chartOfAPI+" can be edited\napi in prod: versions.yaml can be edited") {
		t.Errorf("%q", out)
	}
}
