package lane

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// batch is what was taken together, and what to do with it.
type batch struct {
	revision  int // of the configuration that it was planned by
	byID      map[string]gitops.Update
	tasks     []gitops.WriteTask // for the writer
	ended     []ending           // are not on the branch
	inDoubt   []ending           // may be on the branch: to be looked for first
	leftAlone int                // how many are another replica's, as far as is known, or of a manifest repository that is away
	crowded   bool               // they took room of which the queue did not know: what is behind them comes with the next batch
}

// ending is an update that is not to be written, and what to report of it: a
// transition, or a block.
type ending struct {
	update     gitops.Update
	transition *gitops.Transition
	block      *gitops.Block
}

func (e ending) addTo(r *queue.Report) {
	if e.transition != nil {
		r.Transitions = append(r.Transitions, *e.transition)
	} else {
		r.Blocks = append(r.Blocks, queue.Blocked{Update: e.update.ID, BlockedBy: []gitops.Block{*e.block}})
	}
}

func (b batch) reportEnded(r queue.Report) queue.Report {
	for _, e := range b.ended {
		e.addTo(&r)
	}
	return r
}

// plan decides about each update that was taken.
func (t *leaseTerm) plan(taken []gitops.Update) batch {
	b := batch{byID: make(map[string]gitops.Update, len(taken))}
	var open []gitops.Update
	for _, u := range taken {
		b.byID[u.ID] = u
		e, ends := t.endingOf(u)
		doubtful := u.MaybePushed || u.CameLate() || t.sent[u.ID] // late: a store that has forgotten it may have had it written
		switch {
		case t.waits(u.App) && (!ends || doubtful):
			b.leftAlone++
		case !ends:
			open = append(open, u)
		case e.transition == nil && e.block == nil:
			b.leftAlone++
		case doubtful:
			b.inDoubt = append(b.inDoubt, e)
		default:
			b.ended = append(b.ended, e)
		}
	}
	b.crowded, t.leftAlone = b.leftAlone > t.leftAlone, b.leftAlone
	b.tasks = t.tasks(open)
	return b
}

// staleAfter is how long an update may wait until it is asked whether it is still
// wanted.
const staleAfter = 7 * 24 * time.Hour

// endingOf says what to report of an update that is not to be written, and whether
// it is one. Of one that is left alone there is nothing to report.
func (t *leaseTerm) endingOf(u gitops.Update) (e ending, ends bool) {
	e.update = u
	waitsSince := u.AcceptedAt
	if u.RetriedAt.After(waitsSince) {
		waitsSince = u.RetriedAt
	}
	switch why, settled := t.notConfigured(u); {
	case u.CancelRequest != nil:
		e.transition = &gitops.Transition{Update: u.ID, Action: gitops.ActionCancel, Actor: u.CancelRequest.Actor, Reason: u.CancelRequest.Reason}
	case why != "" && (!settled || t.now().Sub(waitsSince) < t.Rollout || t.othersKnowMore()):
	case why != "":
		e.transition = &gitops.Transition{Update: u.ID, Action: gitops.ActionCancel, Reason: why}
	case len(u.BlockedBy) == 0 && u.State == gitops.Pending && t.now().Sub(waitsSince) > staleAfter:
		e.block = &gitops.Block{Kind: gitops.BlockStale, Reason: "pending for more than 7 days: retry or cancel it"}
	default:
		return e, false
	}
	return e, true
}

// tasks makes a batch of what is open. The queue gives more than what is to be
// written: what may be on the branch already, of the same apps.
func (t *leaseTerm) tasks(open []gitops.Update) []gitops.WriteTask {
	newest := make(map[string]string) // ready update by app
	for _, u := range open {
		if ready(u) {
			newest[u.App] = u.ID
		}
	}
	tasks := make([]gitops.WriteTask, len(open))
	room, newestOnly := t.BatchSize, t.newestOnly()
	for i, u := range open {
		write := ready(u) && room > 0 && (!newestOnly || newest[u.App] == u.ID)
		if write {
			room--
		}
		tasks[i] = gitops.WriteTask{Update: u, SearchOnly: !write}
	}
	return tasks
}

func ready(u gitops.Update) bool { return u.State == gitops.Pending && len(u.BlockedBy) == 0 }

const (
	shortestRefusal = 10 * time.Second
	longestRefusal  = 15 * time.Minute
)

// blockRefused blocks the updates that the git server refuses alone. Each waits as
// long again as its app was refused so far, so the wait doubles.
func (t *leaseTerm) blockRefused(b batch, refused []gitops.Refusal) (blocks []queue.Blocked) {
	now := t.now()
	for _, refusal := range refused {
		app := b.byID[refusal.Update].App
		since, again := t.refusedSince[app]
		if !again {
			since, t.refusedSince[app] = now, now
		}
		wait := min(max(now.Sub(since), shortestRefusal), longestRefusal)
		blocks = append(blocks, queue.Blocked{Update: refusal.Update, BlockedBy: []gitops.Block{{
			Kind: gitops.BlockRefused, Reason: refusal.Reason, Until: now.Add(wait),
		}}})
	}
	return blocks
}
