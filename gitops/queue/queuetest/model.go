package queuetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Model is the queue in memory: a few maps that follow the words of the contract,
// for the suite to compare stores with, and for tests that need several replicas
// on one store. It passes the suite itself. Each call is atomic, takes no time
// and starts no goroutine; the answers depend on the calls and the clock alone.
type Model struct {
	now      func() time.Time
	hooks    Hooks
	notifier queue.Notifier
	changed  queue.Broadcast

	mu     sync.Mutex // guards what follows
	closed bool
	state
}

var _ queue.Queue = (*Model)(nil)

// Hooks are called while a call happens, with the model locked, so they must not
// call it. Each may be nil.
type Hooks struct {
	Accepted func(stored gitops.Delivery, duplicate bool)
	Claimed  func(l queue.Lease)
	// Fenced is called for each use of a lease, with whether it still was its
	// holder's. The call is "Extend", "Release", "Take", "Report" or "ReportRollouts".
	Fenced func(call string, l queue.Lease, passed bool)
	// Changed is called for each change of an update after its acceptance, with the
	// update before and after it, steps included. The lease is that of the Report or of
	// ReportRollouts, or the zero one when a person decided.
	Changed func(l queue.Lease, before, after gitops.Update)
}

// NewModel makes an empty model with now as its clock.
func NewModel(now func() time.Time, hooks Hooks) *Model {
	return &Model{now: now, hooks: hooks, state: newState()}
}

// state is all that the model would keep on a disk.
type state struct {
	deliveries  map[gitops.DeliveryKey]delivery
	updates     map[string]*gitops.Update // with all blocks and steps
	heads       map[target]gitops.Head
	lanes       map[string]*lane
	leases      map[string]*lease
	waits       int   // deliveries that wait
	sequence    int64 // of the newest update
	log         []happened
	happenings  int // so many were ever logged
	checkpoints map[string]string
	used        map[string]usedToken
	memories    map[string]memory // by hash
	audit       []gitops.AuditEntry
	audited     int64 // the sequence of the newest entry
	proofKeys   []gitops.ProofKey
	parsing     map[noted]note
	suspects    map[string]gitops.Suspect // by object
	holds       []hold                    // in the order of ids
	held        int64                     // the number of the newest
	revision    int64
	images      map[string][]gitops.SeenImage // by repository, a space, and tag
}

func newState() state {
	return state{
		deliveries: make(map[gitops.DeliveryKey]delivery), updates: make(map[string]*gitops.Update), heads: make(map[target]gitops.Head),
		lanes: make(map[string]*lane), leases: make(map[string]*lease), checkpoints: make(map[string]string), used: make(map[string]usedToken),
		memories: make(map[string]memory), parsing: make(map[noted]note), suspects: make(map[string]gitops.Suspect),
		images: make(map[string][]gitops.SeenImage),
	}
}

// delivery is one without its updates, and their ids.
type delivery struct {
	gitops.Delivery
	updates []string
}

// target is an app in an environment.
type target struct{ environment, app string }

// lane is what is known of an environment beside its updates.
type lane struct {
	used         bool     // has had an update
	open         []string // the ids of its open updates, in acceptance order
	through      int64    // what is open up to this sequence may have been pushed by an earlier holder
	lastProgress time.Time
	lastSuccess  time.Time
	outage       *queue.Outage
	outageSince  time.Time
}

type lease struct {
	token   int64
	holder  string
	held    bool // claimed, and not released since
	dead    bool // the holder's process is known to be dead
	clean   bool // the last lease was given back clean, or there was none
	expires time.Time
}

// happened is one change: a delivery's arrival, a step of an update, or a hold that was
// placed or lifted.
type happened struct {
	number   int
	delivery gitops.DeliveryKey
	update   string
	step     int // its index among the update's
	hold     *gitops.Hold
}

type usedToken struct {
	by    gitops.DeliveryKey
	until time.Time
}

// clone copies everything that a call may change.
func (s *state) clone() state {
	c := *s
	c.deliveries, c.heads, c.log = maps.Clone(s.deliveries), maps.Clone(s.heads), slices.Clone(s.log)
	c.checkpoints, c.used = maps.Clone(s.checkpoints), maps.Clone(s.used)
	c.memories, c.audit = maps.Clone(s.memories), slices.Clone(s.audit)
	c.holds, c.images = slices.Clone(s.holds), maps.Clone(s.images)
	c.parsing, c.suspects = maps.Clone(s.parsing), maps.Clone(s.suspects)
	c.updates, c.lanes, c.leases = make(map[string]*gitops.Update), make(map[string]*lane), make(map[string]*lease)
	for id, u := range s.updates {
		u := *u
		u.Steps = slices.Clone(u.Steps)
		c.updates[id] = &u
	}
	for name, l := range s.lanes {
		l := *l
		l.open = slices.Clone(l.open)
		c.lanes[name] = &l
	}
	for name, l := range s.leases {
		l := *l
		c.leases[name] = &l
	}
	return c
}

// ForgetProofKeys loses the keys, as a store that was begun again has.
func (m *Model) ForgetProofKeys() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proofKeys = nil
}

// Snapshot is all that a model held at one moment.
type Snapshot struct{ state state }

// Snapshot returns what the model holds, closed or not.
func (m *Model) Snapshot() Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Snapshot{m.clone()}
}

// Restore puts the model back to a snapshot of it or of another, as a restored
// backup or a lossy failover does. Leases are as they were then. Everybody who
// waits is woken.
func (m *Model) Restore(s Snapshot) {
	m.mu.Lock()
	m.state = s.state.clone()
	m.mu.Unlock()
	m.notifier.WakeAll()
	m.changed.Send()
}

// KillHolder makes it known that the holder's process is dead: what it holds can be
// claimed at once, and what it was parsing is suspect. What it held stays fenced by its tokens until then.
func (m *Model) KillHolder(holder string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.leases {
		if l.holder == holder {
			l.dead = true
		}
	}
	for key, n := range m.parsing {
		if n.dead = n.dead || key.holder == holder; n.dead {
			m.parsing[key] = n
		}
	}
}

// Holders are the processes that hold a lease, or parse something, and are not known to
// be dead, sorted.
func (m *Model) Holders() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var holders []string
	for _, l := range m.leases {
		if l.held && !l.dead && !slices.Contains(holders, l.holder) {
			holders = append(holders, l.holder)
		}
	}
	for key, n := range m.parsing {
		if !n.dead && !slices.Contains(holders, key.holder) {
			holders = append(holders, key.holder)
		}
	}
	slices.Sort(holders)
	return holders
}

// begin locks the model unless the call must fail.
func (m *Model) begin(ctx context.Context) error {
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

// Ping implements [queue.Queue].
func (m *Model) Ping(ctx context.Context) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.mu.Unlock()
	return nil
}

// Close implements [queue.Queue].
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *Model) lane(environment string) *lane {
	l, ok := m.lanes[environment]
	if !ok {
		l = &lane{}
		m.lanes[environment] = l
	}
	return l
}

func (m *Model) lease(name string) *lease {
	l, ok := m.leases[name]
	if !ok {
		l = &lease{clean: true}
		m.leases[name] = l
	}
	return l
}

// happened adds to the change feed.
func (m *Model) happened(h happened) {
	m.happenings++
	h.number = m.happenings
	m.log = append(m.log, h)
	m.changed.Send()
}
