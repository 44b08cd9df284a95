package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const everything = 10_000 // more than any script has

func (s *script) checkLists() {
	s.t.Helper()
	s.listed(queue.DeliveryFilter{}, everything)
	s.listedUpdates(queue.UpdateFilter{}, everything)
}

// listed reads the list in pages and compares it with the model's.
func (s *script) listed(f queue.DeliveryFilter, limit int) {
	s.t.Helper()
	got := pages(s, limit, func(p queue.Page) ([]gitops.Delivery, string, error) { return s.q.Deliveries(s.t.Context(), f, p) })
	s.same(fmt.Sprintf("Deliveries %+v by %d", f, limit), got, s.model.listed(f))
}

func (s *script) listedUpdates(f queue.UpdateFilter, limit int) {
	s.t.Helper()
	got := pages(s, limit, func(p queue.Page) ([]gitops.Update, string, error) { return s.q.Updates(s.t.Context(), f, p) })
	s.same(fmt.Sprintf("Updates %+v by %d", f, limit), got, s.model.listedUpdates(f))
}

// pages reads a whole list. A page is full unless it is the last, and the last
// one is empty only when the list is.
func pages[E any](s *script, limit int, read func(queue.Page) ([]E, string, error)) (all []E) {
	s.t.Helper()
	cursor := ""
	for {
		page, next, err := read(queue.Page{Cursor: cursor, Limit: limit})
		s.code("a page", err, "")
		if len(page) > limit || next != "" && len(page) < limit || len(page) == 0 && cursor != "" {
			s.t.Fatalf("a page of %d with %d entries, after %q and before %q", limit, len(page), cursor, next)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

// checkChanges reads what is new for the follower, and everything from the
// beginning.
func (s *script) checkChanges() {
	s.t.Helper()
	if got := s.sameChanges(s.followed, s.model.changes(s.seen)); len(got) > 0 {
		s.followed = got[len(got)-1].Cursor
	}
	s.seen = s.model.happenings
	s.sameChanges("", s.model.changes(0))
	latest, err := s.q.Latest(s.t.Context())
	s.code("Latest", err, "")
	s.sameChanges(latest, nil)
}

func (s *script) sameChanges(after string, want []queue.Change) []queue.Change {
	s.t.Helper()
	got, err := s.q.Changes(s.t.Context(), after, everything)
	s.code("Changes", err, "")
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(queue.Change{}, "Cursor")); diff != "" {
		s.t.Fatalf("Changes after %q: -want +got:\n%s", after, diff)
	}
	return got
}

// steps is an update's story: waits that repeat are one step.
func steps(s *script) {
	d := s.accept(s.order("dev/api", "dev/web"))
	l := s.claim("dev", "one", time.Hour)
	api, web := d.Updates[0].ID, d.Updates[1].ID
	for range 3 {
		s.postpone(l, "the server does not answer", api, web)
		s.advance(time.Minute)
	}
	s.postpone(l, "the server refuses", api)
	s.advance(time.Minute)
	s.postpone(l, "the server does not answer", api)
	s.settle(l, committed(d.Updates[0]), gitops.Settlement{Update: web, State: gitops.Failed, Code: gitops.NotFound, Reason: "no such file"})
	s.retry(web, "ann")
	s.advance(time.Second)
	s.postpone(l, "", web)
	s.settle(l, gitops.Settlement{Update: web, State: gitops.Failed, Code: gitops.NotFound, Reason: "no such file"})
	s.crash()
	got, err := s.q.Update(s.t.Context(), api)
	s.code("Update", err, "")
	if len(got.Steps) != 4 || got.Steps[0].Attempts != 3 || got.Attempts != 6 {
		s.t.Fatalf("six attempts, the first three alike: %+v", got)
	}
}

// variety fills the store with what the filters tell apart.
func (s *script) variety() {
	var updates []gitops.Update
	for i := range 4 {
		updates = append(updates, s.accept(s.order("dev/api", "prod/api", "dev/web")).Updates...)
		updates = append(updates, s.accept(s.event(s.clock.now().Add(time.Duration(-i)*time.Hour), "dev/api", "staging/db")).Updates...)
		for _, outcome := range []gitops.Outcome{gitops.OutcomeIgnored, gitops.OutcomeRejected} {
			d := s.order()
			d.Outcome, d.Reason = outcome, "a reason"
			s.accept(d)
		}
		s.advance(time.Second)
	}
	l := s.claim("dev", "one", time.Minute)
	for i, u := range updates {
		if u.Environment == "dev" && i%3 != 0 {
			state := gitops.States()[1+i%4]
			s.settle(l, gitops.Settlement{Update: u.ID, State: state, Code: gitops.Rejected, Reason: "a reason"})
		}
	}
}

func lists(s *script) {
	for _, limit := range []int{1, 3, everything} {
		s.listed(queue.DeliveryFilter{Source: "github"}, limit)
		s.listedUpdates(queue.UpdateFilter{State: gitops.Pending}, limit)
	}
	s.variety()
	for _, limit := range []int{1, 3, everything} {
		for _, source := range []string{"", "github", "eventbridge", "nobody"} {
			for _, outcome := range []gitops.Outcome{"", gitops.OutcomeAccepted, gitops.OutcomeIgnored, gitops.OutcomeRejected, "nothing"} {
				s.listed(queue.DeliveryFilter{Source: source, Outcome: outcome}, limit)
			}
		}
		for _, environment := range []string{"", "dev", "staging", "prod", "nowhere"} {
			for _, app := range []string{"", "api", "web", "db", "nobody"} {
				for _, state := range append(gitops.States(), "", "nothing") {
					s.listedUpdates(queue.UpdateFilter{Environment: environment, App: app, State: state}, limit)
				}
			}
		}
	}
}

// pagesStandStill reads a page, lets more be accepted, and reads the next.
func pagesStandStill(s *script) {
	s.variety()
	ctx := s.t.Context()
	wantDeliveries, wantUpdates := s.model.listed(queue.DeliveryFilter{}), s.model.listedUpdates(queue.UpdateFilter{App: "api"})
	_, deliveries, err := s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Limit: 2})
	s.code("Deliveries", err, "")
	_, updates, err := s.q.Updates(ctx, queue.UpdateFilter{App: "api"}, queue.Page{Limit: 2})
	s.code("Updates", err, "")
	s.accept(s.order("dev/api"))
	d, _, err := s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Cursor: deliveries, Limit: 2})
	s.code("Deliveries", err, "")
	s.same("the second page of Deliveries", d, wantDeliveries[2:4])
	u, _, err := s.q.Updates(ctx, queue.UpdateFilter{App: "api"}, queue.Page{Cursor: updates, Limit: 2})
	s.code("Updates", err, "")
	s.same("the second page of Updates", u, wantUpdates[2:4])
}

// changes can be taken up behind each of them, and read in pieces.
func changes(s *script) {
	s.variety()
	all := s.sameChanges("", s.model.changes(0))
	for i, c := range all {
		s.sameChanges(c.Cursor, s.model.changes(i+1))
		piece, err := s.q.Changes(s.t.Context(), c.Cursor, 2)
		s.code("Changes", err, "")
		s.same("a piece of Changes", piece, all[i+1:min(i+3, len(all))])
	}
	s.crash()
	s.same("Changes after a crash", s.sameChanges("", s.model.changes(0)), all)
}

// changed expects a hint for each kind of change.
func changed(s *script) {
	var d gitops.Delivery
	l := s.claim("dev", "one", time.Minute)
	for _, change := range []func(){
		func() { d = s.accept(s.order("dev/api")) },
		func() { s.postpone(l, "waiting", d.Updates[0].ID) },
		func() {
			s.settle(l, gitops.Settlement{Update: d.Updates[0].ID, State: gitops.Failed, Code: gitops.Rejected})
		},
		func() { s.retry(d.Updates[0].ID, "ann") },
	} {
		first, second := s.q.Changed(), s.q.Changed()
		change()
		<-first
		<-second
	}
}

// followedWhileItHappens follows what many senders and a lane do at once, and
// must see it as it is seen afterwards.
func followedWhileItHappens(s *script) {
	const senders, each = 8, 25
	ctx := s.t.Context()
	l := s.claim("dev", "one", time.Hour)
	var happening, following sync.WaitGroup
	for range senders {
		var deliveries []gitops.Delivery
		for range each {
			deliveries = append(deliveries, s.order("dev/api"))
		}
		happening.Go(func() {
			for _, d := range deliveries {
				got, _, err := s.q.Accept(ctx, d)
				if err == nil {
					err = s.q.Settle(ctx, l, []gitops.Settlement{committed(got.Updates[0])})
				}
				if err != nil {
					s.t.Errorf("Accept and Settle: %v", err)
					return
				}
			}
		})
	}
	var seen []queue.Change
	done := make(chan struct{})
	following.Go(func() {
		cursor, last := "", false
		for {
			hint := s.q.Changed()
			found, err := s.q.Changes(ctx, cursor, 7)
			if err != nil {
				s.t.Errorf("Changes: %v", err)
				return
			}
			if len(found) > 0 {
				seen, cursor = append(seen, found...), found[len(found)-1].Cursor
				continue
			}
			if last {
				return
			}
			select {
			case <-hint:
			case <-done:
				last = true
			}
		}
	})
	happening.Wait()
	close(done)
	following.Wait()
	all, err := s.q.Changes(ctx, "", everything)
	s.code("Changes", err, "")
	cursors := func(changes []queue.Change) (cursors []string) {
		for _, c := range changes {
			cursors = append(cursors, c.Cursor)
		}
		return cursors
	}
	s.same("what the follower saw", cursors(seen), cursors(all))
	var arrived []string
	for _, c := range all {
		if c.Delivery != nil {
			arrived = append(arrived, c.Delivery.Updates[0].ID)
		} else if !slices.Contains(arrived, c.Update.ID) {
			s.t.Fatalf("update %s went on before its delivery arrived", c.Update.ID)
		}
	}
	if len(arrived) != senders*each || len(all) != 2*senders*each {
		s.t.Fatalf("%d deliveries and %d changes", len(arrived), len(all))
	}
}

func foreignCursors(s *script) {
	s.variety()
	ctx := s.t.Context()
	for _, cursor := range []string{"x", "-1", "1,5", "1.2.3.4", " 1", "01", "999999999999999999999", "\x00"} {
		_, _, deliveries := s.q.Deliveries(ctx, queue.DeliveryFilter{}, queue.Page{Cursor: cursor, Limit: 1})
		_, _, updates := s.q.Updates(ctx, queue.UpdateFilter{}, queue.Page{Cursor: cursor, Limit: 1})
		_, changes := s.q.Changes(ctx, cursor, 1)
		for call, err := range map[string]error{"Deliveries": deliveries, "Updates": updates, "Changes": changes} {
			s.code(call, err, gitops.Invalid)
			if want := "cursor: "; gitops.PublicOf(err)[:len(want)] != want {
				s.t.Fatalf("%s with the cursor %q: %v", call, cursor, err)
			}
		}
	}
}
