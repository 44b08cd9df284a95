package acts

import (
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// RollbackWish is a rollback that somebody asks for. Of Until and For at most one is set.
type RollbackWish struct {
	Environment, App string
	Tag              string // "" is the last other one that was there and is not bad
	Digest           string // may be empty
	Reason           string
	ThroughStop      string // why it passes a stop; "" is not to
	Keep             bool   // leave the tag that is left without a bad mark
	Until            time.Time
	For              time.Duration
}

// Check reports what is wrong with the form of the wish.
func (w RollbackWish) Check() error {
	if err := gitops.CheckName("environment", w.Environment); err != nil {
		return err
	}
	if err := gitops.CheckName("app", w.App); err != nil {
		return err
	}
	if w.Tag != "" {
		if err := gitops.CheckTag("tag", w.Tag); err != nil {
			return err
		}
	}
	if err := gitops.CheckDigest("digest", w.Digest); err != nil {
		return err
	}
	if err := CheckReason("reason", w.Reason); err != nil {
		return err
	}
	if err := gitops.CheckReason("throughStop", w.ThroughStop); err != nil {
		return err
	}
	return HoldWish{Kind: gitops.HoldPin, Until: w.Until, For: w.For}.checkEnd(true)
}

// Past is a tag that the branch had.
type Past struct {
	Tag     string // "" where there was no file, or no tag in it
	Problem string // why it cannot be read
}

// Previous is the tag to go back to when nobody names one: the last other one that the
// branch had, of a list that begins with the newest, and that is not bad. The error's code
// is Conflict, and its way out is to name the tag.
func Previous(environment, app string, past []Past, complete bool, s State) (string, error) {
	refuse := func(format string, args ...any) (string, error) {
		err := gitops.Errorf(gitops.Conflict, format+". Name the tag to go back to (--to TAG)", args...)
		err.Field = "tag"
		return "", err
	}
	where := place(environment, app)
	if len(past) == 0 || past[0].Tag == "" {
		return refuse("the branch has no tag of %s now, so there is nothing to go back from", where)
	}
	var bad []string
	for _, p := range past[1:] {
		switch {
		case p.Tag == "" || p.Tag == past[0].Tag || slices.Contains(bad, p.Tag):
		case notBad(s, environment, app, p.Tag) != nil:
			bad = append(bad, p.Tag)
		default:
			return p.Tag, nil
		}
	}
	switch {
	case len(bad) > 0:
		return refuse("%s had %s before %s, and each is marked as bad", where, list(bad), past[0].Tag)
	case complete:
		return refuse("%s never had another tag than %s", where, past[0].Tag)
	}
	return refuse("no other tag of %s was found in the commits that were searched", where)
}

// Seen is what is known of an app in an environment when a rollback is decided.
type Seen struct {
	Head gitops.Head
	From string          // the tag that the branch has; "" when it is not known
	Open []gitops.Update // what is under way
}

// Rollback is what a rollback means.
type Rollback struct {
	From, To string
	Holds    []gitops.Hold // the pin, and the bad mark if there is one
	Terms    gitops.Terms
	// Nothing says that the branch has the tag already and nothing is under way: there is
	// nothing to write.
	Nothing bool
}

// PlanRollback decides what a wish means whose form is checked and whose tag is known.
func PlanRollback(w RollbackWish, seen Seen, by By, l Limits, s State) (Rollback, error) {
	until, err := End(gitops.HoldPin, w.Until, w.For, l, s.At)
	if err != nil {
		return Rollback{}, err
	}
	if err := notBad(s, w.Environment, w.App, w.Tag); err != nil {
		return Rollback{}, err
	}
	if seen.From == "" {
		return Rollback{}, gitops.Errorf(gitops.Conflict, "it is not known which tag %s has now, so there is nothing to go back from: where the file has none, order the tag (tallyman update)",
			place(w.Environment, w.App))
	}
	r := Rollback{From: seen.From, To: w.Tag, Nothing: seen.From == w.Tag && len(seen.Open) == 0}
	hold := gitops.Hold{Environments: []string{w.Environment}, Apps: []string{w.App}, Principal: by.Principal.ID(), Actor: by.Principal.Actor(), Reason: w.Reason, Rule: by.Rule, Since: s.At}
	pin := hold
	pin.Kind, pin.Tag, pin.Until = gitops.HoldPin, w.Tag, until
	r.Holds = append(r.Holds, pin)
	r.Terms = gitops.Terms{Reason: w.Reason, Passes: []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze}, PinUntil: until}
	if r.From != r.To {
		r.Terms.RollsBack = r.From
		if !w.Keep {
			bad := hold
			bad.Kind, bad.Tag = gitops.HoldBad, r.From
			r.Holds = append(r.Holds, bad)
		}
	}
	return r, r.passStop(w, s)
}

// passStop has the rollback pass the stops that are in force, or refuses it.
func (r *Rollback) passStop(w RollbackWish, s State) error {
	stops, lifts := s.only(gitops.HoldStop, w.Environment, w.App, w.Tag)
	switch {
	case len(stops) == 0:
		return nil
	case w.ThroughStop == "":
		return blocked(place(w.Environment, w.App), stops, "A rollback passes pins and freezes and no stop. Resume first ("+lifts+"), or add throughStop with the reason (--through-stop REASON), which takes the right override")
	}
	r.Terms.Passes = append(r.Terms.Passes, gitops.BlockStop)
	r.Terms.Override = w.ThroughStop
	return nil
}

// Entries are the audit's, beside those of the holds and of the order. The right override
// was allowed by a rule of its own.
func (r Rollback) Entries(w RollbackWish, by By, key gitops.DeliveryKey, overrideRule string) []gitops.AuditEntry {
	u := gitops.Update{Environment: w.Environment, App: w.App}
	e := by.entry(gitops.ActRollback, gitops.RightRollback, u, key)
	e.Reason, e.Before, e.After = w.Reason, r.From, r.To
	entries := []gitops.AuditEntry{e}
	if r.Terms.Override != "" {
		by.Rule = overrideRule
		o := by.entry(gitops.ActOverride, gitops.RightOverride, u, key)
		o.Reason, o.Before, o.After = r.Terms.Override, string(gitops.BlockStop), r.To
		entries = append(entries, o)
	}
	return entries
}

// Placement is the rollback with its order; nil where there is nothing to write.
func (r Rollback) Placement(w RollbackWish, order *gitops.Delivery, written string, by By, key gitops.DeliveryKey, overrideRule string) queue.Placement {
	p := queue.Placement{
		Holds: r.Holds, Order: order, Written: written, Key: key.ID, Entries: r.Entries(w, by, key, overrideRule),
		Credential: by.Credential, Remote: by.Remote, Config: by.Config,
	}
	if order == nil {
		for i := range p.Entries {
			p.Entries[i].Update, p.Entries[i].Delivery = "", ""
		}
	}
	return p
}
