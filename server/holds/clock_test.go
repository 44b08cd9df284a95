package holds_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// A replica whose clock is an hour ahead of the store's ends no pin early, and one that is
// an hour behind ends it in time.
func TestAPinEndsByTheStoresClock(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				now := func() time.Time { return time.Now().Add(ahead) }
				s.store = &store{Model: queuetest.NewModel(now, queuetest.Hooks{})}
				s.Use(s.store)
				s.place(gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "0", Until: now().Add(time.Minute)})
				equal(t, "at first", kinds{gitops.BlockPin}, s.held("api", "1"))
				time.Sleep(time.Minute - time.Millisecond)
				equal(t, "before its end", kinds{gitops.BlockPin}, s.held("api", "1"))
				time.Sleep(time.Millisecond)
				equal(t, "at its end", nil, s.held("api", "1"))
			})
		})
	}
}
