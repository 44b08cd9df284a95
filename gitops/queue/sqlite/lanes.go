package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// What lanes ask: each statement reads only what it returns, however much is
// blocked.
const (
	something = `SELECT EXISTS (SELECT 1 FROM updates INDEXED BY updates_ready WHERE environment = ?1 AND state = 'pending' AND ready_at IS NULL)
		OR EXISTS (SELECT 1 FROM updates INDEXED BY updates_lifting WHERE environment = ?1 AND state = 'pending' AND ready_at IS NOT NULL AND ready_at <= ?2)
		OR EXISTS (SELECT 1 FROM updates INDEXED BY updates_cancel WHERE environment = ?1 AND cancel_reason IS NOT NULL)`
	readyFirst = `SELECT sequence, '' FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND state = 'pending' AND ready_at IS NULL ORDER BY sequence LIMIT ?`
	readyExcept = `SELECT sequence, '' FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND state = 'pending' AND ready_at IS NULL AND app NOT IN (SELECT value FROM json_each(?)) ORDER BY sequence LIMIT ?`
	readyApps = `SELECT sequence, app FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND state = 'pending' AND ready_at IS NULL ORDER BY sequence`
	readyAfter = `SELECT sequence, app FROM updates INDEXED BY updates_ready
		WHERE environment = ? AND state = 'pending' AND ready_at IS NULL AND sequence > ?`
	lifted = `SELECT sequence, app, blocked_kind FROM updates INDEXED BY updates_lifting
		WHERE environment = ? AND state = 'pending' AND ready_at IS NOT NULL AND ready_at <= ?`
	cancelled = `SELECT sequence FROM updates INDEXED BY updates_cancel WHERE environment = ? AND cancel_reason IS NOT NULL ORDER BY sequence LIMIT ?`
)

// Ready implements [queue.Lanes].
func (s *Store) Ready(ctx context.Context, environments []string) (ready []string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		now := s.now().UnixMicro()
		for _, environment := range environments {
			_, err := c.one(ctx, something, []any{environment, now}, func(r row) {
				if r.number(0) != 0 {
					ready = append(ready, environment)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ready, nil
}

// Take implements [queue.Lanes]. It reads beside the writer.
func (s *Store) Take(ctx context.Context, l queue.Lease, o queue.TakeOptions) (taken []gitops.Update, err error) {
	err = s.read(ctx, func(ctx context.Context, c *connection) error {
		t := taking{ctx: ctx, c: c, environment: l.Name, now: s.now(), found: make(map[int64]gitops.Update), heads: make(map[string]gitops.Head)}
		if err := t.take(l, o); err != nil {
			return err
		}
		taken = slices.SortedFunc(maps.Values(t.found), bySequence)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// bySequence is acceptance order.
func bySequence(a, b gitops.Update) int { return cmp.Compare(a.Sequence, b.Sequence) }

// taking is one Take under way.
type taking struct {
	ctx         context.Context
	c           *connection
	environment string
	now         time.Time
	found       map[int64]gitops.Update // by sequence
	heads       map[string]gitops.Head  // by app
	closed      bool                    // the environment has an update that is closed
}

func (t *taking) take(l queue.Lease, o queue.TakeOptions) error {
	if err := checkLease(t.ctx, t.c, l); err != nil {
		return err
	}
	if err := t.findClosed(); err != nil {
		return err
	}
	ready, err := t.ready(o)
	if err != nil {
		return err
	}
	requested, err := t.cancelRequested(o.Limit)
	if err != nil {
		return err
	}
	for _, sequence := range append(ready, requested...) {
		if err := t.add(sequence); err != nil {
			return err
		}
	}
	return t.addUnresolved(o.Unresolved)
}

// candidate is a ready update.
type candidate struct {
	sequence int64
	app      string
	held     bool // by a hold, until that ended
}

// ready returns the sequences of the ready updates that are to be worked on, in
// order.
func (t *taking) ready(o queue.TakeOptions) ([]int64, error) {
	found, err := t.first(o)
	if err != nil {
		return nil, err
	}
	more, err := t.candidates(lifted, t.environment, t.now.UnixMicro())
	if err != nil {
		return nil, err
	}
	more = without(more, o.Except)
	if o.NewestHeld && !o.NewestOnly {
		if more, err = t.newestHeld(more); err != nil {
			return nil, err
		}
	}
	found = append(found, more...)
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Compare(a.sequence, b.sequence) })
	if o.NewestOnly {
		found = newestOfEach(found)
	}
	var sequences []int64
	for _, c := range found[:min(len(found), o.Limit)] {
		sequences = append(sequences, c.sequence)
	}
	return sequences, nil
}

// first returns the first ready updates that were never blocked, and with newestOnly all
// of them.
func (t *taking) first(o queue.TakeOptions) ([]candidate, error) {
	switch {
	case o.NewestOnly:
		found, err := t.candidates(readyApps, t.environment)
		return without(found, o.Except), err
	case len(o.Except) == 0:
		return t.candidates(readyFirst, t.environment, o.Limit)
	}
	except, err := json.Marshal(o.Except)
	if err != nil {
		return nil, err
	}
	return t.candidates(readyExcept, t.environment, string(except), o.Limit)
}

// without leaves out the candidates of some apps.
func without(found []candidate, apps []string) []candidate {
	if len(apps) == 0 {
		return found
	}
	left := make(map[string]bool, len(apps))
	for _, app := range apps {
		left[app] = true
	}
	return slices.DeleteFunc(found, func(c candidate) bool { return left[c.app] })
}

func (t *taking) candidates(text string, args ...any) (found []candidate, err error) {
	err = t.c.query(t.ctx, text, args, func(r row) error {
		c := candidate{sequence: r.number(0), app: r.text(1)}
		c.held = len(r) > 2 && gitops.BlockKind(r.text(2)).Held()
		found = append(found, c)
		return nil
	})
	return found, err
}

// newestHeld leaves out what was held and is not the newest ready update of its app, of
// what has lifted and of what was never blocked.
func (t *taking) newestHeld(lifted []candidate) ([]candidate, error) {
	newest, first := make(map[string]int64), int64(math.MaxInt64)
	for _, c := range lifted {
		newest[c.app] = max(newest[c.app], c.sequence)
		if c.held {
			first = min(first, c.sequence)
		}
	}
	if first == math.MaxInt64 {
		return lifted, nil
	}
	later, err := t.candidates(readyAfter, t.environment, first)
	if err != nil {
		return nil, err
	}
	for _, c := range later {
		newest[c.app] = max(newest[c.app], c.sequence)
	}
	return slices.DeleteFunc(lifted, func(c candidate) bool { return c.held && c.sequence < newest[c.app] }), nil
}

// newestOfEach keeps the last candidate of each app.
func newestOfEach(ordered []candidate) (newest []candidate) {
	last := make(map[string]int64, len(ordered))
	for _, c := range ordered {
		last[c.app] = c.sequence
	}
	for _, c := range ordered {
		if last[c.app] == c.sequence {
			newest = append(newest, c)
		}
	}
	return newest
}

// cancelRequested returns the sequences of the first updates whose cancellation is
// requested.
func (t *taking) cancelRequested(limit int) ([]int64, error) {
	return numbersOf(t.ctx, t.c, cancelled, t.environment, limit)
}

// addUnresolved adds what may be on the branch of the apps that are in hand: what
// an earlier holder may have pushed, and what this one has.
func (t *taking) addUnresolved(unresolved []string) error {
	const through = `SELECT maybe_pushed_through FROM lanes WHERE environment = ?`
	apps := make(map[string]bool)
	for _, u := range t.found {
		apps[u.App] = true
	}
	known, err := sequencesOf(t.ctx, t.c, unresolved)
	if err != nil {
		return err
	}
	for _, sequence := range known { // the others were pruned
		u, err := readSequence(t.ctx, t.c, sequence, t.now)
		if err != nil {
			return err
		}
		if u.Environment == t.environment && apps[u.App] && !u.State.Final() {
			if err := t.add(sequence); err != nil {
				return err
			}
		}
	}
	var highest int64
	if _, err := t.c.one(t.ctx, through, []any{t.environment}, func(r row) { highest = r.number(0) }); err != nil || highest == 0 {
		return err
	}
	sequences, err := openOf(t.ctx, t.c, t.environment, apps, 0, highest)
	if err != nil {
		return err
	}
	for _, sequence := range sequences {
		if err := t.add(sequence); err != nil {
			return err
		}
	}
	return nil
}

// add reads one update, unless that is done.
func (t *taking) add(sequence int64) error {
	if _, ok := t.found[sequence]; ok {
		return nil
	}
	u, err := readSequence(t.ctx, t.c, sequence, asStored)
	if err != nil {
		return err
	}
	head, ok := t.heads[u.App]
	if !ok {
		if head, err = readHead(t.ctx, t.c, u.Environment, u.App); err != nil {
			return err
		}
		t.heads[u.App] = head
	}
	u.HeldUntil, u.WrittenTag, u.ImageSince = gitops.HeldUntil(u.BlockedBy, t.now), head.WrittenTag, gitops.ImageSince(u.BlockedBy)
	u.BlockedBy = blocking(u.BlockedBy, t.now)
	if u.ClosedBefore, err = t.closedBefore(u, head); err != nil {
		return err
	}
	t.found[sequence] = u
	return nil
}
