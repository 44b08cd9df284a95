package proposals

import (
	"context"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Bounds of asking the gate.
const (
	gateTime = 10 * time.Second
	// gateWait is how long what the gate did not let pass is left alone. A lane judges as
	// often, and its wish says what holds the update for longer.
	gateWait = 5 * time.Second
)

// heldError says that a step was not made, because something has come to hold its update or
// because that could not be found out.
type heldError struct{ why string }

func (e *heldError) Error() string { return e.why }

// pass makes a step unless something has come to hold its update since the lane judged it. What
// takes something back always passes, and so does what keeps the pull request up to date of an
// update that is proposed: a hold keeps tallyman from merging that, and no more.
func (r *Room) pass(ctx context.Context, a *app, st step, do func(ctx context.Context) error) error {
	proposes := st.do == create || st.do == push && !a.wish.reported
	if r.config.Gate == nil || st.do != arm && !proposes {
		return do(ctx)
	}
	done, err := r.askGate(ctx, a.wish.Update)
	if err != nil {
		return err
	}
	a.kept = ""
	if st.do != arm {
		defer done()
		return do(ctx)
	}
	// The forge may merge it at any moment from here on, also where it reports a failure.
	a.ungate()
	a.gated = done
	return do(ctx)
}

// askGate asks whether anything holds an update. After an error nothing may be done for it.
func (r *Room) askGate(ctx context.Context, u gitops.Update) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, gateTime)
	defer cancel()
	held, done, err := r.config.Gate(ctx, []gitops.Update{u})
	switch {
	case err != nil:
		return nil, &heldError{fmt.Sprintf("the holds could not be read: %v", err)}
	case len(held) > 0:
		return nil, &heldError{held[0].BlockedBy[0].Reason}
	case done == nil:
		done = func() {}
	}
	return done, nil
}

// followGate keeps the gate told for as long as the forge may merge the pull request by itself,
// so that whoever places a stop waits until that is taken back. One that another process armed
// is told of, too; where something holds it the lane's wish has it disarmed.
func (r *Room) followGate(ctx context.Context, a *app) {
	p := a.seen.pull
	armed := p != nil && p.State == PullOpen && (p.Armed || p.Queued)
	switch {
	case r.config.Gate == nil:
	case armed && a.gated == nil:
		a.gated, _ = r.askGate(ctx, a.wish.Update)
	case !armed && a.seen.found && !a.seen.unsure && (p == nil || a.seen.fresh):
		a.ungate()
	}
}

// ungate tells the gate that the forge does not merge the pull request by itself any more.
func (a *app) ungate() {
	if a.gated != nil {
		a.gated()
		a.gated = nil
	}
}
