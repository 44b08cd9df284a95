package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// newScopedSite is a site where ops may do all, and board reads the app api in dev and
// orders the app worker there.
func newScopedSite(t *testing.T, s *site) *running {
	t.Helper()
	s.edit("  - {who: {token: board}, may: [read]}\n",
		"  - {who: {token: board}, may: [read], apps: [api], environments: [dev]}\n  - {who: {token: board}, may: [order], apps: [worker], environments: [dev]}\n")
	return s.start()
}

// What is not the caller's to read is left out of every answer, pages stay full, and by
// its id it does not exist.
func TestReadingIsScoped(t *testing.T) { onEachStore(t, testReadingIsScoped) }

func testReadingIsScoped(t *testing.T, s *site) {
	r := newScopedSite(t, s)
	follower := r.followAs(readToken, "", "")
	var mine, hidden []gitops.Update
	for n := range 12 {
		hidden = append(hidden, r.order(fmt.Sprint("prod", n), fmt.Sprintf(`{"app": "api", "environment": "prod", "tag": "1.0.%d"}`, n)).delivery(t, 202).Updates[0])
		hidden = append(hidden, r.order(fmt.Sprint("worker", n), fmt.Sprintf(`{"app": "worker", "environment": "dev", "tag": "main-%07x"}`, n)).delivery(t, 202).Updates[0])
		if n%3 == 0 {
			mine = append(mine, r.order(fmt.Sprint("dev", n), fmt.Sprintf(`{"app": "api", "environment": "dev", "tag": "main-%07x"}`, n)).delivery(t, 202).Updates[0])
		}
	}
	own := r.callWith(readToken, "POST", "/api/v1/updates", `{"app": "worker", "environment": "dev", "tag": "main-fffffff"}`, http.Header{"Idempotency-Key": {"prod0"}}).delivery(t, 202)
	mine = append(mine, own.Updates[0])
	for _, u := range append(slices.Clone(mine), hidden...) {
		r.settled(u.ID)
	}

	var updates, deliveries []string
	for page, next := 1, ""; page == 1 || next != ""; page++ {
		list := readAs[api.UpdateList](r, readToken, "/api/v1/updates?limit=3&cursor="+next)
		if len(list.Updates) < 3 && list.Next != "" {
			t.Errorf("page %d has %d updates, and there are more", page, len(list.Updates))
		}
		for _, u := range list.Updates {
			updates = append(updates, u.ID)
		}
		next = list.Next
	}
	for _, d := range readAs[api.DeliveryList](r, readToken, "/api/v1/deliveries").Deliveries {
		deliveries = append(deliveries, d.Key().String())
	}
	var wantUpdates, wantDeliveries []string
	for _, u := range slices.Backward(mine) {
		wantUpdates, wantDeliveries = append(wantUpdates, u.ID), append(wantDeliveries, u.Delivery.String())
	}
	if !slices.Equal(updates, wantUpdates) || !slices.Equal(deliveries, wantDeliveries) {
		t.Errorf("listed %q and %q, want %q", updates, deliveries, wantDeliveries)
	}

	for _, u := range mine {
		readAs[gitops.Update](r, readToken, "/api/v1/updates/"+u.ID)
		readAs[gitops.Delivery](r, readToken, "/api/v1/deliveries/"+u.Delivery.String())
	}
	if d := readAs[gitops.Delivery](r, readToken, "/api/v1/deliveries/prod0"); d.ID != own.ID { // by its own key
		t.Errorf("found %s", d.ID)
	}
	// What is hidden is answered as what is not there.
	missing := r.call(readToken, "GET", "/api/v1/updates/none", "").problem(t, 404).Detail
	for _, u := range hidden[:2] {
		for _, path := range []string{"/api/v1/updates/" + u.ID, "/api/v1/deliveries/" + u.Delivery.String(), "/api/v1/deliveries/" + u.Delivery.ID} {
			if p := r.call(readToken, "GET", path, "").problem(t, 404); path == "/api/v1/updates/"+u.ID && p.Detail != strings.Replace(missing, "none", u.ID, 1) {
				t.Errorf("%s is answered %q, what is not there %q", path, p.Detail, missing)
			}
		}
		r.call(readToken, "POST", "/api/v1/updates/"+u.ID+"/retry", "").problem(t, 403) // board has the right nowhere
	}
	r.call(readToken, "GET", "/api/v1/history?app=api&environment=prod", "").problem(t, 404)
	readAs[api.History](r, readToken, "/api/v1/history?app=api&environment=dev")
	environments := readAs[api.Environments](r, readToken, "/api/v1/environments").Environments
	if len(environments) != 1 || environments[0].Name != "dev" || len(environments[0].Apps) != 1 || environments[0].Apps[0].App != "api" {
		t.Errorf("environments: %+v", environments)
	}
	seen := make(map[string]bool)
	for len(seen) < len(mine) {
		e, ok := follower.next()
		if !ok {
			t.Fatalf("the stream ended after %v", seen)
		}
		if e.kind == "update" {
			seen[e.update.ID] = true
		}
	}
	for _, u := range hidden {
		if seen[u.ID] {
			t.Errorf("streamed: %+v", u)
		}
	}
}

// A delivery for several environments is shown with the caller's part of it alone.
func TestPartOfADelivery(t *testing.T) {
	r := newScopedSite(t, newSite(t))
	d := r.do(r.ecr(bridgeSecret, push("event-1", "main-1a2b3c4"))).delivery(t, 202)
	if len(d.Updates) != 1 || !strings.Contains(d.Reason, "prod: ") {
		t.Fatalf("%+v", d)
	}
	got := readAs[gitops.Delivery](r, readToken, "/api/v1/deliveries/event-1")
	if len(got.Updates) != 1 || strings.Contains(got.Reason, "prod") {
		t.Errorf("%+v", got)
	}
	r.do(r.ecr(bridgeSecret, push("event-2", "1.0.0"))).delivery(t, 202)
	r.call(readToken, "GET", "/api/v1/deliveries/eventbridge/event-2", "").problem(t, 404)
}

// A rejected order is read by who may read what it was for, in every answer, and by
// nobody else but its sender.
func TestRejectedOrdersAreScoped(t *testing.T) { onEachStore(t, testRejectedOrdersAreScoped) }

func testRejectedOrdersAreScoped(t *testing.T, s *site) {
	r := newScopedSite(t, s)
	follower := r.followAs(readToken, "?environment=dev", "")
	r.do(r.github(oldSecret, "theirs", order("worker", "dev", "1.0.0"))).problem(t, 422)
	r.do(r.github(oldSecret, "elsewhere", order("api", "prod", "main-1a2b3c4"))).problem(t, 422)
	r.do(r.github(oldSecret, "nowhere", order("api", "DEV", "1.0.0"))).problem(t, 422)
	r.do(r.github(oldSecret, "mine", order("api", "dev", "1.0.0"))).problem(t, 422)
	r.do(r.github(oldSecret, "another", strings.Replace(order("api", "dev", "main-1a2b3c4"), `"id": 17`, `"id": 18`, 1))).problem(t, 422)
	var listed []string
	for next := ""; ; {
		list := readAs[api.DeliveryList](r, readToken, "/api/v1/deliveries?outcome=rejected&limit=1&cursor="+next)
		for _, d := range list.Deliveries {
			listed = append(listed, d.ID)
			if d.Environment != "dev" || d.App != "api" || d.Reason == "" {
				t.Errorf("%+v", d)
			}
		}
		if next = list.Next; next == "" {
			break
		}
	}
	if want := []string{"another", "mine"}; !slices.Equal(listed, want) {
		t.Errorf("listed %q, want %q", listed, want)
	}
	for _, id := range []string{"mine", "another"} {
		if d := readAs[gitops.Delivery](r, readToken, "/api/v1/deliveries/github/"+id); d.Outcome != gitops.OutcomeRejected {
			t.Errorf("%+v", d)
		}
		e, ok := follower.next()
		for ok && e.kind != "delivery" {
			e, ok = follower.next()
		}
		if !ok || e.delivery.ID != id {
			t.Errorf("streamed: %+v, want %s", e.delivery, id)
		}
	}
	for _, id := range []string{"theirs", "elsewhere", "nowhere"} {
		r.call(readToken, "GET", "/api/v1/deliveries/"+id, "").problem(t, 404)
		readAs[gitops.Delivery](r, apiToken, "/api/v1/deliveries/"+id)
	}
}

// Two callers with the same Idempotency-Key have an order each, and neither learns of the
// other's.
func TestKeysAreTheCallersOwn(t *testing.T) { onEachStore(t, testKeysAreTheCallersOwn) }

func testKeysAreTheCallersOwn(t *testing.T, s *site) {
	r := newScopedSite(t, s)
	header := http.Header{"Idempotency-Key": {"release-1"}}
	theirs := r.callWith(readToken, "POST", "/api/v1/updates", `{"app": "worker", "environment": "dev", "tag": "main-1a2b3c4"}`, header).delivery(t, 202)
	ours := r.callWith(apiToken, "POST", "/api/v1/updates", `{"app": "api", "environment": "prod", "tag": "1.0.0"}`, header).delivery(t, 202)
	if theirs.ID == ours.ID || theirs.Updates[0].ID == ours.Updates[0].ID {
		t.Errorf("%s and %s met", theirs.ID, ours.ID)
	}
	other := r.callWith(readToken, "POST", "/api/v1/updates", `{"app": "worker", "environment": "dev", "tag": "main-1a2b3c5"}`, header).problem(t, 409)
	if !strings.Contains(other.Detail, "worker in dev to main-1a2b3c4") || strings.Contains(other.Detail, "prod") {
		t.Errorf("told %q", other.Detail)
	}
	for _, d := range []gitops.Delivery{theirs, ours} {
		if got := readAs[gitops.Delivery](r, apiToken, "/api/v1/deliveries/"+d.ID); got.ID != d.ID {
			t.Errorf("%s is found as %s", d.ID, got.ID)
		}
	}
	// Each order has its line. The key that was used for another order was refused for what
	// it is, not for who asked.
	r.expectAudit("order token:board "+theirs.Key().String(), "order token:ops "+ours.Key().String())
}
