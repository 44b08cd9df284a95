package holds

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// HandEdited implements lane.Holds. The request's key has the commit, so that whatever
// process sees the edit again places no second pin: not while the first is in force, and
// not after it was lifted or is over. What is no tag of an image cannot be kept, nor can
// anything run it: there is nothing to pin. Nor is there where a person's word is newer than
// the edit: a pin that was placed after it stays, and an order that is about to be written
// replaces the edit.
func (b *Book) HandEdited(ctx context.Context, u gitops.Update, e gitops.HandEdit) error {
	v, err := b.look(ctx)
	if err != nil {
		return err
	}
	now := v.now()
	if pinnedSince(v.about(u.App), u, e, now) {
		return nil
	}
	if ordered, err := b.isOrdered(ctx, u, v); err != nil || ordered {
		return err
	}
	pin := gitops.Hold{
		Kind: gitops.HoldPin, Environments: []string{u.Environment}, Apps: []string{u.App}, Tag: e.Tag,
		Principal: gitops.HandEditPrincipal, Actor: actorOf(e.Author), Reason: "edited by hand in " + e.Commit[:min(len(e.Commit), 12)], Until: now.Add(b.rules().PinFor),
	}
	if gitops.CheckHold(pin, now) != nil {
		return nil
	}
	_, err = b.store.Place(ctx, queue.Placement{
		Holds: []gitops.Hold{pin},
		Key:   "hand-edit/" + u.Environment + "/" + u.App + "/" + e.Commit,
	})
	return err
}

// pinnedSince reports whether a person has pinned the update's app since its file was edited.
// The time of a commit that is unknown, or in the future, says nothing: then the pin counts.
func pinnedSince(holds []gitops.Hold, u gitops.Update, e gitops.HandEdit, now time.Time) bool {
	return slices.ContainsFunc(holds, func(h gitops.Hold) bool {
		edited := e.At.After(h.Since) && !e.At.After(now)
		return h.Kind == gitops.HoldPin && !h.IsHandEdit() && h.InForce(now) && h.Covers(u.Environment, u.App) && !edited
	})
}

// mostOrders is how many of an app's pending updates are looked at for a person's order, the
// newest first: one with more behind it is superseded, if it is not written at once.
const mostOrders = 100

// isOrdered reports whether a person's order of the update's app is about to be written:
// nothing blocks it, and nothing would hold it.
func (b *Book) isOrdered(ctx context.Context, u gitops.Update, v *view) (bool, error) {
	open, _, err := b.store.Updates(ctx, queue.UpdateFilter{Environment: u.Environment, App: u.App, State: gitops.Pending}, queue.Page{Limit: mostOrders})
	return slices.ContainsFunc(open, func(o gitops.Update) bool {
		ready := o.Sequence > u.Sequence && len(o.BlockedBy) == 0 && o.CancelRequest == nil
		return ready && gitops.IsPerson(o.Principal) && len(gate.Judge(gate.About(o), v.about(o.App), b.rules().Freezes, v.now())) == 0
	}), err
}

// maxActor is how long an actor's name may be.
const maxActor = 128

// actorOf is a commit's author as an actor: what has no place in an actor's name is a dash.
func actorOf(author string) string {
	var b strings.Builder
	b.WriteString(gitops.HandEditPrincipal + ":")
	for _, r := range cmp.Or(author, "unknown") {
		switch {
		case b.Len() == maxActor:
			return b.String()
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._@[]-", r):
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
	}
	return b.String()
}
