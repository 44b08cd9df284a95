package githubapp_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

func TestDeliveriesPageByPage(t *testing.T) {
	s := newSite(t)
	old := s.clock.Now().Add(-4 * 24 * time.Hour)
	s.github.AddDelivery(githubtest.Delivery{ID: 1, GUID: "forgotten", DeliveredAt: old})
	for i := range int64(250) {
		s.github.AddDelivery(githubtest.Delivery{ID: 2 + i, GUID: "g" + strconv.FormatInt(i, 10), DeliveredAt: s.clock.Now(), Installation: 5678, Repository: 9})
	}
	s.github.AddDelivery(githubtest.Delivery{ID: 900, GUID: "failed", DeliveredAt: s.clock.Now(), Status: "failed to connect", StatusCode: 502, Event: "ping"})
	a := s.app()
	var all []githubapp.Delivery
	pages := 0
	for cursor := ""; ; pages++ {
		page, next, err := a.Deliveries(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if cursor = next; cursor == "" {
			break
		}
	}
	if pages != 2 || len(all) != 251 || all[250].ID != 2 {
		t.Errorf("%d deliveries after %d more pages", len(all), pages)
	}
	if diff := cmp.Diff(githubapp.Delivery{ID: 900, GUID: "failed", DeliveredAt: s.clock.Now(), Event: "ping"}, all[0]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(githubapp.Delivery{ID: 251, GUID: "g249", DeliveredAt: s.clock.Now(), OK: true, Event: "repository_dispatch", Installation: 5678, Repository: 9}, all[1]); diff != "" {
		t.Error(diff)
	}
}

func TestADeliveryAndItsRedelivery(t *testing.T) {
	s := newSite(t)
	s.github.AddDelivery(githubtest.Delivery{ID: 7, GUID: "g7", DeliveredAt: s.clock.Now(), Payload: `{"action":"update-image"}`})
	a := s.app()
	request, err := a.DeliveryRequest(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	if string(request.Body) != `{"action":"update-image"}` || request.Header.Get("X-GitHub-Delivery") != "g7" ||
		request.Header.Get("X-GitHub-Event") != "repository_dispatch" || request.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v %s", request.Header, request.Body)
	}
	if err := a.Redeliver(t.Context(), 7); err != nil { // the client calls GitHub's 202 an error
		t.Error(err)
	}
	if diff := cmp.Diff([]int64{7}, s.github.Redelivered()); diff != "" {
		t.Error(diff)
	}
	s.github.Expect(http.StatusNotFound)
	if _, err := a.DeliveryRequest(t.Context(), 8); gitops.CodeOf(err) != gitops.NotFound {
		t.Error(err)
	}
	if err := a.Redeliver(t.Context(), 8); gitops.CodeOf(err) != gitops.NotFound {
		t.Error(err)
	}
}
