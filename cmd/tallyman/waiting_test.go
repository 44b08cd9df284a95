package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// TestADeliveryThatWaits says for what, until when, and that nothing needs to be done; and
// of one that waited, until when it did.
func TestADeliveryThatWaits(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d := gitops.Delivery{
		Source: "github", ID: "1", ReceivedAt: at, Actor: "github:ann", Outcome: gitops.OutcomeWaiting, Field: "client_payload.app",
		Reason: `no app "web" is configured, and none was discovered yet: it waits until 2026-03-08T12:00:00Z`,
	}
	var out bytes.Buffer
	p := &printer{out: &out}
	p.explain(d, "", details{})
	p.deliveries([]gitops.Delivery{d})
	for _, want := range []string{
		"Delivery github/1: waiting", "Waits for an app. Nothing changed yet:", `- client_payload.app: no app "web" is configured, and none was discovered yet: it waits until 2026-03-08T12:00:00Z`,
		"no need to send it again", `waiting  client_payload.app: no app "web"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	d.Outcome, d.DecidedAt = gitops.OutcomeRejected, at.Add(time.Hour)
	if text := provenance(d); !strings.Contains(text, "Waited for an app until 2026-03-01 13:00:00 UTC") {
		t.Error(text)
	}
}
