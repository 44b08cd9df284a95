package poll_test

import (
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/poll"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Of tags that are no versions, such as main-<sha>, the one that was pushed last is
// ordered, with the time of its push: not the highest text, whatever its list's order, and
// whatever the image says of when it was created, which reproducible builds set to 1970.
func TestThePushDecidesAndNotTheText(t *testing.T) {
	play(t, func(s *site) { s.has(ecrAPI, pushed("main-aaa", "a", time.Hour)) }, func(s *site) {
		newest := pushed("main-000", "b", time.Minute)
		s.has(ecrAPI, pushed("main-fff", "c", 2*time.Minute), newest, pushed("main-eee", "d", 3*time.Minute), pushed("main-bbb", "e", 30*time.Minute))
		s.round()
		s.expect("registry dev api main-000")
		if d := s.deliveries()[0]; !d.EventTime.Equal(newest.PushedAt) {
			t.Errorf("it happened at %s, and the image was pushed at %s", d.EventTime, newest.PushedAt)
		}
		s.round()
		s.expect()
	})
}

// A list without times says nothing of tags that are no versions.
func TestTagsWithoutOrderAreNotOrdered(t *testing.T) {
	play(t, func(s *site) {
		s.config.Apps["web"] = policy.App{Repository: ghcr}
		s.has(ghcr, of("main-aaa")...)
	}, func(s *site) {
		s.has(ghcr, of("main-aaa", "main-fff")...)
		s.round()
		s.expect()
	})
}

// An old image gets a new tag, whose time is that of the image. By version it is ordered; by
// match it is left to events, and the log says so once.
func TestAnOldImageUnderANewTag(t *testing.T) {
	play(t, func(s *site) { s.has(ecrAPI, pushed("main-aaa", "a", time.Hour), pushed("1.0.0", "a", time.Hour)) }, func(s *site) {
		s.event("main-bbb", "b", now().Add(-time.Minute))
		s.has(ecrAPI, pushed("main-aaa", "a", time.Hour), pushed("main-ccc", "a", time.Hour), pushed("1.1.0", "a", time.Hour))
		s.round()
		s.round()
		s.expect("eventbridge dev api main-bbb", "registry prod api 1.1.0")
		if lines := s.log.Lines(`"tag":"main-ccc"`, `"environment":"dev"`, "its image was pushed before what was accepted last"); len(lines) != 1 {
			t.Errorf("logged %q", lines)
		}
		if d := s.deliveries()[0]; d.Updates[0].Tag != "1.1.0" || !d.EventTime.IsZero() {
			t.Errorf("a version has the time %s", d.EventTime)
		}
	})
}

// What was ordered without a time of its own, by a person or not, is newer than an image that
// was pushed before.
func TestAnImageFromBeforeAnOrder(t *testing.T) {
	play(t, func(s *site) { s.has(ecrAPI, pushed("main-aaa", "a", time.Hour)) }, func(s *site) {
		lost := pushed("main-fff", "b", 5*time.Minute)
		s.event("main-aaa", "a", time.Time{})
		s.has(ecrAPI, lost)
		s.round()
		s.expect("eventbridge dev api main-aaa")
		lost = pushed("main-ffe", "b", 5*time.Minute)
		_, _, err := s.site().Intake.Accept(s.t.Context(), webhook.Inbound{Event: gitops.Event{Delivery: gitops.DeliveryKey{Source: "api", ID: "1"}, Principal: ops,
			Orders: []gitops.Order{{App: "api", Environment: "dev", Tag: "main-aaa"}}}})
		s.must(err)
		s.has(ecrAPI, lost)
		s.round()
		s.expect("api dev api main-aaa")
		s.has(ecrAPI, lost, pushed("main-ddd", "c", 0))
		s.round()
		s.expect("registry dev api main-ddd")
	})
}

// One tag that an environment takes as a version, and another by its push, is two
// deliveries: a version has no time by which it could be late.
func TestOneTagByVersionAndByPush(t *testing.T) {
	play(t, func(s *site) {
		s.config.Environments["qa"], s.polls["qa"] = policy.Environment{Tags: policy.TagRule{Match: "[0-9.]+"}}, poll.Environment{Every: every}
		s.has(ecrAPI, pushed("1.0.0", "a", time.Hour))
	}, func(s *site) {
		s.has(ecrAPI, pushed("1.1.0", "b", 0))
		s.round()
		if got := s.took(); len(got) != 2 {
			t.Errorf("accepted %q", got)
		}
		if s.recorder.soFar().ordered["qa"] != 1 || s.recorder.soFar().ordered["prod"] != 1 {
			t.Errorf("counted %v", s.recorder.soFar().ordered)
		}
	})
}

// A person's order is newer than a version that was pushed before it and that no event told of,
// as it is than an event that comes late. What was pushed afterwards is newer than the order.
func TestAVersionFromBeforeAPersonsOrder(t *testing.T) {
	play(t, func(s *site) { s.has(ecrAPI, pushed("1.0.0", "a", time.Hour)) }, func(s *site) {
		lost := pushed("1.1.0", "b", 5*time.Minute)
		_, _, err := s.site().Intake.Accept(s.t.Context(), webhook.Inbound{Event: gitops.Event{Delivery: gitops.DeliveryKey{Source: "api", ID: "1"}, Principal: ops,
			Orders: []gitops.Order{{App: "api", Environment: "prod", Tag: "1.0.0"}}}})
		s.must(err)
		s.has(ecrAPI, lost)
		s.round()
		s.round()
		s.expect("api prod api 1.0.0")
		if lines := s.log.Lines(`"tag":"1.1.0"`, `"environment":"prod"`, "its image was pushed before what was accepted last"); len(lines) != 1 {
			t.Errorf("logged %q", lines)
		}
		s.has(ecrAPI, lost, pushed("1.2.0", "c", 0))
		s.round()
		s.expect("registry prod api 1.2.0")
	})
}
