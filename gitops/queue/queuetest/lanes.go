package queuetest

import (
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// report is one of each transition that a writer reports, and then nothing.
func report(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "dev/db", "dev/cache", "dev/proxy", "prod/api"))
	l := s.one("one", "dev")
	s.advance(time.Second)
	s.transit(l,
		committed(d.Updates[0]), confirmed(d.Updates[1]), failed(d.Updates[2]),
		gitops.Transition{Update: d.Updates[3].ID, Action: gitops.ActionSupersede, Reason: reported + "superseded by v2"},
		gitops.Transition{Update: d.Updates[4].ID, Action: gitops.ActionCancel, Reason: reported + "not this one", Actor: "ann"})
	s.report(l, queue.Report{})
	s.advance(time.Second)
	s.transit(l, failed(d.Updates[0]), committed(d.Updates[3]), committed(d.Updates[4]))
	s.crash()
}

// transition has what belongs to the action.
func transition(id string, a gitops.Action) gitops.Transition {
	t := gitops.Transition{Update: id, Action: a, Reason: reported + string(a)}
	switch a {
	case gitops.ActionCommit:
		t.Commit, t.Reason = commit, ""
	case gitops.ActionFail:
		t.Code = gitops.NotFound
	case gitops.ActionCancel, gitops.ActionClose:
		t.Actor = "ann"
	}
	return t
}

func reportAllOrNothing(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "prod/api"))
	l := s.one("one", "dev")
	missing := gitops.Update{ID: gitops.UpdateID(d.Key(), "dev", "missing")}
	outage := &queue.Outage{Code: gitops.Unavailable, Reason: reported + "no answer"}
	s.report(l, queue.Report{Outage: outage})
	s.transit(l, committed(d.Updates[0]), committed(d.Updates[2]))
	s.transit(l, committed(d.Updates[0]), committed(missing), committed(d.Updates[1]))
	s.block(l, missing.ID, stale)
	s.block(l, "missing", stale)
	s.report(l, queue.Report{Transitions: []gitops.Transition{committed(d.Updates[0])}, Blocks: []queue.Blocked{{Update: d.Updates[2].ID}}})
	s.report(l, queue.Report{Transitions: []gitops.Transition{committed(d.Updates[0])}, Blocks: []queue.Blocked{{Update: d.Updates[1].ID, BlockedBy: []gitops.Block{stale}}}})
	s.transit(l, committed(d.Updates[0]), committed(d.Updates[1]))
}

// blocks come, repeat, lift by themselves, and are lifted.
func blocks(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	api, web := d.Updates[0].ID, d.Updates[1].ID
	l := s.one("one", "dev")
	for range 3 {
		s.block(l, api, s.refused(time.Minute))
		s.advance(30 * time.Second)
		s.block(l, api, s.refused(time.Minute))
		s.advance(time.Minute)
	}
	s.block(l, web, stale)
	s.block(l, web, stale, s.refused(time.Minute))
	s.crash()
	s.advance(time.Minute)
	s.decide(web, gitops.ActionRetry, "still wanted")
	l = s.one("two", "dev")
	s.block(l, api)
	s.block(l, web, s.refused(time.Minute))
	s.transit(l, committed(d.Updates[0]), failed(d.Updates[1]))
	s.decide(web, gitops.ActionRetry, "")
	got, err := s.q.Update(s.t.Context(), api)
	s.code("Update", err, "")
	if len(got.Steps) != 3 || got.Steps[0].Attempts != 6 || got.Attempts != 8 {
		s.t.Fatalf("eight reports, the first six alike: %+v", got)
	}
}

func outages(s *script) {
	d := s.accept(s.order("dev/api", "dev/web", "prod/api"))
	l := s.one("one", "dev")
	outage := queue.Report{Outage: &queue.Outage{Code: gitops.Unavailable, Reason: reported + "no answer", RetryAt: s.clock.Now().Add(time.Minute)}}
	s.report(l, outage)
	s.advance(time.Second)
	outage.Outage = &queue.Outage{Repository: "pay", Code: gitops.RateLimited, Reason: reported + "too many"}
	s.report(l, outage)
	s.crash()
	l = s.one("two", "dev")
	outage.Transitions = []gitops.Transition{confirmed(d.Updates[0])}
	s.report(l, outage)
	s.report(l, queue.Report{})
	s.advance(time.Second)
	s.report(l, queue.Report{Outage: outage.Outage})
	s.transit(l, committed(d.Updates[1]))
	idle := s.one("two", "idle")
	s.report(idle, queue.Report{Outage: outage.Outage})
	s.accept(s.order("idle/api"))
	s.report(idle, queue.Report{})
}

// takeLimit bounds what is ready and what is to be cancelled, each by itself.
func takeLimit(s *script) {
	for range 3 {
		s.accept(s.order("dev/api", "dev/web", "prod/api"))
	}
	l := s.one("one", "dev")
	takes := func() {
		for limit := 1; limit < 8; limit++ {
			s.checkTake(l, queue.TakeOptions{Limit: limit})
			s.checkTake(l, queue.TakeOptions{Limit: limit, NewestOnly: true})
			s.checkTake(l, queue.TakeOptions{Limit: limit, Except: []string{"web", "cache"}})
			s.checkTake(l, queue.TakeOptions{Limit: limit, NewestOnly: true, Except: []string{"web", "cache"}})
		}
	}
	takes()
	waiting := s.accept(s.order("dev/db", "dev/cache", "dev/mail")).Updates
	for _, u := range waiting {
		s.block(l, u.ID, stale)
		s.decide(u.ID, gitops.ActionCancel, "not this one")
	}
	takes()
	taken := s.checkTake(l, queue.TakeOptions{Limit: 2})
	if len(taken) != 4 || taken[3].ID != waiting[1].ID {
		s.t.Fatalf("with a limit of two, %d updates are taken: %+v", len(taken), taken)
	}
	// A block that has lifted is as good as none, and a cancellation is carried out in any
	// case.
	taken = s.checkTake(l, queue.TakeOptions{Limit: 5, Except: []string{"api", "web", "db"}})
	if len(taken) != 3 {
		s.t.Fatalf("without the apps that are ready, %d updates are taken: %+v", len(taken), taken)
	}
	api := s.accept(s.order("dev/api")).Updates[0]
	s.block(l, api.ID, s.refused(time.Second))
	s.advance(time.Second)
	s.checkTake(l, queue.TakeOptions{Limit: 9, Except: []string{"web"}})
	s.checkTake(l, queue.TakeOptions{Limit: 9, Except: []string{"api"}})
	s.checkTake(l, queue.TakeOptions{Limit: 9, Except: []string{"api"}, Unresolved: []string{api.ID, waiting[0].ID}})
}

// wake expects a hint for each lane that got something to take, whether its channel
// was there before or not.
func wake(s *script) {
	dev := s.q.Wake("dev")
	d := s.accept(s.order("dev/api", "prod/api"))
	<-dev
	<-s.q.Wake("prod")
	for range 3 {
		s.accept(s.order("dev/api"))
	}
	<-dev
	l, id := s.one("one", "dev"), d.Updates[0].ID
	s.decide(id, gitops.ActionCancel, "")
	<-dev
	s.block(l, id, stale)
	s.decide(id, gitops.ActionRetry, "")
	<-dev
	s.block(l, id, stale)
	s.block(l, id)
	<-dev
	web := s.accept(s.order("dev/web")).Updates[0]
	<-dev
	s.transit(l, failed(web))
	s.decide(web.ID, gitops.ActionRetry, "")
	<-dev
	for range 3 { // on whichever replica it is asked for
		s.code("Nudge", s.q.Nudge(s.t.Context(), []string{"dev", "nowhere"}), "")
		<-dev
		<-s.q.Wake("nowhere")
	}
	s.code("Nudge", s.q.Nudge(s.t.Context(), nil), "")
	s.check()
}

// manyBlocked fills a lane with what waits: what is ready is found all the same.
func manyBlocked(s *script) {
	const many = 700 // more than a lane writes in one go
	var targets []string
	for i := range many {
		targets = append(targets, fmt.Sprintf("dev/app-%d", i))
	}
	d := s.order(targets...)
	stored, _, err := s.q.Accept(s.t.Context(), d)
	s.code("Accept", err, "")
	leases, err := s.q.Claim(s.t.Context(), "one", []string{"dev"}, time.Hour)
	s.code("Claim", err, "")
	var r queue.Report
	for i, u := range stored.Updates {
		b := stale
		if i%2 == 0 {
			b = s.refused(time.Minute)
		}
		r.Blocks = append(r.Blocks, queue.Blocked{Update: u.ID, BlockedBy: []gitops.Block{b}})
	}
	_, err = s.q.Report(s.t.Context(), leases[0], r)
	s.code("Report", err, "")
	ready, _, err := s.q.Accept(s.t.Context(), s.order("dev/web"))
	s.code("Accept", err, "")
	for _, o := range []queue.TakeOptions{{Limit: 500}, {Limit: 500, NewestOnly: true}} {
		got, err := s.q.Take(s.t.Context(), leases[0], o)
		s.same("Take behind many that are blocked", got, err, ready.Updates, nil)
	}
	s.clock.Pass(time.Minute)
	got, err := s.q.Take(s.t.Context(), leases[0], queue.TakeOptions{Limit: many})
	s.code("Take", err, "")
	if len(got) != many/2+1 || got[len(got)-1].ID != ready.Updates[0].ID {
		s.t.Fatalf("after half of the blocks have lifted, %d updates are taken", len(got))
	}
}
