package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/oidc/oidctest"
)

// desk is where one sentence is tested: a service that all share, and an app of its own.
type desk struct {
	*running
	site *site
	jobs *oidctest.Issuer
	app  string
}

// What people complain of where they cannot stop, pin or go back: each sentence says what
// is true here. All are of one service.
func TestComplaints(t *testing.T) {
	sentences := []struct {
		says string
		test func(d *desk)
	}{
		{"after a rollback no push and no dispatch brings the left version back", testTheLeftVersion},
		{"every way to ask runs the same check", testOneCheck},
		{"a revert in git by hand is the last word", testARevertByHand},
		{"one command goes to any earlier tag", testAnyEarlierTag},
		{"a rollback needs nothing turned off first, and says how to go on", testNothingTurnedOff},
		{"a rollback during a push needs nothing cancelled", testARollbackDuringAPush},
		{"an unpin goes to the newest version that is allowed, and what is skipped says for which", testAnUnpin},
		{"a pin says what it holds, by whom and why", testWhatAPinSays},
		{"nobody writes a bad version unaware", testABadVersion},
		{"an outage marks nothing as bad, nor does an update that fails", testAnOutage},
		{"the order is that of arrival", testArrival},
		{"at a freeze's end what waited goes, without a new event", testAFreezesEnd},
		{"outside its windows a freeze holds nothing", testOutsideOfWindows},
		{"freezes that overlap hold until the last of them ends", testFreezesThatOverlap},
		{"09:00 in London is 09:00 all year, and dates are as they are written", testTimesOfFreezes},
		{"one request stops an environment, without configuration or a reason", testOneStop},
		{"an override passes one order and leaves the freeze", testOneOverride},
		{"a branch that differs from its pin is shown", testABranchThatDiffers},
		{"a commit by hand is the last word when the hold over it ends", testACommitUnderAHold},
	}
	s, issuer := newJobSite(t)
	s.everyRight()
	s.edit("apps: [api], environments: [prod]", "apps: ['*'], environments: [prod]")
	files, apps := map[string]string{}, ""
	for i := range len(sentences) + 1 {
		app := fmt.Sprint("app-", i)
		files[gitserver.ValuesFile(app, "prod")] = gitserver.Values(app, "prod", "main-0000000")
		apps += "  " + app + ": {environments: [prod]}\n"
	}
	s.commit(files)
	s.yaml += apps + freezesOfComplaints()
	r := s.start()
	for i, c := range sentences {
		t.Run(c.says, func(t *testing.T) {
			own := *s
			own.t = t
			app := fmt.Sprint("app-", i)
			if i == 0 {
				app = "api"
			}
			c.test(&desk{&running{Server: r.Server, t: t}, &own, issuer, app})
		})
	}
	t.Run("a restart and a reload lift no hold", func(t *testing.T) {
		own := *s
		own.t = t
		testARestart(&desk{&running{Server: r.Server, t: t}, &own, issuer, fmt.Sprint("app-", len(sentences))})
	})
}

// dispatch asks for a tag as a build does.
func (d *desk) dispatch(tag string) (id string) {
	d.t.Helper()
	return d.orders(fmt.Sprint(d.app, "-", tag, "-", time.Now().UnixNano()), d.app, "prod", tag).delivery(d.t, 202).Updates[0].ID
}

// has dispatches tags, one after the other, and wants each written.
func (d *desk) has(tags ...string) {
	d.t.Helper()
	for _, tag := range tags {
		if u := d.settled(d.dispatch(tag)); u.State != gitops.Committed {
			d.t.Fatalf("%s is %s: %s", tag, u.State, u.Reason)
		}
		d.branchHas(tag)
	}
}

// branchHas wants a tag on the branch.
func (d *desk) branchHas(tag string) {
	d.t.Helper()
	if content := d.site.on(gitserver.ValuesFile(d.app, "prod")); !strings.Contains(content, `tag: "`+tag+`"`) {
		d.t.Errorf("the branch has not %s:\n%s", tag, content)
	}
}

// edits has somebody commit a tag by hand.
func (d *desk) edits(tag string) {
	d.t.Helper()
	d.site.commit(map[string]string{gitserver.ValuesFile(d.app, "prod"): gitserver.Values(d.app, "prod", tag)})
}

// waits wants an update to be held, by a reason that begins so.
func (d *desk) waits(id, reason string) {
	d.t.Helper()
	if u := d.isHeld(id); !strings.HasPrefix(u.BlockedBy[0].Reason, reason) {
		d.awaitBlock(id, reason)
	}
}

// ends wants an update to end in a state, by a reason that has a text.
func (d *desk) ends(id string, state gitops.State, reason string) {
	d.t.Helper()
	if u := d.settled(id); u.State != state || !strings.Contains(u.Reason, reason) {
		d.t.Errorf("%s is %s: %s", u.Tag, u.State, u.Reason)
	}
}

// body is that of an order or a rollback of the app.
func (d *desk) body(fields string) string {
	return fmt.Sprintf(`{"app": %q, "environment": "prod", "reason": "incident 4711", %s}`, d.app, fields)
}

func (d *desk) rollback(fields string) api.RollbackAnswer {
	d.t.Helper()
	return act[api.RollbackAnswer](d.running, "POST", "/api/v1/rollbacks", "", d.body(fields), 201)
}

// place places a hold of the app, or of what the fields say.
func (d *desk) place(kind, fields string) gitops.Hold {
	d.t.Helper()
	return act[api.HoldAnswer](d.running, "POST", "/api/v1/holds", "", fmt.Sprintf(`{"kind": %q, "environments": ["prod"], "apps": [%q]%s}`, kind, d.app, fields), 201).Hold
}

func (d *desk) lift(id string) api.LiftAnswer {
	d.t.Helper()
	return act[api.LiftAnswer](d.running, "DELETE", "/api/v1/holds/"+id, "", "", 200)
}

func (d *desk) why() api.Why {
	d.t.Helper()
	return read[api.Why](d.running, "/api/v1/why?environment=prod&app="+d.app)
}

const pinned100 = `, "tag": "1.0.0", "reason": "incident 4711"`

func testTheLeftVersion(d *desk) {
	d.has("1.4.0", "1.4.2")
	back := d.rollback(`"tag": "1.4.0"`)
	d.ends(back.Update.ID, gitops.Committed, "")
	push := func(at time.Time, id string) string {
		return d.do(d.ecr(bridgeSecret, pushAt(at, id, "1.4.2"))).delivery(d.t, 202).Updates[0].ID
	}
	d.ends(push(time.Now().Add(-time.Hour), "6a7e8feb-b491-4cf7-a9f1-bf3703467718"), gitops.Superseded, "a person ordered api in prod at ")
	left := []string{d.dispatch("1.4.2"), push(time.Now().Add(time.Hour), "6a7e8feb-b491-4cf7-a9f1-bf3703467719")}
	for _, id := range left {
		d.waits(id, "ops pinned 1.4.0 until ")
	}
	d.lift(back.Pin.ID)
	for _, id := range left {
		d.waits(id, "ops marked 1.4.2 as bad on ")
	}
	d.branchHas("1.4.0")
}

func testARevertByHand(d *desk) {
	d.has("1.0.0", "1.1.0")
	d.edits("1.0.0")
	for _, newer := range []string{"1.2.0", "1.3.0"} {
		d.waits(d.dispatch(newer), "git:")
	}
	d.branchHas("1.0.0")
	if holds := d.why().Holds; len(holds) != 1 || holds[0].Tag != "1.0.0" || !strings.HasPrefix(holds[0].Reason, "edited by hand in ") {
		d.t.Errorf("its pins are %+v", holds)
	}
}

func testAnyEarlierTag(d *desk) {
	d.has("1.0.0", "1.1.0", "1.2.0", "1.3.0")
	for _, earlier := range []string{"1.1.0", "1.0.0"} {
		d.ends(d.rollback(`"tag": "`+earlier+`"`).Update.ID, gitops.Committed, "")
		d.branchHas(earlier)
	}
}

func testNothingTurnedOff(d *desk) {
	d.has("1.0.0", "1.1.0")
	back := d.rollback(`"keep": true`)
	newer := d.dispatch("1.2.0")
	d.ends(back.Update.ID, gitops.Committed, "")
	d.waits(newer, "ops pinned 1.0.0 until ")
	if back.Resume != "tallyman unpin "+d.app+" --env prod" {
		d.t.Errorf("to go on: %s", back.Resume)
	}
	d.lift(back.Pin.ID) // is what that command does
	d.ends(newer, gitops.Committed, "")
}

func testARollbackDuringAPush(d *desk) {
	d.has("1.0.0", "1.1.0")
	pushing, goOn := make(chan struct{}), make(chan struct{})
	d.site.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushing) }, Wait: goOn})
	newer := d.dispatch("1.2.0")
	<-pushing
	back := d.rollback(`"tag": "1.0.0"`)
	close(goOn)
	d.ends(newer, gitops.Committed, "")
	d.ends(back.Update.ID, gitops.Committed, "")
	if d.branchHas("1.0.0"); !slices.Equal(back.UnderWay, []string{newer}) {
		d.t.Errorf("under way were %q", back.UnderWay)
	}
}

func testAnUnpin(d *desk) {
	d.has("1.0.0")
	pin := d.place("pin", pinned100)
	d.place("bad", `, "tag": "1.3.0", "reason": "crashes"`)
	older, fix, bad := d.dispatch("1.1.0"), d.dispatch("1.2.0"), d.dispatch("1.3.0")
	for _, id := range []string{older, fix, bad} {
		d.waits(id, "ops pinned 1.0.0 until ")
	}
	d.lift(pin.ID)
	d.ends(fix, gitops.Committed, "")
	d.ends(older, gitops.Superseded, fix)
	d.waits(bad, "ops marked 1.3.0 as bad on ")
	d.branchHas("1.2.0")
}

func testWhatAPinSays(d *desk) {
	d.has("1.0.0")
	pin := d.place("pin", pinned100)
	id := d.dispatch("1.1.0")
	says := "ops pinned 1.0.0 until " + pin.Until.Format("Mon 15:04 UTC") + ": incident 4711"
	d.waits(id, says)
	why := d.why()
	if len(why.Pending) != 1 || why.Pending[0].ID != id || why.Pending[0].BlockedBy[0].Reason != says || len(why.Order) != 1 || why.Order[0].Reason != says {
		d.t.Errorf("why: %+v", why)
	}
}
