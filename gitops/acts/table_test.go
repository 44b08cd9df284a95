package acts

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// meets is what a table's column is about: what holds, and when a person last ordered
// something.
type meets struct {
	name string
	s    State
	head gitops.Head
}

// ways are how somebody asks for api in prod at 1.4.2, and what comes of it.
var (
	aPush     = By{Principal: gitops.Principal{Push: &gitops.PushSource{Source: "sns", Account: "123456789012"}}}
	aDispatch = By{Principal: gitops.Principal{Dispatch: &gitops.DispatchSender{RepositoryID: 17, Sender: "cy"}}}
	ways      = []struct {
		name string
		ask  func(m meets) string
	}{
		{"push", ordered(aPush, "1.4.2", Wishes{})},
		{"dispatch", ordered(aDispatch, "1.4.2", Wishes{})},
		{"job", ordered(aJob, "1.4.2", Wishes{})},
		{"order", ordered(ann, "1.4.2", Wishes{})},
		{"order that may wait", ordered(ann, "1.4.2", Wishes{OrHold: true})},
		{"order with an override", ordered(ann, "1.4.2", Wishes{Override: "why"})},
		{"order through a stop", ordered(ann, "1.4.2", Wishes{ThroughStop: "why"})},
		{"order for the pinned tag", ordered(ann, "1.4.1", Wishes{})},
		{"rollback", rolledBack("1.4.0", "")},
		{"rollback to that tag", rolledBack("1.4.2", "")},
		{"rollback through a stop", rolledBack("1.4.0", "why")},
	}
)

// ordered asks for a tag because of what happened an hour ago.
func ordered(by By, tag string, w Wishes) func(meets) string {
	return func(m meets) string {
		u := gitops.Update{Environment: "prod", App: "api", Tag: tag, Principal: by.Principal.ID(), AcceptedAt: friday}
		if !gitops.IsPerson(u.Principal) {
			u.EventTime = friday.Add(-time.Hour)
		}
		decided, err := Order([]gitops.Update{u}, w, by, m.s)
		if err != nil {
			return refused(err)
		}
		if newest, late := m.head.Late(u.Moment(friday)); late {
			return "superseded: " + m.head.LateBehind(u, newest)
		}
		return outcome(m.s.Blocks("prod", "api", tag, decided[0].Passes()...), decided[0].Terms)
	}
}

func rolledBack(tag, through string) func(meets) string {
	return func(m meets) string {
		w := RollbackWish{Environment: "prod", App: "api", Tag: tag, Reason: "crashes", ThroughStop: through}
		r, err := PlanRollback(w, Seen{From: "1.5.0", Head: m.head}, ann, limits, m.s)
		if err != nil {
			return refused(err)
		}
		said := outcome(m.s.Blocks("prod", "api", tag, append(r.Terms.Passes, gitops.BlockPin)...), &r.Terms)
		for _, h := range Replaced(r.Holds, m.s) {
			said += ", replaces: " + gate.Words(h)
		}
		return said
	}
}

// outcome is what is shown of an update, once it is accepted.
func outcome(blocks []gitops.Block, terms *gitops.Terms) string {
	if len(blocks) > 0 {
		return "held: " + blocks[0].Reason
	}
	if terms != nil && terms.Override != "" {
		return "written, overrides " + kindList(terms.Passes)
	}
	return "written"
}

// refused is what is shown of an act that is refused: what holds it, and the way past.
func refused(err error) string {
	var b *Blocked
	if !errors.As(err, &b) || gitops.CodeOf(err) != gitops.Conflict {
		return err.Error()
	}
	for _, way := range []string{"--through-stop REASON", "--override REASON", "unmark-bad api 1.4.2"} {
		if strings.Contains(b.Err.Message, way) {
			return "409 held: " + b.BlockedBy[0].Reason + " (" + way + ")"
		}
	}
	return "409 held: " + b.BlockedBy[0].Reason
}

// What each way to ask for a version meets, in the words that are shown. docs/holds.md has
// the table for users.
func TestWhatAnActMeets(t *testing.T) {
	const (
		pin      = "held: ann pinned 1.4.1 until Fri 15:00 UTC: incident 4711"
		adHoc    = "held: ann froze prod until Sun 14:00 UTC: nobody is in"
		weekend  = "held: freeze weekend until Mon 08:00 Europe/Berlin: nobody is in"
		stop     = "held: bo stopped prod on Fri 2026-11-27 at 13:00 UTC"
		bad      = "held: cy marked 1.4.2 as bad on Fri 2026-11-27 at 13:00 UTC: crashes"
		late     = "superseded: a person ordered api in prod at 2026-11-27T13:30:00Z, after this release from 2026-11-27T13:00:00Z. To write 1.4.2 all the same, order it by name: tallyman update api 1.4.2 --env prod"
		override = " (--override REASON)"
		through  = " (--through-stop REASON)"
		written  = "written"
	)
	want := map[string][]string{ // by the columns below
		"push":                     {written, pin, adHoc, weekend, stop, bad, late},
		"dispatch":                 {written, pin, adHoc, weekend, stop, bad, late},
		"job":                      {written, pin, adHoc, weekend, stop, bad, late},
		"order":                    {written, "409 " + pin + override, "409 " + adHoc + override, "409 " + weekend + override, "409 " + stop + through, "409 " + bad + override, written},
		"order that may wait":      {written, pin, adHoc, weekend, stop, bad, written},
		"order with an override":   {written, "written, overrides pin", "written, overrides freeze", "written, overrides freeze", "409 " + stop + through, "written, overrides bad", written},
		"order through a stop":     {written, "written, overrides pin", "written, overrides freeze", "written, overrides freeze", "written, overrides stop", "written, overrides bad", written},
		"order for the pinned tag": {written, written, "409 " + adHoc + override, "409 " + weekend + override, "409 " + stop + through, written, written},
		"rollback":                 {written, "written, replaces: ann pinned 1.4.1 until Fri 15:00 UTC: incident 4711", written, written, "409 " + stop + through, written, written},
		"rollback to that tag":     {written, "written, replaces: ann pinned 1.4.1 until Fri 15:00 UTC: incident 4711", written, written, "409 " + stop + through, "409 " + bad + " (unmark-bad api 1.4.2)", written},
		"rollback through a stop":  {written, "written, replaces: ann pinned 1.4.1 until Fri 15:00 UTC: incident 4711", written, written, "written, overrides pin, freeze, stop", written, written},
	}
	for i, m := range columns(t) {
		for _, way := range ways {
			if cells := want[way.name]; len(cells) != 7 {
				t.Fatalf("%s has %d cells", way.name, len(cells))
			} else if got := way.ask(m); got != cells[i] {
				t.Errorf("%s, %s: %s\nwant %s", way.name, m.name, got, cells[i])
			}
		}
	}
}

// columns are what an act may meet on a Friday at 14:00.
func columns(t *testing.T) []meets {
	t.Helper()
	weekend, err := gate.Compile([]gate.FreezeConfig{{
		Field: "freezes[0]", Name: "weekend", Environments: []string{"prod"}, Zone: "Europe/Berlin", Reason: "nobody is in", Weekly: []gate.Span{{From: "Fri 14:00", Until: "Mon 08:00"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	hold := func(kind gitops.HoldKind, by, tag, reason string, until time.Time) State {
		h := gitops.Hold{Kind: kind, Environments: []string{"prod"}, Actor: "token:" + by, Tag: tag, Reason: reason, Since: friday.Add(-time.Hour), Until: until}
		if tag != "" {
			h.Apps = []string{"api"}
		}
		return holding(h)
	}
	return []meets{
		{name: "nothing", s: holding()},
		{name: "a pin", s: hold(gitops.HoldPin, "ann", "1.4.1", "incident 4711", friday.Add(time.Hour))},
		{name: "a freeze of a person", s: hold(gitops.HoldFreeze, "ann", "", "nobody is in", friday.Add(48*time.Hour))},
		{name: "a freeze of the configuration", s: State{InForce: queue.InForce{At: friday}, Freezes: weekend}},
		{name: "a stop", s: hold(gitops.HoldStop, "bo", "", "", time.Time{})},
		{name: "a bad mark", s: hold(gitops.HoldBad, "cy", "1.4.2", "crashes", time.Time{})},
		{name: "a newer word", s: holding(), head: gitops.Head{Word: friday.Add(-30 * time.Minute)}},
	}
}
