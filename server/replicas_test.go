package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
)

// Two replicas write one branch. A person rolls back at one of them, at the one that has the
// lane and at the other, while a newer tag is being pushed: that is corrected once, and neither
// replica brings it back, whoever hears of it again and whichever has the lane afterwards.
func TestReplicasDoNotUndoEachOther(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("sqlite://"+s.dir+"/tallyman.db", postgrestest.Start(t, "fsync=off").Schema(t))
	replicas := [2]*running{s.start(), s.start()}
	at := func(i int) *desk { return &desk{running: replicas[i], site: s, app: "api"} }
	at(0).has("1.0.0")
	want := s.subjects(s.repository, "main")
	expect := func(when string) {
		t.Helper()
		if diff := cmp.Diff(want, s.subjects(s.repository, "main")); diff != "" {
			t.Errorf("%s: -want +got:\n%s", when, diff)
		}
	}
	for has, tags := range [][2]string{{"1.1.0", "1.2.0"}, {"1.3.0", "1.4.0"}} { // the lane
		before, newer := tags[0], tags[1]
		at(0).has(before)
		pushing, goOn := make(chan struct{}), make(chan struct{})
		s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushing) }, Wait: goOn})
		id := at(0).dispatch(newer)
		<-pushing
		back := at(0).rollback(`"tag": "1.0.0"`)
		close(goOn)
		at(0).ends(id, gitops.Committed, "")
		at(1).ends(back.Update.ID, gitops.Committed, "")
		want = append(want, "chore: bump api to "+before+" (prod)", "chore: bump api to "+newer+" (prod)", "revert: api back to 1.0.0 (prod)")
		expect("after " + newer)

		at(0).place("bad", `, "tag": "`+newer+`", "reason": "crashes"`)
		at(0).waits(at(0).dispatch(newer), "ops pinned 1.0.0 until ")
		at(1).waits(at(1).dispatch(newer), "ops pinned 1.0.0 until ")
		at(1).lift(back.Pin.ID)
		left := at(1).dispatch(newer)
		at(0).waits(left, "ops marked "+newer+" as bad on ")
		at(1).waits(at(0).dispatch(before), "ops marked "+before+" as bad on ")
		expect("when " + newer + " comes again")

		replicas[has].stop() // the lane goes to the other one
		tag := fmt.Sprintf("main-%07x", 1+has)
		next := at(1 - has)
		next.app = "worker"
		next.ends(next.orders("worker-"+tag, "worker", "dev", tag).delivery(t, 202).Updates[0].ID, gitops.Committed, "")
		want = append(want, "chore: bump worker to "+tag+" (dev)")
		next.waits(left, "ops marked "+newer+" as bad on ")
		expect("by the next replica")
		replicas[has] = s.start()
	}
	for i := range replicas {
		if why := at(i).why(); why.Branch != "1.0.0" || !strings.Contains(s.on(gitserver.ValuesFile("api", "prod")), "1.0.0") {
			t.Errorf("replica %d says that the branch has %s", i, why.Branch)
		}
	}
}
