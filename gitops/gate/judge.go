package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Question is an update, as far as that decides what keeps it from being written.
type Question struct {
	Environment, App, Tag string
	// Passes are the kinds that it may pass: a rollback passes pins and freezes, and a
	// person's override what it names.
	Passes []gitops.BlockKind
	// Accepted is when it was, by the store's clock; zero for one that is only planned.
	Accepted time.Time
	Person   bool // a person ordered it
}

// About is the question about an update.
func About(u gitops.Update) Question {
	return Question{Environment: u.Environment, App: u.App, Tag: u.Tag, Passes: u.Passes(), Accepted: u.AcceptedAt, Person: gitops.IsPerson(u.Principal)}
}

// passes reports whether the update passes a hold. Nobody meant to pass a pin, a stop or a
// bad mark that came after it: that is the newer word, however late the update is written
// or retried. A freeze forbids no tag, and is passed whenever it began. The pin of an edit
// by hand is placed when the edit is found: an order from before that is the newer word.
func (q Question) passes(h gitops.Hold) bool {
	newer := h.Kind != gitops.HoldFreeze && !q.Accepted.IsZero() && h.Since.After(q.Accepted)
	if newer && h.IsHandEdit() {
		return q.Person
	}
	return !newer && slices.Contains(q.Passes, gitops.BlockKind(h.Kind))
}

// Judge returns everything that keeps an update from being written at a time: each hold
// and each freeze, and not only the first. It is the one place that says so.
func Judge(q Question, holds []gitops.Hold, freezes *Freezes, now time.Time) (blocks []gitops.Block) {
	for _, h := range holds {
		if !h.InForce(now) || !h.Covers(q.Environment, q.App) || q.passes(h) {
			continue
		}
		if h.Kind == gitops.HoldPin && h.Tag == q.Tag || h.Kind == gitops.HoldBad && h.Tag != q.Tag {
			continue
		}
		blocks = append(blocks, gitops.Block{Kind: gitops.BlockKind(h.Kind), Reason: Words(h), Since: h.Since, Until: h.Until})
	}
	if slices.Contains(q.Passes, gitops.BlockFreeze) {
		return blocks
	}
	for _, f := range freezes.of(q.Environment, q.App) {
		if f.schedule.Open(now) {
			blocks = append(blocks, f.block(now))
		}
	}
	return blocks
}

// Longest returns those blocks of each kind that last longest, at most so many of a kind, in
// their order: together they last as long as all of them, and lifting any hold of their kinds
// has the update judged again.
func Longest(blocks []gitops.Block, most int) []gitops.Block {
	if len(blocks) <= most {
		return blocks
	}
	byEnd := make([]int, len(blocks))
	for i := range byEnd {
		byEnd[i] = i
	}
	slices.SortStableFunc(byEnd, func(i, j int) int {
		a, b := blocks[i].Until, blocks[j].Until
		switch {
		case a.Equal(b):
			return 0
		case a.IsZero() || !b.IsZero() && a.After(b):
			return -1
		}
		return 1
	})
	of := make(map[gitops.BlockKind]int)
	keep := slices.DeleteFunc(byEnd, func(i int) bool {
		of[blocks[i].Kind]++
		return of[blocks[i].Kind] > most
	})
	slices.Sort(keep)
	longest := make([]gitops.Block, len(keep))
	for n, i := range keep {
		longest[n] = blocks[i]
	}
	return longest
}

// Words says what a hold does, who placed it, until when, and why. It is stored with what
// is held, and read days later: it has as much of a date as is clear until the hold ends,
// and a day that is over always has its date.
func Words(h gitops.Hold) string {
	var text string
	actor := strings.TrimPrefix(h.Actor, string(gitops.KindToken)+":")
	until, since := end(h.Until, time.UTC, h.Since), h.Since.UTC().Format("Mon 2006-01-02 at 15:04 MST")
	switch h.Kind {
	case gitops.HoldPin:
		text = fmt.Sprintf("%s pinned %s%s", actor, h.Tag, until)
	case gitops.HoldFreeze:
		text = fmt.Sprintf("%s froze %s%s", actor, scope(h), until)
	case gitops.HoldStop:
		text = fmt.Sprintf("%s stopped %s on %s", actor, scope(h), since)
	case gitops.HoldBad:
		text = fmt.Sprintf("%s marked %s as bad on %s", actor, h.Tag, since)
	}
	return because(text, h.Reason)
}

// block is what the freeze, which is open now, does to what it covers.
func (f freeze) block(now time.Time) gitops.Block {
	began, ends := f.began(now), f.schedule.NextChange(now)
	return gitops.Block{
		Kind:   gitops.BlockFreeze,
		Reason: because("freeze "+f.Name+end(ends, f.schedule.Zone, began), f.Reason),
		Since:  utc(cmp.Or(began, now)),
		Until:  utc(ends),
	}
}

func because(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

// end is " until Fri 12:00 UTC", with the date where a weekday does not tell the day to
// whoever reads it after the beginning; "" without an end.
func end(until time.Time, zone *time.Location, since time.Time) string {
	if until.IsZero() {
		return ""
	}
	layout := "Mon 15:04"
	if until.Sub(since) >= 6*24*time.Hour {
		layout = "Mon 2006-01-02 15:04"
	}
	return " until " + until.In(zone).Format(layout) + " " + zone.String()
}

// scope names what a hold covers: "prod", "cart and pay in prod", "everything".
func scope(h gitops.Hold) string {
	apps, environments := list(h.Apps), list(h.Environments)
	switch {
	case apps == "" && environments == "":
		return "everything"
	case apps == "":
		return environments
	case environments == "":
		return apps
	}
	return apps + " in " + environments
}

// namedAtMost bounds how many names a sentence has.
const namedAtMost = 5

func list(names []string) string {
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return names[0]
	case n > namedAtMost:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:namedAtMost-1], ", "), n-namedAtMost+1)
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
