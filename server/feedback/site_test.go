package feedback_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/feedback"
)

func now() time.Time { return time.Now().UTC() }

// site is followers with the model as their store and a fake GitHub. All of it lives in a
// synctest bubble, so its clock is moved and not waited for. A lane is played by report.
type site struct {
	t     *testing.T
	hub   *hub
	store *store
	log   logtest.Log

	mu       sync.Mutex
	sources  map[string]string // by app
	followed string            // the environment that is followed to the cluster
	counted  map[string]int
	behind   time.Time
	refusing int
	orders   int
}

const (
	api, web = "shop/api", "shop/web"
	sha      = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	other    = "2a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
)

// play plays a test with one follower at work.
func play(t *testing.T, test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		stop := s.start("this")
		defer stop()
		test(s)
		s.check()
	})
}

func newSite(t *testing.T) *site {
	s := &site{t: t, hub: newHub(), sources: map[string]string{"api": api, "web": web}, counted: make(map[string]int)}
	s.store = &store{Model: queuetest.NewModel(now, queuetest.Hooks{})}
	for _, repository := range []string{api, web} {
		for ref, commit := range map[string]string{sha: sha, other: other, "tags/v1.0.0": sha, "1a2b3c4": sha} {
			s.hub.refs[repository+" "+ref] = commit
		}
	}
	return s
}

// check holds what must hold at any time: what GitHub would refuse was not asked, and no
// update has two Deployments.
func (s *site) check() {
	s.t.Helper()
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, wrong := range s.hub.wrong {
		s.t.Error(wrong)
	}
	seen := make(map[string]bool)
	for _, d := range s.hub.made {
		if seen[d.Payload.Update] {
			s.t.Errorf("two deployments of %s %s", d.Payload.App, d.Payload.Tag)
		}
		seen[d.Payload.Update] = true
	}
}

// start starts a replica, and returns what stops it and waits for its end.
func (s *site) start(holder string) (stop func()) {
	stop, _ = s.launch(holder)
	synctest.Wait()
	return stop
}

// launch is start that does not wait, and returns what kills the replica, too.
func (s *site) launch(holder string) (stop, kill func()) {
	process := &replica{store: s.store}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	f := feedback.New(feedback.Config{
		Site: func() feedback.Site { return s }, GitHub: func(string) feedback.GitHub { return s.hub }, Store: process, Recorder: s,
		Logger: slog.New(slog.NewJSONHandler(&s.log, nil)), Holder: holder, Now: now,
	})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	return stop, func() {
		process.dead.Store(true)
		cancel()
		s.store.KillHolder(holder)
	}
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Source implements [feedback.Site].
func (s *site) Source(_, app string) (source feedback.Source, shared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, source := range s.sources {
		shared = shared || name != app && source == s.sources[app]
	}
	return feedback.Source{Repository: s.sources[app]}, shared
}

// CommitURL implements [feedback.Site].
func (s *site) CommitURL(u gitops.Update) string {
	if u.Commit == "" {
		return ""
	}
	return "https://github.example/shop/manifests/commit/" + u.Commit
}

// Followed implements [feedback.Site].
func (s *site) Followed(environment, _ string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.followed == environment
}

// order has an update accepted, and returns its id.
func (s *site) order(environment, app, tag, revision string) string {
	s.t.Helper()
	s.mu.Lock()
	s.orders++
	key := gitops.DeliveryKey{Source: "api", ID: fmt.Sprint("order-", s.orders)}
	s.mu.Unlock()
	_, _, err := s.store.Accept(s.t.Context(), gitops.Delivery{
		Source: key.Source, ID: key.ID, ReceivedAt: now(), Principal: "token:ops", Outcome: gitops.OutcomeAccepted,
		Updates: []gitops.Update{{Environment: environment, App: app, Tag: tag, Revision: revision}},
	})
	s.must(err)
	return gitops.UpdateID(key, environment, app)
}

// report has the lane of an environment report.
func (s *site) report(environment string, r queue.Report) {
	s.t.Helper()
	leases, err := s.store.Claim(s.t.Context(), "lanes", []string{environment}, time.Minute)
	s.must(err)
	_, err = s.store.Report(s.t.Context(), leases[0], r)
	s.must(err)
	s.must(s.store.Release(s.t.Context(), leases[0], true))
}

// ends has an update of prod go on.
func (s *site) ends(id string, a gitops.Action, reason string) {
	s.t.Helper()
	transition := gitops.Transition{Update: id, Action: a, Reason: reason}
	switch a {
	case gitops.ActionCommit:
		transition.Commit = other
	case gitops.ActionFail:
		transition.Code = gitops.Rejected
	}
	s.report("prod", queue.Report{Transitions: []gitops.Transition{transition}})
}

// stands has an update of prod come to stand in the cluster.
func (s *site) stands(id string, r gitops.Rollout) {
	s.t.Helper()
	_, err := s.store.ReportRollouts(s.t.Context(), queue.Lease{}, []queue.RolloutReport{{Update: id, Rollout: r}})
	s.must(err)
}

// expect says what GitHub shows.
func (s *site) expect(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.hub.shown()); diff != "" {
		s.t.Error(diff)
	}
}

// noted is what explain can say of an update.
func (s *site) noted(id string) gitops.Feedback {
	s.t.Helper()
	u, err := s.store.Update(s.t.Context(), id)
	s.must(err)
	f, err := queue.FeedbackOf(s.t.Context(), s.store, u)
	s.must(err)
	if f == nil {
		return gitops.Feedback{}
	}
	return *f
}
