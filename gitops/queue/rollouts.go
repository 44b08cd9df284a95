package queue

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Rollouts keeps where written updates stand in the cluster. Safe for concurrent use.
type Rollouts interface {
	// ReportRollouts records where updates stand in the cluster, all in one durable
	// transaction, and returns what stands by then of each, in the order of the reports. The
	// lease is that of the job that follows; the zero lease is for who reports without one, and
	// is not asked for. The error's code is Conflict, and nothing is recorded, when the lease is
	// no longer the caller's; NotFound, and nothing is recorded, when there is no such update.
	//
	// A rollout that is final stays as it is, and so does an update that is not written
	// ([gitops.State.Written]). What has another state or reason than before is a step, without an attempt,
	// whose State is the update's and whose Rollout is the state, and so a change that the feed
	// tells of. What changes nothing but the others is kept without a step, and what changes
	// nothing is not written. The store sets Since: with the state it had before, that stays.
	// See [NextRollout], and [KeptRollout] for the bounds of what is kept.
	//
	// What is healthy raises the app's head ([gitops.Head.Run]). The lanes have nothing to do
	// with it: it waits for none of them, and wakes none.
	ReportRollouts(ctx context.Context, l Lease, reports []RolloutReport) (kept []gitops.Rollout, err error)

	// OpenRollouts returns the updates whose rollout has begun and is not final, without steps,
	// in the order of their acceptance. Its cost depends on how many these are. What [Pruner]
	// forgets is among them no longer, wherever it stood.
	OpenRollouts(ctx context.Context) ([]gitops.Update, error)

	// NotRunning returns of each app the newest update that is known to be written, without
	// steps, where its rollout has begun and is open, failed ([gitops.RolloutState.Failed]) or
	// gone; in the order of their acceptance. Its cost depends on how many updates are kept
	// whose rollout ended so.
	NotRunning(ctx context.Context) ([]gitops.Update, error)
}

// RolloutReport says where an update stands in the cluster.
type RolloutReport struct {
	Update  string // its id
	Rollout gitops.Rollout
}

// Bounds of a rollout as stores keep it, in bytes but for the places: it has less than 26 kB of
// text. Most have one place, and some 300 bytes.
const (
	MaxRolloutReason = 500 // of the rollout, and of each place; names and revisions are shorter
	MaxRolloutName   = 200 // of a place, of who reported it, and of a revision
	MaxRolloutURL    = 512 // of a place
	MaxRolloutPlaces = 20
)

// KeptRollout is a rollout as stores keep it: with times in whole microseconds and UTC, and
// bounded. Texts are clipped; a URL that is too long is left out, because its beginning leads
// elsewhere; and of the places the first are kept. It shares nothing with r.
func KeptRollout(r gitops.Rollout) gitops.Rollout {
	r.Since, r.Deadline = r.Since.UTC().Truncate(time.Microsecond), r.Deadline.UTC().Truncate(time.Microsecond)
	r.Reason = clipped(r.Reason, MaxRolloutReason)
	r.Revision, r.By = clipped(r.Revision, MaxRolloutName), clipped(r.By, MaxRolloutName)
	r.Places = append([]gitops.RolloutPlace(nil), r.Places[:min(len(r.Places), MaxRolloutPlaces)]...)
	for i := range r.Places {
		p := &r.Places[i]
		p.Name, p.Reason = clipped(p.Name, MaxRolloutName), clipped(p.Reason, MaxRolloutReason)
		if len(p.URL) > MaxRolloutURL {
			p.URL = ""
		}
	}
	return r
}

// clipped is [gitops.Clip] with the dots that it adds within the bound.
func clipped(text string, most int) string {
	if len(text) > most {
		most -= len("...")
	}
	return gitops.Clip(text, most)
}

// NextRollout is what stands of an update after a report of where it stands in the cluster,
// as stores keep it. Changed is false where the report says nothing new or may say nothing.
// Step is nil where what it says is no step.
func NextRollout(u gitops.Update, reported gitops.Rollout, now time.Time) (next gitops.Rollout, step *gitops.Step, changed bool) {
	var before gitops.Rollout
	if u.Rollout != nil {
		before = *u.Rollout
	}
	if before.State.Final() || !u.State.Written() {
		return before, nil, false
	}
	reported.Since = now
	next = KeptRollout(reported)
	if next.State == before.State {
		next.Since = before.Since
	}
	if next.State != before.State || next.Reason != before.Reason {
		step = &gitops.Step{State: u.State, Reason: next.Reason, Rollout: next.State}
	}
	return next, step, !next.Equal(before)
}
