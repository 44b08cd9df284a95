package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// marked fails unless exactly these updates are pending and marked MaybePushed.
func (s *script) marked(want ...gitops.Update) {
	s.t.Helper()
	ids := func(updates []gitops.Update) (ids []string) {
		for _, u := range updates {
			ids = append(ids, u.ID)
		}
		return ids
	}
	var got []gitops.Update
	for _, u := range s.model.pending("dev") {
		u, err := s.q.Update(s.t.Context(), u.ID)
		s.code("Update", err, "")
		if u.MaybePushed {
			got = append(got, u)
		}
	}
	s.same("marked", ids(got), ids(want))
}

func leaseRanOut(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	s.claim("dev", "one", time.Second)
	s.marked()
	s.advance(time.Minute)
	s.marked()
	s.claim("dev", "two", time.Minute)
	s.marked(d.Updates...)
	s.accept(s.order("dev/db"))
	s.marked(d.Updates...)
}

func uncleanRelease(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "prod/api"))
	l := s.claim("dev", "one", time.Minute)
	s.settle(l, committed(d.Updates[0]))
	s.release(l, false)
	later := s.accept(s.order("dev/db"))
	s.claim("dev", "two", time.Minute)
	s.marked(d.Updates[1], later.Updates[0])
}

func afterCrash(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	s.claim("dev", "one", time.Minute)
	s.crash()
	s.advance(2 * time.Minute)
	l := s.claim("dev", "two", time.Minute)
	s.marked(d.Updates...)
	s.settle(l, committed(d.Updates[0]))
	s.crash()
	s.claim("dev", "two", time.Minute)
	s.marked(d.Updates[1])
}

func closeWithoutRelease(s *script) {
	d := s.accept(s.order("dev/api"))
	s.claim("dev", "one", time.Minute)
	s.reopen()
	s.advance(2 * time.Minute)
	s.claim("dev", "two", time.Minute)
	s.marked(d.Updates...)
}

// staysMarked is what a clean release must not do: it vouches for what its own
// holder pushed, and an update that this holder never came to may still be on the
// branch from before.
func staysMarked(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	s.claim("dev", "one", time.Second)
	s.advance(time.Minute)
	l := s.claim("dev", "two", time.Minute)
	s.settle(l, committed(d.Updates[0]))
	s.release(l, true)
	later := s.accept(s.order("dev/db"))
	l = s.claim("dev", "three", time.Minute)
	s.marked(d.Updates[1])
	s.release(l, true)
	s.reopen()
	l = s.claim("dev", "four", time.Minute)
	s.marked(d.Updates[1])
	s.settle(l, committed(d.Updates[1]))
	s.marked()
	s.release(l, false)
	s.claim("dev", "five", time.Minute)
	s.marked(later.Updates...)
}
