package webhook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// sendAs sends a body with the right secret.
func (f *fakes) sendAs(body string) answer {
	f.t.Helper()
	return f.send(f.t.Context(), secret, strings.NewReader(body))
}

// What is accepted says who asked and which rule allowed it.
func TestTheRuleIsKept(t *testing.T) {
	f := newFakes(t)
	a := f.sendAs("d1 order")
	if a.err != nil || a.delivery.Principal != "dispatch:17" || a.delivery.Actor != "github:ann" || len(a.delivery.Updates) != 2 {
		t.Fatalf("%+v, %v", a.delivery, a.err)
	}
	for _, u := range a.delivery.Updates {
		if u.Rule != "access[7]" {
			t.Errorf("%s: by the rule %q", u.Environment, u.Rule)
		}
	}
}

// A dispatch that may not be is kept, so that its sender can find out why. It is not
// planned: what is wrong with its tag is not for everybody.
func TestADispatchThatIsForbidden(t *testing.T) {
	f := newFakes(t)
	f.forbidden = "dev"
	for _, body := range []string{"d1 order", "d2 wrong order"} {
		a := f.sendAs(body)
		if gitops.CodeOf(a.err) != gitops.Rejected || gitops.PublicOf(a.err) != "repository: nobody may order api in dev" {
			t.Errorf("%s: %v", body, a.err)
		}
		if diff := cmp.Diff([]string{"rejected"}, a.outcomes); diff != "" {
			t.Error(diff)
		}
		id, _, _ := strings.Cut(body, " ")
		kept := f.stored[gitops.DeliveryKey{Source: source, ID: id}]
		if kept.Outcome != gitops.OutcomeRejected || kept.Field != "repository" || kept.Reason != "nobody may order api in dev" || len(kept.Updates) != 0 || kept.Principal != "dispatch:17" {
			t.Errorf("%s: kept as %+v", body, kept)
		}
	}
}

// Of several orders one that is forbidden refuses all, whichever it is: nothing is planned
// or accepted, the answer names the first, and the audit has each up to a bound.
func TestOrdersAreAllowedAllOrNone(t *testing.T) {
	f := newFakes(t)
	f.forbidden = "prod"
	a := f.sendAs("d1 order") // api in dev and prod
	if gitops.CodeOf(a.err) != gitops.Rejected || gitops.PublicOf(a.err) != "repository: nobody may order api in prod" || len(a.delivery.Updates) != 0 {
		t.Errorf("%+v, %v", a.delivery, a.err)
	}
	if len(f.refused) != 1 || f.refused[0].Environment != "prod" || f.refused[0].App != "api" || f.refused[0].After != "order" {
		t.Errorf("the audit has %+v", f.refused)
	}
	if kept := f.stored[gitops.DeliveryKey{Source: source, ID: "d1"}]; kept.Environment != "" || kept.App != "" {
		t.Errorf("kept for %q in %q, which is one of two", kept.App, kept.Environment)
	}
	f.forbidden = "*"
	rules, refused := webhook.AuthorizeOrders(f, gitops.RightOrder, gitops.Event{Principal: ann, Orders: make([]gitops.Order, 3)})
	if len(refused) != 0 || len(rules) != 3 {
		t.Errorf("orders without names: %v refused", refused)
	}
	many := make([]gitops.Order, 5_000)
	for i := range many {
		many[i] = gitops.Order{App: "api", Environment: "dev", AppPlace: i + 1}
	}
	if _, refused = webhook.AuthorizeOrders(f, gitops.RightOrder, gitops.Event{Principal: ann, Orders: many}); len(refused) != 10 || refused[0].AppPlace != 1 || refused[9].AppPlace != 10 {
		t.Errorf("%d are refused: %+v", len(refused), refused)
	}
}

// Everybody else hears it at once: nothing is kept of what they may not ask for.
func TestAnOrderThatIsForbidden(t *testing.T) {
	f := newFakes(t)
	f.forbidden = "dev"
	a := f.sendAs("d1 job's order")
	if gitops.CodeOf(a.err) != gitops.Forbidden || len(f.stored) != 0 {
		t.Errorf("%v, kept %v", a.err, f.stored)
	}
	if diff := cmp.Diff([]string{"unauthorized"}, a.outcomes); diff != "" {
		t.Error(diff)
	}
}

// Of a push what is not allowed is left out, and the reason says where and why.
func TestPushesAreCutToWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		forbidden string
		updates   []string
		status    int
		outcome   gitops.Outcome
		reason    string
		refused   []string // entries of the audit
	}{
		{"nowhere", []string{"dev/api", "prod/api", "prod/web"}, 202, gitops.OutcomeAccepted, "staging: not this tag", nil},
		{"prod", []string{"dev/api"}, 202, gitops.OutcomeAccepted, "staging: not this tag; prod: nobody may order api in prod", []string{"prod/api"}},
		{"dev", []string{"prod/api", "prod/web"}, 202, gitops.OutcomeAccepted, "staging: not this tag; dev: nobody may order api in dev", []string{"dev/api"}},
		{"*", nil, 200, gitops.OutcomeIgnored, "staging: not this tag; dev: nobody may order api in dev; prod: nobody may order api in prod", []string{"dev/api", "prod/api"}},
	} {
		f := newFakes(t)
		f.forbidden = c.forbidden
		a := f.sendAs("d1 push")
		if a.err != nil {
			t.Fatal(a.err)
		}
		var updates []string
		for _, u := range a.delivery.Updates {
			updates = append(updates, u.Environment+"/"+u.App)
			if u.Rule != "access[7]" {
				t.Errorf("%s: by the rule %q", u.Environment, u.Rule)
			}
		}
		if diff := cmp.Diff(c.updates, updates); diff != "" || a.status != c.status || a.delivery.Outcome != c.outcome || a.delivery.Reason != c.reason {
			t.Errorf("without %s: %d, %+v\n%s", c.forbidden, a.status, a.delivery, diff)
		}
		var refused []string
		for _, e := range f.refused {
			refused = append(refused, e.Environment+"/"+e.App)
			if e.Principal != "push:eventbridge/" || e.Delivery != source+"/d1" || e.Right != gitops.RightOrder || e.Reason == "" || e.Credential == "" {
				t.Errorf("the audit has %+v", e)
			}
		}
		if diff := cmp.Diff(c.refused, refused); diff != "" {
			t.Errorf("without %s: the audit %s", c.forbidden, diff)
		}
		if f.allowed != len(updates) {
			t.Errorf("without %s: %d updates, %d are allowed", c.forbidden, len(updates), f.allowed)
		}
	}
}
