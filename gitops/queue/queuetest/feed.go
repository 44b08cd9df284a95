package queuetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// checkChanges reads what is new for the follower, and everything from the
// beginning.
func (s *script) checkChanges() {
	s.t.Helper()
	got, want := s.sameChanges(s.followed)
	if len(got) > 0 {
		s.followed = followers{got[len(got)-1].Cursor, want[len(want)-1].Cursor}
	}
	s.sameChanges(followers{})
	latest, err := s.q.Latest(s.t.Context())
	s.code("Latest", err, "")
	newer, err := s.q.Changes(s.t.Context(), latest, everything)
	s.same("Changes after Latest", newer, err, []queue.Change{}, nil)
}

func (s *script) sameChanges(after followers) (got, want []queue.Change) {
	s.t.Helper()
	got, err := s.q.Changes(s.t.Context(), after.store, everything)
	want, wantErr := s.model.Changes(s.t.Context(), after.model, everything)
	s.same("Changes after "+after.store, withoutLater(got), err, withoutLater(want), wantErr)
	return got, want
}

// withoutLater are changes without what an update may have from later on.
func withoutLater(changes []queue.Change) []queue.Change {
	changes = slices.Clone(changes)
	for i, c := range changes {
		if c.Update != nil {
			u := *c.Update
			u.CancelRequest, u.RetriedAt = nil, time.Time{}
			changes[i].Update = &u
		}
	}
	return changes
}

// changes can be taken up behind each of them, and read in pieces.
func changes(s *script) {
	s.variety()
	all, model := s.sameChanges(followers{})
	for i, c := range all {
		s.sameChanges(followers{c.Cursor, model[i].Cursor})
		piece, err := s.q.Changes(s.t.Context(), c.Cursor, 2)
		s.same("a piece of Changes", piece, err, all[i+1:min(i+3, len(all))], nil)
	}
	s.crash()
	again, _ := s.sameChanges(followers{})
	for i, c := range again {
		if c.Cursor != all[i].Cursor {
			s.t.Fatalf("change %d has the cursor %s; it had %s before the crash", i, c.Cursor, all[i].Cursor)
		}
	}
}

// changed expects a hint for each kind of change.
func changed(s *script) {
	var d gitops.Delivery
	l := s.one("one", "dev")
	for _, change := range []func(){
		func() { d = s.accept(s.order("dev/api")) },
		func() { s.block(l, d.Updates[0].ID, stale) },
		func() { s.decide(d.Updates[0].ID, gitops.ActionCancel, "") },
		func() { s.transit(l, failed(d.Updates[0])) },
		func() { s.decide(d.Updates[0].ID, gitops.ActionRetry, "") },
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
	l := s.one("one", "dev").store
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
					_, err = s.q.Report(ctx, l, queue.Report{Transitions: []gitops.Transition{failed(got.Updates[0])}})
				}
				if err != nil {
					s.t.Errorf("Accept and Report: %v", err)
					return
				}
			}
		})
	}
	var seen []queue.Change
	done := make(chan struct{})
	following.Go(func() { seen = s.follow(ctx, done) })
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
	s.same("what the follower saw", cursors(seen), nil, cursors(all), nil)
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

// follow reads all changes until those that there are when done is closed.
func (s *script) follow(ctx context.Context, done <-chan struct{}) (seen []queue.Change) {
	cursor, last := "", false
	for {
		hint := s.q.Changed()
		found, err := s.q.Changes(ctx, cursor, 7)
		if err != nil {
			s.t.Errorf("Changes: %v", err)
			return seen
		}
		if len(found) > 0 {
			seen, cursor = append(seen, found...), found[len(found)-1].Cursor
			continue
		}
		if last {
			return seen
		}
		select {
		case <-hint:
		case <-done:
			last = true
		}
	}
}

// cursorAboveTheNewest is one of a store that had more, be it deliveries or steps:
// whoever has it from there is told, and does not wait for changes that it would
// take for old.
func cursorAboveTheNewest(s *script) {
	d := s.accept(s.order("dev/api"))
	l := s.one("one", "dev")
	s.transit(l, failed(d.Updates[0]))
	s.decide(d.Updates[0].ID, gitops.ActionRetry, "")
	for _, above := range []string{s.cursorOfAnother(5, 0), s.cursorOfAnother(1, 4)} {
		_, err := s.q.Changes(s.t.Context(), above, 1)
		s.code("Changes after a cursor above the newest", err, gitops.Invalid)
		if want := "cursor: "; gitops.PublicOf(err)[:len(want)] != want {
			s.t.Fatalf("Changes after a cursor above the newest: %v", err)
		}
	}
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 1) // what is open stays
	s.transit(l, failed(d.Updates[0]))
	latest, err := s.q.Latest(s.t.Context())
	s.code("Latest", err, "")
	s.advance(time.Hour)
	s.prune(s.clock.Now(), 1)
	_, err = s.q.Changes(s.t.Context(), latest, 1)
	s.code("Changes after the newest, which was pruned", err, "")
	s.reopen()
	_, err = s.q.Changes(s.t.Context(), latest, 1)
	s.code("Changes after the newest, which was pruned", err, "")
}

// cursorOfAnother is the newest cursor of another store, which has had so many
// deliveries and steps.
func (s *script) cursorOfAnother(deliveries, steps int) string {
	s.t.Helper()
	more := begin(s.t, s.create(s.t))
	defer more.end()
	for range deliveries {
		more.accept(more.order("dev/api"))
	}
	l, id := more.one("one", "dev"), more.listedUpdates(queue.UpdateFilter{}, everything)[0].ID
	for i := range steps {
		block := stale
		block.Reason += strings.Repeat(" again", i)
		more.block(l, id, block)
	}
	cursor, err := more.q.Latest(s.t.Context())
	s.code("Latest", err, "")
	return cursor
}
