package webhook

import (
	"context"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
)

// takeHint has those look who are concerned by an event that is a hint, and answers it. It
// is logged and counted as every other that asks for nothing, and nothing of it is stored:
// GitHub sends many of them, and who is told too late or not at all looks from time to time.
func (in *Intake) takeHint(ctx context.Context, from Inbound) gitops.Delivery {
	event := from.Event
	d := gitops.Delivery{
		Source: event.Delivery.Source, ID: event.Delivery.ID, ReceivedAt: in.Now().UTC(), Remote: from.Remote, Credential: from.Credential,
		Outcome: gitops.OutcomeIgnored, Reason: event.IgnoreReason, Updates: []gitops.Update{},
	}
	if in.Hints != nil && *event.Hint != (gitops.Hint{}) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		d.Reason += ": no environment has any there"
		if environments := in.Hints(ctx, *event.Hint); len(environments) > 0 {
			d.Reason = event.IgnoreReason + ": those of " + strings.Join(environments, ", ") + " are looked at"
		}
	}
	in.record(ctx, d, string(d.Outcome), nil)
	return d
}
