package main

import (
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// A stop that one replica answers counts for another that is in the middle of a push. Of
// that push, taken and not taken, nothing is made again, and nothing is pushed after it;
// the answer names who may still have had one under way.
func TestAStopOfAnotherReplica(t *testing.T) {
	server := postgrestest.Start(t)
	for name, fault := range map[string]gitserver.Fault{"taken": {}, "not taken": {Cut: true}} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 0, 2, server.Schema(t))
			f.mayHold()
			h := &heldSite{site: f.site, ctx: f.ctx}
			writes, stops := f.members[0], f.members[1]
			f.up(writes)
			h.dispatch(writes.base, "main-1111111") // the lane is the first's now
			h.must(writes.child.awaitUpdates(f.ctx, 1))
			f.up(stops)
			holder := f.holders(stops)["prod"]

			pushing, stopped := make(chan struct{}), make(chan struct{})
			fault.On, fault.Before, fault.Wait = gitserver.Push, func() { close(pushing) }, stopped
			f.git.Inject(fault)
			h.dispatch(writes.base, "main-2222222")
			<-pushing
			h.base = stops.base
			p := h.place(stops.base, `{"kind": "stop", "environments": ["prod"], "reason": "incident"}`)
			if len(p.Stop.OtherReplicas) != 1 || p.Stop.OtherReplicas[0] != holder || len(p.Stop.UnderWay) != 0 {
				t.Errorf("the stop's answer is %+v; %s holds the lane", p.Stop, holder)
			}
			close(stopped)
			h.dispatch(writes.base, "main-3333333")
			h.awaitHeld(writes.child)
			want := []string{bumped("main-1111111")}
			if name == "taken" {
				want = append(want, bumped("main-2222222"))
			} else {
				h.awaitHeld(writes.child) // both of them
			}
			h.expectSubjects(want...)

			h.ask("DELETE", stops.base+"/api/v1/holds/"+p.Hold.ID, "", nil)
			h.must(writes.child.awaitUpdates(f.ctx, 1))
			h.expectSubjects(append(want, bumped("main-3333333"))...)
		})
	}
}
