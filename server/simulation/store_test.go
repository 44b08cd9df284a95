package simulation

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// memory is a store that several replicas share, as they would a database. It
// passes queuetest. Each of its calls is atomic and happens at once; what a
// network does to calls is the storeLink's.
type memory struct {
	mu         sync.Mutex
	now        func() time.Time
	closed     bool
	deliveries map[gitops.DeliveryKey]*kept
	updates    map[string]*gitops.Update
	lanes      map[string]*memoryLane
	newest     map[release]time.Time
	sequence   int64
	wakes      queue.Wakes
	log        []happened // in the order in which it happened
	happenings int
	steps      map[string][]gitops.Step // by update
	changed    queue.Signal
	marks      map[string]string
	spent      map[string]spending

	watch watcher
}

// watcher is told of changes while they happen. The store's lock is held.
type watcher interface {
	accepted(d gitops.Delivery)
	claimed(l queue.Lease)
	changed(what string, l queue.Lease)
	settled(l queue.Lease, u gitops.Update)
	retried(u gitops.Update)
}

type kept struct {
	gitops.Delivery
	updates []string
}

type release struct{ environment, app string }

type memoryLane struct {
	pending []*gitops.Update // in acceptance order; settled ones are dropped when it is read
	used    bool
	held    bool
	clean   bool
	holder  string
	token   int64
	expires time.Time
	through int64
	waits   queue.Backlog // what it waits for, and its last success
}

func newMemory(now func() time.Time) *memory {
	return &memory{
		now: now, deliveries: make(map[gitops.DeliveryKey]*kept), updates: make(map[string]*gitops.Update),
		lanes: make(map[string]*memoryLane), newest: make(map[release]time.Time),
		steps: make(map[string][]gitops.Step), marks: make(map[string]string), spent: make(map[string]spending),
	}
}

// begin locks the store unless it cannot answer.
func (m *memory) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return gitops.Errorf(gitops.Unavailable, "the store did not answer in time").WithCause(ctx.Err())
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return gitops.Errorf(gitops.Unavailable, "the store is closed")
	}
	return nil
}

func (m *memory) lane(environment string) *memoryLane {
	l, ok := m.lanes[environment]
	if !ok {
		l = &memoryLane{clean: true}
		m.lanes[environment] = l
	}
	return l
}

func (m *memory) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	if err := m.begin(ctx); err != nil {
		return gitops.Delivery{}, false, err
	}
	defer m.mu.Unlock()
	if known, ok := m.deliveries[d.Key()]; ok {
		met.meet("a delivery was known already")
		return m.delivery(known), true, nil
	}
	k := &kept{Delivery: d}
	k.Body, k.Updates = slices.Clone(d.Body), nil
	m.deliveries[d.Key()] = k
	m.happened(happened{delivery: d.Key()})
	for _, u := range d.Updates {
		m.sequence++
		u.Delivery, u.Actor, u.AcceptedAt, u.Sequence, u.State = d.Key(), d.Actor, m.now().UTC(), m.sequence, gitops.Pending
		if m.late(d, release{u.Environment, u.App}) {
			u.State, u.Reason, u.SettledAt = gitops.Superseded, "a newer release was accepted before", u.AcceptedAt
		}
		m.updates[u.ID] = &u
		k.updates = append(k.updates, u.ID)
		l := m.lane(u.Environment)
		l.used = true
		if u.State == gitops.Pending {
			l.pending = append(l.pending, &u)
			m.wakes.Wake(u.Environment)
		}
	}
	stored := m.delivery(k)
	if m.watch != nil {
		m.watch.accepted(stored)
	}
	return stored, false, nil
}

// late is the contract's rule for events that come too late.
func (m *memory) late(d gitops.Delivery, r release) bool {
	at, past := d.ReceivedAt, false
	if !d.EventTime.IsZero() && d.EventTime.Before(at) {
		at, past = d.EventTime, true
	}
	newest := m.newest[r]
	if past && at.Unix() < newest.Unix() {
		return true
	}
	if at.After(newest) {
		m.newest[r] = at
	}
	return false
}

func (m *memory) Claim(ctx context.Context, environment, holder string, ttl time.Duration) (queue.Lease, error) {
	if err := m.begin(ctx); err != nil {
		return queue.Lease{}, err
	}
	defer m.mu.Unlock()
	l, now := m.lane(environment), m.now()
	if l.held && l.holder != holder && now.Before(l.expires) {
		return queue.Lease{}, &gitops.Error{Code: gitops.Conflict, Message: "the lane is held by " + l.holder, RetryAfter: l.expires.Sub(now)}
	}
	if !l.clean {
		for _, u := range m.pending(l) {
			l.through = max(l.through, u.Sequence)
		}
	}
	l.token++
	l.held, l.clean, l.holder, l.expires = true, false, holder, now.Add(ttl)
	lease := queue.Lease{Environment: environment, Holder: holder, Token: l.token, ExpiresAt: l.expires}
	if m.watch != nil {
		m.watch.claimed(lease)
	}
	return lease, nil
}

// fenced fails when the lease is no longer its holder's.
func (m *memory) fenced(what string, l queue.Lease) error {
	at := m.lane(l.Environment)
	if queue.Fences(at.held, at.token, l) {
		met.meet("a call under an old token was refused")
		if what == "Settle" {
			met.meet("a settlement under an old token was refused")
		}
		return gitops.Errorf(gitops.Conflict, "the lease of %s was lost", l.Environment)
	}
	if m.watch != nil {
		m.watch.changed(what, l)
	}
	return nil
}

func (m *memory) Extend(ctx context.Context, l queue.Lease, ttl time.Duration) (queue.Lease, error) {
	if err := m.begin(ctx); err != nil {
		return queue.Lease{}, err
	}
	defer m.mu.Unlock()
	if err := m.fenced("Extend", l); err != nil {
		return queue.Lease{}, err
	}
	l.ExpiresAt = m.now().Add(ttl)
	m.lane(l.Environment).expires = l.ExpiresAt
	return l, nil
}

func (m *memory) Release(ctx context.Context, l queue.Lease, clean bool) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if m.fenced("Release", l) == nil {
		at := m.lane(l.Environment)
		at.held, at.clean = false, clean
	}
	return nil
}

func (m *memory) Pending(ctx context.Context, l queue.Lease, limit int) ([]gitops.Update, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if err := m.fenced("Pending", l); err != nil {
		return nil, err
	}
	pending := m.pending(m.lane(l.Environment))
	var found []gitops.Update
	for _, u := range pending[:min(limit, len(pending))] {
		found = append(found, m.update(u.ID))
	}
	return found, nil
}

func (m *memory) pending(l *memoryLane) []*gitops.Update {
	l.pending = slices.DeleteFunc(l.pending, func(u *gitops.Update) bool { return u.State.Settled() })
	return l.pending
}

func (m *memory) Settle(ctx context.Context, l queue.Lease, settlements []gitops.Settlement) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	ids := make([]string, len(settlements))
	for i, s := range settlements {
		ids[i] = s.Update
	}
	if err := m.change("Settle", l, ids); err != nil {
		return err
	}
	for _, s := range settlements {
		m.lane(l.Environment).waits = queue.Backlog{LastSuccess: m.now().UTC()}
		u := m.updates[s.Update]
		if u.State.Settled() {
			continue
		}
		u.State, u.Code, u.Reason, u.Commit, u.SettledAt = s.State, s.Code, s.Reason, s.Commit, m.now().UTC()
		u.Attempts++
		m.step(u.ID, gitops.Step{At: u.SettledAt, Attempts: 1, State: s.State, Code: s.Code, Reason: s.Reason, Commit: s.Commit})
		if m.watch != nil {
			m.watch.settled(l, *u)
		}
	}
	return nil
}

func (m *memory) Defer(ctx context.Context, l queue.Lease, d queue.Deferral) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if err := m.change("Defer", l, d.Updates); err != nil {
		return err
	}
	waits := &m.lane(l.Environment).waits
	if waits.FailingSince.IsZero() {
		waits.FailingSince = m.now().UTC()
	}
	waits.Code, waits.Reason, waits.RetryAt = d.Code, d.Reason, d.RetryAt
	for _, id := range d.Updates {
		if u := m.updates[id]; !u.State.Settled() {
			u.Reason = d.Reason
			u.Attempts++
			m.step(id, gitops.Step{At: m.now().UTC(), Attempts: 1, State: gitops.Pending, Code: d.Code, Reason: d.Reason, RetryAt: d.RetryAt})
		}
	}
	return nil
}

// change fails unless the lease holds and all of the updates are in its lane.
func (m *memory) change(what string, l queue.Lease, ids []string) error {
	if err := m.fenced(what, l); err != nil {
		return err
	}
	for _, id := range ids {
		if u, ok := m.updates[id]; !ok || u.Environment != l.Environment {
			return gitops.Errorf(gitops.NotFound, "there is no update %s in the lane of %s", id, l.Environment)
		}
	}
	return nil
}
