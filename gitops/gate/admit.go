package gate

import (
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Wish is what a person asks of an order that something holds. Automation asks nothing:
// what it orders is accepted, and held.
type Wish struct {
	OrHold      bool   // store it, and have it wait
	Override    string // why it passes pins, freezes and bad marks; "" when it does not
	ThroughStop string // why it passes stops as well; "" when it does not
}

// Admit decides about a person's order that the blocks would hold. It returns the kinds
// of blocks that the order passes, for [gitops.Terms]: those of what holds it now, and no
// others, so that what is placed later holds it. The error's code is Conflict, and nothing
// may be stored, where something holds it that it neither passes nor is to wait for: it
// says what, and what to ask for.
func Admit(q Question, blocks []gitops.Block, w Wish) (passes []gitops.BlockKind, err error) {
	var holds []gitops.Block
	for _, b := range blocks {
		passed := w.ThroughStop != "" || w.Override != "" && b.Kind != gitops.BlockStop
		switch {
		case !passed:
			holds = append(holds, b)
		case !slices.Contains(passes, b.Kind):
			passes = append(passes, b.Kind)
		}
	}
	if len(holds) == 0 || w.OrHold {
		return passes, nil
	}
	all := "override (--override REASON)"
	if has(holds, gitops.BlockStop) {
		all = "throughStop (--through-stop REASON)"
	}
	return nil, gitops.Errorf(gitops.Conflict, "%s in %s is held: %s. Nothing was stored: to have %s wait, order it with orHold (--or-hold); to write it all the same, with %s",
		q.App, q.Environment, reasons(holds), q.Tag, all)
}

// AdmitRollback decides about going back to the question's tag. A rollback passes pins and
// freezes; it passes a stop only where the person says so, and goes to no bad tag. It
// returns the kinds that it passes, whether they hold it now or not.
func AdmitRollback(q Question, blocks []gitops.Block, throughStop string) (passes []gitops.BlockKind, err error) {
	if bad := of(blocks, gitops.BlockBad); len(bad) > 0 {
		return nil, gitops.Errorf(gitops.Conflict, "%s. Nothing was stored: a rollback does not go to a bad tag. Name another, or lift the mark first: tallyman unmark-bad %s %s", reasons(bad), q.App, q.Tag)
	}
	if stops := of(blocks, gitops.BlockStop); len(stops) > 0 && throughStop == "" {
		return nil, gitops.Errorf(gitops.Conflict, "%s in %s is held: %s. Nothing was stored: to go back to %s all the same, ask with throughStop (--through-stop REASON)",
			q.App, q.Environment, reasons(stops), q.Tag)
	}
	passes = []gitops.BlockKind{gitops.BlockPin, gitops.BlockFreeze}
	if throughStop != "" {
		passes = append(passes, gitops.BlockStop)
	}
	return passes, nil
}

func of(blocks []gitops.Block, kind gitops.BlockKind) (some []gitops.Block) {
	for _, b := range blocks {
		if b.Kind == kind {
			some = append(some, b)
		}
	}
	return some
}

func has(blocks []gitops.Block, kind gitops.BlockKind) bool { return len(of(blocks, kind)) > 0 }

func reasons(blocks []gitops.Block) string {
	var all []string
	for _, b := range blocks {
		all = append(all, b.Reason)
	}
	return strings.Join(all, "; ")
}
