package holds_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/holds"
)

// store is the model of the queue, which counts what it is asked and fails as a test says.
type store struct {
	*queuetest.Model
	revisions, lists, rejudged atomic.Int64
	down, full                 atomic.Bool
	reading                    func() // before each revision is read; nil for nothing
}

var errDown = gitops.Errorf(gitops.Unavailable, "the store does not answer")

func (s *store) HoldsRevision(ctx context.Context) (int64, error) {
	s.revisions.Add(1)
	if s.reading != nil {
		s.reading()
	}
	if s.down.Load() {
		return 0, errDown
	}
	return s.Model.HoldsRevision(ctx)
}

func (s *store) HoldsInForce(ctx context.Context) (queue.InForce, error) {
	s.lists.Add(1)
	if s.down.Load() {
		return queue.InForce{}, errDown
	}
	return s.Model.HoldsInForce(ctx)
}

func (s *store) Place(ctx context.Context, p queue.Placement) (queue.Placed, error) {
	if s.full.Load() {
		return queue.Placed{}, queue.ErrTooManyHolds()
	}
	return s.Model.Place(ctx, p)
}

func (s *store) Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error {
	if s.down.Load() {
		return errDown
	}
	s.rejudged.Add(1)
	return s.Model.Rejudge(ctx, kind, environments)
}

// site is a book on a store whose clock is a day ahead.
type site struct {
	*holds.Book
	t     *testing.T
	store *store

	mu    sync.Mutex
	rules holds.Rules
}

const ahead = 24 * time.Hour

func newSite(t *testing.T) *site {
	now := func() time.Time { return time.Now().Add(ahead) }
	s := &site{t: t, store: &store{Model: queuetest.NewModel(now, queuetest.Hooks{})}, rules: holds.Rules{PinFor: 72 * time.Hour}}
	s.Book = holds.New(func() holds.Rules {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.rules
	})
	s.Use(s.store)
	return s
}

// freeze is the configuration's only freeze from now on, of an environment, in UTC.
func (s *site) freeze(name, environment string, from, until time.Time) {
	s.t.Helper()
	const minute = "2006-01-02 15:04"
	freezes, err := gate.Compile([]gate.FreezeConfig{{
		Name: name, Environments: []string{environment}, Zone: "UTC",
		Once: []gate.Span{{From: from.UTC().Format(minute), Until: until.UTC().Format(minute)}},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.Freezes = freezes
}

// place places a hold of ann's.
func (s *site) place(h gitops.Hold) gitops.Hold {
	s.t.Helper()
	h.Principal, h.Actor, h.Reason = "token:ann", "token:ann", "incident 4711"
	placed, err := s.store.Place(s.t.Context(), queue.Placement{Holds: []gitops.Hold{h}})
	if err != nil {
		s.t.Fatal(err)
	}
	return placed.Holds[0]
}

func (s *site) lift(h gitops.Hold) {
	s.t.Helper()
	if _, err := s.store.Lift(s.t.Context(), queue.Lifting{IDs: []string{h.ID}, Principal: "token:ann", Actor: "token:ann"}); err != nil {
		s.t.Fatal(err)
	}
}

// held are the kinds of what holds an app's tag in prod.
func (s *site) held(app, tag string) (kinds []gitops.BlockKind) {
	s.t.Helper()
	blocks, err := s.Judge(s.t.Context(), []gitops.Update{update(app, tag)})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, b := range blocks[0] {
		kinds = append(kinds, b.Kind)
	}
	return kinds
}

// update is one in prod; its id is its app's name.
func update(app, tag string) gitops.Update {
	return gitops.Update{ID: app, Environment: "prod", App: app, Tag: tag}
}

func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
