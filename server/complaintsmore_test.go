package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

const frozenFor = `, "reason": "nobody is in", "for": `

// freezesOfComplaints are the configuration's, which hold nothing now.
func freezesOfComplaints() string {
	day := func(days int) string { return now().AddDate(0, 0, days).Format(time.DateOnly) }
	return fmt.Sprintf(`freezes:
  - {name: over, environments: [prod], zone: UTC, once: [{from: '%s', until: '%s'}]}
  - {name: coming, environments: [prod], zone: UTC, once: [{from: '%s', until: '%s'}]}
  - {name: standup, apps: [worker], zone: Europe/London, weekly: [{from: Tue 09:00, until: Tue 09:30}]}
  - {name: year-end, apps: [worker], zone: Europe/Berlin, once: [{from: '2030-12-23', until: '2031-01-03 24:00'}]}
`, day(-3), day(-1), day(2), day(3))
}

func testABadVersion(d *desk) {
	d.has("1.0.0")
	d.place("bad", `, "tag": "1.1.0", "reason": "crashes"`)
	const says = "ops marked 1.1.0 as bad on "
	d.waits(d.dispatch("1.1.0"), says)
	pin := fmt.Sprintf(`{"kind": "pin", "environments": ["prod"], "apps": [%q], "tag": "1.1.0", "reason": "r"}`, d.app)
	for path, body := range map[string]string{"updates": d.body(`"tag": "1.1.0"`), "rollbacks": d.body(`"tag": "1.1.0"`), "holds": pin} {
		if p := d.call(apiToken, "POST", "/api/v1/"+path, body).problem(d.t, 409); len(p.BlockedBy) != 1 || !strings.HasPrefix(p.BlockedBy[0].Reason, says) {
			d.t.Errorf("%s: %+v", path, p)
		}
	}
	d.branchHas("1.0.0")
	aware := d.order("", d.body(`"tag": "1.1.0", "override": "the fix is in its data"`)).delivery(d.t, 202).Updates[0].ID
	d.ends(aware, gitops.Committed, "")
}

func testAnOutage(d *desk) {
	d.has("1.0.0")
	d.site.git.Inject(gitserver.Fault{On: gitserver.Push, Status: 503})
	d.site.git.Inject(gitserver.Fault{On: gitserver.Push, Status: 500})
	d.has("1.1.0")
	d.site.commit(map[string]string{gitserver.ValuesFile(d.app, "prod"): "image: {}\n"})
	d.ends(d.dispatch("1.2.0"), gitops.Failed, "")
	if why := d.why(); len(why.Holds) != 0 {
		d.t.Errorf("its holds are %+v", why.Holds)
	}
	d.edits("1.1.0") // is what was written last
	d.has("1.2.0")
}

func testArrival(d *desk) { d.has("1.5.0", "1.4.0", "1.6.0", "1.4.1") }

func testOneCheck(d *desk) {
	d.has("1.0.0")
	d.site.commit(map[string]string{gitserver.ValuesFile(d.app, "prod"): "image: {}\n"})
	failed := d.dispatch("1.1.0")
	d.ends(failed, gitops.Failed, "")
	d.edits("1.0.0")
	freeze := d.place("freeze", frozenFor+`"48h"`)
	says := d.why().Order[0].Reason
	if !strings.HasPrefix(says, "ops froze "+d.app+" in prod until ") {
		d.t.Errorf("it says %q", says)
	}
	if a := d.call(apiToken, "POST", "/api/v1/updates/"+failed+"/retry", ""); a.StatusCode != 202 {
		d.t.Errorf("a retry: %s %s", a.Status, a.body)
	}
	d.waits(failed, says)
	d.waits(d.dispatch("1.1.0"), says)
	job := d.ask(d.jobs.Token(audience, map[string]any{"environment": "production"}), "job", fmt.Sprintf(`{"app": %q, "environment": "prod", "tag": "1.1.0"}`, d.app))
	d.waits(job.delivery(d.t, 202).Updates[0].ID, says)
	if p := d.order("", d.body(`"tag": "1.1.0"`)).problem(d.t, 409); p.BlockedBy[0].Reason != says {
		d.t.Errorf("an order: %+v", p)
	}
	d.waits(d.order("", d.body(`"tag": "1.1.0", "orHold": true`)).delivery(d.t, 202).Updates[0].ID, says)
	pin := act[api.HoldAnswer](d.running, "POST", "/api/v1/holds", "", fmt.Sprintf(`{"kind": "pin", "environments": ["prod"], "apps": [%q], "tag": "1.2.0", "reason": "r"}`, d.app), 201)
	d.waits(pin.Order.Updates[0].ID, says)
	d.branchHas("1.0.0")
	d.lift(freeze.ID)
	d.ends(pin.Order.Updates[0].ID, gitops.Committed, "")
}

func testAFreezesEnd(d *desk) {
	d.has("1.0.0")
	freeze := d.place("freeze", frozenFor+`"2s"`)
	id := d.dispatch("1.1.0")
	d.ends(id, gitops.Committed, "")
	if now := d.why().Now; now.Before(freeze.Until) {
		d.t.Errorf("it was written at %s, before the end at %s", now, freeze.Until)
	}
}

func testOutsideOfWindows(d *desk) {
	d.has("1.0.0")
	if why := d.why(); len(why.Order) != 0 || why.NextFreeze == nil || why.NextFreeze.Freeze != "coming" {
		d.t.Errorf("why: %+v", why)
	}
}

func testFreezesThatOverlap(d *desk) {
	d.has("1.0.0")
	long, short := d.place("freeze", frozenFor+`"3h"`), d.place("freeze", `, "reason": "moving", "for": "2h"`)
	id := d.dispatch("1.1.0")
	d.waits(id, "ops froze ")
	d.lift(long.ID)
	d.waits(id, "ops froze "+d.app+" in prod until "+short.Until.Format("Mon 15:04 UTC")+": moving")
	d.lift(short.ID)
	d.ends(id, gitops.Committed, "")
}

func testTimesOfFreezes(d *desk) {
	london, err := time.LoadLocation("Europe/London")
	d.site.must(err)
	year := read[api.FreezeList](d.running, "/api/v1/freezes?app=worker&from=2030-01-05T00:00:00Z&until=2030-12-01T00:00:00Z").Closed
	offsets := map[int]bool{}
	for _, c := range year {
		if c.From.In(london).Format("Mon 15:04") != "Tue 09:00" || c.Until.In(london).Format("Mon 15:04") != "Tue 09:30" {
			d.t.Errorf("it is closed from %s until %s", c.From, c.Until)
		}
		offsets[c.From.UTC().Hour()] = true
	}
	if len(year) < 40 || len(offsets) != 2 {
		d.t.Errorf("there are %d of the year, at the hours %v", len(year), offsets)
	}
	winter := read[api.FreezeList](d.running, "/api/v1/freezes?app=worker&from=2030-12-01T00:00:00Z&until=2031-02-01T00:00:00Z").Closed
	for _, c := range winter {
		if c.Freeze == "year-end" && c.From.Format(time.RFC3339)+" "+c.Until.Format(time.RFC3339) == "2030-12-22T23:00:00Z 2031-01-03T23:00:00Z" {
			return
		}
	}
	d.t.Errorf("the dates became %+v", winter)
}

func testOneStop(d *desk) {
	d.has("1.0.0")
	stop := act[api.HoldAnswer](d.running, "POST", "/api/v1/holds", "", stopProd, 201)
	if stop.Stop.QuietSince.IsZero() {
		d.t.Errorf("%+v", stop.Stop)
	}
	id := d.dispatch("1.1.0")
	d.waits(id, "ops stopped prod on ")
	d.order("", d.body(`"tag": "1.2.0"`)).problem(d.t, 409)
	d.branchHas("1.0.0")
	d.lift(stop.Hold.ID)
	d.ends(id, gitops.Committed, "")
}

func testOneOverride(d *desk) {
	freeze := d.place("freeze", frozenFor+`"48h"`)
	d.ends(d.order("", d.body(`"tag": "1.0.0", "override": "the fix"`)).delivery(d.t, 202).Updates[0].ID, gitops.Committed, "")
	d.waits(d.dispatch("1.1.0"), "ops froze ")
	if why := d.why(); len(why.Holds) != 1 || why.Holds[0].ID != freeze.ID {
		d.t.Errorf("why: %+v", why)
	}
}

func testABranchThatDiffers(d *desk) {
	d.has("1.0.0")
	pin := d.place("pin", pinned100)
	d.edits("0.9.0")
	other := *d
	other.app = "app-0" // what is written has the branch read again
	other.has("1.0.0")
	why := d.why()
	if why.Branch != "0.9.0" || why.Written != "1.0.0" || len(why.Holds) != 1 || why.Holds[0].ID != pin.ID {
		d.t.Errorf("why: %+v", why)
	}
}

// Whatever holds an app when somebody commits by hand, the branch has the commit, and what
// was held does not take its place when the hold ends.
func testACommitUnderAHold(d *desk) {
	d.has("1.0.0")
	for i, hold := range []struct{ kind, fields string }{
		{"pin", pinned100}, {"freeze", frozenFor + `"48h"`}, {"stop", ""}, {"bad", `, "tag": "9.0.0", "reason": "crashes"`},
	} {
		placed := d.place(hold.kind, hold.fields)
		tag := fmt.Sprintf("1.0.%d", i+1)
		d.edits(tag)
		id := d.dispatch("9.0.0")
		d.waits(id, "ops ")
		d.lift(placed.ID)
		d.waits(id, "git:")
		d.branchHas(tag)
		own := d.why().Holds
		if len(own) != 1 || own[0].Tag != tag {
			d.t.Fatalf("%s: the holds are %+v", hold.kind, own)
		}
		d.lift(own[0].ID)
		d.ends(id, gitops.Committed, "")
		d.has("1.0.0")
	}
}

func testARestart(d *desk) {
	d.has("1.0.0")
	d.place("pin", pinned100)
	d.place("freeze", frozenFor+`"48h"`)
	d.place("stop", "")
	d.place("bad", `, "tag": "1.1.0", "reason": "crashes"`)
	id := d.dispatch("1.1.0")
	d.waits(id, "ops pinned ")
	before := d.why().Holds
	d.site.yaml += "holds: {pinFor: 1h}\n"
	d.site.must(d.site.reload(d.running))
	holds := func() {
		d.t.Helper()
		after := d.why()
		if len(before) != 4 || !slices.EqualFunc(before, after.Holds, func(a, b gitops.Hold) bool { return a.ID == b.ID && a.Until.Equal(b.Until) }) {
			d.t.Errorf("of %+v there are %+v", before, after.Holds)
		}
		if len(after.Pending) != 1 || after.Pending[0].ID != id || len(after.Pending[0].BlockedBy) != 4 {
			d.t.Errorf("what is held is %+v", after.Pending)
		}
	}
	holds()
	d.site.must(d.Stop(d.t.Context()))
	d.running = d.site.start()
	other := *d
	other.app = "worker"
	if u := other.settled(other.orders("worker", "worker", "dev", "main-1a2b3c4").delivery(d.t, 202).Updates[0].ID); u.State != gitops.Committed {
		d.t.Errorf("after the restart another app is %s", u.State)
	}
	holds()
	d.branchHas("1.0.0")
}
