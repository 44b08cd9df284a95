package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

const registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/"

// shop is an intake with the apps of a configuration, and any other may become known.
type shop struct {
	*sender
	began int // deliveries that began to wait
}

func newShop(t *testing.T) *shop {
	s := &shop{sender: newSender(t)}
	s.intake.Waiting = s.store
	s.intake.Waits = func() { s.began++ }
	s.intake.Refused = func(e gitops.AuditEntry) { s.refused = append(s.refused, e) }
	s.know()
	return s
}

// know plans with these apps from now on.
func (s *shop) know(apps ...string) { s.intake.Planner = s.with(apps...) }

// with is a policy with these apps.
func (s *shop) with(apps ...string) *policy.Policy {
	s.t.Helper()
	any := func(string) bool { return true }
	rule := policy.Environment{Tags: policy.TagRule{Match: `t-[a-z0-9]+|t`}}
	c := policy.Config{Environments: map[string]policy.Environment{"dev": rule, "prod": rule}, Apps: map[string]policy.App{}, MayNameApp: any, MayNameImage: any}
	for _, app := range apps {
		c.Apps[app] = policy.App{Repository: registry + app}
	}
	p, err := policy.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// order sends a dispatch for apps in dev, all of one tag.
func (s *shop) order(id string, apps ...string) (gitops.Delivery, error) {
	s.t.Helper()
	e := gitops.Event{Delivery: gitops.DeliveryKey{Source: source, ID: id}, Principal: ann, BodyDigest: []byte("the body of " + id)}
	for _, app := range apps {
		e.Orders = append(e.Orders, gitops.Order{App: app, Environment: "dev", Tag: "t-" + id, Within: "client_payload"})
	}
	return s.take(e)
}

// push sends an event of an image.
func (s *shop) push(id, image string) (gitops.Delivery, error) {
	s.t.Helper()
	return s.take(gitops.Event{
		Delivery: gitops.DeliveryKey{Source: source, ID: id}, Principal: gitops.Principal{Push: &gitops.PushSource{Source: "eventbridge", Account: "123456789012"}},
		Time: s.now.Add(-time.Second), Push: &gitops.ImagePush{Account: "123456789012", Region: "eu-west-1", Repository: image, Tag: "t-" + id},
	})
}

func (s *shop) take(e gitops.Event) (gitops.Delivery, error) {
	s.t.Helper()
	body := []byte(e.Delivery.ID + strings.Repeat(" ", 2<<10))
	d, accepted, err := s.intake.Accept(s.t.Context(), webhook.Inbound{Event: e, Body: body, Remote: "192.0.2.1", Credential: "test secret"})
	if accepted != (d.Outcome == gitops.OutcomeAccepted && err == nil && s.outcomes[len(s.outcomes)-1] == "accepted") {
		s.t.Errorf("%s: accepted is %t", e.Delivery, accepted)
	}
	return d, err
}

// becomes fails unless a delivery is stored with this outcome.
func (s *shop) becomes(id string, outcome gitops.Outcome, reason string) gitops.Delivery {
	s.t.Helper()
	d, kept := s.kept(id)
	if !kept || d.Outcome != outcome || !strings.Contains(d.Reason, reason) {
		s.t.Fatalf("%s: kept is %t, %s: %s", id, kept, d.Outcome, d.Reason)
	}
	return d
}

func (s *shop) reconsider() {
	s.t.Helper()
	if err := s.intake.Reconsider(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// TestADeliveryWaitsForItsApp keeps an order and a push until their app is known, and
// accepts them with what is known of who sent them.
func TestADeliveryWaitsForItsApp(t *testing.T) {
	s := newShop(t)
	d, err := s.order("o1", "web")
	if until := "it waits until 2026-03-08T12:00:00Z"; err != nil || d.Outcome != gitops.OutcomeWaiting || d.Field != "client_payload.app" || !strings.Contains(d.Reason, until) ||
		!strings.Contains(d.Reason, `no app "web"`) || d.Environment != "dev" || d.App != "web" || len(d.Body) != 1<<10 || s.began != 1 {
		t.Fatalf("%+v, %v, began %d", d, err, s.began)
	}
	if d, err := s.push("p1", "api"); err != nil || d.Outcome != gitops.OutcomeWaiting || !strings.Contains(d.Reason, registry+"api") {
		t.Fatalf("%+v, %v", d, err)
	}
	s.reconsider() // nothing has come
	s.becomes("o1", gitops.OutcomeWaiting, "")
	if d, err := s.order("o1", "web"); err != nil || d.Outcome != gitops.OutcomeWaiting || s.began != 2 {
		t.Fatalf("sent again: %+v, %v, began %d", d, err, s.began)
	}

	s.now = s.now.Add(time.Hour)
	s.know("web")
	s.intake.Config = "later"
	s.reconsider()
	got := s.becomes("o1", gitops.OutcomeAccepted, "")
	if len(got.Updates) != 1 || got.Updates[0].App != "web" || got.Updates[0].Rule != "access[7]" || got.Updates[0].Tag != "t-o1" || got.Config != "later" || got.DecidedAt != s.now ||
		got.ReceivedAt != s.now.Add(-time.Hour) || got.Principal != "dispatch:17" || got.Actor != "github:ann" || got.Remote != "192.0.2.1" || got.Credential != "test secret" || got.App != "" {
		t.Errorf("%+v", got)
	}
	s.becomes("p1", gitops.OutcomeWaiting, "")
	s.know("web", "api")
	s.reconsider()
	s.reconsider()
	if got := s.becomes("p1", gitops.OutcomeAccepted, ""); len(got.Updates) != 2 || got.EventTime.IsZero() {
		t.Errorf("%+v", got)
	}
	if counted := strings.Join(s.outcomes, " "); counted != "waiting waiting duplicate accepted accepted" {
		t.Errorf("counted are %s", counted)
	}
	if log := s.logged.String(); strings.Count(log, `"msg":"delivery waiting"`) != 2 || strings.Count(log, `"waitedSeconds":3600`) != 2 {
		t.Errorf("the log: %s", log)
	}
}

// TestAllOrNothingWaits orders a known app and one that is not.
func TestAllOrNothingWaits(t *testing.T) {
	s := newShop(t)
	s.know("web")
	if d, err := s.order("o1", "web", "api"); err != nil || d.Outcome != gitops.OutcomeWaiting || d.Environment != "dev" || d.App != "" {
		t.Fatalf("%+v, %v", d, err)
	}
	s.know("web", "api")
	s.reconsider()
	if d := s.becomes("o1", gitops.OutcomeAccepted, ""); len(d.Updates) != 2 {
		t.Errorf("%d updates", len(d.Updates))
	}
}

// TestTheAppComesWhileTheDeliveryIsStored has the app become known between the plan and
// the store: nobody would look at what waits again.
func TestTheAppComesWhileTheDeliveryIsStored(t *testing.T) {
	s := newShop(t)
	s.intake.Inbox = &during{Inbox: s.store, then: func() { s.know("web") }}
	if d, err := s.order("o1", "web"); err != nil || d.Outcome != gitops.OutcomeAccepted || len(d.Updates) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if counted := strings.Join(s.outcomes, " "); counted != "accepted" {
		t.Errorf("counted are %s", counted)
	}
}

// during does something while a delivery is stored.
type during struct {
	webhook.Inbox
	then func()
}

func (i *during) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	i.then()
	return i.Inbox.Accept(ctx, d)
}

// TestTheWaitEnds after 7 days, as what it would have been without: the reason says since
// when and what to do.
func TestTheWaitEnds(t *testing.T) {
	s := newShop(t)
	for _, send := range []func() (gitops.Delivery, error){func() (gitops.Delivery, error) { return s.order("o1", "web") }, func() (gitops.Delivery, error) { return s.push("p1", "api") }} {
		if _, err := send(); err != nil {
			t.Fatal(err)
		}
	}
	s.now = s.now.Add(gitops.WaitingFor - time.Microsecond)
	s.reconsider()
	s.becomes("o1", gitops.OutcomeWaiting, "")
	s.now = s.now.Add(time.Microsecond)
	s.reconsider()
	const until = "none was discovered yet: it waited until 2026-03-08T12:00:00Z. Send it again when there is one"
	if d := s.becomes("o1", gitops.OutcomeRejected, until); d.Field != "client_payload.app" || d.App != "web" {
		t.Errorf("%+v", d)
	}
	s.becomes("p1", gitops.OutcomeIgnored, until)
	if n, err := s.store.Prune(t.Context(), s.now.Add(-time.Hour), 10); n != 0 || err != nil {
		t.Errorf("%d that were just decided are forgotten, %v", n, err)
	}
	s.now = s.now.Add(queue.UnacceptedFor + time.Microsecond)
	if n, err := s.store.Prune(t.Context(), s.now.Add(-90*24*time.Hour), 10); n != 2 || err != nil {
		t.Errorf("%d are forgotten after a week, %v", n, err)
	}
}

// TestARightThatIsLostEndsTheWait judges by the rules of the moment of the decision.
func TestARightThatIsLostEndsTheWait(t *testing.T) {
	s := newShop(t)
	for _, id := range []string{"o1", "o2"} {
		if _, err := s.order(id, "web"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.push("p1", "api"); err != nil {
		t.Fatal(err)
	}
	s.forbidden = "*"
	s.reconsider()
	s.becomes("o1", gitops.OutcomeRejected, "nobody may order web in dev")
	s.becomes("p1", gitops.OutcomeIgnored, "nobody may order anything in anywhere")
	if len(s.refused) != 3 || s.refused[0].App != "web" || s.refused[0].Delivery != source+"/o1" || s.refused[0].Credential != "test secret" {
		t.Errorf("the audit has %+v", s.refused)
	}
}

// TestWhatIsForbiddenDoesNotWait refuses at once what no rule would allow.
func TestWhatIsForbiddenDoesNotWait(t *testing.T) {
	s := newShop(t)
	s.forbidden = "*"
	if d, err := s.order("o1", "web"); gitops.CodeOf(err) != gitops.Rejected || d.Outcome != gitops.OutcomeRejected || d.Field != "repository" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := s.push("p1", "web"); err != nil || d.Outcome != gitops.OutcomeIgnored || !strings.Contains(d.Reason, "nobody may order") {
		t.Errorf("%+v, %v", d, err)
	}
	if w, err := s.store.WaitingCount(t.Context()); err != nil || w.Count != 0 || s.began != 0 {
		t.Errorf("%d wait, %v", w.Count, err)
	}
}

// TestTheSameBodyWaitsOnce sends a dispatch under another id while it waits, and later.
func TestTheSameBodyWaitsOnce(t *testing.T) {
	s := newShop(t)
	send := func(id string) gitops.Delivery {
		t.Helper()
		d, err := s.take(gitops.Event{
			Delivery: gitops.DeliveryKey{Source: source, ID: id}, Principal: ann, BodyDigest: []byte("one body"),
			Orders: []gitops.Order{{App: "web", Environment: "dev", Tag: "t"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	send("o1")
	if d := send("o2"); d.ID != "o1" || !strings.Contains(d.Reason, "nonce") {
		t.Errorf("%+v", d)
	}
	s.know("web")
	if d := send("o3"); d.ID != "o1" || d.Outcome != gitops.OutcomeWaiting {
		t.Errorf("%+v", d)
	}
	s.reconsider()
	if d := send("o4"); d.ID != "o1" || len(d.Updates) != 1 {
		t.Errorf("%+v", d)
	}
}

// TestReplicasDecideOnce has several intakes look at what waits at once.
func TestReplicasDecideOnce(t *testing.T) {
	s := newShop(t)
	const deliveries, replicas = 250, 8 // more than one page
	for i := range deliveries {
		if i%100 == 0 {
			s.now = s.now.Add(time.Hour) // a sender has at most 100 an hour
		}
		if _, err := s.order(fmt.Sprint("o", i), "web"); err != nil {
			t.Fatal(err)
		}
	}
	s.outcomes = nil
	s.know("web")
	var all sync.WaitGroup
	for range replicas {
		all.Go(s.reconsider)
	}
	all.Wait()
	if n := strings.Count(strings.Join(s.outcomes, " "), "accepted"); n != deliveries {
		t.Errorf("%d of %d are counted", n, deliveries)
	}
	if w, err := s.store.WaitingCount(t.Context()); err != nil || w.Count != 0 {
		t.Errorf("%d wait, %v", w.Count, err)
	}
}
