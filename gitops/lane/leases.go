package lane

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// claimLeases claims what is free, and looks after hints that were missed and
// blocks whose time has come, until the replica is drained.
func (r *Replica) claimLeases() {
	var failures backoff
	for !r.isDraining() {
		wait := pollEvery
		err := r.claim()
		if err == nil {
			err = r.poll()
		}
		if err != nil {
			wait = min(failures.next(0, r.Jitter), storeTime)
			r.Logger.Warn("queue not available, retrying", failures.attrs(err, wait)...)
		} else if failures.reset() {
			r.Logger.Info("queue available again")
		}
		r.sleep(wait)
	}
}

// claim claims the leases of all lanes that are not worked here, and begins the
// term of each that it gets.
func (r *Replica) claim() error {
	names := r.lanesWhere(func(l *lane) bool { return l.term == nil })
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.work, storeTime)
	defer cancel()
	asked := time.Now()
	claimed, err := r.Queue.Claim(ctx, r.Holder, names, r.Lease)
	if err != nil {
		return err
	}
	for _, lease := range claimed {
		r.beginTerm(lease, asked)
	}
	return nil
}

// poll wakes the lanes that wait although they have something to take.
func (r *Replica) poll() error {
	names := r.lanesWhere(func(l *lane) bool { return l.idle })
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.work, storeTime)
	defer cancel()
	ready, err := r.Queue.Ready(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range ready {
		if l := r.laneOf(name); l != nil {
			l.hint()
		}
	}
	return nil
}

// lanesWhere returns the environments of some lanes, sorted.
func (r *Replica) lanesWhere(wanted func(*lane) bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.lanes)) {
		if wanted(r.lanes[name]) {
			names = append(names, name)
		}
	}
	return names
}

func (r *Replica) laneOf(environment string) *lane {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lanes[environment]
}

func (l *lane) hint() {
	select {
	case l.due <- struct{}{}:
	default: // there is one
	}
}

// beginTerm works a lane under a lease that was asked for at a time.
func (r *Replica) beginTerm(lease queue.Lease, asked time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[lease.Name]
	l.term = newTerm(l, lease, asked)
	r.lanesDone.Go(func() { l.runWithLease(l.term) })
}

// endTerm leaves the lane to whoever claims it next. A closing one is forgotten:
// if updates are left, it is found again.
func (l *lane) endTerm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term, l.idle, l.deadline = nil, false, time.Time{}
	if l.closing {
		delete(l.lanes, l.environment)
	}
}

// renewLeases extends the leases of all terms until ctx ends. A term ends when its
// lease is lost: to another holder, or because the store did not answer for as
// long as it lasts.
func (r *Replica) renewLeases(ctx context.Context) {
	ticker := time.NewTicker(r.extendEvery())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.renew(ctx)
		}
	}
}

func (r *Replica) extendEvery() time.Duration { return r.Lease * 2 / (2*extensions + 1) }

func (r *Replica) renew(ctx context.Context) {
	terms := r.liveTerms()
	if len(terms) == 0 {
		return
	}
	leases := make([]queue.Lease, len(terms))
	for i, t := range terms {
		leases[i] = t.lease
	}
	ctx, cancel := context.WithTimeout(ctx, r.extendEvery())
	defer cancel()
	asked := time.Now()
	kept, err := r.Queue.Extend(ctx, leases, r.Lease)
	for _, t := range terms {
		at := slices.IndexFunc(kept, func(l queue.Lease) bool { return l.Name == t.lease.Name && l.Token == t.lease.Token })
		switch {
		case at >= 0:
			t.compareClocks(kept[at], asked)
			r.extended(t, asked.Add(r.Lease))
		case err == nil:
			t.lose(slog.String("reason", "claimed by another replica"))
		}
	}
}

func (r *Replica) extended(t *leaseTerm, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.expires = until
	t.expiry.Reset(time.Until(until))
}

// loseExpired ends the terms whose leases ran out: those of one claim do so together.
func (r *Replica) loseExpired() {
	for _, t := range r.termsWhere(func(t *leaseTerm) bool { return !time.Now().Before(t.expires) }) {
		t.lose(slog.String("reason", "not extended in time"))
	}
}

// liveTerms are the terms whose lease is to be kept.
func (r *Replica) liveTerms() []*leaseTerm {
	return r.termsWhere(func(t *leaseTerm) bool { return t.ctx.Err() == nil })
}

// termsWhere returns some terms, sorted by environment.
func (r *Replica) termsWhere(wanted func(*leaseTerm) bool) (terms []*leaseTerm) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.lanes)) {
		if t := r.lanes[name].term; t != nil && wanted(t) {
			terms = append(terms, t)
		}
	}
	return terms
}

// sleep waits for d, or until the replica is drained, and reports which.
func (r *Replica) sleep(d time.Duration) (draining bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-r.drain:
		return true
	}
}
