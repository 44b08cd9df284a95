package webhook_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// What brings an event may store what was planned with something of its own, or refuse it
// for what holds it: it gets the plan, its orders take the right that it names, and nothing
// is kept of what it refuses.
func TestAcceptStoresByItsCaller(t *testing.T) {
	f := newFakes(t)
	f.right = gitops.RightRollback
	event, err := f.Decode(nil, []byte("d1 order"))
	if err != nil {
		t.Fatal(err)
	}
	held := gitops.Errorf(gitops.Conflict, "api in dev is held")
	in := webhook.Inbound{Event: event, Body: []byte("d1 order"), Right: gitops.RightRollback}
	in.Store = func(context.Context, gitops.Delivery, webhook.Accept) (gitops.Delivery, bool, error) {
		return gitops.Delivery{}, false, held
	}
	if _, accepted, err := f.handler().Intake.Accept(t.Context(), in); accepted || gitops.CodeOf(err) != gitops.Conflict || len(f.stored) > 0 {
		t.Errorf("refused: accepted %t, %v, kept %v", accepted, err, f.stored)
	}
	in.Store = func(ctx context.Context, d gitops.Delivery, accept webhook.Accept) (gitops.Delivery, bool, error) {
		d.Updates[0].Terms = &gitops.Terms{Reason: "r"}
		return accept(ctx, d)
	}
	d, accepted, err := f.handler().Intake.Accept(t.Context(), in)
	if err != nil || !accepted || d.Updates[0].Terms.Reason != "r" || len(f.stored) != 1 {
		t.Errorf("stored: accepted %t, %v, %+v", accepted, err, d)
	}
	if diff := cmp.Diff([]string{"rejected", "accepted"}, f.outcomes); diff != "" {
		t.Error(diff)
	}
	planned, err := f.handler().Intake.Plan(in)
	if err != nil || len(planned.Updates) == 0 || len(f.stored) != 1 {
		t.Errorf("planned: %+v, %v", planned, err)
	}
	f.forbidden = "*"
	if _, err := f.handler().Intake.Plan(in); err == nil || f.refused[0].Right != gitops.RightRollback {
		t.Errorf("forbidden: %v, %+v", err, f.refused)
	}
}
