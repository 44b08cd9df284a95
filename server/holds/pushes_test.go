package holds_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// push asks before a push as a writer does, and fails when something holds it.
func (s *site) push(apps ...string) (done func()) {
	s.t.Helper()
	var updates []gitops.Update
	for _, app := range apps {
		updates = append(updates, update(app, "1"))
	}
	held, done, err := s.Gate(s.t.Context(), updates)
	if err != nil || held != nil {
		s.t.Fatalf("a push of %q is held: %+v, %v", apps, held, err)
	}
	return done
}

// Right before a push what is held by now is named, and the others are not pushed without
// asking again.
func TestGate(t *testing.T) {
	s := newSite(t)
	s.push("api", "web")()
	s.place(gitops.Hold{Kind: gitops.HoldStop, Apps: []string{"web"}})
	held, done, err := s.Gate(t.Context(), []gitops.Update{update("api", "1"), update("web", "1")})
	if err != nil || done != nil || len(held) != 1 || held[0].Update != "web" || held[0].BlockedBy[0].Kind != gitops.BlockStop {
		t.Errorf("held are %+v, %v", held, err)
	}
	s.push("api")()
}

// Whoever placed a hold waits for the pushes that were begun before and that it is about,
// and for no others.
func TestAwaitQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		both, other := s.push("api", "web"), s.push("pay")
		stop := s.place(gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"prod"}, Apps: []string{"web"}})
		time.AfterFunc(time.Second, both)
		began := time.Now()
		underWay, quietSince := s.AwaitQuiet(t.Context(), stop)
		equal(t, "under way", []string{"web"}, underWay)
		equal(t, "quiet since", began.Add(time.Second+ahead).UTC(), quietSince)
		underWay, quietSince = s.AwaitQuiet(t.Context(), stop)
		equal(t, "under way afterwards", nil, underWay)
		equal(t, "quiet since", time.Now().Add(ahead).UTC(), quietSince)
		other()
	})
}

// It waits for 10 s at most, and no longer than whoever asks.
func TestAwaitQuietIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		done := s.push("api")
		stop := s.place(gitops.Hold{Kind: gitops.HoldStop})
		began := time.Now()
		underWay, quietSince := s.AwaitQuiet(t.Context(), stop)
		equal(t, "under way", []string{"api"}, underWay)
		equal(t, "it is quiet", true, quietSince.IsZero())
		equal(t, "it waited", 10*time.Second, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.AwaitQuiet(ctx, stop)
		equal(t, "it waited", 11*time.Second, time.Since(began))
		done()
	})
}

// A push that is being judged when a stop is placed is either held by it, or waited for.
func TestAStopWhileAPushIsJudged(t *testing.T) {
	for name, before := range map[string]bool{"the stop comes first": true, "the answer comes first": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.push("api")() // so that the revision is read next
				judging, answered := make(chan struct{}), make(chan []string)
				s.store.reading = func() {
					s.store.reading = nil
					close(judging)
					if before {
						synctest.Wait() // until the stop is placed, and waits for this push
					}
				}
				go func() {
					<-judging
					underWay, quietSince := s.AwaitQuiet(t.Context(), s.place(gitops.Hold{Kind: gitops.HoldStop}))
					if quietSince.IsZero() {
						t.Error("it is not quiet")
					}
					answered <- underWay
				}()
				held, done, err := s.Gate(t.Context(), []gitops.Update{update("api", "1")})
				if err != nil {
					t.Fatal(err)
				}
				if done != nil {
					time.AfterFunc(time.Second, done)
				}
				if underWay := <-answered; len(held)+len(underWay) != 1 || before != (len(held) == 1) {
					t.Errorf("held are %+v, under way %q", held, underWay)
				}
			})
		})
	}
}

// An update that passes stops is pushed in spite of one, and is not waited for.
func TestWhatPassesAStopIsNotWaitedFor(t *testing.T) {
	s := newSite(t)
	rollback := update("api", "1")
	rollback.Terms = &gitops.Terms{Passes: kinds{gitops.BlockStop}, RollsBack: "2"}
	held, done, err := s.Gate(t.Context(), []gitops.Update{rollback})
	if err != nil || held != nil {
		t.Fatalf("held are %+v, %v", held, err)
	}
	defer done()
	underWay, quietSince := s.AwaitQuiet(t.Context(), s.place(gitops.Hold{Kind: gitops.HoldStop}))
	if underWay != nil || quietSince.IsZero() {
		t.Errorf("under way are %q", underWay)
	}
}

// After a stop's answer nothing that it covers is pushed, whatever pushes and stops come at
// once.
func TestNothingIsPushedAfterAStopIsQuiet(t *testing.T) {
	s := newSite(t)
	var stopped [4]atomic.Bool
	var all sync.WaitGroup
	for n := range 4 {
		app := fmt.Sprint("app-", n)
		all.Go(func() {
			for range 50 {
				_, done, err := s.Gate(t.Context(), []gitops.Update{update(app, "1")})
				if err != nil {
					t.Error(err)
				}
				if done == nil {
					continue
				}
				if stopped[n].Load() {
					t.Errorf("%s is pushed after its stop was answered", app)
				}
				done()
			}
		})
		all.Go(func() {
			placed, err := s.store.Place(t.Context(), queue.Placement{Holds: []gitops.Hold{{
				Kind: gitops.HoldStop, Apps: []string{app}, Principal: "token:ann", Actor: "token:ann",
			}}})
			if err != nil {
				t.Error(err)
				return
			}
			s.AwaitQuiet(t.Context(), placed.Holds[0])
			stopped[n].Store(true)
		})
	}
	all.Wait()
}
