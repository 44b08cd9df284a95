package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// check runs CheckManifests on a server that was never started. DIR and URL stand
// for what is different each time.
func (s *site) check() (out []string, err error) {
	s.t.Helper()
	server, err := s.newServer()
	s.must(err)
	defer func() { s.must(server.Stop(s.t.Context())) }()
	var text strings.Builder
	err = server.CheckManifests(s.t.Context(), &text)
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(text.String(), s.repository.URL, "URL"), "\n"), "\n"), err
}

func TestCheckManifests(t *testing.T) {
	s := newSite(t)
	before, err := s.repository.Git("rev-parse", "main")
	s.must(err)
	out, err := s.check()
	s.must(err)
	want := []string{
		"manifest repository: branch main of URL may be written",
		"api in dev: charts/api/values-dev.yaml can be edited",
		"worker in dev: charts/worker/values-dev.yaml can be edited",
		"api in prod: charts/api/values-prod.yaml can be edited",
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	if after, err := s.repository.Git("rev-parse", "main"); err != nil || after != before || s.git.Counts().Requests[gitserver.Push] > 0 {
		t.Errorf("checking has written: %s became %s, %v", before, after, err)
	}
}

// Where an anchor may be edited all that would change with it is named.
func TestCheckManifestsNamesWhatFollows(t *testing.T) {
	s := newSite(t)
	s.edit("  prod: {", "  prod: {set: [{key: .image.tag, anchor: follow}], ")
	_, err := s.repository.Commit(gitserver.Change{
		Files: map[string]string{"charts/api/values-prod.yaml": "image:\n  tag: &v 1.0.0\nworker:\n  tag: *v\n"},
	})
	s.must(err)
	out, err := s.check()
	s.must(err)
	if want := "api in prod: charts/api/values-prod.yaml can be edited, which changes .image.tag, .worker.tag"; out[len(out)-1] != want {
		t.Errorf("said %q", out)
	}
}

// Each target that is wrong says how, and the others are tried all the same.
func TestCheckManifestsFindsWhatIsWrong(t *testing.T) {
	s := newSite(t)
	_, err := s.repository.Commit(gitserver.Change{
		Delete: []string{"charts/worker/values-dev.yaml"},
		Files:  map[string]string{"charts/api/values-prod.yaml": "image:\n  tga: 1.0.0\n"},
	})
	s.must(err)
	out, err := s.check()
	want := []string{"manifest repository: branch main of URL may be written", "api in dev: charts/api/values-dev.yaml can be edited"}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	got := sentences(err)
	if len(got) != 2 || got[0] != "worker in dev: charts/worker/values-dev.yaml: no such file in the manifest repository" ||
		!strings.HasPrefix(got[1], "api in prod: charts/api/values-prod.yaml: .image.tag: ") || strings.Count(got[1], ".image.tag") > 1 {
		t.Errorf("found %q", got)
	}
}

// Of a repository that cannot be written there is one line to say, not one for
// each app.
func TestCheckManifestsOfARepositoryThatIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *site)
		code  gitops.Code
	}{
		"another token":    {func(s *site) { s.git.RequireToken("another") }, gitops.Unauthorized},
		"no such branch":   {func(s *site) { s.edit("manifests:\n", "manifests:\n  branch: release\n") }, gitops.NotFound},
		"no token at all":  {func(s *site) { s.edit("/token}", "/missing}") }, gitops.Unauthorized},
		"nobody is there":  {func(s *site) { s.must(s.git.Close()) }, gitops.Unavailable},
		"no such path":     {func(s *site) { s.edit("manifests.git", "nothing.git") }, gitops.NotFound},
		"it may only read": {func(s *site) { _, err := s.repository.Git("config", "http.receivepack", "false"); s.must(err) }, gitops.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			c.spoil(s)
			out, err := s.check()
			if gitops.CodeOf(err) != c.code || len(sentences(err)) != 1 || out[0] != "" {
				t.Errorf("printed %q, found %v with the code %s, want %s", out, err, gitops.CodeOf(err), c.code)
			}
		})
	}
}
