package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// While a push is under way two more tags of the same app are ordered. With
// coalesce only the newer one of them becomes a commit, and the other one says why
// it did not; with one commit for a batch that commit is of both.
func TestWhatWaitsForAPush(t *testing.T) {
	t.Run("coalesce newest", func(t *testing.T) { testWhatWaitsForAPush(t, "coalesce: newest", gitops.Superseded, 2) })
	t.Run("one commit for a batch", func(t *testing.T) { testWhatWaitsForAPush(t, "commits: one-per-batch", gitops.Committed, 3) })
}

func testWhatWaitsForAPush(t *testing.T, setting string, second gitops.State, committed int) {
	s := newSite(t, 1)
	config, err := os.ReadFile(s.config())
	s.must(err)
	s.must(os.WriteFile(s.config(), bytes.Replace(config, []byte("dev:     {"), []byte("dev: {"+setting+", "), 1), 0o600))
	ctx := deadline(t)
	c, base, _ := s.start(ctx)
	pushing, goOn := make(chan struct{}), make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushing) }, Wait: goOn})
	for i := 1; i <= 3; i++ {
		d := dispatch{App: []string{"app-00"}, Environment: []string{"dev"}, Tag: fmt.Sprintf("main-000000%d", i), eventType: "update-image", actor: "ann", repositoryID: 1}
		req, err := d.request(base, s.secret, fmt.Sprintf("d%d", i))
		s.must(err)
		resp, err := http.DefaultClient.Do(req)
		s.must(err)
		s.must(resp.Body.Close())
		if resp.StatusCode != http.StatusAccepted {
			t.Fatal(resp.Status)
		}
		if i == 1 {
			<-pushing
		}
	}
	close(goOn)
	states := make(map[string]gitops.State)
	s.must(c.await(ctx, func(line map[string]any) bool {
		if state, ok := stateIn(line); ok {
			states[line["tag"].(string)] = state
		}
		return len(states) == 3
	}))
	want := map[string]gitops.State{"main-0000001": gitops.Committed, "main-0000002": second, "main-0000003": gitops.Committed}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
	commits, err := s.repository.Log("main", s.first)
	s.must(err)
	updates := 0
	for _, c := range commits {
		updates += len(c.Updates)
	}
	if len(commits) != 2 || updates != committed {
		t.Errorf("%d commits of %d updates, want 2 of %d", len(commits), updates, committed)
	}
	s.must(c.stop())
}
