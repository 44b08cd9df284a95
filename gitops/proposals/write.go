package proposals

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// write makes the most urgent write to the forge that may be made by now: what takes something
// back first, then texts, and then new pull requests in acceptance order. What must wait for an
// hour to be over delays no other write. It returns false when no write is due.
func (r *Room) write(ctx context.Context, now time.Time) bool {
	if !r.forge.since.IsZero() || now.Before(r.limited.until) {
		return false
	}
	var first *app
	for _, a := range r.apps {
		if a.pending != nil && !r.writeAt(a, now).After(now) && (first == nil || a.isMoreUrgent(first)) {
			first = a
		}
	}
	if first == nil || !r.config.Pace.take(now, creates(first.pending.do)) { // another room has had the turn
		return false
	}
	st := *first.pending
	first.pending, first.due = nil, true
	if err := r.makeStep(ctx, first, st, r.writeForge); err != nil {
		if held := new(heldError); errors.As(err, &held) { // the forge was not asked
			r.config.Pace.giveBack(now, creates(st.do))
		}
		return true
	}
	r.limited.worked()
	r.config.Logger.InfoContext(ctx, "pull request written", about(first, slog.String("act", st.do.String()), slog.String("because", st.because))...)
	return true
}

// isMoreUrgent reports whether the write that an app waits for comes before another's.
func (a *app) isMoreUrgent(b *app) bool {
	return a.pending.do < b.pending.do || a.pending.do == b.pending.do && a.bySequence(b) < 0
}

// creates reports whether a write makes content, which a forge counts by the hour.
func creates(a action) bool { return a == create || a == edit || a == comment }

// writeAt is when the write that an app waits for may be made, at the earliest; zero while the
// forge is away, since a look finds out when that ends. What takes something back need not wait
// for the git server.
func (r *Room) writeAt(a *app, now time.Time) time.Time {
	if !r.forge.since.IsZero() {
		return time.Time{}
	}
	at := later(r.config.Pace.next(now, creates(a.pending.do)), r.limited.until)
	if a.pending.do == closePull || a.pending.do == disarm {
		return at
	}
	return later(at, r.git.until)
}

// writeForge makes one write. Until it is known that it worked the pull request is not known,
// either: what was reported as failed may have been done.
func (r *Room) writeForge(ctx context.Context, a *app, st step) error {
	s, forge := &a.seen, r.config.Forge
	delete(r.listed, a.of.branch()) // it is older than what is written now
	if st.do == create {
		p, err := forge.Create(ctx, a.of.branch(), st.text)
		if err != nil {
			s.found = false
			return err
		}
		a.take(&p, false)
		a.wish.sent = st.text
		return nil
	}
	s.fresh, s.current, s.unsure = false, false, true
	switch st.do {
	case closePull:
		if s.head == zero && a.wish.Close == "" {
			s.left = s.pull.Number
		}
		return forge.Close(ctx, s.pull.Number)
	case disarm:
		err := forge.Disarm(ctx, *s.pull)
		if err == nil && !s.topic.Ours {
			a.wish.disarmed = s.head
		}
		return err
	case comment:
		a.wish.remark, a.wish.remarked = zero, s.head // at most one: the text says it, too
		return forge.Comment(ctx, s.pull.Number, st.text.Body)
	case arm:
		p := *s.pull
		p.Head = s.head
		err := forge.Arm(ctx, p, st.text)
		if err == nil {
			a.wish.armed = a.wish.armed.again(s.head, r.config.Now())
		}
		return err
	}
	if !s.topic.Ours && !s.saysPersonal(s.pull.Text.Body) && a.wish.remarked != s.head {
		a.wish.remark = s.head
	}
	if err := forge.Edit(ctx, s.pull.Number, st.text); err != nil {
		return err
	}
	s.pull.Text, a.wish.sent, s.unsure = st.text, st.text, false
	return nil
}

// Bounds of how long what failed for one update is left alone.
const (
	holdLeast = time.Minute
	holdMost  = 15 * time.Minute
	soonLeast = time.Second
	soonMost  = time.Minute
	// failuresOfOne is how often in a row one app's step may fail as if a server were away
	// before its update says so.
	failuresOfOne = 3
)

// failed decides what a failure is of: a server, or this app alone.
func (r *Room) failed(ctx context.Context, a *app, st step, err error) {
	now := r.config.Now()
	var moved *MovedError
	var held *heldError
	switch {
	case r.apps[a.of] != a, ctx.Err() != nil:
		return
	case errors.Is(err, context.Canceled): // Leave stopped it, or whoever it was made with
		a.due, a.retryAt = false, now.Add(soonLeast)
		return
	case errors.As(err, &held):
		a.due, a.retryAt = false, now.Add(gateWait)
		if a.kept == held.why {
			return
		}
		a.kept = held.why
		r.config.Logger.InfoContext(ctx, "step of a proposal held", about(a, slog.String("act", st.do.String()), slog.String("because", held.why))...)
		return
	}
	r.config.Logger.WarnContext(ctx, "step of a proposal failed", about(a, slog.String("act", st.do.String()), slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))...)
	switch {
	case errors.As(err, &moved), errors.Is(err, ErrExists), errors.Is(err, ErrHeadMoved), errors.Is(err, ErrNotNow), errors.Is(err, ErrNoCommits),
		gitops.CodeOf(err) == gitops.Conflict,                    // what is read has moved
		st.do == askGet && gitops.CodeOf(err) == gitops.NotFound: // it is looked for by its branch
		a.seen.forced = a.seen.forced || errors.Is(err, ErrNoCommits)
		most := soonMost
		if st.do == arm { // a draft, say: what changes it is seen, and other writes need their turns
			most = holdMost
		}
		a.due, a.retryAt = false, now.Add(doubled(soonLeast, most, a.failures))
		a.stuck = st.do
		a.failures++
		r.lookAgain(a, a.retryAt)
		if a.failures > failuresOfOne && !errors.Is(err, ErrNotNow) { // which the pull request says itself
			r.tellRace(ctx, a, st, err)
		}
	case isOutage(err) && st.do.writesForge() && gitops.CodeOf(err) == gitops.RateLimited:
		r.limited.failed(err, now)
		a.due = true
	case isOutage(err):
		r.serverFailed(ctx, a, st, err, now)
	default:
		r.hold(ctx, a, st, err, now)
	}
}

// lookAgain has the branches asked for before the app goes on.
func (r *Room) lookAgain(a *app, at time.Time) { a.stale, r.lookAt = true, at }

// serverFailed finds out whether a server is away: the next look tells. Where one app alone
// fails again and again it is left alone ever longer, and holds up no other.
func (r *Room) serverFailed(ctx context.Context, a *app, st step, err error, now time.Time) {
	switch {
	case st.do.asksForge():
		r.forgeFailed(err)
	case gitops.CodeOf(err) == gitops.RateLimited:
		r.gitFailed(ctx, err)
	default:
		r.lookAgain(a, now)
	}
	if a.failures >= failuresOfOne {
		r.hold(ctx, a, st, err, now)
		return
	}
	a.due, a.parked = false, st.do.asksForge()
	a.stuck, a.stuckFor = st.do, now.Add(doubled(awayLeast, awayMost, a.failures))
	a.retryAt = a.stuckFor
	a.failures++
}

func (r *Room) forgeFailed(err error) {
	r.forge.failed(err, r.config.Now())
	r.config.Logger.Warn("forge unavailable, pull requests wait", "code", string(gitops.CodeOf(r.forge.err)), "retryAt", r.forge.until, "error", err.Error())
	r.publishOutage()
}

// forgeWorked takes up what waited for the forge.
func (r *Room) forgeWorked() {
	if !r.forge.worked() {
		return
	}
	r.config.Logger.Info("forge available again")
	for _, a := range r.apps {
		if a.due = true; a.seen.pull != nil && a.seen.pull.State == PullOpen {
			a.seen.unsure = true
		}
	}
	r.publishOutage()
}

func (r *Room) gitFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.git.failed(err, r.config.Now())
	r.lookAt = r.git.until
	r.config.Logger.WarnContext(ctx, "git server unavailable, proposals wait", "code", string(gitops.CodeOf(err)), "retryAt", r.git.until, "error", err.Error())
	r.publishOutage()
}

func (r *Room) gitWorked() {
	if r.git.worked() {
		r.config.Logger.Info("git server available again")
		r.publishOutage()
	}
}

// hold leaves one app's step alone for a while: a permission is missing, or a rule is against
// it. The update says what.
func (r *Room) hold(ctx context.Context, a *app, st step, err error, now time.Time) {
	a.stuck, a.stuckFor = st.do, now.Add(doubled(holdLeast, holdMost, a.failures))
	a.failures++
	a.due, a.retryAt = st.do != rest, a.stuckFor // something else may be next by now
	a.seen.note = "tallyman cannot " + st.do.sentence() + ": " + gitops.PublicOf(err)
	if a.wish.reported {
		if told := a.seen.tell(a.wish, step{do: rest}); told.do == report {
			r.report(ctx, a, told)
		}
		return
	}
	r.report(ctx, a, step{do: report, results: []gitops.ProposalResult{blockedFrom(a.wish.Update, a.seen.note, now, a.stuckFor)}})
}

// tellRace has the update say what keeps happening meanwhile.
func (r *Room) tellRace(ctx context.Context, a *app, st step, err error) {
	a.seen.note = "tallyman cannot " + st.do.sentence() + ": " + racedOf(err)
	told := a.seen.tell(a.wish, step{do: rest})
	if !a.wish.reported {
		told = a.seen.block(a.wish, a.seen.note)
	}
	if told.do == report {
		r.report(ctx, a, told)
	}
}

// racedOf says what somebody else did meanwhile, or what can be known of an error.
func racedOf(err error) string {
	if moved := new(MovedError); errors.As(err, &moved) {
		return moved.Error()
	}
	for _, known := range []error{ErrExists, ErrNoCommits, ErrHeadMoved} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return gitops.PublicOf(err)
}

// about names an app in a log.
func about(a *app, more ...any) []any {
	return append([]any{slog.String("environment", a.of.environment), slog.String("app", a.of.app), slog.String("update", a.wish.Update.ID)}, more...)
}
