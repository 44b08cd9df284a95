package proposals

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// report gives results to the lane, and remembers what it knows from then on.
func (r *Room) report(ctx context.Context, a *app, st step) {
	if !a.left {
		for _, result := range st.results {
			r.remember(ctx, a, result)
		}
		r.board.post(a.of.environment, a.term, st.results)
	}
	if st.ends {
		r.end(ctx, a)
	}
}

func (r *Room) remember(ctx context.Context, a *app, result gitops.ProposalResult) {
	if t := result.Transition; t != nil {
		r.config.Logger.InfoContext(ctx, "proposal reported", slog.String("environment", a.of.environment), slog.String("app", a.of.app), slog.String("update", t.Update), slog.String("action", string(t.Action)))
	}
	w := &a.wish
	if result.Update != w.Update.ID {
		if t := result.Transition; t != nil && t.Action == gitops.ActionCommit {
			w.expectMerged(result.Update)
		}
		w.forget(result.Update)
		return
	}
	if result.Proposal != nil {
		p := *result.Proposal
		w.Update.Proposal = &p
	}
	if result.Blocked != nil {
		w.blocked = result.Blocked
	}
	if result.Transition != nil && result.Transition.Action == gitops.ActionPropose {
		w.reported, w.blocked, w.older = true, nil, nil
	}
}

// end forgets an app whose wish has ended, and deletes its topic branch where that has served:
// no pull request is open, and no commit of others is lost. A branch that stays is in no one's
// way, and the next update of the app takes it.
func (r *Room) end(ctx context.Context, a *app) {
	delete(r.apps, a.of)
	a.ungate()
	s := a.seen
	over := s.found && !s.unsure && (s.pull == nil || s.pull.State != PullOpen)
	if s.head == zero || !over || !s.topic.Ours && !s.mergedHere() {
		return
	}
	err := r.config.Branches.Delete(ctx, a.of.branch(), s.head)
	var moved *MovedError
	if err != nil && !errors.As(err, &moved) && ctx.Err() == nil {
		r.config.Logger.WarnContext(ctx, "topic branch not deleted, it stays", about(a, slog.String("error", err.Error()))...)
	}
	if err == nil {
		delete(r.heads.Topics, a.of.branch())
	}
}

// cannotName says that an app can have no topic branch. Nothing lifts that but a change of the
// configuration.
func (r *Room) cannotName(ctx context.Context, a *app, err error, now time.Time) {
	if a.wish.Close != "" {
		r.report(ctx, a, a.seen.end(a.wish, cancelled(a.wish.ProposalWish)))
		return
	}
	a.retryAt = now.Add(blockTime)
	r.report(ctx, a, step{do: report, results: []gitops.ProposalResult{blockedFrom(a.wish.Update, gitops.PublicOf(err), now, a.retryAt)}})
}
