package simulation

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// happened is one change: a delivery's arrival, or a step of an update.
type happened struct {
	number   int
	delivery gitops.DeliveryKey
	update   string
	step     int // its place among the update's
}

func (m *memory) happened(h happened) {
	m.happenings++
	h.number = m.happenings
	m.log = append(m.log, h)
	m.changed.Send()
}

// step adds a step to an update's story, or counts an attempt that ended as the
// last one did.
func (m *memory) step(id string, step gitops.Step) {
	steps := m.steps[id]
	if n := len(steps); n > 0 && step.Attempts > 0 && steps[n-1].Attempts > 0 && alike(steps[n-1], step) {
		steps[n-1].Attempts++
		steps[n-1].Until, steps[n-1].RetryAt = step.At, step.RetryAt
		return
	}
	m.steps[id] = append(steps, step)
	m.happened(happened{update: id, step: len(steps)})
}

func alike(a, b gitops.Step) bool {
	return a.State == b.State && a.Code == b.Code && a.Reason == b.Reason && a.Commit == b.Commit
}

// story is an update with its steps.
func (m *memory) story(id string) gitops.Update {
	u := m.update(id)
	u.Steps = slices.Clone(m.steps[id])
	return u
}

// place reads a cursor, which is a change's number; "" is def.
func place(cursor string, def int) (int, error) {
	if cursor == "" {
		return def, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 0 || strconv.Itoa(n) != cursor {
		return 0, gitops.FieldErrorf("cursor", "is none that this store gave")
	}
	return n, nil
}

// page cuts one page out of what has a number, newest first, and is before the
// cursor.
func page[E any](m *memory, ctx context.Context, p queue.Page, list func(before int, add func(number int, e E) bool)) (found []E, next string, err error) {
	before, err := place(p.Cursor, 1<<62)
	if err != nil {
		return nil, "", err
	}
	if err := m.begin(ctx); err != nil {
		return nil, "", err
	}
	defer m.mu.Unlock()
	last := 0
	list(before, func(number int, e E) bool {
		if len(found) == p.Limit {
			next = strconv.Itoa(last)
			return false
		}
		found, last = append(found, e), number
		return true
	})
	return found, next, nil
}

// arrivals visits the deliveries newest first.
func (m *memory) arrivals(visit func(number int, d gitops.Delivery) bool) {
	for _, h := range slices.Backward(m.log) {
		if h.update == "" {
			d := m.delivery(m.deliveries[h.delivery])
			d.Body = nil
			if !visit(h.number, d) {
				return
			}
		}
	}
}

// Deliveries implements [queue.Stories].
func (m *memory) Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) ([]gitops.Delivery, string, error) {
	return page(m, ctx, p, func(before int, add func(int, gitops.Delivery) bool) {
		m.arrivals(func(number int, d gitops.Delivery) bool {
			meant := (f.Source == "" || f.Source == d.Source) && (f.Outcome == "" || f.Outcome == d.Outcome)
			return number >= before || !meant || add(number, d)
		})
	})
}

// Updates implements [queue.Stories].
func (m *memory) Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) ([]gitops.Update, string, error) {
	return page(m, ctx, p, func(before int, add func(int, gitops.Update) bool) {
		m.arrivals(func(_ int, d gitops.Delivery) bool {
			for _, u := range slices.Backward(d.Updates) {
				meant := (f.Environment == "" || f.Environment == u.Environment) && (f.App == "" || f.App == u.App) && (f.State == "" || f.State == u.State)
				if int(u.Sequence) < before && meant && !add(int(u.Sequence), u) {
					return false
				}
			}
			return true
		})
	})
}

// Changes implements [queue.Stories].
func (m *memory) Changes(ctx context.Context, after string, limit int) ([]queue.Change, error) {
	from, err := place(after, 0)
	if err != nil {
		return nil, err
	}
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var found []queue.Change
	for _, h := range m.log {
		if h.number > from && len(found) < limit {
			found = append(found, m.changeOf(h))
		}
	}
	return found, nil
}

func (m *memory) changeOf(h happened) queue.Change {
	cursor := strconv.Itoa(h.number)
	if h.update == "" {
		d := m.delivery(m.deliveries[h.delivery])
		d.Body = nil
		return queue.Change{Cursor: cursor, At: d.ReceivedAt, Delivery: &d}
	}
	u, steps := m.update(h.update), m.steps[h.update]
	step := steps[h.step]
	u.State, u.Code, u.Reason, u.Commit, u.SettledAt, u.MaybePushed = step.State, step.Code, step.Reason, step.Commit, time.Time{}, false
	if u.State.Settled() {
		u.SettledAt = step.At
	}
	for _, later := range steps[h.step+1:] {
		u.Attempts -= later.Attempts
	}
	return queue.Change{Cursor: cursor, At: step.At, Update: &u}
}

// Latest implements [queue.Stories].
func (m *memory) Latest(ctx context.Context) (string, error) {
	if err := m.begin(ctx); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	return strconv.Itoa(m.happenings), nil
}

// Changed implements [queue.Stories].
func (m *memory) Changed() <-chan struct{} { return m.changed.Next() }
