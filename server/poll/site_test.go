package poll_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/access"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/poll"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

const (
	ecrAPI = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api"
	ghcr   = "ghcr.io/shop/web"
	every  = 10 * time.Minute
)

// site is a poller with the real intake, policy and access rules, the model as its store,
// and fake registries. A lane is played by write. All of it lives in a synctest bubble, so
// its clock is moved and not waited for.
type site struct {
	t          *testing.T
	registries *registries
	store      *store
	recorder   *recorder
	config     policy.Config
	polls      map[string]poll.Environment
	branch     map[gitops.Place]string // tags
	log        logtest.Log
	lenient    bool   // the intake refuses no moved tag
	stop       func() // stops the replica
	jitter     func(n time.Duration) time.Duration

	mu      sync.Mutex
	current *poll.Site
	events  []string // what was accepted since the last look
}

// play plays a test with a poller at work.
func play(t *testing.T, edit func(s *site), test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		if edit != nil {
			edit(s)
		}
		s.reload()
		s.stop = s.start("this")
		defer func() { s.stop() }()
		test(s)
		if n := s.recorder.soFar().outcomes["duplicate"]; n > 0 {
			t.Errorf("%d deliveries were sent to the intake twice", n)
		}
		for _, d := range s.deliveries() {
			if gitops.CheckDeliveryID("", d.ID) != nil || gitops.CheckActor("", d.Actor) != nil {
				t.Errorf("a delivery has the id %q and the actor %q", d.ID, d.Actor)
			}
		}
	})
}

func newSite(t *testing.T) *site {
	s := &site{t: t, branch: make(map[gitops.Place]string), jitter: rand.N[time.Duration],
		registries: &registries{lists: make(map[string][]poll.Image), size: 100, faults: make(map[string][]error), under: make(map[string]bool)},
		recorder:   &recorder{counted: counted{make(map[string]int), make(map[string]int), make(map[string]time.Time), make(map[string]time.Duration), make(map[string]int)}},
		polls:      map[string]poll.Environment{"dev": {Every: every, RefusesMoved: true}, "prod": {Every: every, RefusesMoved: true}},
	}
	s.config = policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: "main-[0-9a-f]+"}}, "prod": {Tags: policy.TagRule{Semver: "^1"}}},
		Apps:         map[string]policy.App{"api": {Repository: ecrAPI}, "web": {Repository: ghcr, Environments: []string{"prod"}}},
	}
	s.store = &store{Model: queuetest.NewModel(now, queuetest.Hooks{Accepted: s.accepted})}
	return s
}

func now() time.Time { return time.Now().UTC() }

// reload puts what is configured in force.
func (s *site) reload() {
	s.t.Helper()
	planner, err := policy.New(s.config)
	s.must(err)
	list := access.Config{Environments: slices.Sorted(maps.Keys(s.config.Environments)), Apps: make(map[string][]string), Tokens: []string{"ops"}, Sources: []string{"eventbridge"}, Polled: make(map[string][]string)}
	for name, app := range s.config.Apps {
		list.Apps[name] = app.Environments
	}
	for environment := range s.polls {
		list.Polled[environment] = nil
	}
	order, all := []gitops.Right{gitops.RightOrder}, []string{"*"}
	list.Rules = []access.Rule{
		{Who: access.Who{Poll: &access.Poll{Registries: []string{policy.HostOf(ecrAPI), "ghcr.io", "slow.example:5000"}}}, May: order, Apps: all, Environments: all},
		{Who: access.Who{Push: &access.Push{Source: "eventbridge"}}, May: order, Apps: all, Environments: all},
		{Who: access.Who{Token: "ops"}, May: gitops.Rights()},
	}
	if len(list.Polled) == 0 {
		list.Rules = list.Rules[1:]
	}
	rules, err := access.New(list)
	s.must(err)
	polls := maps.Clone(s.polls)
	intake := &webhook.Intake{Planner: planner, Authorizer: rules, Inbox: s.store, Recorder: s.recorder, Logger: s.logger(), Now: now,
		Moved: &webhook.MovedTags{SeenImages: s.store.SeenImages, Refuses: func(environment string) bool { return polls[environment].RefusesMoved }, Refused: s.recorder.movedTag}}
	if s.lenient {
		intake.Moved = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = &poll.Site{Policy: planner, Intake: intake, Registry: s.registries, Environments: polls}
}

// start starts a replica, and returns what stops it and waits for its end.
func (s *site) start(holder string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	p := poll.New(poll.Config{Site: s.site, Store: s.store, Recorder: s.recorder, Logger: s.logger(), Holder: holder, Now: now, Jitter: s.jitter})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	synctest.Wait()
	return func() {
		cancel()
		<-ended
	}
}

func (s *site) site() *poll.Site {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(&s.log, nil)) }

// accepted notes what the store took in, by source: each update, and of what asks for
// nothing the reason.
func (s *site) accepted(d gitops.Delivery, duplicate bool) {
	if duplicate {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(d.Updates) == 0 {
		s.events = append(s.events, fmt.Sprintf("%s %s: %s", d.Source, d.Outcome, d.Reason))
	}
	for _, u := range d.Updates {
		s.events = append(s.events, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", d.Source, u.Environment, u.App, u.Tag, strings.TrimPrefix(string(u.State), "pending"))))
	}
}

// took is what was accepted since the last look.
func (s *site) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// expect says what was accepted since the last look.
func (s *site) expect(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.took()); diff != "" {
		s.t.Error(diff)
	}
}

// round lets one poll of every image pass.
func (s *site) round() { s.pass(every + every/10 + time.Second) }

func (s *site) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// has puts a list in a registry.
func (s *site) has(repository string, images ...poll.Image) {
	s.registries.mu.Lock()
	defer s.registries.mu.Unlock()
	s.registries.lists[repository] = images
}

// of are images without a time, as most registries list them.
func of(tags ...string) (images []poll.Image) {
	for _, tag := range tags {
		images = append(images, poll.Image{Tag: tag})
	}
	return images
}

// pushed is an image as ECR lists it.
func pushed(tag, digest string, ago time.Duration) poll.Image {
	return poll.Image{Tag: tag, Digest: "sha256:" + strings.Repeat(digest, 64), PushedAt: now().Add(-ago).Truncate(time.Second)}
}

func (s *site) deliveries() []gitops.Delivery {
	s.t.Helper()
	found, _, err := s.store.Deliveries(s.t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 100})
	s.must(err)
	return found
}

// write plays the lanes: what nothing holds is on the branch.
func (s *site) write() {
	s.t.Helper()
	leases, err := s.store.Claim(s.t.Context(), "lanes", []string{"dev", "prod"}, time.Minute)
	s.must(err)
	in, err := s.store.HoldsInForce(s.t.Context())
	s.must(err)
	for _, lease := range leases {
		updates, err := s.store.Take(s.t.Context(), lease, queue.TakeOptions{Limit: 100})
		s.must(err)
		var report queue.Report
		for _, u := range updates {
			at, action := gitops.Place{Environment: u.Environment, App: u.App}, gitops.ActionCommit
			if held := (acts.State{InForce: in}).Held(u); len(held) > 0 {
				report.Blocks = append(report.Blocks, queue.Blocked{Update: u.ID, BlockedBy: held})
				continue
			}
			if s.branch[at] == u.Tag {
				action = gitops.ActionConfirm
			}
			s.branch[at] = u.Tag
			report.Transitions = append(report.Transitions, gitops.Transition{Update: u.ID, Action: action, Commit: strings.Repeat("1", 40)})
		}
		_, err = s.store.Report(s.t.Context(), lease, report)
		s.must(err)
		s.must(s.store.Release(s.t.Context(), lease, true))
	}
}

// event has an image pushed in ECR whose event arrives.
func (s *site) event(tag, digest string, at time.Time) {
	s.t.Helper()
	_, _, err := s.site().Intake.Accept(s.t.Context(), webhook.Inbound{Event: gitops.Event{
		Delivery:  gitops.DeliveryKey{Source: "eventbridge", ID: "event-" + tag},
		Principal: gitops.Principal{Push: &gitops.PushSource{Source: "eventbridge", Account: "123456789012", Region: "eu-west-1"}}, Time: at,
		Push: &gitops.ImagePush{Account: "123456789012", Region: "eu-west-1", Repository: "shop/api", Tag: tag, Digest: "sha256:" + strings.Repeat(digest, 64)},
	}})
	s.must(err)
}
