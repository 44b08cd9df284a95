package follow_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/follow"
)

func now() time.Time { return time.Now().UTC() }

const repository = "https://git.example/shop/manifests"

// site is followers with the model as their store, and instances of Argo CD that follow a
// history of commits. All of it lives in a synctest bubble, so its clock is moved and not
// waited for.
type site struct {
	t     *testing.T
	store *store
	git   *history
	hubs  []*hub
	log   logtest.Log

	mu        sync.Mutex
	in        *inForce
	ended     []string // verdicts that were counted
	open      map[follow.Standing]int
	refreshed map[follow.Cause]int
	away      map[string]bool
	orders    int
	reverts   []string // that were asked for
	revertErr error
}

// inForce is a follow.Site.
type inForce struct {
	how       map[gitops.Place]follow.Followed
	unsettled bool
	instances []follow.Instance
}

func (c *inForce) Followed(environment, app string) (follow.Followed, bool) {
	how, ok := c.how[gitops.Place{Environment: environment, App: app}]
	return how, ok || !c.unsettled
}

func (c *inForce) Instances() []follow.Instance { return c.instances }

func fileOf(app string) rollout.Manifest {
	return rollout.Manifest{Repository: repository, Branch: "main", File: "apps/" + app + "/values-prod.yaml"}
}

// play plays a test with one follower at work, and one Argo CD.
func play(t *testing.T, test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1)
		defer s.start("this")()
		test(s)
		s.check()
	})
}

// newSite makes a site where app api in prod is followed, and deployed by each instance.
func newSite(t *testing.T, instances int) *site {
	s := &site{t: t, git: newHistory(), in: &inForce{how: make(map[gitops.Place]follow.Followed)}, refreshed: make(map[follow.Cause]int), away: make(map[string]bool)}
	s.store = &store{}
	s.store.Model = queuetest.NewModel(now, queuetest.Hooks{Changed: s.store.changed})
	for n := range instances {
		h := newHub(s.git, fmt.Sprintf("https://argocd-%d.example", n))
		s.hubs = append(s.hubs, h)
		s.in.instances = append(s.in.instances, follow.Instance{Name: h.url, Argo: h})
		h.deploy("api")
	}
	s.follow("api", 15*time.Minute)
	return s
}

// follow has an app followed by Argo CD.
func (s *site) follow(app string, timeout time.Duration) {
	s.configure(app, func(how *follow.Followed) { how.Timeout = timeout })
}

// configure changes how an app is followed: by Argo CD, where nothing else was said of it.
func (s *site) configure(app string, change func(how *follow.Followed)) {
	place := gitops.Place{Environment: "prod", App: app}
	s.replace(func(c *inForce) {
		how, ok := c.how[place]
		if !ok {
			how = follow.Followed{By: follow.ByArgoCD, Timeout: 5 * time.Minute, File: fileOf(app)}
		}
		change(&how)
		c.how[place] = how
	})
}

// replace puts another configuration in force.
func (s *site) replace(change func(c *inForce)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.in
	next.how = make(map[gitops.Place]follow.Followed)
	for place, how := range s.in.how {
		next.how[place] = how
	}
	change(&next)
	s.in = &next
}

// reload is replace, and waits until it is looked at.
func (s *site) reload(change func(c *inForce)) {
	s.replace(change)
	s.pass(6 * time.Second)
}

// check holds what must hold at any time: Argo CD was asked within its bounds, and each
// update has one verdict.
func (s *site) check() {
	s.t.Helper()
	for _, h := range s.hubs {
		h.check(s.t)
	}
	for _, wrong := range s.store.wrong {
		s.t.Error(wrong)
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
	f := follow.New(follow.Config{
		Site: s.site, Git: s.git, Reverter: s, Store: process, Recorder: s, Logger: slog.New(slog.NewJSONHandler(&s.log, nil)), Holder: holder, Now: now,
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

func (s *site) site() follow.Site {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in
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

// order has an update accepted, and returns its id.
func (s *site) order(app, tag string) string {
	s.t.Helper()
	s.mu.Lock()
	s.orders++
	key := gitops.DeliveryKey{Source: "api", ID: fmt.Sprint("order-", s.orders)}
	s.mu.Unlock()
	_, _, err := s.store.Accept(s.t.Context(), gitops.Delivery{
		Source: key.Source, ID: key.ID, ReceivedAt: now(), Principal: "token:ops", Outcome: gitops.OutcomeAccepted,
		Updates: []gitops.Update{{Environment: "prod", App: app, Repository: imageOf(app), Tag: tag}},
	})
	s.must(err)
	return gitops.UpdateID(key, "prod", app)
}

func imageOf(app string) string { return "registry.example/shop/" + app }

// write has an update ordered and committed, and pushed.
func (s *site) write(app, tag string) (id string) {
	s.t.Helper()
	id = s.order(app, tag)
	s.transition(gitops.Transition{Update: id, Action: gitops.ActionCommit, Commit: s.git.commit(app, tag)})
	for _, h := range s.hubs {
		h.pushed()
	}
	return id
}

// transition has the lane report.
func (s *site) transition(all ...gitops.Transition) {
	s.t.Helper()
	leases, err := s.store.Model.Claim(s.t.Context(), "lanes", []string{"prod"}, time.Minute)
	s.must(err)
	_, err = s.store.Model.Report(s.t.Context(), leases[0], queue.Report{Transitions: all})
	s.must(err)
	s.must(s.store.Model.Release(s.t.Context(), leases[0], true))
}

// rollout is what is recorded of an update.
func (s *site) rollout(id string) gitops.Rollout {
	s.t.Helper()
	u, err := s.store.Model.Update(s.t.Context(), id)
	s.must(err)
	if u.Rollout == nil {
		return gitops.Rollout{}
	}
	return *u.Rollout
}

// expect says where an update stands, and what the reason has.
func (s *site) expect(id string, state gitops.RolloutState, reason string) {
	s.t.Helper()
	if r := s.rollout(id); r.State != state || !strings.Contains(r.Reason, reason) {
		s.t.Errorf("it is %s, %q, not %s, %q", r.State, r.Reason, state, reason)
	}
}

// path is where an update stood, in order.
func (s *site) path(id string) string {
	s.t.Helper()
	u, err := s.store.Model.Update(s.t.Context(), id)
	s.must(err)
	var all []string
	for _, step := range u.Steps {
		if step.Rollout != "" && (len(all) == 0 || all[len(all)-1] != string(step.Rollout)) {
			all = append(all, string(step.Rollout))
		}
	}
	return strings.Join(all, " ")
}

// counts are the verdicts that were counted, and what is open.
func (s *site) counts() (ended []string, open map[follow.Standing]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ended), s.open
}

// isAway reports whether an instance is said not to answer.
func (s *site) isAway(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away[s.hubs[n].url]
}

// site is a follow.Recorder.

func (s *site) Ended(u gitops.Update, r gitops.Rollout) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, u.ID+" "+string(r.State))
}

func (s *site) Open(now map[follow.Standing]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = now
}

func (s *site) Refreshed(_ string, cause follow.Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshed[cause]++
}

func (s *site) Away(instance string, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away[instance] = away
}
