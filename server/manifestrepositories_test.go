package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// second is another git server with a manifest repository, which has the same files.
type second struct {
	*gitserver.Server
	repository *gitserver.Repository
}

// addRepository has the configuration name one more manifest repository, on a server of
// its own.
func (s *site) addRepository(name string) second {
	s.t.Helper()
	root := filepath.Join(s.dir, name+"-git")
	s.must(os.Mkdir(root, 0o700))
	server, err := gitserver.Start(root)
	s.must(err)
	s.t.Cleanup(func() { s.must(server.Close()) })
	server.RequireToken(gitToken)
	repository, err := server.CreateRepository("shop/" + name + ".git")
	s.must(err)
	_, err = repository.Commit(gitserver.Change{Files: map[string]string{
		gitserver.ValuesFile("api", "dev"): gitserver.Values("api", "dev", "main-0000000"), gitserver.ValuesFile("api", "prod"): gitserver.Values("api", "prod", "0.9.0"),
		gitserver.ValuesFile("worker", "dev"): gitserver.Values("worker", "dev", "main-0000000"),
	}})
	s.must(err)
	s.edit("sources:\n", fmt.Sprintf("repositories:\n  %s: {url: '%s', credentials: {tokenFile: %s/token}}\nsources:\n", name, repository.URL, s.dir))
	return second{server, repository}
}

// subjects are the first lines of the commits of a branch, but for that which made it,
// oldest first.
func (s *site) subjects(of *gitserver.Repository, branch string) (subjects []string) {
	s.t.Helper()
	log, err := of.Log(branch)
	s.must(err)
	for _, commit := range log[1:] {
		subject, _, _ := strings.Cut(commit.Message, "\n")
		subjects = append(subjects, subject)
	}
	return subjects
}

// One of two manifest repositories is down, twice: the updates of the other are written,
// those of the one wait and are then written once, in their order.
func TestOneOfTwoManifestRepositoriesIsDown(t *testing.T) {
	byApp := func(s *site) {
		s.edit("worker: {environments: [dev]}", "worker: {environments: [dev], manifests: pay}")
	}
	byEnvironment := func(s *site) {
		s.edit(`prod: {tags: {semver: ">=1.0.0"}}`, `prod: {tags: {semver: ">=1.0.0"}, manifests: pay}`)
	}
	refused := gitserver.Fault{Cut: true, Times: -1}
	for name, c := range map[string]struct {
		apart            func(s *site)
		app, environment string // that are in pay
		tag              string
		faults           []gitserver.Fault
	}{
		"by app no connection":         {byApp, "worker", "dev", "main-%d000000", []gitserver.Fault{refused}},
		"by app answer lost":           {byApp, "worker", "dev", "main-%d000000", []gitserver.Fault{{On: gitserver.Push, Apply: true, Cut: true}, refused}},
		"by environment no connection": {byEnvironment, "api", "prod", "%d.0.0", []gitserver.Fault{refused}},
		"by environment answer lost":   {byEnvironment, "api", "prod", "%d.0.0", []gitserver.Fault{{On: gitserver.Push, Apply: true, Cut: true}, refused}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			pay := s.addRepository("pay")
			c.apart(s)
			r := s.start()
			r.settled(r.orders("first", c.app, c.environment, fmt.Sprintf(c.tag, 1)).delivery(t, http.StatusAccepted).Updates[0].ID)
			want := []string{fmt.Sprintf("chore: bump %s to %s (%s)", c.app, fmt.Sprintf(c.tag, 1), c.environment)}
			n := 1
			for outage := range 2 {
				for _, f := range c.faults {
					pay.Inject(f)
				}
				var waiting []string
				for range 3 {
					n++
					tag := fmt.Sprintf(c.tag, n)
					waiting = append(waiting, r.orders("pay-"+tag, c.app, c.environment, tag).delivery(t, http.StatusAccepted).Updates[0].ID)
					want = append(want, fmt.Sprintf("chore: bump %s to %s (%s)", c.app, tag, c.environment))
					other := r.orders("shop-"+tag, "api", "dev", fmt.Sprintf("main-%d00000f", n)).delivery(t, http.StatusAccepted).Updates[0].ID
					if u := r.settled(other); u.State != gitops.Committed {
						t.Errorf("an update of the other repository is %s: %s", u.State, u.Reason)
					}
				}
				for _, id := range waiting {
					if u, err := r.store.Update(t.Context(), id); err != nil || u.State != gitops.Pending {
						t.Errorf("outage %d: %s is %s, %v", outage, id, u.State, err)
					}
				}
				pay.Heal()
				for _, id := range waiting {
					if u := r.settled(id); u.State != gitops.Committed {
						t.Errorf("outage %d: %s ended as %s: %s", outage, id, u.State, u.Reason)
					}
				}
			}
			if diff := cmp.Diff(want, s.subjects(pay.repository, "main")); diff != "" {
				t.Errorf("the branch of pay (-want +got):\n%s", diff)
			}
			if got := s.subjects(s.repository, "main"); len(got) != 6 {
				t.Errorf("the other branch has %q", got)
			}
		})
	}
}

// A repository that a reload puts at another address is not away because the one before
// was, whatever that one still has to say.
func TestARepositoryAtAnotherAddressIsNotAway(t *testing.T) {
	s := newSite(t)
	pay := s.addRepository("pay")
	s.edit("worker: {environments: [dev]}", "worker: {environments: [dev], manifests: pay}")
	r := s.start()
	pay.Inject(gitserver.Fault{Cut: true, Times: -1})
	waits := r.orders("first", "worker", "dev", "main-1000000").delivery(t, http.StatusAccepted).Updates[0].ID
	const backoff = `tallyman_repository_backoff{repository="pay"}`
	before := r.current().repositories["pay"].lanes
	r.settled(r.orders("second", "api", "dev", "main-1000000").delivery(t, http.StatusAccepted).Updates[0].ID) // and so the other was tried
	if gather(t, r.Server)[backoff] == 0 {
		t.Fatal("the repository is not away")
	}
	_, err := s.repository.Git("branch", "pay", "main")
	s.must(err)
	s.edit(fmt.Sprintf("pay: {url: '%s', credentials: {tokenFile: %s/token}}", pay.repository.URL, s.dir), "pay: {branch: pay}")
	s.must(s.reload(r))
	if u := r.settled(waits); u.State != gitops.Committed {
		t.Errorf("the update is %s: %s", u.State, u.Reason)
	}
	r.metrics.repositories.Away(before, time.Minute)
	if wait := gather(t, r.Server)[backoff]; wait != 0 {
		t.Errorf("the new one is away for %v s", wait)
	}
}
