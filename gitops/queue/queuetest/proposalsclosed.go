package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// tagged is an order of a tag of api in dev, by automation or by a person.
func (s *script) tagged(tag, principal string) gitops.Update {
	s.t.Helper()
	d := s.order("dev/api")
	d.Principal, d.Updates[0].Tag = principal, tag
	return s.accept(d).Updates[0]
}

const (
	automation = "push:eventbridge/1"
	aPerson    = "token:ann"
)

// before fails unless Take says of an update that the proposal of this one was closed; ""
// is none.
func (s *script) before(l lent, u gitops.Update, want string) *gitops.ClosedBefore {
	s.t.Helper()
	for _, taken := range s.checkTake(l, queue.TakeOptions{Limit: everything}) {
		if taken.ID != u.ID {
			continue
		}
		c := taken.ClosedBefore
		if (c == nil) != (want == "") || c != nil && c.Update != want {
			s.t.Fatalf("update %s of %s: closed before is %+v; want %q", u.ID, u.Tag, c, want)
		}
		return c
	}
	s.t.Fatalf("update %s is not taken", u.ID)
	return nil
}

// close proposes an update, and has a person close that.
func (s *script) close(l lent, u gitops.Update, number int) {
	s.t.Helper()
	p := s.proposalOf(number)
	s.propose(l, []queue.Proposed{{Update: u.ID, Proposal: p}}, proposed(u))
	s.propose(l, []queue.Proposed{{Update: u.ID, Proposal: s.ended(p, "bo")}}, closedBy(u))
	s.advance(time.Second)
}

// closedBefore has a person close the proposal of a tag, which is asked for again.
func closedBefore(s *script) {
	l := s.one("one", "dev")
	refused := s.tagged("v2", automation)
	s.before(l, refused, "")
	s.close(l, refused, 1)
	again := s.tagged("v2", automation)
	c := s.before(l, again, refused.ID)
	if c.By != "bo" || c.URL != s.proposalOf(1).URL || !c.At.Equal(began) {
		s.t.Fatalf("closed before is %+v", c)
	}
	s.crash()
	l = s.one("two", "dev")
	s.transit(l, closedBy(again))
	s.advance(time.Second)
	third := s.tagged("v2", automation)
	s.before(l, third, refused.ID) // whose proposal a person closed, and not the one that followed
	for _, other := range []gitops.Update{s.tagged("V2", automation), s.tagged("v2.0", automation), s.tagged("v2", aPerson)} {
		s.before(l, other, "")
	}
	d := s.order("dev/web", "prod/api")
	d.Principal, d.Updates[0].Tag, d.Updates[1].Tag = automation, "v2", "v2"
	elsewhere := s.accept(d).Updates
	s.before(l, elsewhere[0], "")
	s.before(s.one("two", "prod"), elsewhere[1], "")
}

// closedAndRetried has a person retry what was asked for before and after the proposal of
// its tag was closed.
func closedAndRetried(s *script) {
	l := s.one("one", "dev")
	older := s.tagged("v2", automation)
	s.transit(l, failed(older))
	refused := s.tagged("v2", automation)
	s.close(l, refused, 1)
	s.decide(older.ID, gitops.ActionRetry, "")
	s.before(l, older, "") // a person has asked for it since
	s.advance(time.Second)
	s.close(l, s.tagged("v2", aPerson), 2) // supersedes it
	last := s.tagged("v2", automation)
	s.block(l, last.ID, stale)
	s.decide(last.ID, gitops.ActionRetry, "")
	s.before(l, last, "")
	s.reopen()
}

// closedAndWritten writes an app after the proposal of a tag was closed.
func closedAndWritten(s *script) {
	l := s.one("one", "dev")
	first, refused := s.tagged("v1", automation), s.tagged("v2", automation)
	s.close(l, refused, 1) // supersedes the first
	s.transit(l, committed(first))
	again := s.tagged("v2", automation)
	s.before(l, again, refused.ID) // what was written is older
	s.transit(l, committed(s.tagged("v1.1", aPerson)))
	last := s.tagged("v2", automation)
	s.before(l, last, "")
	s.close(l, last, 2)
	s.before(l, s.tagged("v2", automation), last.ID)
	s.transit(l, committed(s.tagged("v3", automation)))
	s.prune(s.clock.Now().Add(time.Hour), everything)
	s.before(l, s.tagged("v2", automation), "")
}
