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
	held      []ending           // may be on the branch, and are looked for with the tasks
	looking   int                // how many wait until an image is known
	inHand    int                // how many wait for a result of their pull request
	leftAlone int                // how many are another replica's, as far as is known, or of a manifest repository that is away
	crowded   bool               // they took room of which the queue did not know: what is behind them comes with the next batch
}

// ending is an update that is not to be written, and what to report of it: a
// transition, or what blocks it.
type ending struct {
	update     gitops.Update
	transition *gitops.Transition
	blocks     []gitops.Block
}

// add puts endings into a report. Where the configuration has changed since they were
// decided, what failed is left out, as by finalOf.
func (t *leaseTerm) add(b batch, endings []ending, r *queue.Report) {
	var ended []gitops.Transition
	for _, e := range endings {
		if e.transition != nil {
			ended = append(ended, *e.transition)
		} else {
			r.Blocks = append(r.Blocks, queue.Blocked{Update: e.update.ID, BlockedBy: e.blocks})
		}
	}
	r.Transitions = append(r.Transitions, t.finalOf(b, ended)...)
}

// plan decides about each update that was taken under a revision of the configuration.
func (t *leaseTerm) plan(taken []gitops.Update, revision int) (batch, error) {
	b := batch{revision: revision, byID: make(map[string]gitops.Update, len(taken))}
	var open []gitops.Update
	for _, u := range taken {
		u.HeldUntil = latest(u.HeldUntil, t.freed[u.ID])
		b.byID[u.ID] = u
		if t.planFollowed(&b, u) {
			continue
		}
		e, ends := t.endingOf(u)
		switch {
		case t.waits(u.App) && (!ends || t.isDoubtful(u)):
			b.leftAlone++
		case !ends && t.isBehind(u):
			b.inHand++
		case !ends:
			open = append(open, u)
		case e.transition == nil && e.blocks == nil:
			b.leftAlone++
		case t.isDoubtful(u):
			b.inDoubt = append(b.inDoubt, e)
		default:
			b.ended = append(b.ended, e)
		}
	}
	held, err := t.judge(open)
	if err != nil {
		return batch{}, err
	}
	candidates := t.candidates(open, held, b.byID)
	t.inspect(candidates)
	t.fill(&b, candidates)
	room := b.leftAlone + min(b.looking+b.inHand, mostLooking)
	b.crowded, t.leftAlone = room > t.leftAlone, room
	return b, nil
}

// fill puts the candidates into a batch: they are written, or looked for. What something
// keeps from being written is reported, and is looked for before if it may be on the branch.
func (t *leaseTerm) fill(b *batch, candidates []candidate) {
	room, does := t.BatchSize, t.does()
	searched := t.searchFirst(candidates)
	for _, c := range candidates {
		write := c.write && room > 0
		task := gitops.WriteTask{Update: c.update, SearchOnly: !write}
		switch {
		case c.alone:
			b.looking++
		case c.ends == nil && does.PullRequest:
			t.fillProposal(b, c, !searched[c.update.App])
		case c.ends == nil && write:
			room--
			task.Expected = t.expected(c.update, does)
			b.tasks = append(b.tasks, task)
		case c.ends == nil:
			b.tasks = append(b.tasks, task)
		case t.isDoubtful(c.update):
			b.tasks, b.held = append(b.tasks, task), append(b.held, *c.ends)
		default:
			b.ended = append(b.ended, *c.ends)
		}
	}
}

// isDoubtful reports whether the update may be on the branch. A store that has forgotten
// one that came late may have had it written.
func (t *leaseTerm) isDoubtful(u gitops.Update) bool {
	if t.isSearched(u) {
		return false
	}
	return u.MaybePushed || u.CameLate() || t.sent[u.ID]
}

// staleAfter is how long an update may wait until it is asked whether it is still
// wanted.
const staleAfter = 7 * 24 * time.Hour

// endingOf says what to report of an update that is not to be written, and whether
// it is one. Of one that is left alone there is nothing to report.
func (t *leaseTerm) endingOf(u gitops.Update) (e ending, ends bool) {
	e.update = u
	asked := latest(u.AcceptedAt, u.RetriedAt)
	switch why, settled := t.notConfigured(u); {
	case u.CancelRequest != nil:
		e.transition = &gitops.Transition{Update: u.ID, Action: gitops.ActionCancel, Actor: u.CancelRequest.Actor, Reason: u.CancelRequest.Reason}
	case u.ClosedBefore != nil:
		e.transition = &gitops.Transition{Update: u.ID, Action: gitops.ActionClose, Reason: closedBefore(u)}
	case why != "" && (!settled || t.now().Sub(asked) < t.Rollout || t.othersKnowMore()):
	case why != "":
		e.transition = &gitops.Transition{Update: u.ID, Action: gitops.ActionCancel, Reason: why}
	case ready(u) && t.now().Sub(latest(asked, u.HeldUntil)) > staleAfter:
		e.blocks = []gitops.Block{{Kind: gitops.BlockStale, Reason: "pending for more than 7 days: retry or cancel it"}}
	default:
		return e, false
	}
	return e, true
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// candidates says which of the updates that are open are to be written. The queue gives more
// than that: what may be on the branch already, of the same apps. Where only the newest is
// written, that something keeps an app's newest from it makes no older one of the batch the
// newest: one in between may be ready that was not taken.
func (t *leaseTerm) candidates(open []gitops.Update, held map[string][]gitops.Block, taken map[string]gitops.Update) []candidate {
	newest := make(map[string]string) // ready update by app
	for _, u := range open {
		if ready(u) {
			newest[u.App] = u.ID
		}
	}
	all := make([]candidate, len(open))
	does := t.does()
	others := besides(taken, does)
	for i, u := range open {
		newestOnly := does.newestOnly() || does.NewestHeld && !u.HeldUntil.IsZero()
		all[i] = candidate{update: u, write: ready(u) && (!newestOnly || newest[u.App] == u.ID && !(others[u.App] && t.isDoubtful(u)))}
		if blocks := held[u.ID]; blocks != nil {
			all[i].write, all[i].ends = false, &ending{update: u, blocks: blocks}
		}
	}
	return all
}

// besides are the apps of which something was taken whether it is the newest or not. Then what
// is looked for besides may not be the newest either, and is not written in this batch.
func besides(taken map[string]gitops.Update, does Environment) map[string]bool {
	apps := make(map[string]bool)
	for _, u := range taken {
		if u.CancelRequest != nil || ready(u) && !does.newestOnly() && u.HeldUntil.IsZero() {
			apps[u.App] = true
		}
	}
	return apps
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
		u := b.byID[refusal.Update]
		if !u.HeldUntil.IsZero() {
			t.freed[u.ID] = u.HeldUntil
		}
		app := u.App
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
