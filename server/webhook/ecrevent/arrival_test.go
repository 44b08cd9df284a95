package ecrevent_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook/ecrevent"
)

// A replication is of the registry that has the image now: the destination's.
func TestReadAReplication(t *testing.T) {
	want := gitops.Event{
		Delivery:  gitops.DeliveryKey{Source: "sns", ID: "c8b133b1-6029-ee73-e2a1-4f466b8ba999"},
		Principal: gitops.Principal{Push: &gitops.PushSource{Source: "sns", Account: "123456789012", Region: "us-east-1", Topic: by.Topic}},
		Time:      time.Date(2024, 5, 8, 20, 44, 54, 0, time.UTC),
		Push: &gitops.ImagePush{
			Account: "123456789012", Region: "us-east-1", Repository: "docker-hub/alpine", Tag: "3.17.2",
			Digest: "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234",
		},
	}
	event, err := ecrevent.Read(by, fixture(t, "replication"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Error(diff)
	}
	// From another account: the accounts that count are those of the registries.
	event, err = ecrevent.Read(by, edited(t, "replication", map[string]any{"detail.source-account": "999999999999"}))
	if err != nil || event.Push == nil {
		t.Errorf("from another account: %+v, %v", event, err)
	}
}

// What is not a successful arrival asks for nothing, and says why.
func TestReadAReplicationThatDidNotArrive(t *testing.T) {
	for name, c := range map[string]struct {
		body   []byte
		reason string
	}{
		"it failed":                {fixture(t, "replication-failed"), `action-type "REPLICATE" with result "FAILED" is not a successful REPLICATE`},
		"without a result":         {edited(t, "replication", map[string]any{"detail.result": nil}), `with result "" is not a successful REPLICATE`},
		"a push of the wrong type": {edited(t, "replication", map[string]any{"detail.action-type": "PUSH"}), `action-type "PUSH" with result "SUCCESS" is not a successful REPLICATE`},
		"replicated by a push":     {edited(t, "push", map[string]any{"detail.action-type": "REPLICATE"}), `action-type "REPLICATE" with result "SUCCESS" is not a successful PUSH`},
	} {
		event, err := ecrevent.Read(by, c.body)
		if err != nil || event.Push != nil || !strings.Contains(event.IgnoreReason, c.reason) {
			t.Errorf("%s: %+v, %v", name, event, err)
		}
	}
	_, err := ecrevent.Read(by, edited(t, "replication", map[string]any{"detail": "REPLICATE"}))
	if gitops.CodeOf(err) != gitops.Invalid || gitops.PublicOf(err) != "detail: is not that of an ECR Replication Action" {
		t.Errorf("a detail of another form: %v", err)
	}
}
