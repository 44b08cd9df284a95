package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// A rollback during a push needs nothing to be cancelled: what is being pushed is corrected
// behind it. A stop during one waits for it, and says what it was.
func TestActsDuringAPush(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	r := s.start()
	r.prod("1.4.0")
	r.prod("1.4.1")
	pushing, goOn := make(chan struct{}), make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.Push, Before: func() { close(pushing) }, Wait: goOn})
	newer := r.do(r.github(oldSecret, "newer", orderOf("1.5.0"))).delivery(t, 202).Updates[0].ID
	<-pushing
	back := act[api.RollbackAnswer](r, "POST", "/api/v1/rollbacks", "", strings.Replace(rollProd, "{", `{"tag": "1.4.0", `, 1), 201)
	if len(back.UnderWay) != 1 || back.UnderWay[0] != newer || back.From != "1.4.1" {
		t.Errorf("%+v", back)
	}
	f, stopped := r.follow("?environment=prod", ""), make(chan api.HoldAnswer)
	go func() { stopped <- act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", stopProd, 201) }()
	for e, ok := f.next(); ok && e.hold.Kind != gitops.HoldStop; e, ok = f.next() {
	}
	close(goOn)
	stop := <-stopped
	if len(stop.Stop.UnderWay) != 1 || stop.Stop.UnderWay[0] != newer || stop.Stop.QuietSince.IsZero() {
		t.Errorf("%+v", stop.Stop)
	}
	if u := r.settled(newer); u.State != gitops.Committed {
		t.Errorf("what was being pushed is %s", u.State)
	}
	if held := r.isHeld(back.Update.ID); held.BlockedBy[0].Kind != gitops.BlockStop {
		t.Errorf("the rollback is held by %+v", held.BlockedBy)
	}
	act[api.LiftAnswer](r, "DELETE", "/api/v1/holds/"+stop.Hold.ID, "", "", 200)
	if u := r.settled(back.Update.ID); u.State != gitops.Committed {
		t.Errorf("the rollback is %s", u.State)
	}
	if why := read[api.Why](r, "/api/v1/why?app=api&environment=prod"); why.Branch != "1.4.0" {
		t.Errorf("the branch has %s", why.Branch)
	}
}

// A job is automation: its order waits without being asked, and the answer says for what.
func TestAJobIsHeld(t *testing.T) {
	s, issuer := newJobSite(t)
	s.everyRight()
	r := s.start()
	act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", `{"kind": "freeze", "environments": ["dev"], "for": "1h", "reason": "r"}`, 201)
	token := issuer.Token(audience, nil)
	d := r.ask(token, "one", goodOrder).delivery(t, 202)
	if by := d.Updates[0].BlockedBy; len(by) != 1 || by[0].Kind != gitops.BlockFreeze || by[0].Until.IsZero() {
		t.Errorf("it is held by %+v", by)
	}
	again := r.ask(token, "one", goodOrder).delivery(t, 200)
	if again.Updates[0].ID != d.Updates[0].ID {
		t.Errorf("again: %+v", again)
	}
	if p := r.ask(issuer.Token(audience, nil), "two", strings.Replace(goodOrder, "{", `{"override": "x", `, 1)).problem(t, 403); !strings.Contains(p.Detail, `right "override" is not among`) {
		t.Errorf("a job that overrides: %+v", p)
	}
}

// What the configuration freezes is held as what people freeze, and shown before it comes.
func TestConfiguredFreezes(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	day := func(days int) string { return now().AddDate(0, 0, days).Format(time.DateOnly) }
	s.yaml += fmt.Sprintf("freezes:\n  - {name: now, environments: [prod], zone: UTC, reason: inventory, once: [{from: '%s', until: '%s'}]}\n  - {name: later, apps: [worker], zone: UTC, once: [{from: '%s', until: '%s'}]}\n",
		day(-1), day(2), day(5), day(6))
	r := s.start()
	if p := r.order("", order150).problem(t, 409); len(p.BlockedBy) != 1 || !strings.HasPrefix(p.BlockedBy[0].Reason, "freeze now until ") || p.BlockedBy[0].Until.IsZero() {
		t.Errorf("%+v", p)
	}
	all := read[api.FreezeList](r, "/api/v1/freezes")
	if len(all.Now) != 1 || all.Now[0].Freeze != "now" || len(all.Closed) != 2 || all.Closed[1].Freeze != "later" || all.Closed[1].Apps[0] != "worker" || all.NextChange.IsZero() {
		t.Errorf("%+v", all)
	}
	if dev := read[api.FreezeList](r, "/api/v1/freezes?environment=dev&app=api"); len(dev.Closed) != 0 {
		t.Errorf("of api in dev: %+v", dev)
	}
	if why := read[api.Why](r, "/api/v1/why?app=worker&environment=dev"); why.NextFreeze == nil || why.NextFreeze.Freeze != "later" || len(why.Order) != 0 {
		t.Errorf("why: %+v", why)
	}
	for _, env := range read[api.Environments](r, "/api/v1/environments").Environments {
		if (len(env.Freezes) == 1) != (env.Name == "prod") {
			t.Errorf("%s: %+v", env.Name, env.Freezes)
		}
	}
}
