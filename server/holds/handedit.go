package holds

import (
	"cmp"
	"context"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// principal is who places the pins of hand edits.
const principal = "git"

// HandEdited implements lane.Holds. The request's key has the commit, so that whatever
// process sees the edit again places no second pin: not while the first is in force, and
// not after it was lifted or is over. What is no tag of an image cannot be kept, nor can
// anything run it: there is nothing to pin.
func (b *Book) HandEdited(ctx context.Context, u gitops.Update, e gitops.HandEdit) error {
	v, err := b.look(ctx)
	if err != nil {
		return err
	}
	now := v.now()
	pin := gitops.Hold{
		Kind: gitops.HoldPin, Environments: []string{u.Environment}, Apps: []string{u.App}, Tag: e.Tag,
		Principal: principal, Actor: actorOf(e.Author), Reason: "edited by hand in " + e.Commit[:min(len(e.Commit), 12)], Until: now.Add(b.rules().PinFor),
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

// maxActor is how long an actor's name may be.
const maxActor = 128

// actorOf is a commit's author as an actor: what has no place in an actor's name is a dash.
func actorOf(author string) string {
	var b strings.Builder
	b.WriteString(principal + ":")
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
