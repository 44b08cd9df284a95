package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// The audit has an entry of a hold for each environment that it names, with a line that
// says what the hold is.
func TestHoldEntries(t *testing.T) {
	until := time.Date(2026, 12, 18, 12, 0, 0, 0, time.UTC)
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprint("a", i))
	}
	p := queue.Placement{Credential: "token ops", Remote: "192.0.2.1", Config: "c0ffee"}
	for _, c := range []struct {
		h    gitops.Hold
		want []string // right, environment, app and line
	}{
		{gitops.Hold{ID: "h17", Kind: gitops.HoldPin, Environments: []string{"prod"}, Apps: []string{"api"}, Tag: "1.4.1", Until: until},
			[]string{"hold prod/api pin h17 at 1.4.1 of api in prod until 2026-12-18T12:00:00Z"}},
		{gitops.Hold{ID: "h18", Kind: gitops.HoldStop}, []string{"stop / stop h18 of all apps in all environments"}},
		{gitops.Hold{ID: "h19", Kind: gitops.HoldFreeze, Environments: []string{"dev", "prod"}, Apps: []string{"api", "web"}, Until: until},
			[]string{"hold dev/ freeze h19 of api, web in dev, prod until 2026-12-18T12:00:00Z", "hold prod/ freeze h19 of api, web in dev, prod until 2026-12-18T12:00:00Z"}},
		{gitops.Hold{ID: "h20", Kind: gitops.HoldBad, Apps: []string{"api"}, Tag: "v2"}, []string{"hold / bad h20 at v2 of api in all environments"}},
		{gitops.Hold{ID: "h21", Kind: gitops.HoldStop, Environments: []string{"prod"}, Apps: many},
			[]string{"stop prod/ stop h21 of a0, a1, a2, a3, a4, a5, a6, a7, a8, a9 and 2 more in prod"}},
	} {
		c.h.Principal, c.h.Actor, c.h.Rule, c.h.Reason = "token:ann", "token:ann", "access[1]", "why"
		placed := p.HoldEntries(c.h, nil)
		lifted := queue.Lifting{Principal: "token:bo", Actor: "token:bo", Rule: "access[2]", Reason: "over"}.LiftEntries(c.h)
		var got []string
		for i, e := range placed {
			got = append(got, fmt.Sprintf("%s %s/%s %s", e.Right, e.Environment, e.App, e.After))
			if e.Act != gitops.ActHold || e.Principal != "token:ann" || e.Rule != "access[1]" || e.Reason != "why" || e.Credential != "token ops" || e.Before != "" {
				t.Errorf("%s: the entry is %+v", c.h.ID, e)
			}
			if l := lifted[i]; l.Act != gitops.ActLift || l.Before != e.After || l.After != "lifted" || l.Principal != "token:bo" || l.Right != e.Right || l.Environment != e.Environment || l.App != e.App {
				t.Errorf("%s: lifted, the entry is %+v", c.h.ID, l)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.h.ID, diff)
		}
	}
	old, other := gitops.Hold{ID: "h1", Kind: gitops.HoldStop}, gitops.Hold{ID: "h2", Kind: gitops.HoldStop}
	e := p.HoldEntries(gitops.Hold{ID: "h3", Kind: gitops.HoldStop, Actor: "token:ann"}, []gitops.Hold{old, other})[0]
	if e.Before != "stop h1 of all apps in all environments; stop h2 of all apps in all environments" {
		t.Errorf("in the place of others, before is %q", e.Before)
	}
	if l := p.Replacing(gitops.Hold{ID: "h3", Actor: "token:ann"}); l.Reason != "replaced by h3" || l.Actor != "token:ann" || l.Config != "c0ffee" {
		t.Errorf("what is replaced is lifted by %+v", l)
	}
}

// A request is named by its order, or else by its key: the two are apart.
func TestPlacementRequest(t *testing.T) {
	order := &gitops.Delivery{Source: "api", ID: "1"}
	seen := make(map[string]bool)
	for _, p := range []queue.Placement{{}, {Key: "api/1"}, {Order: order}, {Key: "order:api/1"}} {
		seen[p.Request()] = true
	}
	if len(seen) != 4 || !seen[""] || (queue.Placement{Order: order, Key: "x"}).Request() != queue.OrderRequest(order.Key()) {
		t.Errorf("the requests are %v", seen)
	}
}

// What was written meanwhile is named in the error, which a person reads.
func TestCheckWritten(t *testing.T) {
	h := gitops.Head{Environment: "prod", App: "api", WrittenID: "u2", WrittenTag: "v2"}
	for written, want := range map[string]gitops.Code{"": "", "u2": "", "u1": gitops.Conflict} {
		err := queue.Placement{Written: written}.CheckWritten(h)
		if want == "" && err != nil || want != "" && (gitops.CodeOf(err) != want || !strings.Contains(err.Error(), "v2 was written in prod meanwhile, for api (update u2)")) {
			t.Errorf("%q: %v", written, err)
		}
	}
}

func TestHoldFilter(t *testing.T) {
	now := time.Date(2026, 12, 18, 12, 0, 0, 0, time.UTC)
	h := gitops.Hold{Kind: gitops.HoldStop, Environments: []string{"prod"}, Principal: "token:ann"}
	for _, c := range []struct {
		name string
		f    queue.HoldFilter
		want bool
	}{
		{"any", queue.HoldFilter{}, true},
		{"its environment", queue.HoldFilter{Environment: "prod"}, true},
		{"another", queue.HoldFilter{Environment: "dev"}, false},
		{"an app, of all", queue.HoldFilter{App: "api"}, true},
		{"its kind", queue.HoldFilter{Kind: gitops.HoldStop}, true},
		{"another kind", queue.HoldFilter{Kind: gitops.HoldPin}, false},
		{"nobody's scope", queue.HoldFilter{Within: &queue.Scope{}}, false},
		{"its principal's", queue.HoldFilter{Within: &queue.Scope{Principal: "token:ann"}}, true},
		{"of an app that it covers", queue.HoldFilter{Within: &queue.Scope{Areas: []queue.Area{{Environment: "prod", App: "api"}}}}, true},
		{"of an app everywhere", queue.HoldFilter{Within: &queue.Scope{Areas: []queue.Area{{App: "api"}}}}, true},
		{"of another environment", queue.HoldFilter{Within: &queue.Scope{Areas: []queue.Area{{Environment: "dev"}}}}, false},
	} {
		if got := c.f.Matches(h, now); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	h.Lifted = &gitops.Lift{At: now}
	if (queue.HoldFilter{}).Matches(h, now) || !(queue.HoldFilter{Ended: true}).Matches(h, now) {
		t.Error("what has ended is listed where that is asked for, and only there")
	}
}
