package sqlite

import (
	"context"
	"errors"
	"iter"
	"os"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

var _ queue.Exporter = (*Store)(nil)

// errEnough ends a query whose rest is not asked for.
var errEnough = errors.New("the reader has stopped")

// Export implements [queue.Exporter]. It reads in one transaction, which holds up
// no writer.
func (s *Store) Export(ctx context.Context) iter.Seq2[queue.Entry, error] {
	return exported(func(give func(queue.Entry) error) error {
		return s.readAll(ctx, func(ctx context.Context, c *connection) error {
			return (&export{ctx: ctx, c: c, give: give}).everything()
		})
	})
}

// Export yields everything that the store at path holds, as [Store.Export] does, without
// opening it: another process may have it open. It only reads, in one transaction, and
// takes no lock that a writer waits for; until it ends the store's WAL cannot begin again.
// Beside a store that is not in use it may leave SQLite's empty -wal and -shm.
//
// The error's code is NotFound when there is no store, and Unavailable when it cannot
// be read, or while a restore puts another file in its place: in between the file is there
// without its WAL, which is an older state of the store.
func Export(ctx context.Context, path string) iter.Seq2[queue.Entry, error] {
	return exported(func(give func(queue.Entry) error) (err error) {
		path, err := resolve(path)
		if err != nil {
			return err
		}
		if err := checkPlaced(path); err != nil {
			return err
		}
		file, err := os.Stat(path)
		if err != nil {
			return gitops.Errorf(gitops.NotFound, "there is no store at %s", path).WithCause(err)
		}
		c, err := connectTo(path, "ro", `PRAGMA busy_timeout = 5000`, `PRAGMA temp_store = MEMORY`, `BEGIN`)
		if err != nil {
			return openError(path, err)
		}
		defer func() { err = errors.Join(err, c.close()) }()
		version, err := versionOf(c)
		if err == nil {
			err = checkSame(path, file) // what is read from here on is of one moment
		}
		if err == nil && version == 0 {
			return gitops.Errorf(gitops.NotFound, "the store at %s is empty: tallyman was never started with it", path)
		}
		if err == nil {
			err = checkVersion(version)
		}
		if err == nil {
			err = (&export{ctx: ctx, c: c, give: give}).everything()
		}
		if resultCode(err) != 0 {
			return openError(path, err)
		}
		return domainError(err)
	})
}

// exported makes a sequence of what work gives.
func exported(work func(give func(queue.Entry) error) error) iter.Seq2[queue.Entry, error] {
	return func(yield func(queue.Entry, error) bool) {
		err := work(func(e queue.Entry) error {
			if !yield(e, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(queue.Entry{}, err)
		}
	}
}

type export struct {
	ctx   context.Context
	c     *connection
	give  func(queue.Entry) error
	step  int64 // the number of the last step that was given
	audit int64 // the sequence of the last entry of the audit that was given
	hold  int64 // the number of the last change of a hold that was given
}

func (e *export) everything() error {
	for _, part := range []func() error{e.happened, e.heads, e.lanes, e.checkpoints, e.usedTokens, e.memories, e.proofKeys, e.suspects, e.holdsState, e.images} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// happened gives the deliveries, and between them the steps, the changes of holds and the
// entries of the audit.
func (e *export) happened() error {
	const deliveries = `SELECT ` + deliveryColumns + `, b.body FROM deliveries` + ofSender + `CROSS JOIN bodies b ON b.delivery = d.number ORDER BY d.number`
	err := e.c.query(e.ctx, deliveries, nil, func(r row) error {
		number, d := r.number(0), scanDelivery(r)
		d.Body = r.bytes(deliveryWidth)
		if err := e.before(number); err != nil {
			return err
		}
		var err error
		if d.Updates, err = updatesOf(e.ctx, e.c, number, asStored); err != nil {
			return err
		}
		return e.give(queue.Entry{Delivery: &d})
	})
	if err != nil {
		return err
	}
	return e.before(maxDelivery)
}

// before gives what comes next, up to the arrival of a delivery.
func (e *export) before(delivery int64) error {
	const entries = `SELECT ` + auditColumns + ` FROM audit a WHERE a.sequence > ? AND a.sequence < ? ORDER BY a.sequence`
	err := e.c.query(e.ctx, entries, []any{e.audit, delivery * sequencesEach}, func(r row) error {
		entry := scanAudit(r)
		e.audit = entry.Sequence
		if err := e.holdsBefore(entry.Sequence / sequencesEach); err != nil {
			return err
		}
		return e.give(queue.Entry{Audit: &entry})
	})
	if err != nil {
		return err
	}
	return e.holdsBefore(delivery)
}

// holdsBefore gives the next changes of holds, with the steps between them, up to the
// arrival of a delivery, or to an entry of the audit, by its number.
func (e *export) holdsBefore(delivery int64) error {
	const changes = `SELECT hc.number, hc.lifted, h.request, ` + holdColumns + ` FROM hold_changes hc CROSS JOIN holds h ON h.number = hc.hold
		WHERE hc.number > ? AND hc.number < ? ORDER BY hc.number`
	err := e.c.query(e.ctx, changes, []any{e.hold, delivery}, func(r row) error {
		e.hold = r.number(0)
		h, err := scanHold(r[3:])
		if err == nil {
			err = e.stepsBefore(e.hold)
		}
		if err != nil {
			return err
		}
		if r.number(1) != 0 {
			return e.give(queue.Entry{Lift: &queue.LiftEntry{Hold: h.ID, Lift: *h.Lifted}})
		}
		h.Lifted = nil // an entry of its own
		return e.give(queue.Entry{Hold: &queue.HoldEntry{Hold: h, Request: r.text(2)}})
	})
	if err != nil {
		return err
	}
	return e.stepsBefore(delivery)
}

func (e *export) holdsState() error {
	return e.c.query(e.ctx, `SELECT highest, revision FROM hold_numbers`, nil, func(r row) error {
		return e.give(queue.Entry{Holds: &queue.HoldsState{Last: r.number(0), Revision: r.number(1)}})
	})
}

// stepsBefore gives the next steps up to the arrival of a delivery, or to an entry of
// the audit, by its number.
func (e *export) stepsBefore(delivery int64) error {
	const steps = `SELECT s.number, s.after_delivery, u.id, ` + stepColumns + ` FROM steps s JOIN updates u ON u.sequence = s.sequence
		WHERE s.number > ? ORDER BY s.number`
	errLater := errors.New("the next step came after the delivery")
	err := e.c.query(e.ctx, steps, []any{e.step}, func(r row) error {
		if r.number(1) >= delivery {
			return errLater
		}
		e.step = r.number(0)
		return e.give(queue.Entry{Step: &queue.StepEntry{Update: r.id(2), Step: scanStep(r[3:])}})
	})
	if errors.Is(err, errLater) {
		return nil
	}
	return err
}

func (e *export) heads() error {
	const after = `SELECT id FROM updates WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1`
	return readHeads(e.ctx, e.c, func(h gitops.Head) error {
		entry := queue.HeadEntry{Head: h}
		if _, err := e.c.one(e.ctx, after, []any{h.Written}, func(r row) { entry.After = r.id(0) }); err != nil {
			return err
		}
		if _, err := e.c.one(e.ctx, after, []any{h.Healthy}, func(r row) { entry.HealthyAfter = r.id(0) }); err != nil {
			return err
		}
		return e.give(queue.Entry{Head: &entry})
	})
}

// lanes gives the lanes and the leases of jobs. A lease that is held is not clean:
// whoever reads the entries does so in another process, and this one's leases end
// with it.
func (e *export) lanes() error {
	const lanes = `SELECT n.name, ifnull(t.token, 0), ifnull(t.holder, ''), ifnull(t.state, 'released'), ifnull(l.maybe_pushed_through, 0), ` + laneColumns + `
		FROM (SELECT environment AS name FROM lanes UNION SELECT name FROM leases) n
		LEFT JOIN lanes l ON l.environment = n.name LEFT JOIN leases t ON t.name = n.name ORDER BY n.name`
	const through = `SELECT id FROM updates WHERE environment = ? AND sequence <= ? ORDER BY sequence DESC LIMIT 1`
	return e.c.query(e.ctx, lanes, nil, func(r row) error {
		l := queue.LaneState{
			Environment: r.text(0), Token: r.number(1), Holder: r.text(2), Clean: r.text(3) == leaseReleased, Backlog: scanLane(r[5:]),
		}
		if _, err := e.c.one(e.ctx, through, []any{l.Environment, r.number(4)}, func(r row) { l.Through = r.id(0) }); err != nil {
			return err
		}
		return e.give(queue.Entry{Lane: &l})
	})
}

func (e *export) checkpoints() error {
	return e.c.query(e.ctx, `SELECT name, value FROM checkpoints ORDER BY name`, nil, func(r row) error {
		return e.give(queue.Entry{Checkpoint: &queue.Checkpoint{Name: r.text(0), Value: r.text(1)}})
	})
}

func (e *export) usedTokens() error {
	return e.c.query(e.ctx, `SELECT credential, source, id, until FROM used_tokens ORDER BY credential`, nil, func(r row) error {
		by := gitops.DeliveryKey{Source: r.text(1), ID: r.text(2)}
		return e.give(queue.Entry{UsedToken: &queue.UsedToken{Credential: r.text(0), By: by, Until: r.time(3)}})
	})
}

func (e *export) memories() error {
	return e.c.query(e.ctx, `SELECT hash, delivery, received_at FROM memories ORDER BY hash`, nil, func(r row) error {
		return e.give(queue.Entry{Memory: &queue.Memory{Hash: slices.Clone(r.bytes(0)), Delivery: r.text(1), ReceivedAt: r.time(2)}})
	})
}

func (e *export) proofKeys() error {
	return readProofKeys(e.ctx, e.c, func(k gitops.ProofKey) error { return e.give(queue.Entry{ProofKey: &k}) })
}
