package proposals_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
	"github.com/tallyman-dev/tallyman/gitops/proposals/proposalstest"
)

var (
	_ lane.Proposals = (*proposals.Room)(nil)
	_ lane.Proposals = (*proposals.Rooms)(nil)
)

// site is a world, the process that works on it, and what a store knows of the updates of the
// environment prod.
type site struct {
	*testing.T
	w       *proposalstest.World
	p       *proposalstest.Process
	room    *proposals.Room
	env     proposals.Environment
	updates []*gitops.Update // in acceptance order
	log     []string         // what was reported: "1.1.0 propose"
	blocked map[string]gitops.Block
	gate    func(u gitops.Update) (why string, err error) // nil: nothing holds
	passed  atomic.Int64                                  // what the gate was not told the end of
}

// inWorld runs a test in a world where api and web are at 1.0.0.
func inWorld(t *testing.T, test func(s *site)) {
	t.Helper()
	inWorldOf(t, map[string]string{"prod/api": "1.0.0", "prod/web": "1.0.0"}, test)
}

// inWorldOf runs a test in a world with these tags.
func inWorldOf(t *testing.T, tags map[string]string, test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{T: t, w: proposalstest.New(tags), env: proposals.Environment{Merge: proposals.MergePerson}, blocked: map[string]gitops.Block{}}
		s.start()
		defer func() { s.room.Close() }()
		test(s)
		s.check()
	})
}

func (s *site) check() {
	s.Helper()
	for _, violation := range s.w.Check() {
		s.Errorf("violation: %s", violation)
	}
}

// start begins a process.
func (s *site) start() {
	s.p = s.w.Process()
	s.room = proposals.New(proposals.Config{
		Repository: "shop", Branches: s.p.Branches(), Forge: s.p.Forge(),
		Environment: func(string) proposals.Environment { return s.env },
		Places:      func(string, string) []string { return []string{"prod/api.yaml: image.tag"} },
		Gate:        s.ask,
		Logger:      slog.New(slog.NewTextHandler(s.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
}

// ask is the gate.
func (s *site) ask(_ context.Context, updates []gitops.Update) (held []gitops.Held, done func(), err error) {
	if s.gate != nil {
		why, err := s.gate(updates[0])
		if err != nil {
			return nil, nil, err
		}
		if why != "" {
			return []gitops.Held{{Update: updates[0].ID, BlockedBy: []gitops.Block{{Kind: gitops.BlockStop, Reason: why}}}}, nil, nil
		}
	}
	s.passed.Add(1)
	return nil, func() { s.passed.Add(-1) }, nil
}

// restart begins another process in the place of the one before.
func (s *site) restart() {
	s.room.Close()
	s.start()
	s.wishAll(plain)
}

// order accepts an update of api.
func (s *site) order(tag string) *gitops.Update { return s.orderOf("api", tag) }

func (s *site) orderOf(app, tag string) *gitops.Update {
	key := gitops.DeliveryKey{Source: "test", ID: fmt.Sprint("d", len(s.updates)+1)}
	u := &gitops.Update{
		ID: gitops.UpdateID(key, "prod", app), Delivery: key, Environment: "prod", App: app, Tag: tag, Actor: "ann",
		State: gitops.Pending, Sequence: int64(len(s.updates) + 1), AcceptedAt: time.Now().UTC(),
	}
	s.updates = append(s.updates, u)
	return u
}

func (s *site) want(u *gitops.Update, change ...func(*gitops.ProposalWish)) {
	s.room.Want("prod", []gitops.ProposalWish{wishFor(u, change...)})
}

func wishFor(u *gitops.Update, change ...func(*gitops.ProposalWish)) gitops.ProposalWish {
	w := gitops.ProposalWish{Update: *u}
	if u.CancelRequest != nil {
		w.Close = "ann cancelled it"
	}
	for _, c := range change {
		c(&w)
	}
	return w
}

// propose orders a tag of api and waits until its pull request is open.
func (s *site) propose(tag string) *gitops.Update {
	s.Helper()
	u := s.order(tag)
	s.want(u)
	s.after(10 * time.Second)
	if u.State != gitops.Proposed {
		s.Fatalf("%s is %s", tag, u.State)
	}
	return u
}

// after lets time pass, and takes up what was reported.
func (s *site) after(d time.Duration) {
	for passed := time.Duration(0); passed < d; {
		step := min(d-passed, time.Second)
		if passed >= time.Minute {
			step = min(d-passed, 20*time.Second)
		}
		time.Sleep(step)
		synctest.Wait()
		s.collect()
		passed += step
	}
}

// collect records results as a store does.
func (s *site) collect() {
	for _, r := range s.room.Results("prod") {
		u := s.byID(r.Update)
		if r.Proposal != nil {
			u.Proposal = r.Proposal
		}
		if r.Blocked != nil {
			s.blocked[u.Tag] = *r.Blocked
		}
		if r.HandEdit != nil {
			s.log = append(s.log, u.Tag+" hand edit "+r.HandEdit.Tag)
		}
		if r.Transition != nil {
			s.transit(u, *r.Transition)
		}
	}
}

func (s *site) transit(u *gitops.Update, t gitops.Transition) {
	s.log = append(s.log, u.Tag+" "+string(t.Action))
	to, ok := gitops.Next(u.State, t.Action)
	if !ok {
		return
	}
	u.State, u.Reason, u.Commit = to, t.Reason, t.Commit
	delete(s.blocked, u.Tag)
	if to != gitops.Proposed && !to.Written() {
		return
	}
	for _, older := range s.updates {
		if older.App == u.App && older.Sequence < u.Sequence && !older.State.Final() {
			older.State = gitops.Superseded
		}
	}
}

func (s *site) byID(id string) *gitops.Update {
	for _, u := range s.updates {
		if u.ID == id {
			return u
		}
	}
	s.Fatalf("a result of the update %s, which nobody ordered", id)
	return nil
}

// is holds an update to a state.
func (s *site) is(u *gitops.Update, state gitops.State) {
	s.Helper()
	if u.State != state {
		s.Errorf("%s is %s (%s), not %s; reported: %s", u.Tag, u.State, u.Reason, state, strings.Join(s.log, ", "))
	}
}

// pulls holds the pull requests to these: "open 1.1.0".
func (s *site) pulls(want ...string) {
	s.Helper()
	var got []string
	for _, p := range s.w.Pulls() {
		_, tag, _ := strings.Cut(p.Text.Title, " to ")
		got = append(got, string(p.State)+" "+tag)
	}
	if !slices.Equal(got, want) {
		s.Errorf("the pull requests are %q, not %q", got, want)
	}
}

// count holds the number of calls of some methods.
func (s *site) count(want int, ops ...string) {
	s.Helper()
	if got := s.w.Calls(ops...); len(got) != want {
		s.Errorf("%d calls of %s, not %d: %v", len(got), ops, want, got)
	}
}

// baseHas holds the base branch to a tag of api.
func (s *site) baseHas(tag string) {
	s.Helper()
	if _, got := s.w.Base("prod", "api"); got != tag {
		s.Errorf("the base branch has %s, not %s", got, tag)
	}
}

// noTopic holds the topic branch of api to be gone.
func (s *site) noTopic() {
	s.Helper()
	if head, _ := s.w.Topic("prod", "api"); !head.IsZero() {
		s.Errorf("the topic branch is still there, at %s", head)
	}
}

// look tells the room of an event.
func (s *site) look() {
	s.room.Look("prod")
	s.after(6 * time.Second)
}

func contains[T string | []string](in T, text string) bool {
	switch in := any(in).(type) {
	case []string:
		return slices.ContainsFunc(in, func(s string) bool { return strings.Contains(s, text) })
	case string:
		return strings.Contains(in, text)
	}
	return false
}

// wishAll wishes as a lane does that was just taken up: for what is proposed, and then for the
// newest that is pending, all at once.
func (s *site) wishAll(change func(u *gitops.Update) func(*gitops.ProposalWish)) {
	var wishes []gitops.ProposalWish
	for _, state := range []gitops.State{gitops.Proposed, gitops.Pending} {
		for _, u := range s.updates {
			if u.State == state {
				wishes = append(wishes, wishFor(u, change(u)))
			}
		}
	}
	s.room.Want("prod", wishes)
}

func (s *site) pullsAt(at string, want ...string) {
	s.Helper()
	failed := s.Failed()
	if s.pulls(want...); !failed && s.Failed() {
		s.Errorf("that was at %s", at)
	}
}
