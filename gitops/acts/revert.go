package acts

import (
	"cmp"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// RevertSource is the source of the deliveries by which tallyman reverts. Their id is that of
// the update whose rollout failed, so each is reverted once for ever, whoever tries again.
const RevertSource = "revert"

// RevertKey names the delivery that reverts an update.
func RevertKey(update string) gitops.DeliveryKey {
	return gitops.DeliveryKey{Source: RevertSource, ID: update}
}

// Failed is what is known of an update whose rollout failed, when it is decided whether
// tallyman goes back from it.
type Failed struct {
	Update gitops.Update // with its rollout
	Head   gitops.Head   // of its app
	Now    string        // the tag that the app's file has at the branch's tip; "" when it is not known
	Before string        // the tag that the file had before the update's commit; "" when it is not known, or there was none
	Digest string        // of Before, as far as it is known
	Open   []gitops.Update
	Person bool // only a person has the cluster take a commit
}

// Reversion is what a revert means.
type Reversion struct {
	From, To string
	Digest   string        // of To; "" when it is not known
	Holds    []gitops.Hold // the pin; none where the app is pinned at To already
	Terms    gitops.Terms

	of Failed
}

// Revert decides whether tallyman goes back from an update that failed. The error's code is
// Conflict, and its sentence says why it does not. Nothing that people decided is passed:
// what holds the tag before keeps it from being written, so nothing is placed.
func Revert(f Failed, by By, l Limits, s State) (Reversion, error) {
	if err := f.check(s); err != nil {
		return Reversion{}, err
	}
	u := f.Update
	r := Reversion{From: u.Tag, To: f.Before, Digest: f.Digest, of: f}
	until, pinned := s.pinnedAt(u.Environment, u.App, f.Before)
	if !pinned {
		var err error
		if until, err = End(gitops.HoldPin, time.Time{}, 0, l, s.At); err != nil {
			return Reversion{}, err
		}
		r.Holds = []gitops.Hold{{
			Kind: gitops.HoldPin, Environments: []string{u.Environment}, Apps: []string{u.App}, Tag: f.Before, Principal: by.Principal.ID(), Actor: by.Principal.Actor(),
			Reason: f.reason(), Rule: by.Rule, Since: s.At, Until: until,
		}}
	}
	r.Terms = gitops.Terms{Reason: f.reason(), RollsBack: u.Tag, Reverts: u.ID, PinUntil: until}
	return r, nil
}

// reason is why the update is reverted: what the rollout says.
func (f Failed) reason() string {
	text := f.Update.Tag + " is " + string(f.Update.Rollout.State)
	if f.Update.Rollout.Reason != "" {
		text += ": " + f.Update.Rollout.Reason
	}
	return gitops.OneLine(text, gitops.MaxReason-len("..."))
}

// check says why the update is not reverted.
func (f Failed) check(s State) error {
	u, where := f.Update, place(f.Update.Environment, f.Update.App)
	not := func(format string, args ...any) error {
		return gitops.Errorf(gitops.Conflict, where+" is not reverted: "+format, args...)
	}
	newer := slices.IndexFunc(f.Open, func(o gitops.Update) bool { return o.Sequence > u.Sequence })
	switch {
	case u.Rollout == nil || u.Rollout.State != gitops.RolloutDegraded && u.Rollout.State != gitops.RolloutSyncFailed:
		return not("%s is %s, and only what is degraded or sync_failed is", u.Tag, rolloutWord(u))
	case u.Terms != nil && u.Terms.Reverts != "":
		return not("%s is a revert itself, of update %s", u.Tag, u.Terms.Reverts)
	case f.Person:
		return not("a person syncs it, and decides what comes next")
	case f.Head.WrittenID != u.ID:
		return not("%s was written after %s, by update %s", cmp.Or(f.Head.WrittenTag, "another tag"), u.Tag, f.Head.WrittenID)
	case newer >= 0:
		return not("%s waits to be written after %s, as update %s", f.Open[newer].Tag, u.Tag, f.Open[newer].ID)
	case f.Now == "":
		return not("it is not known which tag the branch has now")
	case f.Now != u.Tag:
		return not("the branch has %s now, and no longer %s", f.Now, u.Tag)
	case f.Before == "":
		return not("it is not known which tag the file had before %s, or it had none", u.Tag)
	case f.Before == u.Tag:
		return not("the file had %s before, too", u.Tag)
	case f.Head.Healthy == 0:
		return not("no tag was seen healthy there, so %s may not run either", f.Before)
	case f.Head.HealthyTag != f.Before:
		return not("the file had %s before, and the last tag that was seen healthy is %s", f.Before, f.Head.HealthyTag)
	}
	if blocks := s.Blocks(u.Environment, u.App, f.Before); len(blocks) > 0 {
		return not("%s is held: %s", f.Before, blocks[0].Reason)
	}
	return nil
}

func rolloutWord(u gitops.Update) string {
	if u.Rollout == nil {
		return "not followed"
	}
	return string(u.Rollout.State)
}

// pinnedAt reports whether a pin at the tag is in force, and until when.
func (s State) pinnedAt(environment, app, tag string) (until time.Time, pinned bool) {
	for _, h := range s.Holds {
		if h.Kind == gitops.HoldPin && h.Tag == tag && h.InForce(s.At) && h.Covers(environment, app) {
			return h.Until, true
		}
	}
	return time.Time{}, false
}

// Order is what tallyman orders, for whoever plans it as any other order.
func (r Reversion) Order() gitops.Order {
	return gitops.Order{App: r.of.Update.App, Environment: r.of.Update.Environment, Tag: r.To, Digest: r.Digest}
}

// Placement is the revert with its planned order of one update, which gets its terms. It is
// refused by the store when something else was written since the head was read, and placed
// once: a second one is the first's duplicate.
func (r Reversion) Placement(order gitops.Delivery, by By) queue.Placement {
	u, key := r.of.Update, RevertKey(r.of.Update.ID)
	order.Updates = slices.Clone(order.Updates)
	order.Updates[0].Terms = &r.Terms
	e := by.entry(gitops.ActRollback, gitops.RightRollback, u, key)
	e.Reason, e.Before, e.After = r.Terms.Reason, r.From, r.To
	return queue.Placement{
		Holds: r.Holds, Order: &order, Written: r.of.Head.WrittenID, Entries: []gitops.AuditEntry{e},
		Credential: by.Credential, Remote: by.Remote, Config: by.Config,
	}
}
