package follow

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// checkpoint is what is kept for the next leader.
type checkpoint struct {
	Cursor string `json:"cursor"`
}

const (
	pageSize = 200
	// pagesAtOnce bounds what is read of the feed before something is recorded.
	pagesAtOnce = 5
	// saveEvery is how often a cursor is kept. What was read since is read again after a
	// crash, and then known already.
	saveEvery = 10 * time.Second
)

// read takes in what changed since the last call.
func (l *leader) read(ctx context.Context) error {
	if !l.begun {
		if err := l.begin(ctx); err != nil {
			return err
		}
	}
	for range pagesAtOnce {
		changes, err := l.Store.Changes(ctx, l.cursor, pageSize)
		if gitops.CodeOf(err) == gitops.Invalid {
			return l.beginAtLatest(ctx, err)
		}
		if err != nil || len(changes) == 0 {
			return err
		}
		for _, c := range changes {
			for _, u := range c.Updates() {
				if err := l.changed(ctx, u, c.Rollout); err != nil {
					return err
				}
			}
			l.cursor = c.Cursor
		}
	}
	return nil
}

// changed takes an update as a change left it, and whether the change is of its rollout.
func (l *leader) changed(ctx context.Context, u gitops.Update, ofRollout bool) error {
	if !u.State.Written() {
		return nil
	}
	place := gitops.Place{Environment: u.Environment, App: u.App}
	for _, f := range l.byApp[place] {
		f.takeNewer(u.Sequence, u.Tag, u.ID)
	}
	how, known := l.site.Followed(u.Environment, u.App)
	if ofRollout {
		l.toRevert(u, how, known)
	}
	f := l.open[u.ID]
	switch {
	case f != nil && ofRollout && f.how.By == ByReports:
		l.reported(f, *u.Rollout)
	case f == nil && ofRollout && how.By == ByReports && isReported(*u.Rollout): // while none followed it
		l.count(u, *u.Rollout)
	case f != nil || known && how.By == "":
	case u.Rollout == nil || u.Rollout.By != string(ByArgoCD):
		return l.add(ctx, u)
	} // else a follower has begun it: it was among the open ones, and is over
	return nil
}

// reported takes what was reported of an update by others.
func (l *leader) reported(f *followed, r gitops.Rollout) {
	f.kept = r
	if r.State.Final() {
		l.ended(f)
	}
}

// isReported reports whether a rollout ended by what others reported: what a follower records of
// it is none of these.
func isReported(r gitops.Rollout) bool {
	return r.By != string(ByArgoCD) && (r.State == gitops.RolloutHealthy || r.State == gitops.RolloutDegraded || r.State == gitops.RolloutSyncFailed)
}

// add begins to follow an update, unless it is followed.
func (l *leader) add(ctx context.Context, u gitops.Update) error {
	if l.open[u.ID] != nil {
		return nil
	}
	head, err := l.Store.Head(ctx, u.Environment, u.App)
	if err != nil {
		return err
	}
	how, _ := l.site.Followed(u.Environment, u.App)
	if how.By != ByArgoCD || u.Rollout != nil && u.Rollout.By != string(ByArgoCD) {
		// Somebody may have reported since the change, and the steps say how long it stood still.
		u, err = l.Store.Update(ctx, u.ID)
		if gitops.CodeOf(err) == gitops.NotFound || err == nil && u.Rollout != nil && u.Rollout.State.Final() {
			return nil
		}
		if err != nil {
			return err
		}
	}
	f := newFollowed(u, how)
	f.takeNewer(head.Written, head.WrittenTag, head.WrittenID)
	if f.expected, err = l.expectedOf(ctx, f, head); err != nil {
		return err
	}
	place := gitops.Place{Environment: u.Environment, App: u.App}
	l.open[u.ID], l.inOrder, l.byApp[place] = f, append(l.inOrder, f), append(l.byApp[place], f)
	l.follow(f)
	l.find(f)
	return nil
}

// expectedOf is where an update must be healthy besides what is found: where it was seen, or
// else the healthy one before it. It is asked for while an instance was not listed, which may
// not answer.
func (l *leader) expectedOf(ctx context.Context, f *followed, head gitops.Head) ([]gitops.RolloutPlace, error) {
	listed := !slices.ContainsFunc(l.instances, func(i *instance) bool { return i.listed.IsZero() })
	if len(f.expected) > 0 || listed || head.HealthyID == "" {
		return f.expected, nil
	}
	before, err := l.Store.Update(ctx, head.HealthyID)
	if gitops.CodeOf(err) == gitops.NotFound || err == nil && before.Rollout == nil {
		return nil, nil // it is forgotten
	}
	if err != nil {
		return nil, err
	}
	return before.Rollout.Places, nil
}

// remove ends the following of an update.
func (l *leader) remove(f *followed) {
	place := gitops.Place{Environment: f.update.Environment, App: f.update.App}
	delete(l.open, f.update.ID)
	l.inOrder = slices.DeleteFunc(l.inOrder, func(g *followed) bool { return g == f })
	if l.byApp[place] = slices.DeleteFunc(l.byApp[place], func(g *followed) bool { return g == f }); len(l.byApp[place]) == 0 {
		delete(l.byApp, place)
	}
}

// begin goes on from the rollouts that are open, and from the checkpoint. Without a
// checkpoint what was written before is not followed.
func (l *leader) begin(ctx context.Context) error {
	text, err := l.Store.Checkpoint(ctx, job)
	if err != nil {
		return err
	}
	open, err := l.Store.OpenRollouts(ctx)
	if err != nil {
		return err
	}
	for _, u := range open {
		if err := l.add(ctx, u); err != nil {
			return err
		}
	}
	var kept checkpoint
	if text == "" || json.Unmarshal([]byte(text), &kept) != nil {
		return l.beginAtLatest(ctx, nil)
	}
	l.cursor, l.saved, l.savedAt, l.begun = kept.Cursor, kept.Cursor, l.Now(), true
	return nil
}

// beginAtLatest goes on from the newest change: there is no cursor, or the store does not
// know it any more.
func (l *leader) beginAtLatest(ctx context.Context, why error) error {
	latest, err := l.Store.Latest(ctx)
	if err != nil {
		return err
	}
	if why != nil {
		l.Logger.Warn("the follower goes on from the newest change", slog.String("error", why.Error()))
	}
	l.cursor, l.begun = latest, true
	return l.save(ctx)
}

// save keeps how far the feed was read. What it told of is recorded by then: else a crash
// would lose it.
func (l *leader) save(ctx context.Context) error {
	reached := l.reached()
	if !l.begun || reached == l.saved {
		return nil
	}
	for _, f := range l.inOrder {
		if f.kept.State == "" {
			return nil
		}
	}
	text, _ := json.Marshal(checkpoint{reached}) // a text
	if err := l.Store.SetCheckpoint(ctx, job, string(text)); err != nil {
		return err
	}
	l.saved, l.savedAt = reached, l.Now()
	return nil
}
