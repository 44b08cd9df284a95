package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// frozen is a freeze of an environment from yesterday until tomorrow.
func frozen(environment string) string {
	const minute = "2006-01-02 15:04"
	day := 24 * time.Hour
	return fmt.Sprintf("freezes: [{name: move, environments: [%s], zone: UTC, reason: the data center moves, once: [{from: %s, until: %s}]}]\n",
		environment, now().Add(-day).Format(minute), now().Add(day).Format(minute))
}

// dispatchHeld waits until what a dispatch orders is held, and says by what.
func (r *running) dispatchHeld(key, app, environment, tag string) (id, reason string) {
	r.t.Helper()
	u := r.isHeld(r.orders(key, app, environment, tag).delivery(r.t, 202).Updates[0].ID)
	return u.ID, string(u.BlockedBy[0].Kind) + ": " + u.BlockedBy[0].Reason
}

// A freeze holds what is accepted in it, in its environment alone. A configuration without
// it has that written at once, put in force by a reload or by a restart; a restart with it
// does not.
func TestAFreezeOfTheConfiguration(t *testing.T) {
	s := newSite(t)
	open := s.yaml
	s.yaml += frozen("dev")
	r := s.start()
	first, reason := r.dispatchHeld("1", "api", "dev", "main-1a2b3c4")
	if !strings.HasPrefix(reason, "freeze: freeze move until ") || !strings.HasSuffix(reason, " UTC: the data center moves") {
		t.Errorf("held by %q", reason)
	}
	other := r.orders("2", "api", "prod", "1.0.0").delivery(t, 202).Updates[0].ID
	if u := r.settled(other); u.State != gitops.Committed {
		t.Errorf("in the other environment it is %s: %s", u.State, u.Reason)
	}
	s.yaml = open
	s.must(s.reload(r))
	if u := r.settled(first); u.State != gitops.Committed {
		t.Errorf("after the reload it is %s: %s", u.State, u.Reason)
	}
	s.yaml = open + frozen("dev")
	s.must(s.reload(r))
	second, _ := r.dispatchHeld("3", "api", "dev", "main-2a2b3c4")
	s.must(r.Stop(t.Context()))

	same := s.start()
	same.dispatchHeld("4", "worker", "dev", "main-3a2b3c4") // the lane has been worked
	if u, err := same.store.Update(t.Context(), second); err != nil || u.State != gitops.Pending || len(u.BlockedBy) != 1 {
		t.Errorf("after a restart it is %s, blocked by %+v, %v", u.State, u.BlockedBy, err)
	}
	s.must(same.Stop(t.Context()))
	s.yaml = open
	if u := s.start().settled(second); u.State != gitops.Committed {
		t.Errorf("after a restart without the freeze it is %s: %s", u.State, u.Reason)
	}
}

// What is wrong with a freeze is found before anything is opened, by New and so by check.
func TestFreezesThatAreWrong(t *testing.T) {
	s := newSite(t)
	good := s.yaml
	const window = "weekly: [{from: Fri 16:00, until: Mon 08:00}]"
	for text, want := range map[string]string{
		"{name: a, zone: UTC, apps: [api, shop], " + window + "}":                     `freezes[0].apps[1]: no app "shop" is configured`,
		"{name: a, zone: Mars/Olympus, " + window + "}":                               `freezes[0].zone: "Mars/Olympus" is not a zone of the IANA time zone database, such as Europe/Berlin or UTC`,
		"{name: a, " + window + "}":                                                   `freezes[0].zone: "" is not a zone of the IANA time zone database, such as Europe/Berlin or UTC`,
		"{zone: UTC, " + window + "}":                                                 "freezes[0].name: is missing",
		"{name: a, zone: UTC}":                                                        "freezes[0]: has no windows: give it weekly or once",
		"{name: a, zone: UTC, " + window + "}, {name: a, zone: UTC, " + window + "}":  `freezes[1].name: there are two freezes "a": give one of them another name`,
		"{name: a, zone: UTC, weekly: [{from: Fri, until: Mon 08:00}]}":               `freezes[0].weekly[0].from: "Fri" is not a weekday and a time of day, such as "Fri 16:00"`,
		"{name: a, zone: UTC, once: [{from: 2026-12-19 18:00, until: '2026-12-19'}]}": "freezes[0].once[0]: ends at 2026-12-19 00:00, which is not after its beginning at 2026-12-19 18:00",
	} {
		s.yaml = good + "freezes: [" + text + "]\n"
		_, err := s.newServer()
		if got := sentences(err); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
	s.yaml = good + "discover: [{file: 'charts/{app}/values-{env}.yaml'}]\nfreezes: [{name: a, zone: UTC, apps: [shop], " + window + "}]\n"
	server, err := s.newServer() // shop may be found
	s.must(err)
	s.must(server.Stop(t.Context()))
}
