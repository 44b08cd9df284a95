package gitops_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

var (
	waitingDispatch = gitops.Event{
		Delivery:  gitops.DeliveryKey{Source: "github", ID: "1"},
		Principal: gitops.Principal{Dispatch: &gitops.DispatchSender{Repository: "myshop/web", RepositoryID: 17, InstallationID: 5, Sender: "ann", SenderID: 3}},
		Actor:     "github:ann",
		Orders: []gitops.Order{
			{App: "web", Environment: "dev", Tag: "v1", Digest: "sha256:1", Within: "client_payload"},
			{App: "web", Environment: "prod", Tag: "v1", Within: "client_payload"},
		},
		BodyDigest: []byte{1, 2, 3},
	}
	waitingPush = gitops.Event{
		Delivery:  gitops.DeliveryKey{Source: "sns", ID: "2"},
		Principal: gitops.Principal{Push: &gitops.PushSource{Source: "sns", Account: "123456789012", Region: "eu-west-1", Topic: "arn:aws:sns:eu-west-1:123456789012:pushes"}},
		Actor:     "aws:123456789012",
		Time:      time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
		Push:      &gitops.ImagePush{Account: "123456789012", Region: "eu-west-1", Repository: "web", Tag: "v1", Digest: "sha256:1"},
	}
	waitingImage = gitops.Event{
		Delivery: gitops.DeliveryKey{Source: "sns", ID: "3"}, Principal: waitingPush.Principal, Actor: "aws:123456789012",
		Push: &gitops.ImagePush{Image: "ghcr.io/myshop/web", Tag: "v1", For: []gitops.Place{{Environment: "dev", App: "web"}}},
	}
)

// TestAWaitingEventComesBackWhole keeps everything that the plan and the access rules ask
// of an event.
func TestAWaitingEventComesBackWhole(t *testing.T) {
	for _, want := range []gitops.Event{waitingDispatch, waitingPush, waitingImage} {
		text, err := gitops.EncodeEvent(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := gitops.DecodeEvent(gitops.Delivery{Source: want.Delivery.Source, ID: want.Delivery.ID, Event: text})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

// TestWhatCannotWait is not encoded: what nobody ordered, by whom no webhook brings it,
// and what is larger than is kept.
func TestWhatCannotWait(t *testing.T) {
	with := func(change func(*gitops.Event)) gitops.Event {
		e := waitingDispatch
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		event gitops.Event
		code  gitops.Code
	}{
		"a job's order": {with(func(e *gitops.Event) { e.Principal = gitops.Principal{Job: &gitops.Job{}} }), gitops.Invalid},
		"a token's":     {with(func(e *gitops.Event) { e.Principal = gitops.Principal{Token: "ops"} }), gitops.Invalid},
		"a ping":        {with(func(e *gitops.Event) { e.Orders, e.IgnoreReason = nil, "a ping" }), gitops.Invalid},
		"a large order": {with(func(e *gitops.Event) { e.Orders = make([]gitops.Order, 1000) }), gitops.TooLarge},
		"a long login": {with(func(e *gitops.Event) {
			e.Principal.Dispatch = &gitops.DispatchSender{Sender: strings.Repeat("a", 16<<10)}
		}), gitops.TooLarge},
		"nobody's event": {gitops.Event{Push: &gitops.ImagePush{}}, gitops.Invalid},
	} {
		if text, err := gitops.EncodeEvent(c.event); gitops.CodeOf(err) != c.code {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

// TestAnEventThatIsDamaged names its delivery.
func TestAnEventThatIsDamaged(t *testing.T) {
	_, err := gitops.DecodeEvent(gitops.Delivery{Source: "github", ID: "1", Event: []byte("{")})
	var e *gitops.Error
	if !errors.As(err, &e) || e.Code != gitops.Internal || !strings.Contains(e.Message, "github/1") {
		t.Errorf("%v", err)
	}
}

// TestWhenADeliveryWasPlanned is at its receipt, or when its wait ended.
func TestWhenADeliveryWasPlanned(t *testing.T) {
	d := gitops.Delivery{ReceivedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	if d.PlannedAt() != d.ReceivedAt || d.WaitsUntil() != d.ReceivedAt.Add(7*24*time.Hour) {
		t.Errorf("planned at %s, waits until %s", d.PlannedAt(), d.WaitsUntil())
	}
	d.DecidedAt = d.ReceivedAt.Add(time.Hour)
	if d.PlannedAt() != d.DecidedAt {
		t.Errorf("planned at %s", d.PlannedAt())
	}
}
