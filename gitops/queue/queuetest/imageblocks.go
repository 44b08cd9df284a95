package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// imageSince is since when an image is missing, as the lane is told that takes the update
// again: that of the block with an end that was last reported.
func imageSince(s *script) {
	u := s.accept(s.order("dev/api")).Updates[0]
	l := s.one("one", "dev")
	start := s.clock.Now()
	is := func(why string, want time.Time) {
		s.t.Helper()
		s.rejudge(gitops.BlockImage, "dev")
		if got := s.taken(l); !got.ImageSince.Equal(want) || got.ImageSince.Location() != time.UTC {
			s.t.Fatalf("%s: the image is missing since %s; want %s", why, got.ImageSince, want)
		}
	}
	is("nothing was reported", time.Time{})
	s.block(l, u.ID, s.absent(time.Hour))
	is("at the same moment", start)
	s.advance(time.Minute)
	again := s.absent(time.Hour)
	s.block(l, u.ID, again)
	s.advance(time.Minute)
	is("the same was reported again, and another process takes it", start)
	s.crash()
	l = s.one("two", "dev")
	is("the process died", start)

	s.block(l, u.ID, unknown)
	s.advance(time.Minute)
	is("the registry did not answer since", time.Time{})
	s.block(l, u.ID, unknown)
	is("and is still away", time.Time{})

	known := s.absent(time.Minute)
	known.Since = start
	s.block(l, u.ID, known)
	is("it was missing before the registry was away", start)
	s.block(l, u.ID, known)
	s.advance(time.Hour)
	if got := s.taken(l); !got.ImageSince.Equal(start) || len(got.BlockedBy) > 0 {
		s.t.Fatalf("when its time is over, taken is %+v", got)
	}
	later := s.absent(time.Hour)
	later.Reason, later.Since = reported+"a clock that is ahead", s.clock.Now().Add(time.Minute)
	s.block(l, u.ID, later)
	is("a time that has not come", s.clock.Now())

	refused := s.refused(time.Minute)
	refused.Since = start
	s.block(l, u.ID, refused)
	s.advance(time.Minute)
	is("something else was reported", time.Time{})
	for _, end := range []func(){
		func() { s.block(l, u.ID) },
		func() { s.decide(u.ID, gitops.ActionRetry, "") },
		func() { s.transit(l, failed(u)); s.decide(u.ID, gitops.ActionRetry, "") },
	} {
		s.block(l, u.ID, known)
		s.advance(-time.Minute)
		s.block(l, u.ID, s.absent(time.Hour))
		end()
		is("a person retried it, or nothing blocks it", time.Time{})
	}
}

// imagesRejudged makes ready what waits for its image, in the environments that are asked
// for, and nothing that a hold holds or a git server refused.
func imagesRejudged(s *script) {
	u := s.accept(s.order("dev/api", "dev/web", "dev/db", "dev/cache", "prod/api", "staging/api")).Updates
	dev, prod, staging := s.one("one", "dev"), s.one("one", "prod"), s.one("one", "staging")
	again := func() {
		s.block(dev, u[0].ID, s.absent(time.Hour), s.refused(time.Hour))
		s.block(dev, u[1].ID, unknown)
		s.block(dev, u[2].ID, s.refused(time.Hour))
		s.held(dev, gitops.HoldStop, u[3])
		s.block(prod, u[4].ID, unknown)
		s.block(staging, u[5].ID, s.absent(time.Second))
	}
	again()
	s.crash() // which leaves the counts
	backlogs, err := s.q.Backlogs(s.t.Context())
	s.code("Backlogs", err, "")
	for _, b := range backlogs {
		if b.Environment == "dev" && (b.Held[gitops.BlockImage] != 2 || b.Held[gitops.BlockStop] != 1 || b.Held[gitops.BlockRefused] != 1) {
			s.t.Fatalf("held are %+v", b.Held)
		}
	}
	dev, prod, staging = s.one("two", "dev"), s.one("two", "prod"), s.one("two", "staging")
	for _, c := range []struct {
		kind             gitops.BlockKind
		environments     []string
		dev, prod, ready int
	}{
		{gitops.BlockImage, []string{"dev", "nowhere"}, 2, 0, 3}, {gitops.BlockImage, nil, 2, 1, 4}, {gitops.BlockRefused, nil, 0, 0, 1}, {gitops.BlockStop, nil, 1, 0, 2},
	} {
		again()
		s.advance(time.Minute)
		s.rejudge(c.kind, c.environments...)
		in := func(l lent) int { return len(s.checkTake(l, queue.TakeOptions{Limit: 9, NewestHeld: true})) }
		if in(dev) != c.dev || in(prod) != c.prod || in(dev)+in(prod)+in(staging) != c.ready {
			s.t.Fatalf("after Rejudge of %s in %v are ready %d in dev, %d in prod, %d in staging", c.kind, c.environments, in(dev), in(prod), in(staging))
		}
	}
}

// imageFreed tells the lane of an update whose image was found at last.
func imageFreed(s *script) {
	u := s.accept(s.order("dev/api")).Updates[0]
	l := s.one("one", "dev")
	<-s.q.Wake("dev")
	s.block(l, u.ID, unknown)
	if ready, err := s.q.Ready(s.t.Context(), []string{"dev"}); err != nil || len(ready) > 0 {
		s.t.Fatalf("ready are %v, %v", ready, err)
	}
	s.block(l, u.ID)
	<-s.q.Wake("dev")
	s.block(l, u.ID, s.absent(time.Hour))
	s.rejudge(gitops.BlockImage, "dev")
	<-s.q.Wake("dev")
	if got := s.taken(l); got.ID != u.ID || len(got.BlockedBy) > 0 || !got.HeldUntil.IsZero() {
		s.t.Fatalf("taken is %+v", got)
	}
}
