package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
)

// stopOf stops an environment.
func stopOf(environment string) gitops.Hold {
	return gitops.Hold{Kind: gitops.HoldStop, Environments: []string{environment}, Principal: "token:ann", Actor: "token:ann"}
}

func place(t *testing.T, s *postgres.Store, p queue.Placement) queue.Placed {
	t.Helper()
	placed, err := s.Place(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

func lift(t *testing.T, s *postgres.Store, h gitops.Hold) {
	t.Helper()
	if _, err := s.Lift(t.Context(), queue.Lifting{IDs: []string{h.ID}, Principal: "token:ann", Actor: "token:ann"}); err != nil {
		t.Fatal(err)
	}
}

// inForce are the ids of what holds.
func inForce(t *testing.T, s *postgres.Store) (ids []string) {
	t.Helper()
	held, err := s.HoldsInForce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range held.Holds {
		ids = append(ids, h.ID)
	}
	return ids
}

// TestOtherReplicasLearnOfAHold has another replica, which keeps what holds in memory, told
// of a stop at once; and of its lift, with the lane that has something to take by it.
func TestOtherReplicasLearnOfAHold(t *testing.T) {
	a := schema(t)
	one, other := open(t, a), open(t, a)
	hinted := func(what string, hint <-chan struct{}) {
		t.Helper()
		select {
		case <-hint:
		case <-time.After(20 * time.Second):
			t.Fatalf("no hint of a %s", what)
		}
	}
	before, err := other.HoldsRevision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changed := other.Changed()
	stop := place(t, one, queue.Placement{Holds: []gitops.Hold{stopOf("dev")}}).Holds[0]
	hinted("stop", changed)
	if after, err := other.HoldsRevision(t.Context()); err != nil || after <= before {
		t.Errorf("the revision is %d after %d, %v", after, before, err)
	}
	if ids := inForce(t, other); len(ids) != 1 || ids[0] != stop.ID {
		t.Errorf("the other replica finds %q", ids)
	}
	wake := other.Wake("dev")
	id := accept(t, one, order("1", "api")).Updates[0].ID
	hinted("delivery", wake)
	held := queue.Report{Blocks: []queue.Blocked{{Update: id, BlockedBy: []gitops.Block{{Kind: gitops.BlockStop, Reason: "stopped"}}}}}
	if _, err := one.Report(t.Context(), claim(t, one, "one", "dev", time.Hour), held); err != nil {
		t.Fatal(err)
	}
	lift(t, one, stop)
	hinted("lift", wake)
	if ready, err := other.Ready(t.Context(), []string{"dev"}); err != nil || len(ready) != 1 {
		t.Errorf("ready are %q, %v", ready, err)
	}
}

// TestUnknownPlacement cuts the connection while a hold is placed with an order, and while
// it is lifted: before the server has the call, and after it has committed. What is asked
// for again is there once.
func TestUnknownPlacement(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%t", applied), func(t *testing.T) {
			a := schema(t)
			p := startProxy(t, &a)
			s := open(t, a)
			d := order("1", "api")
			d.Principal, d.Actor = "token:ann", "token:ann"
			pin := gitops.Hold{Kind: gitops.HoldPin, Environments: []string{"dev"}, Apps: []string{"api"}, Tag: d.Updates[0].Tag, Principal: "token:ann",
				Actor: "token:ann", Reason: "incident", Until: time.Now().Add(time.Hour)}
			asked := queue.Placement{Order: &d, Holds: []gitops.Hold{pin}}
			p.cutNext("place(", applied)
			if _, err := s.Place(t.Context(), asked); gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("Place over a connection that is cut: %v", err)
			}
			placed := place(t, s, asked)
			if placed.Duplicate != applied || len(placed.Holds) != 1 || len(placed.Order.Updates) != 1 {
				t.Errorf("asked again: %+v", placed)
			}
			if ids := inForce(t, s); len(ids) != 1 {
				t.Errorf("in force are %q", ids)
			}
			lifting := queue.Lifting{IDs: []string{placed.Holds[0].ID}, Principal: "token:ann", Actor: "token:ann"}
			p.cutNext("lift(", applied)
			if _, err := s.Lift(t.Context(), lifting); gitops.CodeOf(err) != gitops.Unavailable {
				t.Errorf("Lift over a connection that is cut: %v", err)
			}
			lifted, err := s.Lift(t.Context(), lifting)
			if err != nil || lifted.Holds[0].Lifted == nil {
				t.Errorf("lifted again: %+v, %v", lifted, err)
			}
			entries, _, err := s.AuditEntries(t.Context(), queue.AuditFilter{Act: gitops.ActLift}, queue.Page{Limit: 10})
			if err != nil || len(entries) != 1 {
				t.Errorf("the audit has %d lifts, %v", len(entries), err)
			}
		})
	}
}

// TestAFailoverGivesNoHoldTwice has a server take over that lacks the last hold: neither
// its id nor its revision come to mean another hold.
func TestAFailoverGivesNoHoldTwice(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	kept := place(t, s, queue.Placement{Holds: []gitops.Hold{stopOf("dev")}}).Holds[0]
	execute(t, a, `CREATE TABLE before AS SELECT * FROM holds_state`)
	lost := place(t, s, queue.Placement{Holds: []gitops.Hold{stopOf("prod")}}).Holds[0]
	revision, err := s.HoldsRevision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, a, `DELETE FROM holds WHERE id = 2`)
	execute(t, a, `UPDATE holds_state s SET last = b.last, revision = b.revision FROM before b`)
	execute(t, a, `UPDATE location SET identity = 'of another server'`)
	s = open(t, a)
	if ids := inForce(t, s); len(ids) != 1 || ids[0] != kept.ID {
		t.Errorf("in force are %q", ids)
	}
	next := place(t, s, queue.Placement{Holds: []gitops.Hold{stopOf("staging")}}).Holds[0]
	if again, err := s.HoldsRevision(t.Context()); err != nil || again <= revision {
		t.Errorf("the revision is %d after %d, %v", again, revision, err)
	}
	if next.ID == lost.ID {
		t.Errorf("%s is given to another hold", next.ID)
	}
}

// TestHoldsOutliveSessions ends every session of a replica: what it placed holds on, and
// the next replica can lift it.
func TestHoldsOutliveSessions(t *testing.T) {
	a := schema(t)
	s := open(t, a)
	stop := place(t, s, queue.Placement{Holds: []gitops.Hold{stopOf("dev")}}).Holds[0]
	execute(t, a, `SELECT pg_terminate_backend(`+sessionOf(t, a, s)+`)`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next := open(t, a)
	if ids := inForce(t, next); len(ids) != 1 || ids[0] != stop.ID {
		t.Errorf("in force are %q", ids)
	}
	lift(t, next, stop)
	if ids := inForce(t, next); len(ids) != 0 {
		t.Errorf("in force are %q", ids)
	}
}
