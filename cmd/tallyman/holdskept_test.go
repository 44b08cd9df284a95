package main

import (
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// openStore opens the store at an address; no server has it open.
func (s *site) openStore(address string) queue.Queue {
	s.t.Helper()
	if path, isFile := strings.CutPrefix(address, "sqlite://"); isFile {
		q, err := sqlite.Open(s.t.Context(), path, sqlite.Options{})
		s.must(err)
		return q
	}
	q, err := postgres.Open(s.t.Context(), postgres.Address{URL: address}, postgres.Options{})
	s.must(err)
	return q
}

// hold places a stop and a pin that hold nothing of the traffic, and lifts a freeze, in
// the store at an address.
func (s *site) hold(address string) {
	s.t.Helper()
	q := s.openStore(address)
	until := time.Now().Add(24 * time.Hour)
	by := gitops.Hold{Principal: "token:ann", Actor: "token:ann", Reason: "incident 4711"}
	stop, pin, freeze := by, by, by
	stop.Kind, stop.Environments = gitops.HoldStop, []string{"qa"}
	pin.Kind, pin.Environments, pin.Apps, pin.Tag, pin.Until = gitops.HoldPin, []string{"qa"}, []string{"web"}, "1.4.1", until
	freeze.Kind, freeze.Environments, freeze.Until = gitops.HoldFreeze, []string{"qa"}, until
	placed, err := q.Place(s.t.Context(), queue.Placement{Key: "request", Holds: []gitops.Hold{stop, pin, freeze}})
	s.must(err)
	_, err = q.Lift(s.t.Context(), queue.Lifting{IDs: []string{placed.Holds[2].ID}, Principal: "token:bo", Actor: "token:bo", Reason: "over"})
	s.must(err)
	s.must(q.Close())
}

// holds are all holds in the store at an address, by their ids, also those that ended.
func (s *site) holds(address string) map[string]gitops.Hold {
	s.t.Helper()
	q := s.openStore(address)
	all, _, err := q.HoldsListed(s.t.Context(), queue.HoldFilter{Ended: true}, queue.Page{Limit: 100})
	s.must(err)
	s.must(q.Close())
	found := make(map[string]gitops.Hold, len(all))
	for _, h := range all {
		found[h.ID] = h
	}
	return found
}

// holdsKept fails unless the store at an address has the holds that hold placed.
func (s *site) holdsKept(want map[string]gitops.Hold, address string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.holds(address), cmpopts.EquateEmpty()); diff != "" || len(want) != 3 {
		s.t.Errorf("the holds: -before +after:\n%s", diff)
	}
}
