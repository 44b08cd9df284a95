package server

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// A reload that adds poll has what no event told of ordered, written and counted, and one
// that removes it ends that.
func TestAPollOrdersWhatNoEventToldOf(t *testing.T) {
	s := newImageSite(t)
	s.push("api", "1.0.0", "old")
	digest := s.push("api", "1.1.0", "missed")
	r := s.start()
	if len(s.log.Lines(`"source":"registry"`)) != 0 || r.polls.stop != nil {
		t.Error("without poll there is a poller")
	}
	repository := s.registry.Host() + "/shop/api"
	s.must(r.store.RecordImages(t.Context(), []gitops.SeenImage{{Repository: repository, Tag: "1.0.0", At: now()}}))
	s.must(r.store.SetCheckpoint(t.Context(), "poll/"+repository, now().Add(-time.Hour).Format(time.RFC3339Nano))) // it was scanned before
	s.edit("image: {}", "image: {poll: 1m}")
	s.edit("access:\n", "access:\n  - {who: {poll: {registries: ['"+s.registry.Host()+"']}}, may: [order], apps: [api], environments: [prod]}\n")
	s.must(s.reload(r))
	var u gitops.Update
	r.changes(func(of gitops.Update) bool { u = of; return of.Delivery.Source == "registry" && of.State.Final() })
	if u.State != gitops.Committed || u.Tag != "1.1.0" || u.Found == nil || u.Found.Digest != digest {
		t.Errorf("it became %+v, found %+v", u, u.Found)
	}
	d, kept := r.stored("registry", u.Delivery.ID)
	if !kept || d.Actor != "registry:"+s.registry.Host() || len(d.Updates) != 1 || !strings.HasPrefix(d.ID, "api:1.1.0-") {
		t.Errorf("the delivery is %+v", d)
	}
	series := gather(t, r.Server)
	if series[`tallyman_poll_ordered_total{environment="prod"}`] != 1 || series[`tallyman_poll_interval_seconds{host="`+s.registry.Host()+`"}`] != 60 ||
		series[`tallyman_deliveries_total{outcome="accepted",source="registry"}`] != 1 {
		t.Errorf("counted are %v", series)
	}
	s.edit("image: {poll: 1m}", "image: {}")
	s.edit("access:\n  - {who: {poll: {registries: ['"+s.registry.Host()+"']}}, may: [order], apps: [api], environments: [prod]}\n", "access:\n")
	s.must(s.reload(r))
	if r.polls.stop != nil {
		t.Error("without poll there is a poller still")
	}
	s.wantCommits("chore: bump api to 1.1.0 (prod)")
}
