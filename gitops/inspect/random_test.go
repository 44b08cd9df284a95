package inspect_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// taker asks for an environment's updates as a lane does: when one is accepted, when Changed
// tells to, and when a block ends; never else.
type taker struct {
	*site
	environment string
	wake        chan struct{}

	mu      sync.Mutex
	pending map[string]gitops.Update
	blocked map[string]time.Time // until; zero without end
	done    map[string]gitops.Inspection
}

func (s *site) take(environment string) *taker {
	k := &taker{
		site: s, environment: environment, wake: make(chan struct{}, 1), pending: make(map[string]gitops.Update),
		blocked: make(map[string]time.Time), done: make(map[string]gitops.Inspection),
	}
	go func() {
		for s.t.Context().Err() == nil {
			wait := k.round()
			select {
			case <-k.wake:
			case <-s.Changed(environment):
			case <-time.After(wait):
			case <-s.t.Context().Done():
			}
		}
	}()
	return k
}

func (k *taker) accept(u gitops.Update) {
	k.mu.Lock()
	defer k.mu.Unlock()
	u.Environment = k.environment
	k.pending[u.ID] = u
	delete(k.done, u.ID)
	k.poke()
}

func (k *taker) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// again has all judged again, as the next holder of the lane does.
func (k *taker) again() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Leave(k.environment)
	clear(k.blocked)
	k.poke()
}

// round asks for what is ready, and says when the next block ends.
func (k *taker) round() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range k.Freed(k.environment) {
		delete(k.blocked, id)
	}
	now := time.Now()
	var ready []gitops.Update
	for id, u := range k.pending {
		if until, isBlocked := k.blocked[id]; !isBlocked || !until.IsZero() && !until.After(now) {
			ready = append(ready, u)
		}
	}
	for i, found := range k.Inspect(ready) {
		k.takeIn(ready[i], found)
	}
	wait := 24 * time.Hour
	for _, until := range k.blocked {
		if !until.IsZero() {
			wait = min(wait, max(until.Sub(now), 0))
		}
	}
	return wait
}

func (k *taker) takeIn(u gitops.Update, i gitops.Inspection) {
	delete(k.blocked, u.ID)
	switch {
	case i.Waits != nil:
		k.blocked[u.ID] = i.Waits.Until
		if !i.Waits.Until.IsZero() {
			u.ImageSince = i.Waits.Since
			k.pending[u.ID] = u
		}
	case !i.Looking:
		k.done[u.ID] = i
		delete(k.pending, u.ID)
		k.check(u, i)
	}
}

// check holds a verdict to what the registry answered: what is written was answered, and
// asked for since the update came, and nothing is missing that was not asked for at the end.
func (k *taker) check(u gitops.Update, i gitops.Inspection) {
	k.registry.mu.Lock()
	defer k.registry.mu.Unlock()
	for _, a := range k.registry.answers[u.Repository+":"+u.Tag] {
		old := a.At.Before(u.AcceptedAt.Add(-10*time.Second)) || time.Since(a.At) >= 5*time.Minute
		switch {
		case old:
		case i.Present && a.Digest == i.Found.Digest:
			return
		case i.Fails != nil && i.Fails.Code == gitops.NotFound && a.Presence == image.Absent && !a.At.Before(u.ImageSince.Add(5*time.Minute)):
			return
		case i.Fails != nil && i.Fails.Code == gitops.Rejected && a.Presence == image.Present && a.Digest != u.Digest:
			return
		}
	}
	k.t.Errorf("update %s of %s:%s: nothing that was answered says %+v", u.ID, u.Repository, u.Tag, i)
}

var failures = []error{
	gitops.Errorf(gitops.Unavailable, "503"), gitops.Errorf(gitops.RateLimited, "429"), gitops.Errorf(gitops.Forbidden, "403"),
	gitops.Errorf(gitops.Unauthorized, "401"), gitops.Errorf(gitops.Internal, "what"), &gitops.Error{Code: gitops.RateLimited, RetryAfter: 45 * time.Second},
}

// Whatever happens, in whatever order: nothing is present that no look found, nothing fails
// that is there, no registry is asked before it allowed to be, and once the registries and
// the store answer nothing waits any longer than its images are waited for.
func TestNothingWaitsForEver(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				random := rand.New(rand.NewPCG(seed, 0))
				takers := []*taker{s.take("dev"), s.take("prod")}
				name := func() string {
					return fmt.Sprintf("%s/acme/app%d:v%d", []string{"ghcr.io", "quay.io"}[random.IntN(2)], random.IntN(3), random.IntN(5))
				}
				digest := func() string { return []string{digestA, digestB}[random.IntN(2)] }
				s.registry.takes = time.Duration(random.IntN(3)) * 400 * time.Millisecond
				for n := range 200 {
					k := takers[random.IntN(2)]
					switch random.IntN(12) {
					case 0, 1, 2, 3:
						u := s.update(fmt.Sprint(n), name())
						if random.IntN(3) == 0 {
							u.Digest = digest()
						}
						k.accept(u)
					case 4, 5, 6:
						s.registry.push(name(), digest())
					case 7:
						part, err := name(), failures[random.IntN(len(failures))]
						s.registry.failing(failingAt(part[:random.IntN(len(part)+1)], err))
					case 8:
						s.registry.failing(nil)
					case 9:
						s.store.setDown(random.IntN(2) == 0)
					case 10:
						k.again()
					case 11:
						s.Reconfigured()
					}
					elapse(time.Duration(random.ExpFloat64() * float64(5*time.Second)))
				}
				s.registry.failing(nil)
				s.store.setDown(false)
				elapse(time.Minute + 5*time.Minute + time.Minute)
				for _, k := range takers {
					if len(k.pending) > 0 {
						t.Errorf("%d updates of %s still wait: %v", len(k.pending), k.environment, k.pending)
					}
				}
				synctest.Wait()
			})
		})
	}
}
