package acts

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// HoldWish is a hold that somebody asks for. Of Until and For at most one is set.
type HoldWish struct {
	Kind               gitops.HoldKind
	Environments, Apps []string // empty means all
	Tag, Reason        string
	Until              time.Time
	For                time.Duration
}

// Limits are those of pins.
type Limits struct{ PinFor, PinAtMost time.Duration }

// maxFreeze is how long a freeze lasts at most: what lasts for longer is a stop.
const maxFreeze = 366 * 24 * time.Hour

// keptForIncidents is how many holds only stops and rollbacks may add to, so that whoever
// may place others cannot keep anybody from these.
const keptForIncidents = 500

// Right is what a hold of a kind takes, to be placed or lifted.
func Right(kind gitops.HoldKind) gitops.Right {
	if kind == gitops.HoldStop {
		return gitops.RightStop
	}
	return gitops.RightHold
}

// Check reports what is wrong with the form of the wish, before anything is known of what
// holds now or who asks.
func (w HoldWish) Check() error {
	if !slices.Contains(gitops.HoldKinds(), w.Kind) {
		return gitops.FieldErrorf("kind", "must be pin, freeze, stop or bad, not %q", gitops.Clip(string(w.Kind), 40))
	}
	ends := w.Kind == gitops.HoldPin || w.Kind == gitops.HoldFreeze
	h := gitops.Hold{Kind: w.Kind, Environments: w.Environments, Apps: w.Apps, Tag: w.Tag, Reason: w.Reason, Principal: "token:x", Actor: "token:x"}
	if ends { // it is checked with the time
		h.Until = time.Unix(1, 0)
	}
	if err := gitops.CheckHold(h, time.Unix(0, 0)); err != nil {
		return err
	}
	if w.Kind == gitops.HoldFreeze && len(w.Environments)+len(w.Apps) == 0 {
		return gitops.FieldErrorf("environments", "is missing: name environments, or apps; to hold everything at once, place a stop (tallyman stop)")
	}
	return w.checkEnd(ends)
}

func (w HoldWish) checkEnd(ends bool) error {
	switch {
	case !w.Until.IsZero() && w.For != 0:
		return gitops.FieldErrorf("for", "must not stand beside until: give one of them")
	case w.For < 0:
		return gitops.FieldErrorf("for", "must be a duration above 0, such as 72h")
	case !ends && (w.For != 0 || !w.Until.IsZero()):
		return gitops.FieldErrorf(endField(w.For), "a hold of kind %s has no end: a person lifts it. Leave it out", w.Kind)
	case w.Kind == gitops.HoldFreeze && w.For == 0 && w.Until.IsZero():
		return gitops.FieldErrorf("until", "is missing: a freeze ends, at until or after for; what has no end yet is a stop (tallyman stop)")
	}
	return nil
}

func endField(duration time.Duration) string {
	if duration != 0 {
		return "for"
	}
	return "until"
}

// Hold is the hold that a wish asks for, whose form is checked.
func Hold(w HoldWish, by By, l Limits, s State) (gitops.Hold, error) {
	until, err := End(w.Kind, w.Until, w.For, l, s.At)
	if err != nil {
		return gitops.Hold{}, err
	}
	if n := len(s.Holds); w.Kind != gitops.HoldStop && n >= queue.MaxHolds-keptForIncidents {
		return gitops.Hold{}, gitops.Errorf(gitops.TooLarge, "%d holds are in force, and the room that is left is for stops and rollbacks: lift some (tallyman holds), or place one for several apps", n)
	}
	h := gitops.Hold{
		Kind: w.Kind, Environments: slices.Sorted(slices.Values(w.Environments)), Apps: slices.Sorted(slices.Values(w.Apps)), Tag: w.Tag,
		Principal: by.Principal.ID(), Actor: by.Principal.Actor(), Reason: w.Reason, Rule: by.Rule, Since: s.At, Until: until,
	}
	if h.Kind == gitops.HoldPin {
		return h, notBad(s, w.Environments[0], w.Apps[0], w.Tag)
	}
	return h, nil
}

// End is when a hold of a kind ends. The error's code is Rejected.
func End(kind gitops.HoldKind, until time.Time, lasts time.Duration, l Limits, now time.Time) (time.Time, error) {
	atMost, usual, rule := maxFreeze, time.Duration(0), "a freeze lasts for up to 366 days: what has no end yet is a stop (tallyman stop)"
	switch kind {
	case gitops.HoldStop, gitops.HoldBad:
		return time.Time{}, nil
	case gitops.HoldPin:
		atMost, usual, rule = l.PinAtMost, l.PinFor, fmt.Sprintf("a pin lasts for up to %s (holds.pinAtMost): give an earlier end, and pin again when it is near", hours(l.PinAtMost))
	}
	field := endField(lasts)
	if until.IsZero() {
		until = now.Add(cmp.Or(lasts, usual))
	}
	tooSoon := until.Before(now.Add(time.Second))
	until = WholeSecond(until)
	switch {
	case tooSoon:
		return until, rejected(field, "%s is not after now, %s, by a second at least: give a later end", until.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case until.After(WholeSecond(now.Add(atMost))):
		return until, rejected(field, "%s is in %s: %s", until.Format(time.RFC3339), hours(until.Sub(now)), rule)
	}
	return until, nil
}

// WholeSecond is the end of a hold that is to last until a time: no earlier, and a time that
// people can read.
func WholeSecond(until time.Time) time.Time {
	second := until.UTC().Truncate(time.Second)
	if second.Before(until) {
		return second.Add(time.Second)
	}
	return second
}

func rejected(field, format string, args ...any) error {
	err := gitops.Errorf(gitops.Rejected, format, args...)
	err.Field = field
	return err
}

// hours is a duration, rounded up; what is longer than the longest is as long as that.
func hours(d time.Duration) string { return fmt.Sprintf("%.0fh", math.Ceil(d.Hours())) }

// notBad refuses a tag that is marked as bad.
func notBad(s State, environment, app, tag string) error {
	bad, lifts := s.only(gitops.HoldBad, environment, app, tag)
	if len(bad) == 0 {
		return nil
	}
	return blocked(place(environment, app)+" at "+tag, bad, "Name another tag, or first lift the mark: "+lifts)
}

// only is what holds of one kind do to a tag, and the commands that lift these.
func (s State) only(kind gitops.HoldKind, environment, app, tag string) (blocks []gitops.Block, lifts string) {
	var commands []string
	for _, h := range s.Holds {
		if found := gate.Judge(gate.Question{Environment: environment, App: app, Tag: tag}, []gitops.Hold{h}, nil, s.At); h.Kind == kind && len(found) > 0 {
			blocks, commands = append(blocks, found...), append(commands, Lift(h))
		}
	}
	return blocks, list(commands)
}

// Replaced are those in force whose place the holds take, as the store decides it.
func Replaced(holds []gitops.Hold, s State) (replaced []gitops.Hold) {
	for _, old := range s.Holds {
		if old.InForce(s.At) && slices.ContainsFunc(holds, func(h gitops.Hold) bool { return h.Replaces(old) }) {
			replaced = append(replaced, old)
		}
	}
	return replaced
}

// NeedsOrder reports whether a pin must order its tag: the branch does not have it, as far
// as is known, or something of the app is under way that would change it.
func NeedsOrder(pin gitops.Hold, branchTag string, open []gitops.Update) bool {
	return branchTag != pin.Tag || slices.ContainsFunc(open, func(u gitops.Update) bool { return !u.State.Final() })
}

// Placement is a hold with its order, if there is one.
func Placement(h gitops.Hold, order *gitops.Delivery, by By, key string) queue.Placement {
	return queue.Placement{Holds: []gitops.Hold{h}, Order: order, Key: key, Credential: by.Credential, Remote: by.Remote, Config: by.Config}
}
