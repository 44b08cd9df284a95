package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// frozenNow is a freeze of the configuration that is closed from yesterday until tomorrow.
func frozenNow(name, scope string) string {
	now := time.Now().UTC()
	return fmt.Sprintf("  - {name: %s, %s, zone: UTC, once: [{from: %q, until: %q}]}\n", name, scope, now.AddDate(0, 0, -1).Format(time.DateOnly), now.AddDate(0, 0, 2).Format(time.DateOnly))
}

// awaitBlock waits until the update is blocked, by a reason that begins so.
func (r *running) awaitBlock(id, reason string) {
	r.t.Helper()
	for {
		changed := r.store.Changed()
		u, err := r.store.Update(r.t.Context(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(u.BlockedBy) > 0 && strings.HasPrefix(u.BlockedBy[0].Reason, reason) {
			return
		}
		select {
		case <-changed:
		case <-r.t.Context().Done():
			r.t.Fatal("the test is over")
		}
	}
}

// What a freeze of the configuration held goes when it leaves the configuration or is of
// something else now, by a reload and at a start, and is judged again by what took its place.
// A freeze that is wrong changes nothing.
func TestFreezesChangeWhileUpdatesAreHeld(t *testing.T) {
	s := newSite(t)
	plain := s.yaml
	s.yaml = plain + "freezes:\n" + frozenNow("inventory", "environments: [dev]")
	r := s.start()
	api := r.orders("1", "api", "dev", "main-1a2b3c4").delivery(t, http.StatusAccepted).Updates[0].ID
	worker := r.orders("2", "worker", "dev", "main-1a2b3c4").delivery(t, http.StatusAccepted).Updates[0].ID
	r.awaitBlock(api, "freeze inventory until ")
	r.awaitBlock(worker, "freeze inventory until ")

	good := s.yaml
	for wrong, says := range map[string]string{
		"zone: Europe/Atlantis": `freezes[0].zone: "Europe/Atlantis" is not a zone of the IANA time zone database`, "zone: Local": `freezes[0].zone: "Local" is not a zone`,
	} {
		s.edit("zone: UTC", wrong)
		if err := s.reload(r); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", wrong, err)
		}
		s.yaml = good
	}

	s.yaml = plain + "freezes:\n" + frozenNow("migration", "apps: [api]")
	s.must(s.reload(r))
	if u := r.settled(worker); u.State != gitops.Committed {
		t.Errorf("what no freeze is about any more is %s: %s", u.State, u.Reason)
	}
	r.awaitBlock(api, "freeze migration until ")
	r.stop()

	s.yaml = plain
	if u := s.start().settled(api); u.State != gitops.Committed {
		t.Errorf("after a start without freezes it is %s: %s", u.State, u.Reason)
	}
}
