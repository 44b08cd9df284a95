package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp/githubtest"
)

// The server is down for the time of 50 dispatches, each of which GitHub tries
// once. After the restart all 50 are on the branch, in their order, without a
// person's help; but for one that happened before what was there already.
func TestNothingIsLostWhileTheServerIsDown(t *testing.T) {
	s, github := newAppSite(t)
	r := s.start()
	d := r.do(r.github(oldSecret, "before", order("api", "dev", "main-0000001"))).delivery(t, 202)
	r.settled(d.Updates[0].ID)
	github.AddDelivery(githubtest.Delivery{ID: 1, GUID: "before", DeliveredAt: time.Now(), Payload: order("api", "dev", "main-0000001")})
	r.stop()

	const dispatches = 50
	at := time.Now()
	github.AddDelivery(githubtest.Delivery{
		ID: 2, GUID: "older", DeliveredAt: at.Add(-5 * time.Minute), Status: "failed to connect to host", StatusCode: 502,
		Payload: order("api", "dev", "main-0000000"),
	})
	for i := range int64(dispatches) {
		github.AddDelivery(githubtest.Delivery{
			ID: 3 + i, GUID: fmt.Sprintf("missed-%02d", i), DeliveredAt: at, Status: "failed to connect to host", StatusCode: 502,
			Payload: order("api", "dev", fmt.Sprintf("main-00000%02d", 10+i)),
		})
	}

	r = s.start()
	committed := 0
	r.changes(func(u gitops.Update) bool {
		if strings.HasPrefix(u.Delivery.ID, "missed-") && u.State == gitops.Committed {
			committed++
		}
		return committed == dispatches
	})
	log, err := s.repository.Log("main")
	s.must(err)
	if len(log) != 2+dispatches {
		t.Fatalf("%d commits", len(log))
	}
	for i, commit := range log[2:] {
		if want := fmt.Sprintf("chore: bump api to main-00000%02d (dev)", 10+i); !strings.HasPrefix(commit.Message, want) {
			t.Errorf("commit %d is %q, want %q", i, commit.Message, want)
		}
	}
	r.stop()
	series := gather(t, r.Server)
	if recovered := series[`tallyman_missed_deliveries_total{outcome="recovered"}`]; recovered != dispatches+1 {
		t.Errorf("%v are counted", recovered)
	}
	if _, told := series["tallyman_missed_last_sweep_timestamp_seconds"]; !told {
		t.Error("the sweeps are not counted")
	}
	if lines := s.log.Lines("missed deliveries found, fetching from GitHub", fmt.Sprintf(`"deliveries":%d`, dispatches+1)); len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	if again, err := s.repository.Log("main"); err != nil || len(again) != len(log) {
		t.Errorf("%d commits, %v", len(again), err)
	}
}
