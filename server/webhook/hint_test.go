package webhook_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// An event that is a hint is answered, counted and logged as one that asks for nothing. It
// is passed on, and neither planned nor stored.
func TestAHintIsPassedOn(t *testing.T) {
	about := gitops.Hint{Repository: "shop/manifests", Branch: "main"}
	for name, c := range map[string]struct {
		hint   gitops.Hint
		looks  []string // the environments that look
		nobody bool     // there is nobody to pass it on to
		told   []gitops.Hint
		reason string
	}{
		"it is about two environments": {hint: about, looks: []string{"prod", "qa"}, told: []gitops.Hint{about}, reason: "a hint: those of prod, qa are looked at"},
		"it is about none":             {hint: about, told: []gitops.Hint{about}, reason: "a hint: no environment has any there"},
		"it is about nothing":          {looks: []string{"prod"}, reason: "a hint"},
		"nobody is told":               {hint: about, nobody: true, reason: "a hint"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakes(t)
			intake := f.handler().Intake
			var told []gitops.Hint
			if !c.nobody {
				intake.Hints = func(ctx context.Context, h gitops.Hint) []string {
					if _, bounded := ctx.Deadline(); !bounded {
						t.Error("GitHub would wait for ever")
					}
					told = append(told, h)
					return c.looks
				}
			}
			d, accepted, err := intake.Accept(t.Context(), webhook.Inbound{Remote: "192.0.2.1", Credential: "test secret", Event: gitops.Event{
				Delivery: gitops.DeliveryKey{Source: source, ID: "d1"}, IgnoreReason: "a hint", Hint: &c.hint,
			}})
			if accepted || err != nil || d.Outcome != gitops.OutcomeIgnored || d.Reason != c.reason || d.ID != "d1" || d.Updates == nil || d.ReceivedAt.IsZero() {
				t.Errorf("%+v, %t, %v", d, accepted, err)
			}
			if len(f.stored) > 0 || len(f.steps) > 0 {
				t.Errorf("stored %v after %v", f.stored, f.steps)
			}
			if diff := cmp.Diff(c.told, told) + cmp.Diff([]string{"ignored"}, f.outcomes); diff != "" {
				t.Error(diff)
			}
		})
	}
}
