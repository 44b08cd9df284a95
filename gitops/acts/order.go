package acts

import (
	"cmp"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Wishes are what an order asks for beside its tag. At most one of OrHold, Override and
// ThroughStop is set.
type Wishes struct {
	OrHold      bool   // what is held now is to wait, and not to be refused
	Override    string // why it passes pins, freezes and bad marks
	ThroughStop string // why it passes stops, too
	Reason      string
}

// None reports whether the order asks for nothing beside its tag.
func (w Wishes) None() bool { return w == Wishes{} }

// Passes reports whether the order asks to pass what holds it, which takes a right.
func (w Wishes) Passes() bool { return w.Override != "" || w.ThroughStop != "" }

// Check reports what is wrong with the wishes.
func (w Wishes) Check() error {
	set := 0
	for _, is := range []bool{w.OrHold, w.Override != "", w.ThroughStop != ""} {
		if is {
			set++
		}
	}
	if set > 1 {
		return gitops.FieldErrorf("orHold", "must be alone: send one of orHold, override and throughStop")
	}
	return cmp.Or(gitops.CheckReason("override", w.Override), gitops.CheckReason("throughStop", w.ThroughStop), gitops.CheckReason("reason", w.Reason))
}

// passable are the kinds that the order may pass.
func (w Wishes) passable() (kinds []gitops.BlockKind) {
	if w.Passes() {
		kinds = []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze, gitops.BlockBad}
	}
	if w.ThroughStop != "" {
		kinds = append(kinds, gitops.BlockStop)
	}
	return kinds
}

// Order decides about planned updates of an order. A person's is refused for what holds one
// of them, unless the person says what to do then; automation is held without being asked.
// The updates come back with their terms, and with what holds them now.
func Order(updates []gitops.Update, w Wishes, by By, s State) ([]gitops.Update, error) {
	decided := slices.Clone(updates)
	var held blockList
	where := ""
	for i := range decided {
		u := &decided[i]
		all := s.Blocks(u.Environment, u.App, u.Tag)
		u.BlockedBy = slices.DeleteFunc(slices.Clone(all), func(b gitops.Block) bool { return slices.Contains(w.passable(), b.Kind) })
		u.Terms = w.terms(all)
		if len(u.BlockedBy) > 0 && where == "" {
			where = place(u.Environment, u.App)
		}
		held.add(u.BlockedBy)
	}
	if where == "" || w.OrHold || !gitops.IsPerson(by.Principal.ID()) {
		return decided, nil
	}
	return nil, blocked(where, held.list, wayPast(held.list))
}

// mostBlocks is how many blocks of a kind are told to whoever is refused: many updates may
// be held by as many holds.
const mostBlocks = 25

// blockList is blocks without those that are there already, and of each kind the first.
type blockList struct {
	list []gitops.Block
	seen map[gitops.Block]bool
	of   map[gitops.BlockKind]int
}

func (l *blockList) add(blocks []gitops.Block) {
	if l.seen == nil {
		l.seen, l.of = make(map[gitops.Block]bool), make(map[gitops.BlockKind]int)
	}
	for _, b := range blocks {
		if !l.seen[b] && l.of[b.Kind] < mostBlocks {
			l.seen[b] = true
			l.of[b.Kind]++
			l.list = append(l.list, b)
		}
	}
}

// terms are those of an order that meets the blocks.
func (w Wishes) terms(all []gitops.Block) *gitops.Terms {
	t := gitops.Terms{Reason: w.Reason}
	for _, kind := range kinds(all) {
		if slices.Contains(w.passable(), kind) {
			t.Passes = append(t.Passes, kind)
		}
	}
	why := cmp.Or(w.Override, w.ThroughStop)
	if len(t.Passes) > 0 {
		t.Override = why
	} else {
		t.Reason = cmp.Or(t.Reason, why)
	}
	if t.Reason == "" && t.Override == "" {
		return nil
	}
	return &t
}

// wayPast says how an order gets past what holds it.
func wayPast(held []gitops.Block) string {
	name := "override"
	if slices.Contains(kinds(held), gitops.BlockStop) {
		name = "throughStop"
	}
	return "To have the order wait until nothing holds it, add orHold (--or-hold). To write it all the same, add " + name + " with the reason (--" +
		map[string]string{"override": "override", "throughStop": "through-stop"}[name] + " REASON), which takes the right override"
}

// Overrides are the audit's entries of the updates of an order that pass what holds them,
// under the key of its delivery.
func Overrides(updates []gitops.Update, by By, key gitops.DeliveryKey, rule func(gitops.Update) string) (entries []gitops.AuditEntry) {
	for _, u := range updates {
		if u.Terms == nil || len(u.Terms.Passes) == 0 {
			continue
		}
		by.Rule = rule(u)
		e := by.entry(gitops.ActOverride, gitops.RightOverride, u, key)
		e.Reason, e.Before, e.After = u.Terms.Override, kindList(u.Terms.Passes), u.Tag
		entries = append(entries, e)
	}
	return entries
}
