package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

func (s *script) retry(id, actor string) {
	s.t.Helper()
	want := s.model.mayRetry(id)
	got, err := s.q.Retry(s.t.Context(), id, actor)
	s.code("Retry", err, want)
	if want == "" {
		s.model.retry(id, actor, s.clock.now())
		s.same("Retry", got, s.model.story(id))
	}
	s.check()
}

func (s *script) prune(before time.Time, limit int) {
	s.t.Helper()
	got, err := s.q.Prune(s.t.Context(), before, limit)
	s.code("Prune", err, "")
	s.same("Prune", got, s.model.prune(before, limit))
	s.check()
}

// spend uses a credential before its time is over.
func (s *script) spend(credential string, by gitops.DeliveryKey) {
	s.t.Helper()
	first, used := s.model.spent[credential]
	var want gitops.Code
	switch {
	case !used:
		s.model.spent[credential] = by
	case first != by:
		want = gitops.Conflict
	}
	s.code("Spend", s.q.Spend(s.t.Context(), credential, by, s.clock.now().Add(time.Hour)), want)
}

func failed(u gitops.Update) gitops.Settlement {
	return gitops.Settlement{Update: u.ID, State: gitops.Failed, Code: gitops.NotFound, Reason: "no such file"}
}

func retry(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db", "prod/api"))
	l := s.claim("dev", "one", time.Minute)
	s.retry("nobody", "ann")
	s.retry(d.Updates[0].ID, "ann") // it waits
	s.settle(l, failed(d.Updates[0]), committed(d.Updates[1]), gitops.Settlement{Update: d.Updates[2].ID, State: gitops.Unchanged})
	for _, u := range d.Updates {
		s.retry(u.ID, "ann")
	}
	<-s.q.Wake("dev")
	s.retry(d.Updates[0].ID, "ann")
	s.settle(l, committed(d.Updates[0]))
	s.crash()
	s.retry(d.Updates[0].ID, "ann")
}

// retryBehindNewer is about updates of the same app that came later.
func retryBehindNewer(s *script) {
	old := s.accept(s.order("dev/api")).Updates[0]
	l := s.claim("dev", "one", time.Hour)
	s.settle(l, failed(old))
	late := s.accept(s.event(s.clock.now().Add(-time.Hour), "dev/api")).Updates[0]
	s.retry(late.ID, "ann") // it was superseded
	s.accept(s.order("dev/web", "prod/api"))
	s.retry(old.ID, "ann") // others, and one that will not be written, are not in its way
	s.settle(l, failed(old))

	newer := s.accept(s.order("dev/api")).Updates[0]
	s.retry(old.ID, "ann")
	s.settle(l, failed(newer))
	s.retry(old.ID, "ann")
	s.retry(newer.ID, "ann")
	s.settle(l, failed(old), committed(newer))
	s.retry(old.ID, "ann")
	newest := s.accept(s.order("dev/api")).Updates[0]
	s.settle(l, gitops.Settlement{Update: newest.ID, State: gitops.Unchanged})
	s.retry(old.ID, "ann")
}

// retryKeepsItsPlace is an update that goes before those that were accepted
// while it had failed.
func retryKeepsItsPlace(s *script) {
	first := s.accept(s.order("dev/api")).Updates[0]
	l := s.claim("dev", "one", time.Hour)
	s.settle(l, failed(first))
	s.accept(s.order("dev/web"))
	s.retry(first.ID, "ann")
	got, err := s.q.Pending(s.t.Context(), l, 1)
	s.code("Pending", err, "")
	if len(got) != 1 || got[0].ID != first.ID {
		s.t.Fatalf("the lane's first is %+v", got)
	}
	s.crash()
}

func known(s *script) {
	s.variety()
	for _, source := range []string{"github", "eventbridge", "nobody"} {
		ids := s.model.ids(source)
		asked := append([]string{"nobody"}, ids...)
		got, err := s.q.Known(s.t.Context(), source, asked)
		s.code("Known", err, "")
		s.same("Known", got, ids)
	}
	got, err := s.q.Known(s.t.Context(), "github", nil)
	s.code("Known", err, "")
	s.same("Known of none", got, []string{})
}

func marks(s *script) {
	mark := func(name, want string) {
		s.t.Helper()
		got, err := s.q.Mark(s.t.Context(), name)
		s.code("Mark", err, "")
		s.same("Mark "+name, got, want)
	}
	set := func(name, value string) {
		s.t.Helper()
		s.code("SetMark", s.q.SetMark(s.t.Context(), name, value), "")
		mark(name, value)
	}
	mark("github", "")
	set("github", "1")
	set("other", "x'; --")
	set("github", "2")
	s.crash()
	mark("github", "2")
	mark("other", "x'; --")
	set("github", "")
}

func spend(s *script) {
	first, second := gitops.DeliveryKey{Source: "oidc", ID: "1"}, gitops.DeliveryKey{Source: "oidc", ID: "2"}
	s.spend("a", first)
	s.spend("a", first)
	s.spend("a", second)
	s.spend("b", second)
	s.crash()
	s.spend("a", second)
	s.spend("a", first)
	s.advance(30 * time.Minute)
	s.prune(s.clock.now(), 100) // their time is not over
	s.spend("a", second)
	s.advance(30 * time.Minute)
	s.prune(s.clock.now(), 100)
	clear(s.model.spent)
	s.spend("a", second)
	s.spend("a", first)
}

// prune forgets what is old and has ended, and nothing else.
func prune(s *script) {
	began := s.clock.now()
	s.variety()
	ended := s.accept(s.order("dev/cache", "dev/proxy"))
	s.advance(time.Minute)
	l := s.claim("dev", "two", time.Minute)
	s.postpone(l, "waiting", ended.Updates[0].ID)
	s.settle(l, committed(ended.Updates[0]), failed(ended.Updates[1]))
	middle := s.clock.now()
	s.advance(time.Hour)
	s.accept(s.order("dev/api"))

	s.prune(began, 100) // arrived at that time, not before
	s.prune(middle, 3)
	s.prune(middle, 3)
	s.prune(middle, 100)
	if _, err := s.q.Delivery(s.t.Context(), ended.Key()); err != nil {
		s.t.Fatalf("a delivery whose updates ended at the time itself: %v", err)
	}
	s.prune(middle.Add(time.Second), 100)
	_, err := s.q.Delivery(s.t.Context(), ended.Key())
	s.code("Delivery after Prune", err, gitops.NotFound)
	_, err = s.q.Update(s.t.Context(), ended.Updates[0].ID)
	s.code("Update after Prune", err, gitops.NotFound)
	s.settle(l, committed(ended.Updates[0]))
	s.retry(ended.Updates[1].ID, "ann")
	if len(s.model.deliveries) < 2 {
		s.t.Fatal("nothing was kept that this test is about")
	}
	s.crash()
	s.accept(ended) // its key is not known any more
}

func pruneKeepsWhatDecides(s *script) {
	d := s.accept(s.order("dev/api"))
	s.settle(s.claim("dev", "one", time.Minute), committed(d.Updates[0]))
	s.advance(time.Hour)
	s.prune(s.clock.now(), 100)
	s.reopen()
	late := s.accept(s.event(s.clock.now().Add(-2*time.Hour), "dev/api"))
	if late.Updates[0].State != gitops.Superseded {
		s.t.Fatalf("an event older than the newest, which was pruned, is %s", late.Updates[0].State)
	}
}

// pruneKeepsWhatRetryAsks is a failed update that stays because another of its
// delivery ended late, while a newer one that is on the branch would have to go.
func pruneKeepsWhatRetryAsks(s *script) {
	old := s.accept(s.order("dev/api", "prod/api"))
	newer := s.accept(s.order("dev/api"))
	dev, prod := s.claim("dev", "one", time.Hour), s.claim("prod", "one", time.Hour)
	s.settle(dev, failed(old.Updates[0]), committed(newer.Updates[0]))
	s.advance(time.Minute)
	before := s.clock.now()
	s.prune(before, 100)
	s.retry(old.Updates[0].ID, "ann")
	s.settle(prod, committed(old.Updates[1]))
	s.prune(before, 100)
	s.retry(old.Updates[0].ID, "ann")
	s.advance(time.Minute)
	s.prune(s.clock.now(), 100)
	s.prune(s.clock.now(), 100)
	if len(s.model.deliveries) > 0 {
		s.t.Fatal("what nothing is kept for has stayed")
	}
}

// prunedNumbersStayGone empties the store: what comes afterwards still comes
// after what was there.
func prunedNumbersStayGone(s *script) {
	for range 3 {
		d := s.accept(s.order("dev/api"))
		l := s.claim("dev", "one", time.Minute)
		s.settle(l, committed(d.Updates[0]))
		s.advance(time.Hour)
		s.prune(s.clock.now(), 100)
		s.release(l, true)
		s.reopen()
		late := s.order()
		late.Outcome, late.Reason = gitops.OutcomeIgnored, "a ping"
		s.accept(late)
	}
}
