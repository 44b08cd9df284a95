package feedback_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// A lease ends by the store's clock, which may be another than this process's: it is kept all
// the same, and no second replica follows.
func TestTheStoresClockIsAnother(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, -5 * time.Minute, 5 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			s.store.Model = queuetest.NewModel(func() time.Time { return now().Add(ahead) }, queuetest.Hooks{})
			defer s.start("this")()
			for range 20 {
				s.pass(30 * time.Second)
				claimed, err := s.store.Model.Claim(t.Context(), "other", []string{"job/feedback"}, time.Minute)
				s.must(err)
				if len(claimed) > 0 {
					t.Fatalf("%s ahead: another replica has the lease", ahead)
				}
			}
		})
	}
}

// A store that is slow takes longer than the lease lasts, between the last look and a write:
// another replica has written it by then.
func TestALeaseThatRunsOutWhileTheStoreIsSlow(t *testing.T) {
	for before := range 6 {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			var reads atomic.Int64
			s.store.slow = func() {
				if int(reads.Add(1)) == before+1 {
					time.Sleep(10 * time.Minute)
				}
			}
			defer s.start("this")()
			defer s.start("other")()
			s.ends(s.order("prod", "api", "1.0.0", sha), gitops.ActionCommit, "")
			s.pass(30 * time.Minute)
			s.expect("shop/api prod 1a2b3c4 1.0.0: success")
			if s.repeated() {
				t.Errorf("a status was set twice: %q", s.hub.shown())
			}
			s.check()
		})
	}
}
