package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// decided waits until a delivery waits no longer.
func (r *running) decided(source, id string) gitops.Delivery {
	r.t.Helper()
	for {
		changed := r.store.Changed()
		if d, _ := r.stored(source, id); d.Outcome != gitops.OutcomeWaiting {
			return d
		}
		select {
		case <-changed:
		case <-r.t.Context().Done():
			r.t.Fatalf("%s/%s still waits", source, id)
		}
	}
}

// ordersNew sends a dispatch for an app that nobody knows, which has the branch looked at.
func (l *lookout) ordersNew(id, app, tag string) gitops.Delivery {
	l.t.Helper()
	d := l.orders(id, app, "dev", tag).delivery(l.t, http.StatusAccepted)
	if d.Outcome != gitops.OutcomeWaiting || len(d.Updates) > 0 || d.Field != "client_payload.app" || !strings.Contains(d.Reason, fmt.Sprintf("no app %q", app)) {
		l.t.Fatalf("%+v", d)
	}
	l.wait()
	return d
}

// The first order and the first image of a new app come before its files: both are
// answered 202 and wait, are there to be seen, and are written when the branch has them.
func TestANewAppsFirstDeliveriesWaitForItsFiles(t *testing.T) {
	s := branchSite(t)
	l := s.watch()
	l.ordersNew("1", "cart", "main-1a2b3c4")
	image := strings.Replace(push("2", "main-2a2b3c4"), "shop/api", "shop/mail", 1)
	if d := l.do(l.ecr(bridgeSecret, image)).delivery(t, http.StatusAccepted); d.Outcome != gitops.OutcomeWaiting || !strings.Contains(d.Reason, "amazonaws.com/shop/mail") {
		t.Errorf("%+v", d)
	}
	l.wait()
	if list := readAs[api.DeliveryList](l.running, readToken, "/api/v1/deliveries?outcome=waiting"); len(list.Deliveries) != 2 || !strings.Contains(list.Deliveries[1].Reason, "it waits until") {
		t.Errorf("%+v", list)
	}
	told := gather(t, l.Server)
	if told["tallyman_deliveries_waiting"] != 2 || told["tallyman_deliveries_waiting_oldest_seconds"] <= 0 || told[`tallyman_deliveries_total{outcome="waiting",source="github"}`] != 1 {
		t.Errorf("waiting are %v, the oldest for %v s", told["tallyman_deliveries_waiting"], told["tallyman_deliveries_waiting_oldest_seconds"])
	}

	s.commit(valuesOf("cart", "dev"))
	l.look()
	d := l.decided("github", "1")
	if d.Outcome != gitops.OutcomeAccepted || len(d.Updates) != 1 || d.Updates[0].Rule != "access[0]" || d.DecidedAt.IsZero() {
		t.Fatalf("%+v", d)
	}
	if u := l.settled(d.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("the order is %s: %s", u.State, u.Reason)
	}
	s.commit(valuesOf("mail", "dev"))
	l.look()
	if u := l.settled(l.decided("eventbridge", "2").Updates[0].ID); u.State != gitops.Committed || u.Environment != "dev" || u.Tag != "main-2a2b3c4" {
		t.Errorf("the push is %+v", u)
	}
	if told := gather(t, l.Server); told["tallyman_deliveries_waiting"] != 0 || told["tallyman_deliveries_waiting_oldest_seconds"] != 0 || told[`tallyman_deliveries_total{outcome="accepted",source="github"}`] != 1 {
		t.Errorf("afterwards %v wait", told["tallyman_deliveries_waiting"])
	}
	if lines := s.log.Lines("delivery accepted", `"delivery":"github/1"`, `"waitedSeconds"`); len(lines) != 1 {
		t.Errorf("the log has %q", lines)
	}
	l.orders("1", "cart", "dev", "main-1a2b3c4").delivery(t, http.StatusOK) // it is known
}

// What waits is decided after a restart, when the app came while nobody was there.
func TestWhatWaitsOutlivesARestart(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *site) {
		_, apps, _ := strings.Cut(s.yaml, "apps:\n")
		s.edit("apps:\n"+apps, "discover: [{file: 'charts/{app}/values-{env}.yaml'}]\n")
		l := s.watch()
		l.ordersNew("1", "cart", "main-1a2b3c4")
		l.stop()
		s.commit(valuesOf("cart", "dev"))
		again := s.watch()
		d := again.decided("github", "1")
		if u := again.settled(d.Updates[0].ID); u.State != gitops.Committed {
			t.Errorf("%s: %s", u.State, u.Reason)
		}
	})
}

// A reload that configures the app, or that leaves nothing by which it could come, ends
// the wait.
func TestAReloadEndsTheWait(t *testing.T) {
	s := branchSite(t)
	l := s.watch()
	l.ordersNew("1", "blog", "main-1a2b3c4")
	l.ordersNew("2", "cart", "main-1a2b3c4")
	s.addFile("blog", "dev")
	_, discover, _ := strings.Cut(s.yaml, "discover:\n")
	s.edit("discover:\n"+discover, "apps:\n  blog: {environments: [dev]}\n")
	s.must(s.reload(l.running))
	if u := l.settled(l.decided("github", "1").Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("%s: %s", u.State, u.Reason)
	}
	if d := l.decided("github", "2"); d.Outcome != gitops.OutcomeRejected || d.Field != "client_payload.app" || !strings.Contains(d.Reason, `no app "cart" is configured`) {
		t.Errorf("%+v", d)
	}
}

// A store that does not answer is asked again: nothing that waits is lost.
func TestAStoreThatIsAwayDecidesLater(t *testing.T) {
	s := branchSite(t)
	l := s.watch()
	l.ordersNew("1", "cart", "main-1a2b3c4")
	s.commit(valuesOf("cart", "dev"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.current().intake.Reconsider(ended); gitops.CodeOf(err) != gitops.Unavailable {
		t.Errorf("%v", err)
	}
	if d, _ := l.stored("github", "1"); d.Outcome != gitops.OutcomeWaiting {
		t.Fatalf("%+v", d)
	}
	l.look()
	if d := l.decided("github", "1"); d.Outcome != gitops.OutcomeAccepted {
		t.Errorf("%+v", d)
	}
}

// A sender that names app after app that does not exist fills no store: some of its
// deliveries wait, the others are rejected, and somebody else's still waits.
func TestAFloodOfUnknownNames(t *testing.T) {
	s := branchSite(t)
	s.edit("apps: [\"*\"], environments: [\"*\"]}\n  - {who: {push", "apps: [\"*\"], environments: [\"*\"]}\n  - {who: {dispatch: {repository: shop/other, repositoryID: 18}}, may: [order], apps: [\"*\"], environments: [\"*\"]}\n  - {who: {push")
	r := s.start()
	const waiting, flood = 100, 130
	for i := range flood {
		answer := r.orders(fmt.Sprint("flood-", i), fmt.Sprint("app-", i), "dev", "main-1a2b3c4")
		if i < waiting {
			answer.delivery(t, http.StatusAccepted)
		} else if p := answer.problem(t, http.StatusUnprocessableEntity); !strings.Contains(p.Detail, "its sender has too many that wait") {
			t.Fatalf("%+v", p)
		}
	}
	other := strings.Replace(order("cart", "dev", "main-1a2b3c4"), `"id": 17, "full_name": "shop/api"`, `"id": 18, "full_name": "shop/other"`, 1)
	if d := r.do(r.github(newSecret, "other", other)).delivery(t, http.StatusAccepted); d.Outcome != gitops.OutcomeWaiting {
		t.Errorf("%+v", d)
	}
	s.commit(valuesOf("cart", "dev"))
	r.finder.ask()
	if d := r.decided("github", "other"); d.Outcome != gitops.OutcomeAccepted {
		t.Errorf("%+v", d)
	}
	if n := gather(t, r.Server)["tallyman_deliveries_waiting"]; n != waiting {
		t.Errorf("%v wait", n)
	}
}
