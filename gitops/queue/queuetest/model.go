package queuetest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// model is what a store must be after the events of a script.
type model struct {
	deliveries map[gitops.DeliveryKey]*delivery
	updates    map[string]*gitops.Update
	lanes      map[string]*lane
	newest     map[app]time.Time
	steps      map[string][]gitops.Step // by update
	log        []happened
	happenings int // so many were ever logged
	spent      map[string]gitops.DeliveryKey
}

// happened is one change: a delivery's arrival, or a step of an update.
type happened struct {
	number   int
	delivery gitops.DeliveryKey
	update   string
	step     int // its place among the update's
}

// delivery is one with its updates kept in model.updates.
type delivery struct {
	gitops.Delivery
	updates []string
}

type app struct{ environment, name string }

type lane struct {
	used    bool // has had an update
	highest int64
	token   int64
	held    bool // claimed, and not released since
	orphan  bool // held when the store was opened: what its holder's lease is worth is the store's to say
	clean   bool // the last lease was given back clean, or there was none
	holder  string
	expires time.Time
	through int64
	waits   queue.Backlog // what it waits for, and its last success
}

func newModel() *model {
	return &model{
		deliveries: make(map[gitops.DeliveryKey]*delivery),
		updates:    make(map[string]*gitops.Update),
		lanes:      make(map[string]*lane),
		newest:     make(map[app]time.Time),
		steps:      make(map[string][]gitops.Step),
		spent:      make(map[string]gitops.DeliveryKey),
	}
}

func (m *model) lane(environment string) *lane {
	l, ok := m.lanes[environment]
	if !ok {
		l = &lane{clean: true}
		m.lanes[environment] = l
	}
	return l
}

// accept predicts an Accept of a new key. What is the store's to choose, the
// sequences and the words for a late update, is taken from got.
func (m *model) accept(d, got gitops.Delivery, now time.Time) {
	kept := &delivery{Delivery: d}
	kept.Body = slices.Clone(d.Body)
	m.deliveries[d.Key()] = kept
	m.happened(happened{delivery: d.Key()})
	for i, u := range d.Updates {
		u.Delivery, u.Actor, u.AcceptedAt, u.State = d.Key(), d.Actor, now, gitops.Pending
		if m.late(d, u) {
			u.State, u.SettledAt = gitops.Superseded, now
		}
		if i < len(got.Updates) {
			u.Sequence = got.Updates[i].Sequence
			if u.State == gitops.Superseded {
				u.Reason = got.Updates[i].Reason
			}
		}
		l := m.lane(u.Environment)
		l.used, l.highest = true, max(l.highest, u.Sequence)
		m.updates[u.ID] = &u
		kept.updates = append(kept.updates, u.ID)
	}
}

// late is the contract's rule for events that come too late.
func (m *model) late(d gitops.Delivery, u gitops.Update) bool {
	a := app{u.Environment, u.App}
	if !d.EventTime.IsZero() && d.EventTime.Before(d.ReceivedAt) {
		if d.EventTime.Unix() < m.newest[a].Unix() {
			return true
		}
		if d.EventTime.After(m.newest[a]) {
			m.newest[a] = d.EventTime
		}
		return false
	}
	if d.ReceivedAt.After(m.newest[a]) {
		m.newest[a] = d.ReceivedAt
	}
	return false
}

// delivery is the delivery as it stands now.
func (m *model) delivery(key gitops.DeliveryKey) gitops.Delivery {
	kept := m.deliveries[key]
	d := kept.Delivery
	d.Updates = nil
	for _, id := range kept.updates {
		d.Updates = append(d.Updates, m.update(id))
	}
	return d
}

func (m *model) update(id string) gitops.Update {
	u := *m.updates[id]
	u.MaybePushed = u.State == gitops.Pending && u.Sequence <= m.lane(u.Environment).through
	return u
}

// pending are the lane's pending updates in order.
func (m *model) pending(environment string) []gitops.Update {
	var found []gitops.Update
	for id, u := range m.updates {
		if u.Environment == environment && u.State == gitops.Pending {
			found = append(found, m.update(id))
		}
	}
	slices.SortFunc(found, func(a, b gitops.Update) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return found
}

func (m *model) backlogs() []queue.Backlog {
	var all []queue.Backlog
	for _, environment := range slices.Sorted(maps.Keys(m.lanes)) {
		if !m.lanes[environment].used {
			continue
		}
		b := m.lanes[environment].waits
		b.Environment = environment
		if m.lanes[environment].held {
			b.Holder = m.lanes[environment].holder
		}
		if pending := m.pending(environment); len(pending) > 0 {
			b.Pending, b.Oldest = len(pending), pending[0].AcceptedAt
		}
		all = append(all, b)
	}
	return all
}

// taken reports whether another holder's lease keeps holder from the lane.
func (m *model) taken(environment, holder string, now time.Time) bool {
	l := m.lane(environment)
	return l.held && l.holder != holder && now.Before(l.expires)
}

// claim records a claim that succeeded.
func (m *model) claim(lease queue.Lease) {
	l := m.lane(lease.Environment)
	if !l.clean {
		for _, u := range m.pending(lease.Environment) {
			l.through = max(l.through, u.Sequence)
		}
	}
	l.held, l.orphan, l.clean = true, false, false
	l.token, l.holder, l.expires = lease.Token, lease.Holder, lease.ExpiresAt
}

// mine reports whether the lease is still its holder's.
func (m *model) mine(lease queue.Lease) bool {
	l := m.lane(lease.Environment)
	return l.held && l.token == lease.Token
}

func (m *model) release(lease queue.Lease, clean bool) {
	if m.mine(lease) {
		l := m.lane(lease.Environment)
		l.held, l.clean = false, clean
	}
}

// inLane reports whether all ids are updates of the environment.
func (m *model) inLane(environment string, ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool {
		u, ok := m.updates[id]
		return !ok || u.Environment != environment
	})
}

func (m *model) settle(environment string, settlements []gitops.Settlement, now time.Time) {
	for _, s := range settlements {
		m.lane(environment).waits = queue.Backlog{LastSuccess: now}
		u := m.updates[s.Update]
		if u.State.Settled() {
			continue
		}
		u.State, u.Code, u.Reason, u.Commit, u.SettledAt = s.State, s.Code, s.Reason, s.Commit, now
		u.Attempts++
		m.step(u.ID, gitops.Step{At: now, Attempts: 1, State: s.State, Code: s.Code, Reason: s.Reason, Commit: s.Commit})
	}
}

func (m *model) deferred(environment string, d queue.Deferral, now time.Time) {
	waits := &m.lane(environment).waits
	if waits.FailingSince.IsZero() {
		waits.FailingSince = now
	}
	waits.Code, waits.Reason, waits.RetryAt = d.Code, d.Reason, d.RetryAt
	for _, id := range d.Updates {
		if u := m.updates[id]; !u.State.Settled() {
			u.Reason = d.Reason
			u.Attempts++
			m.step(id, gitops.Step{At: now, Attempts: 1, State: gitops.Pending, Code: d.Code, Reason: d.Reason, RetryAt: d.RetryAt})
		}
	}
}

// reopened records that the process which held the leases is gone.
func (m *model) reopened() {
	for _, l := range m.lanes {
		l.orphan = l.held
	}
}
