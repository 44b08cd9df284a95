package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// TestASendersWaitingAreBounded sends more than may wait of a sender in an hour: the rest
// is answered as it would be without a wait, and others wait.
func TestASendersWaitingAreBounded(t *testing.T) {
	s := newShop(t)
	const bound = 100
	for i := range bound {
		if d, err := s.order(fmt.Sprint("o", i), "web"); err != nil || d.Outcome != gitops.OutcomeWaiting {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	d, err := s.order("more", "web")
	if gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(d.Reason, "it cannot wait for one: its sender has too many that wait") || d.App != "web" {
		t.Errorf("%+v, %v", d, err)
	}
	s.becomes("more", gitops.OutcomeRejected, "too many")
	if d, err := s.order("o1", "web"); err != nil || d.Outcome != gitops.OutcomeWaiting {
		t.Errorf("one that waits, sent again: %+v, %v", d, err)
	}
	if d, err := s.push("p1", "web"); err != nil || d.Outcome != gitops.OutcomeWaiting {
		t.Errorf("another sender's: %+v, %v", d, err)
	}
	if s.began != bound+1 {
		t.Errorf("%d began to wait", s.began)
	}
}

// full is a store in which as many wait as may.
type full struct{ webhook.Inbox }

func (f full) Accept(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	if d.Outcome == gitops.OutcomeWaiting {
		return gitops.Delivery{}, false, queue.ErrTooManyWait()
	}
	return f.Inbox.Accept(ctx, d)
}

// TestWhatCannotWaitIsAnsweredWithoutAWait has too many wait in all, a store that is
// nearly full, and an order that is too large to wait.
func TestWhatCannotWaitIsAnsweredWithoutAWait(t *testing.T) {
	large := make([]string, 300)
	for i := range large {
		large[i] = fmt.Sprint("app-", i)
	}
	for _, c := range []struct {
		name   string
		set    func(*webhook.Intake)
		apps   []string
		reason string
		kept   bool
	}{
		{"too many", func(in *webhook.Intake) { in.Inbox = full{in.Inbox} }, []string{"web"}, "10000 deliveries wait", true},
		{"no room", func(in *webhook.Intake) { in.Spare = func() bool { return false } }, []string{"web"}, "the store is nearly full", false},
		{"too large", func(*webhook.Intake) {}, large, "one that waits for an app has up to 16384", true},
	} {
		s := newShop(t)
		c.set(s.intake)
		d, err := s.order("o1", c.apps...)
		if gitops.CodeOf(err) != gitops.Rejected || !strings.Contains(d.Reason, "it cannot wait for one: ") || !strings.Contains(d.Reason, c.reason) {
			t.Errorf("%s: %+v, %v", c.name, d, err)
		}
		if p, err := s.push("p1", "web"); c.name != "too large" && (err != nil || p.Outcome != gitops.OutcomeIgnored || !strings.Contains(p.Reason, c.reason)) {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
		if _, kept := s.kept("o1"); kept != c.kept {
			t.Errorf("%s: kept is %t", c.name, kept)
		}
	}
}

// failing is a store that fails to settle some deliveries.
type failing struct {
	webhook.Waiting
	err map[string]error // by id, once
}

func (f failing) Settle(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	if err := f.err[d.ID]; err != nil {
		delete(f.err, d.ID)
		return gitops.Delivery{}, false, err
	}
	return f.Waiting.Settle(ctx, d)
}

// TestReconsiderAfterAFault decides the others when the store refuses one, and ends when
// it is away; the next call decides what is left.
func TestReconsiderAfterAFault(t *testing.T) {
	s := newShop(t)
	for i := range 4 {
		if _, err := s.order(fmt.Sprint("o", i), "web"); err != nil {
			t.Fatal(err)
		}
	}
	s.know("web")
	s.intake.Waiting = failing{s.store, map[string]error{
		"o0": gitops.Errorf(gitops.Conflict, "no"), "o2": gitops.Errorf(gitops.Unavailable, "away"),
	}}
	if err := s.intake.Reconsider(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Fatal(err)
	}
	for id, want := range map[string]gitops.Outcome{"o0": gitops.OutcomeWaiting, "o1": gitops.OutcomeAccepted, "o2": gitops.OutcomeWaiting, "o3": gitops.OutcomeWaiting} {
		s.becomes(id, want, "")
	}
	if !strings.Contains(s.logged.String(), `"msg":"waiting delivery not decided"`) {
		t.Errorf("the log: %s", s.logged.String())
	}
	s.reconsider()
	for i := range 4 {
		s.becomes(fmt.Sprint("o", i), gitops.OutcomeAccepted, "")
	}
	s.intake.Waiting = silent{}
	if err := s.intake.Reconsider(t.Context()); gitops.CodeOf(err) != gitops.Unavailable {
		t.Error(err)
	}
}

// silent is a store that lists nothing.
type silent struct{ webhook.Waiting }

func (silent) WaitingDeliveries(context.Context, queue.Page) ([]gitops.Delivery, string, error) {
	return nil, "", gitops.Errorf(gitops.Unavailable, "the store is away")
}

// AuthorizeAnywhere is an authorizer's.
func (f *fakes) AuthorizeAnywhere(p gitops.Principal, right gitops.Right) error {
	_, err := f.Authorize(p, right, "anything", "anywhere")
	return err
}

// TestWhatCannotBeDecidedEnds keeps trying while the time runs, and then ends the wait of
// what cannot be read, and of what the store does not take as it was planned: else it
// would be tried for ever, and its place be taken.
func TestWhatCannotBeDecidedEnds(t *testing.T) {
	s := newShop(t)
	for id, event := range map[string]string{"text": "{", "nobody": `{"push": {"tag": "t"}}`, "nothing": `{"from": {"source": "eventbridge"}}`} {
		d := gitops.Delivery{Source: source, ID: id, Outcome: gitops.OutcomeWaiting, Event: []byte(event), ReceivedAt: s.now}
		if _, _, err := s.store.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.order("taken", "web"); err != nil {
		t.Fatal(err)
	}
	s.know("web")
	s.intake.Waiting = refusesAccepted{s.store}
	s.reconsider()
	for _, id := range []string{"text", "nobody", "nothing", "taken"} {
		s.becomes(id, gitops.OutcomeWaiting, "")
	}
	s.now = s.now.Add(gitops.WaitingFor)
	s.reconsider()
	for _, id := range []string{"text", "nobody", "nothing"} {
		s.becomes(id, gitops.OutcomeRejected, "it waited until 2026-03-08T12:00:00Z and could not be decided: the event of the waiting delivery "+source+"/"+id+" cannot be read")
	}
	if d := s.becomes("taken", gitops.OutcomeRejected, "the body counts once"); d.Field != "client_payload.app" || d.App != "web" || len(d.Updates) > 0 {
		t.Errorf("%+v", d)
	}
}

// refusesAccepted is a store that never takes what was accepted.
type refusesAccepted struct{ webhook.Waiting }

func (w refusesAccepted) Settle(ctx context.Context, d gitops.Delivery) (gitops.Delivery, bool, error) {
	if d.Outcome == gitops.OutcomeAccepted {
		return gitops.Delivery{}, false, gitops.Errorf(gitops.Conflict, "the body counts once")
	}
	return w.Waiting.Settle(ctx, d)
}
