package missed_test

import (
	"context"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// losingStore fails over to a standby that does not have what was taken in.
type losingStore struct{ *queuetest.Model }

func (losingStore) Accept(_ context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	return d, false, nil
}

// What waits for an app, and is lost with the store, is fetched again: it has no updates, as
// what is rejected, and is kept all the same.
func TestWhatWaitsIsTakenInAgain(t *testing.T) {
	s := newSite(t)
	s.expect()
	planner, err := policy.New(policy.Config{
		Environments: map[string]policy.Environment{"dev": {Tags: policy.TagRule{Match: "main-.*"}}},
		MayNameApp:   func(string) bool { return true },
	})
	s.must(err)
	s.intake.Planner, s.intake.Inbox, s.intake.Waiting = planner, losingStore{s.store}, s.store
	s.clock.Pass(time.Minute)
	s.sent(1, "g1", "main-1", true)
	s.expect("github waiting", "recovered")
	s.intake.Inbox = s.store
	s.expect("github waiting", "recovered")
	s.expect()
}
