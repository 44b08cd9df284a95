package lane_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/logtest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

var (
	errStoreDown = gitops.Errorf(gitops.Unavailable, "the store does not answer")
	errGitDown   = gitops.Errorf(gitops.Unavailable, "the git server does not answer")
)

// site is a replica of the environment dev with its fakes, on a clock that moves
// only when all sleep. The test stops it.
type site struct {
	*lane.Replica
	t        *testing.T
	queue    *fakeQueue
	writer   *fakeWriter
	recorder *fakeRecorder
	holds    *fakeHolds
	skew     atomic.Int64 // of the store's clock, in nanoseconds
	log      logtest.Log

	mu      sync.Mutex
	changes []string // what happened to updates
}

// storeNow is the store's clock.
func (s *site) storeNow() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }

// inBubble runs a script of events on the fake clock.
func inBubble(t *testing.T, script func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{
			t: t, writer: &fakeWriter{t: t, busy: map[string]bool{}}, recorder: &fakeRecorder{finished: map[gitops.State]int{}},
			holds: newHolds(),
		}
		model := queuetest.NewModel(func() time.Time { return s.storeNow() }, queuetest.Hooks{Changed: s.changed})
		s.queue = &fakeQueue{Model: model, calls: map[string]int{}, faults: map[string][]fault{}}
		s.Replica = s.with(lane.Config{})
		script(t, s)
	})
}

// with makes a replica, with what the configuration says otherwise.
func (s *site) with(c lane.Config) *lane.Replica {
	if c.Environments == nil {
		c.Environments = []lane.Environment{{Name: "dev"}}
	}
	if c.Configured == nil {
		c.Configured = func(string, string) bool { return true }
	}
	c.Holds = s.holds
	c.Holder, c.Queue, c.Writer, c.Recorder = "us", s.queue, s.writer, s.recorder
	c.Logger = slog.New(slog.NewTextHandler(io.MultiWriter(&s.log, s.t.Output()), nil))
	return lane.NewReplica(c)
}

// logged says whether the log has a message.
func (s *site) logged(message string) bool { return s.line(message) != "" }

// line is the last line of the log with a message, "" for none.
func (s *site) line(message string) string {
	lines := s.log.Lines(fmt.Sprintf("msg=%q", message))
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

func (s *site) changed(_ queue.Lease, before, after gitops.Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := after.App + " " + after.Tag
	switch {
	case before.State != after.State:
		s.changes = append(s.changes, name+" "+string(after.State))
	case len(after.BlockedBy) > 0 && !reflect.DeepEqual(before.BlockedBy, after.BlockedBy):
		s.changes = append(s.changes, name+" "+string(after.BlockedBy[0].Kind))
	}
}

// happened returns what happened to updates since it was last called.
func (s *site) happened() (changes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, s.changes = s.changes, nil
	return changes
}

// accept accepts updates of dev: "api 1.0.0".
func (s *site) accept(names ...string) { s.t.Helper(); s.acceptIn("dev", names...) }

func (s *site) acceptIn(environment string, names ...string) {
	s.t.Helper()
	s.acceptFrom("", environment, names...)
}

// order accepts updates of dev that a person asks for.
func (s *site) order(names ...string) { s.t.Helper(); s.acceptFrom("token:ann", "dev", names...) }

func (s *site) acceptFrom(principal, environment string, names ...string) {
	s.t.Helper()
	s.acceptEach(principal, environment, time.Time{}, names...)
}

// acceptAsOf accepts updates of dev whose events happened at a time.
func (s *site) acceptAsOf(event time.Time, names ...string) {
	s.t.Helper()
	s.acceptEach("", "dev", event, names...)
}

func (s *site) acceptEach(principal, environment string, event time.Time, names ...string) {
	s.t.Helper()
	s.queue.together.Lock()
	defer s.queue.together.Unlock()
	for _, name := range names {
		app, tag, _ := strings.Cut(name, " ")
		d := gitops.Delivery{
			Source: "test", ID: environment + " " + name, ReceivedAt: s.storeNow(), EventTime: event, Outcome: gitops.OutcomeAccepted, Principal: principal,
			Updates: []gitops.Update{{Environment: environment, App: app, Tag: tag}},
		}
		if _, _, err := s.queue.Accept(s.t.Context(), d); err != nil {
			s.t.Fatal(err)
		}
	}
}

func id(environment, name string) string {
	app, _, _ := strings.Cut(name, " ")
	return gitops.UpdateID(gitops.DeliveryKey{Source: "test", ID: environment + " " + name}, environment, app)
}

// rejudge makes ready what a block of the kind holds, as freezes that changed do.
func (s *site) rejudge(kind gitops.BlockKind) {
	s.t.Helper()
	if err := s.queue.Rejudge(s.t.Context(), kind, nil); err != nil {
		s.t.Fatal(err)
	}
}

// decide decides about an update of dev as a person does.
func (s *site) decide(a gitops.Action, name string) {
	s.t.Helper()
	_, err := s.queue.Decide(s.t.Context(), queue.Decision{Update: id("dev", name), Action: a, Actor: "ann", Reason: "not wanted"})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) update(environment, name string) gitops.Update {
	s.t.Helper()
	u, err := s.queue.Update(s.t.Context(), id(environment, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// backlog is dev's.
func (s *site) backlog() queue.Backlog {
	s.t.Helper()
	all, err := s.queue.Backlogs(s.t.Context())
	if err != nil || len(all) == 0 {
		s.t.Fatal(all, err)
	}
	return all[0]
}

// steal claims dev's lease for another replica, as when ours ran out.
func (s *site) steal(ttl time.Duration) queue.Lease {
	s.t.Helper()
	s.queue.KillHolder("us")
	claimed, err := s.queue.Model.Claim(s.t.Context(), "other", []string{"dev"}, ttl)
	if err != nil || len(claimed) != 1 {
		s.t.Fatal(claimed, err)
	}
	return claimed[0]
}

// releasedClean reports whether the last holder of dev vouched for what it pushed:
// what was open then is not in doubt for the next one.
func (s *site) releasedClean() bool {
	s.t.Helper()
	if holder := s.backlog().Holder; holder != "" {
		s.t.Errorf("the lane is held by %s", holder)
	}
	s.accept("probe 1")
	leases, err := s.queue.Model.Claim(s.t.Context(), "probe", []string{"dev"}, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	taken, err := s.queue.Model.Take(s.t.Context(), leases[0], queue.TakeOptions{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	return !taken[0].MaybePushed
}

func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// elapse moves the bubble's clock, which costs no time, and lets everything that
// is then due happen.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// stopWithin stops a replica that may take so long.
func stopWithin(s interface{ Stop(context.Context) }, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	s.Stop(ctx)
}
