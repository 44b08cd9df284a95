package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// pushed is a delivery of an image that was pushed.
func (s *script) pushed(tag string, targets ...string) gitops.Delivery {
	d := s.order(targets...)
	d.Principal = "push:eventbridge/123456789012"
	for i := range d.Updates {
		d.Updates[i].Tag, d.Updates[i].OnlyUp = tag, true
	}
	return d
}

// onlyUp holds a store to the words with which it keeps a lower version out: both
// versions, where the higher one is, and what to do.
func onlyUp(s *script) {
	higher := s.accept(s.pushed("v1.10.0", "prod/api")).Updates[0]
	keptOut := func(text string, u gitops.Update, where string) {
		s.t.Helper()
		s.same("the reason", text, nil, gitops.LowerThan(u, "v1.10.0", fmt.Sprintf("is %s (update %s)", where, higher.ID)), nil)
	}
	arrives := func(tag, where string) {
		s.t.Helper()
		u := s.accept(s.pushed(tag, "prod/api")).Updates[0]
		keptOut(u.Reason, u, where)
	}
	retries := func(u gitops.Update, where string) {
		s.t.Helper()
		_, err := s.q.Decide(s.t.Context(), queue.Decision{Update: u.ID, Action: gitops.ActionRetry, Actor: "ann"})
		s.code("Decide", err, gitops.Conflict)
		keptOut(gitops.PublicOf(err), u, where)
	}
	arrives("1.9.0", "pending")

	l := s.one("one", "prod")
	s.transit(l, failed(higher))
	lower := s.accept(s.pushed("1.9.1", "prod/api")).Updates[0]
	s.transit(l, failed(lower))
	s.decide(higher.ID, gitops.ActionRetry, "the file is there")
	retries(lower, "pending")

	s.transit(l, gitops.Transition{Update: higher.ID, Action: gitops.ActionPropose, Reason: reported + "open"})
	arrives("1.9.2", "proposed")
	s.crash()
	retries(lower, "proposed")

	s.transit(s.one("two", "prod"), committed(higher))
	s.crash()
	arrives("1.9.3", "on the branch")
	retries(lower, "on the branch")
}

// onlyUpPastBad pushes the fix of a version that is marked as bad: that keeps no lower one
// out, neither while it waits, held for good, nor from the branch, nor in the same
// transaction. In another environment, and when the mark is lifted, it does.
func onlyUpPastBad(s *script) {
	arrives := func(tag, target string, want gitops.State) gitops.Update {
		s.t.Helper()
		u := s.accept(s.pushed(tag, target)).Updates[0]
		if u.State != want {
			s.t.Errorf("%s of %s is %s (%s); want %s", tag, target, u.State, u.Reason, want)
		}
		return u
	}
	l := s.one("one", "prod")
	s.transit(l, committed(arrives("1.5.0", "prod/api", gitops.Pending)))
	bad := arrives("1.6.0", "prod/api", gitops.Pending)
	arrives("1.6.0", "dev/api", gitops.Pending)
	arrives("1.5.1", "prod/api", gitops.Superseded)
	mark := s.hold(badOf("api", "1.6.0", "prod", "qa"))
	arrives("1.5.1", "dev/api", gitops.Superseded)
	failing := arrives("1.5.2", "prod/api", gitops.Pending)
	s.crash()
	l = s.one("two", "prod")
	arrives("1.5.1", "prod/api", gitops.Superseded) // 1.5.2 waits
	s.transit(l, failed(failing))
	s.decide(failing.ID, gitops.ActionRetry, "the file is there")
	s.transit(l, failed(failing), committed(bad))
	s.decide(failing.ID, gitops.ActionRetry, "and is on the branch")
	s.transit(l, failed(failing))
	s.lift(mark.ID)
	_, err := s.q.Decide(s.t.Context(), queue.Decision{Update: failing.ID, Action: gitops.ActionRetry, Actor: "ann"})
	s.code("Decide", err, gitops.Conflict)
	arrives("1.5.3", "prod/api", gitops.Superseded)
	s.hold(badOf("api", "1.6.0"))
	arrives("1.5.3", "prod/api", gitops.Pending)
}

// onlyUpOutOfOrder delivers the same pushes in every order: the highest version wins. An
// order ends that, and the store says why a push from before it is not written.
func onlyUpOutOfOrder(s *script) {
	at := s.clock.Now().Add(-time.Hour)
	tags := []string{"1.9.5", "2.0.0", "1.10.0"}
	for i, arrival := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		target := fmt.Sprintf("prod/app-%d", i)
		pushed := func(n int) gitops.Update {
			d := s.pushed(tags[n], target)
			d.Source, d.EventTime = "eventbridge", at.Add(time.Duration(len(tags)-n)*time.Minute)
			return s.accept(d).Updates[0]
		}
		var highest gitops.Update
		s.quiet = true // one check for each order in which they arrive
		for _, n := range arrival {
			if u := pushed(n); u.State == gitops.Pending {
				highest = u // of those that will be written it is the last
			}
		}
		if highest.Tag != "2.0.0" {
			s.t.Errorf("arrival %v: %s is accepted last", arrival, highest.Tag)
		}
		order := s.order(target)
		order.Principal = "dispatch:1"
		s.accept(order)
		s.crash()
		u := pushed(1)
		head, err := s.model.Head(s.t.Context(), u.Environment, u.App)
		s.same("the reason", u.Reason, err, head.LateBehind(u, order.ReceivedAt), nil)
		s.quiet = false
		s.check()
	}
}

// onlyUpAtOnce sends rising and falling versions at once, as many as fit into one
// transaction: of those that were accepted each is higher than all before it.
func onlyUpAtOnce(s *script) {
	const senders = 60
	deliveries := make([]gitops.Delivery, senders)
	for i := range deliveries {
		deliveries[i] = s.pushed(fmt.Sprintf("1.%d.0", (i*37)%senders), "prod/api")
	}
	var all sync.WaitGroup
	accepted := make([]gitops.Update, senders)
	for i, d := range deliveries {
		all.Go(func() {
			got, _, err := s.q.Accept(s.t.Context(), d)
			if err != nil {
				s.t.Errorf("Accept: %v", err)
				return
			}
			accepted[i] = got.Updates[0]
		})
	}
	all.Wait()
	slices.SortFunc(accepted, func(a, b gitops.Update) int { return int(a.Sequence - b.Sequence) })
	highest, superseded := "", 0
	for _, u := range accepted {
		want := gitops.Pending
		if gitops.LowerVersion(u.Tag, highest) {
			want = gitops.Superseded
			superseded++
		} else {
			highest = u.Tag
		}
		if u.State != want {
			s.t.Errorf("%s is %s after %s: %s", u.Tag, u.State, highest, u.Reason)
		}
	}
	if superseded == 0 || highest != "1.59.0" {
		s.t.Errorf("%d were superseded, and the highest is %s", superseded, highest)
	}
}
