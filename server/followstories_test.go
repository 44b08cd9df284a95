package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/argocd"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// story is the real follower and the real client with the strict Argo CD, in a synctest bubble:
// hours take no time. The store is the model, and git a list of commits.
type story struct {
	*testing.T
	argo  *argocdtest.Server
	app   *argocdtest.Model
	file  string // of the token
	store *queuetest.Model
	stop  func()
	site  *storySite

	mu      sync.Mutex
	tags    []string // by commit
	gitAway bool
	forced  bool // commit 9 is in the place of all that were
	orders  int
}

const storyRepository = "https://git.example/shop/manifests"

// tell plays a story with an Application that behaves so.
func tell(t *testing.T, b argocdtest.Behaviour, play func(s *story)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &story{T: t, argo: argocdtest.New(t, nil), file: filepath.Join(t.TempDir(), "token"), store: queuetest.NewModel(now, queuetest.Hooks{}), tags: []string{"v1"}}
		s.token(s.argo.Token("myshop"))
		s.app = s.deploy("api", b)
		s.site = &storySite{all: []*argoCD{s.connect(s.argo, "https://argocd.example")}, how: follow.Followed{By: follow.ByArgoCD, Timeout: 15 * time.Minute, File: rollout.Manifest{Repository: storyRepository, Branch: "main", File: "api/values.yaml"}}}
		s.begin()
		defer func() { s.stop() }()
		play(s)
		if n := s.argo.MostPerSecond(); n > 10 {
			t.Errorf("%d requests in a second", n)
		}
	})
}

func (s *story) deploy(name string, b argocdtest.Behaviour) *argocdtest.Model {
	return s.argo.Add(argocdtest.App{
		Project: "myshop", Name: name, Image: "registry.example/shop/api", Revision: commitOf(0), Tag: "v1", Behaviour: b,
		Sources: []argocdtest.Source{{RepoURL: storyRepository, Path: "api", TargetRevision: "main", ValueFiles: []string{"values.yaml"}}},
	})
}

func (s *story) token(text string) {
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *story) connect(to *argocdtest.Server, url string) *argoCD {
	client, err := argocd.New(argocd.Config{URL: url, TokenFile: s.file, Projects: []string{"myshop"}, Via: to})
	if err != nil {
		s.Fatal(err)
	}
	return &argoCD{client: client, index: argocd.NewIndex(client)}
}

// begin starts a replica.
func (s *story) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	f := follow.New(follow.Config{
		Site: s.inForce, Git: s, Store: s.store, Recorder: newRolloutMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler), Holder: newHolder(), Now: now,
	})
	running.Go(func() { f.Run(ctx) })
	s.stop = func() { cancel(); running.Wait() }
	synctest.Wait()
}

// failover has another replica go on.
func (s *story) failover() { s.stop(); s.begin() }

// reload puts another configuration in force, and waits until it is looked at.
func (s *story) reload(change func(c *storySite)) {
	next := *s.site
	change(&next)
	s.mu.Lock()
	s.site = &next
	s.mu.Unlock()
	time.Sleep(6 * time.Second)
}

func (s *story) inForce() follow.Site {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.site
}

// storySite is a follow.Site.
type storySite struct {
	all []*argoCD
	how follow.Followed
}

func (c *storySite) Followed(string, string) (follow.Followed, bool) { return c.how, true }

func (c *storySite) Instances() (all []follow.Instance) {
	for _, a := range c.all {
		all = append(all, follow.Instance{Name: a.client.Instance(), Argo: a})
	}
	return all
}

// Containment implements follow.Git.
func (s *story) Containment(_ context.Context, u gitops.Update, revision string) (rollout.Containment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, of := -1, -1
	for n := range s.tags {
		if commitOf(n) == revision {
			at = n
		}
		if commitOf(n) == u.Commit {
			of = n
		}
	}
	switch {
	case s.forced && revision == commitOf(9):
		return rollout.Elsewhere, nil
	case s.gitAway:
		return "", gitops.Errorf(gitops.Unavailable, "the git server does not answer")
	case at < 0:
		return rollout.NotARevision, nil
	case of < 0:
		return rollout.Elsewhere, nil
	case at < of:
		return rollout.Before, nil
	case s.tags[at] != u.Tag:
		return rollout.OtherTag, nil
	}
	return rollout.Contained, nil
}

func commitOf(n int) string { return fmt.Sprintf("%040x", n+0xabc0000) }

// commit is anybody's commit, after which the file has a tag, and its push.
func (s *story) commit(tag string) string {
	s.mu.Lock()
	s.tags = append(s.tags, tag)
	name := commitOf(len(s.tags) - 1)
	s.mu.Unlock()
	s.app.Push(name, tag)
	return name
}

// write has tallyman write a tag.
func (s *story) write(tag string) (id string) {
	s.orders++
	key := gitops.DeliveryKey{Source: "api", ID: fmt.Sprint("order-", s.orders)}
	_, _, err := s.store.Accept(s.Context(), gitops.Delivery{
		Source: key.Source, ID: key.ID, ReceivedAt: now(), Principal: "token:ops", Outcome: gitops.OutcomeAccepted,
		Updates: []gitops.Update{{Environment: "prod", App: "api", Repository: "registry.example/shop/api", Tag: tag}},
	})
	s.must(err)
	id = gitops.UpdateID(key, "prod", "api")
	leases, err := s.store.Claim(s.Context(), "lanes", []string{"prod"}, time.Minute)
	s.must(err)
	_, err = s.store.Report(s.Context(), leases[0], queue.Report{Transitions: []gitops.Transition{{Update: id, Action: gitops.ActionCommit, Commit: s.commit(tag)}}})
	s.must(err)
	s.must(s.store.Release(s.Context(), leases[0], true))
	return id
}

func (s *story) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// after says where an update stands after a while.
func (s *story) after(d time.Duration, id string, state gitops.RolloutState, reason string) {
	s.Helper()
	time.Sleep(d)
	synctest.Wait()
	u, err := s.store.Update(s.Context(), id)
	s.must(err)
	if u.Rollout == nil || u.Rollout.State != state || !strings.Contains(u.Rollout.Reason, reason) {
		s.Errorf("after %s it is %+v, not %s, %q", d, u.Rollout, state, reason)
	}
}

func (s *story) change(how func(b *argocdtest.Behaviour)) { s.app.Change(how) }

// gitIs says whether the git server answers tallyman.
func (s *story) gitIs(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gitAway = away
}

// force takes all commits off the branch, in whose place there is commit 9.
func (s *story) force() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forced = true
}
