package main

import (
	"fmt"
	"path/filepath"
	"testing"
)

// A backup that was made before a stop was lifted has the stop: after it is restored
// nothing is written until somebody resumes. What was written since the backup is found on
// the branch then, and is not written twice.
func TestARestoreBringsAStopBack(t *testing.T) {
	h := newHeldSite(t)
	h.begin()
	stop := h.place(h.base, `{"kind": "stop"}`)
	h.dispatch(h.base, "main-1111111")
	h.awaitHeld(h.child)
	backup := filepath.Join(h.dir, "a.backup")
	if _, errs, exit := run(t, "backup", "--config", h.config(), backup); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	h.ask("DELETE", h.base+"/api/v1/holds/"+stop.Hold.ID, "", nil)
	h.must(h.child.awaitUpdates(h.ctx, 1))
	h.must(h.child.stop())
	if _, errs, exit := run(t, "restore", "--replace", "--config", h.config(), backup); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}

	h.begin()
	if got := fmt.Sprint(h.inForce()); got != "[stop]" {
		t.Errorf("in force are %s", got)
	}
	h.dispatch(h.base, "main-2222222")
	h.awaitHeld(h.child)
	h.expectSubjects(bumped("main-1111111"))
	h.ask("DELETE", h.base+"/api/v1/holds/"+stop.Hold.ID, "", nil)
	h.must(h.child.await(h.ctx, func(line map[string]any) bool {
		return line["msg"] == "update committed" && line["tag"] == "main-2222222"
	}))
	h.expectSubjects(bumped("main-1111111"), bumped("main-2222222"))
}
