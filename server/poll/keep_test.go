package poll_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/poll"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

var (
	prodWeb = gitops.Place{Environment: "prod", App: "web"}
	ops     = gitops.Principal{Token: "ops"}
)

// act carries out a rollback, as the API does.
func (s *site) act(wish acts.RollbackWish) {
	s.t.Helper()
	ctx := s.t.Context()
	head, err := s.store.Head(ctx, wish.Environment, wish.App)
	s.must(err)
	in, err := s.store.HoldsInForce(ctx)
	s.must(err)
	by, key := acts.By{Principal: ops, Rule: "access[2]"}, gitops.DeliveryKey{Source: "api", ID: "rollback-" + wish.Tag}
	plan, err := acts.PlanRollback(wish, acts.Seen{Head: head, From: s.branch[gitops.Place{Environment: wish.Environment, App: wish.App}]}, by, acts.Limits{PinFor: 24 * time.Hour, PinAtMost: 7 * 24 * time.Hour}, acts.State{InForce: in})
	s.must(err)
	_, _, err = s.site().Intake.Accept(ctx, webhook.Inbound{
		Event: gitops.Event{Delivery: key, Principal: ops, Orders: []gitops.Order{{App: wish.App, Environment: wish.Environment, Tag: wish.Tag}}}, Right: gitops.RightRollback,
		Store: func(ctx context.Context, d gitops.Delivery, _ webhook.Accept) (gitops.Delivery, bool, error) {
			d.Updates[0].Terms = &plan.Terms
			placed, err := s.store.Place(ctx, plan.Placement(wish, &d, head.WrittenID, by, key, ""))
			if err != nil {
				return d, false, err
			}
			return *placed.Order, placed.Duplicate, nil
		},
	})
	s.must(err)
}

// A rollback by the API is an order, a pin and a bad mark. It stays through a hundred polls
// that list everything that was there; a new version waits behind the pin.
func TestARollbackStaysThroughAHundredPolls(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		all := of("1.0.0", "1.1.0", "1.2.0")
		for n := range 2 {
			s.has(ghcr, all[:n+2]...)
			s.round()
			s.write()
		}
		s.expect("registry prod web 1.1.0", "registry prod web 1.2.0")
		s.act(acts.RollbackWish{Environment: "prod", App: "web", Tag: "1.1.0", Reason: "crashes", For: 72 * time.Hour})
		s.write()
		s.expect("api prod web 1.1.0")
		for range 100 {
			s.round()
			s.write()
		}
		s.expect()
		s.has(ghcr, append(all, of("1.2.1", "1.1.1")...)...)
		s.round()
		s.write()
		s.expect("registry prod web 1.2.1")
		if got := s.branch[prodWeb]; got != "1.1.0" {
			t.Errorf("under the pin the branch has %s", got)
		}
		s.pass(72 * time.Hour)
		s.write()
		if got := s.branch[prodWeb]; got != "1.2.1" {
			t.Errorf("after the pin the branch has %s", got)
		}
	})
}

// A person takes the file back by hand, or orders a lower version by name: nothing that was
// accepted once comes back.
func TestAnOrderToGoDownStaysThroughAHundredPolls(t *testing.T) {
	play(t, func(s *site) { s.has(ghcr, of("1.0.0")...) }, func(s *site) {
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0")...)
		s.round()
		s.write()
		_, _, err := s.site().Intake.Accept(s.t.Context(), webhook.Inbound{Event: gitops.Event{Delivery: gitops.DeliveryKey{Source: "api", ID: "down"}, Principal: ops,
			Orders: []gitops.Order{{App: "web", Environment: "prod", Tag: "1.0.0"}}}})
		s.must(err)
		s.write()
		s.expect("registry prod web 1.2.0", "api prod web 1.0.0")
		for range 100 {
			s.round()
		}
		s.has(ghcr, of("1.0.0", "1.1.0", "1.2.0", "1.1.9")...) // above what the branch has, below what was accepted
		s.round()
		s.expect()
	})
}

// An event that comes after the poll ends unchanged, and a poll after the event orders
// nothing.
func TestAnEventAndAPollOrderOnce(t *testing.T) {
	play(t, func(s *site) { s.has(ecrAPI, pushed("1.0.0", "a", time.Hour)) }, func(s *site) {
		first, second := pushed("1.1.0", "b", 0), pushed("1.2.0", "c", 0)
		s.has(ecrAPI, first)
		s.round()
		s.write()
		s.event("1.1.0", "b", first.PushedAt)
		s.write()
		s.expect("registry prod api 1.1.0", "eventbridge prod api 1.1.0")
		updates, _, err := s.store.Updates(s.t.Context(), queue.UpdateFilter{}, queue.Page{Limit: 1})
		s.must(err)
		if updates[0].Delivery.Source != "eventbridge" || updates[0].State != gitops.Unchanged {
			t.Errorf("the event's is %s", updates[0].State)
		}
		s.event("1.2.0", "c", second.PushedAt)
		s.has(ecrAPI, first, second)
		s.round()
		s.expect("eventbridge prod api 1.2.0")
		if s.recorder.soFar().ordered["prod"] != 1 {
			t.Errorf("counted %v", s.recorder.soFar().ordered)
		}
	})
}

// A tag that names another image is refused with both digests and counted, each digest once,
// also by the next process; an environment that allows it gets nothing of it by a poll.
func TestAMovedTagIsRefusedAndCountedOnce(t *testing.T) {
	play(t, func(s *site) {
		s.config.Environments["stage"], s.polls["stage"] = policy.Environment{Tags: policy.TagRule{Semver: "*"}}, poll.Environment{Every: every}
		s.has(ecrAPI, pushed("1.0.0", "a", time.Hour), pushed("1.1.0", "a", time.Hour), pushed("main-1", "a", time.Hour), pushed("edge", "a", time.Hour))
	}, func(s *site) {
		s.has(ecrAPI, pushed("1.0.0", "b", 0), pushed("1.1.0", "a", time.Hour), pushed("main-1", "c", 0), pushed("edge", "d", 0))
		s.round()
		s.round()
		s.stop()
		s.stop = s.start("another")
		s.round()
		events := s.took()
		if len(events) != 2 || !strings.HasPrefix(events[0], "registry ignored: prod: ") || !strings.HasPrefix(events[1], "registry ignored: dev: ") {
			t.Fatalf("accepted %q", events)
		}
		for _, digest := range []string{strings.Repeat("a", 64), strings.Repeat("b", 64)} {
			if !strings.Contains(events[0], digest) {
				t.Errorf("%s is not in %s", digest, events[0])
			}
		}
		if s.recorder.soFar().moved["prod"] != 1 || s.recorder.soFar().moved["dev"] != 1 || len(s.recorder.soFar().moved) != 2 || len(s.recorder.soFar().ordered) != 0 {
			t.Errorf("counted moved %v, ordered %v", s.recorder.soFar().moved, s.recorder.soFar().ordered)
		}
		s.has(ecrAPI, pushed("1.0.0", "e", 0))
		s.round()
		if s.recorder.soFar().moved["prod"] != 2 {
			t.Errorf("a third image is counted %v", s.recorder.soFar().moved)
		}
	})
}

// A first scan refuses what moved since an event told of it, and what the intake does not
// refuse is not ordered all the same: its tag was known.
func TestAMovedTagIsNeverOrdered(t *testing.T) {
	for _, lenient := range []bool{false, true} {
		play(t, func(s *site) {
			s.lenient = lenient
			s.must(s.store.RecordImages(s.t.Context(), []gitops.SeenImage{{Repository: ecrAPI, Tag: "1.0.0", Digest: pushed("", "a", 0).Digest}}))
			s.has(ecrAPI, pushed("1.0.0", "b", 0))
		}, func(s *site) {
			s.round()
			if events := s.took(); !lenient && (len(events) != 1 || !strings.HasPrefix(events[0], "registry ignored: prod: ")) || lenient && events != nil {
				t.Errorf("lenient %t: accepted %q", lenient, events)
			}
			if refused := s.recorder.soFar().outcomes["rejected"]; lenient != (refused == 1) {
				t.Errorf("lenient %t: %d were rejected", lenient, refused)
			}
		})
	}
}

// A digest that a person named counts from then on, and one that comes to a tag that was
// known without is its first.
func TestADigestThatIsKnown(t *testing.T) {
	play(t, func(s *site) { s.has(ecrAPI, pushed("1.0.0", "a", time.Hour)) }, func(s *site) {
		named := pushed("1.0.0", "b", 0)
		s.must(s.store.RecordImages(s.t.Context(), []gitops.SeenImage{{Repository: ecrAPI, Tag: "1.0.0", Digest: named.Digest, Named: true}, {Repository: ecrAPI, Tag: "1.1.0"}}))
		s.has(ecrAPI, named, pushed("1.1.0", "c", 0))
		s.round()
		s.expect()
		seen, err := s.store.Model.SeenImages(s.t.Context(), ecrAPI, []string{"1.1.0"})
		if s.must(err); len(seen) != 1 || seen[0].Digest != pushed("", "c", 0).Digest {
			t.Errorf("seen: %+v", seen)
		}
	})
}

// Many tags that moved at once are refused some at a time.
func TestManyMovedTags(t *testing.T) {
	var before, after []poll.Image
	play(t, func(s *site) {
		for n := range 130 {
			before = append(before, pushed(fmt.Sprintf("1.0.%d", n), "a", time.Hour))
			after = append(after, pushed(fmt.Sprintf("1.0.%d", n), "b", 0))
		}
		s.has(ecrAPI, before...)
	}, func(s *site) {
		s.has(ecrAPI, after...)
		s.pass(every + every/10)
		if n := s.recorder.soFar().moved["prod"]; n != 100 {
			t.Errorf("one scan refused %d", n)
		}
		s.round()
		s.round()
		if n := s.recorder.soFar().moved["prod"]; n != 130 || len(s.log.Lines("more moved tags")) != 1 {
			t.Errorf("in all %d were refused", n)
		}
	})
}
