package lane

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// followFreezes has what was held by other freezes than those of the configuration's
// revision judged again.
func (t *leaseTerm) followFreezes(revision int) error {
	if t.rejudged == revision {
		return nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, storeTime)
	defer cancel()
	if err := t.Holds.Rejudge(ctx, t.environment); err != nil {
		return err
	}
	t.rejudged = revision
	return nil
}

// judge returns what holds those of the updates that are ready, by id.
func (t *leaseTerm) judge(open []gitops.Update) (held map[string][]gitops.Block, err error) {
	var asked []gitops.Update
	for _, u := range open {
		if ready(u) {
			asked = append(asked, u)
		}
	}
	return t.judgeAll(asked)
}

// judgeAll returns what holds updates, by id.
func (t *leaseTerm) judgeAll(asked []gitops.Update) (held map[string][]gitops.Block, err error) {
	if len(asked) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, storeTime)
	defer cancel()
	blocks, err := t.Holds.Judge(ctx, asked)
	if err != nil {
		return nil, err
	}
	held = make(map[string][]gitops.Block)
	for i, by := range blocks {
		if len(by) > 0 {
			held[asked[i].ID] = by
		}
	}
	return held, nil
}

// expected is the tag that must be in the app's file for the update to be written; "" for
// any. A person's order is the newer word than an edit, unless it was held meanwhile, or
// proposed: a pull request may wait for longer than any hold.
func (t *leaseTerm) expected(u gitops.Update, does Environment) string {
	person := gitops.IsPerson(u.Principal)
	switch {
	case !does.RespectHandEdits || u.WrittenTag == "":
		return ""
	case does.PullRequest:
		return cmp.Or(t.edited[u.App], u.WrittenTag)
	case person && (u.HeldUntil.IsZero() || t.newer[u.ID]):
		return ""
	case t.edited[u.App] != "" && !person:
		return t.edited[u.App]
	}
	return u.WrittenTag
}

// respect adds to a report what becomes of updates whose files were edited by hand. The
// edit's pin is placed, and what was accepted before the edit is superseded. The others are
// judged again: where the pin is over or was lifted, the next batch writes them. Of an edit
// that a person's order has replaced in this batch, or will in the next, there is nothing to
// keep: the report supersedes what is older than the order.
func (t *leaseTerm) respect(b batch, edits []gitops.HandEdit, r *queue.Report) {
	var again []gitops.Update
	editOf := make(map[string]gitops.HandEdit)
	for _, e := range edits {
		if u := b.byID[e.Update]; gitops.IsPerson(u.Principal) && !t.isOlder(u, e) {
			t.newer[u.ID] = true
			if t.does().PullRequest {
				t.edited[u.App] = e.Tag
			}
		}
	}
	for _, e := range edits {
		u := b.byID[e.Update]
		if t.newer[u.ID] || t.isReplaced(b, u, r.Transitions) {
			continue
		}
		if err := t.placePin(u, e); err != nil {
			t.leaveEdited(u.App, err)
			continue
		}
		t.logger.Info("hand edit found", append(about(u), slog.String("commit", e.Commit), slog.String("author", e.Author), slog.String("edited", e.Tag))...)
		if t.isOlder(u, e) {
			r.Transitions = append(r.Transitions, gitops.Transition{Update: u.ID, Action: gitops.ActionSupersede, Reason: editedAfter(u, e)})
			continue
		}
		again = append(again, u)
		editOf[u.ID] = e
	}
	held, err := t.judgeAll(again)
	for _, u := range again {
		switch by := held[u.ID]; {
		case err != nil:
			t.leaveEdited(u.App, err)
		case by != nil && u.State == gitops.Proposed: // its pull request is closed
			r.Transitions = append(r.Transitions, gitops.Transition{Update: u.ID, Action: gitops.ActionSupersede, Reason: editedAfter(u, editOf[u.ID])})
		case by != nil:
			r.Blocks = append(r.Blocks, queue.Blocked{Update: u.ID, BlockedBy: by})
		default:
			t.edited[u.App] = editOf[u.ID].Tag
		}
	}
}

// isReplaced reports whether a later update of the same app is on the branch, by the results
// of a batch, or is an order of the batch that is newer than the edit.
func (t *leaseTerm) isReplaced(b batch, u gitops.Update, results []gitops.Transition) bool {
	later := func(id string) bool { return b.byID[id].App == u.App && b.byID[id].Sequence > u.Sequence }
	for id := range t.newer {
		if later(id) {
			return true
		}
	}
	return slices.ContainsFunc(results, func(r gitops.Transition) bool {
		to, allowed := gitops.Next(b.byID[r.Update].State, r.Action)
		return later(r.Update) && allowed && to.Written()
	})
}

func (t *leaseTerm) placePin(u gitops.Update, e gitops.HandEdit) error {
	ctx, cancel := context.WithTimeout(t.ctx, storeTime)
	defer cancel()
	return t.Holds.HandEdited(ctx, u, e)
}

// leaveEdited leaves an app alone for a while whose hand edit could not be respected:
// others go on, and its updates are ready.
func (t *leaseTerm) leaveEdited(app string, err error) {
	t.logger.Warn("hand edit not recorded, the app's updates wait", slog.String("app", app), slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
	t.unknown[app] = time.Now().Add(shortestRefusal)
}

// isOlder reports whether the update was asked for before the edit. A time in the future
// was made by a clock that is wrong, and says nothing.
func (t *leaseTerm) isOlder(u gitops.Update, e gitops.HandEdit) bool {
	return u.AskedBefore(e.At) && !e.At.After(t.now())
}

// editedAfter is why an update that is older than a hand edit is not written.
func editedAfter(u gitops.Update, e gitops.HandEdit) string {
	after := "update was accepted"
	switch {
	case u.State == gitops.Proposed && !u.AskedBefore(e.At):
		after = "update was proposed"
	case !u.AcceptedAt.Before(e.At):
		after = "release from " + u.EventTime.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%[1]s set %[2]s to %[3]s by hand in commit %[4]s, after this %[7]s. To write %[5]s all the same, order it by name: tallyman update %[2]s %[5]s --env %[6]s",
		e.Author, u.App, e.Tag, e.Commit[:min(len(e.Commit), 12)], u.Tag, u.Environment, after)
}
