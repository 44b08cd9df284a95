package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/api"
)

// targets are where updates go, each as "environment/app".
func targets(updates []gitops.Update) (all []string) {
	for _, u := range updates {
		all = append(all, u.Environment+"/"+u.App)
	}
	return all
}

// newWideSite is one where both environments take one tag, and both apps run in dev.
func newWideSite(t *testing.T) *site {
	s := newSite(t)
	s.edit(`tags: {semver: ">=1.0.0"}`, `tags: {match: 'main-[0-9a-f]{7,40}'}`)
	return s
}

// An order of several apps, or of several environments, is one delivery with an update
// for each, by the API and by a dispatch.
func TestOrdersOfSeveral(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *site) {
		s.edit(`tags: {semver: ">=1.0.0"}`, `tags: {match: 'main-[0-9a-f]{7,40}'}`)
		r := s.start()
		const apps = `{"app": ["worker", "api"], "environment": "dev", "tag": "main-1a2b3c4"}`
		d := r.order("apps", apps).delivery(t, 202)
		if diff := cmp.Diff([]string{"dev/worker", "dev/api"}, targets(d.Updates)); diff != "" {
			t.Error(diff)
		}
		environments := r.do(r.github(newSecret, "environments", `{"action": "update-image", "client_payload": {"app": "api", "env": ["prod", "dev"], "tag": "main-1a2b3c5"}, "repository": `+shopAPI+`, "sender": {"login": "ann"}}`)).delivery(t, 202)
		if diff := cmp.Diff([]string{"prod/api", "dev/api"}, targets(environments.Updates)); diff != "" {
			t.Error(diff)
		}
		for _, u := range append(d.Updates, environments.Updates...) {
			if u := r.settled(u.ID); u.State != gitops.Committed || u.Rule == "" {
				t.Errorf("%+v", u)
			}
		}
		// The same order again is the same, in whatever order it names its apps; another is not.
		r.order("apps", apps).delivery(t, 200)
		again := r.order("apps", `{"app": ["api", "worker"], "environment": ["dev"], "tag": "main-1a2b3c4"}`).delivery(t, 200)
		if len(again.Updates) != 2 || again.Updates[0].ID != d.Updates[0].ID {
			t.Errorf("again: %+v", again)
		}
		if p := r.order("apps", goodOrder).problem(t, 409); !strings.Contains(p.Detail, "was used for another order: worker, api in dev to main-1a2b3c4") {
			t.Errorf("%+v", p)
		}
	})
}

// An order that cannot be in one place is in none.
func TestOrdersOfSeveralAllOrNone(t *testing.T) {
	r := newWideSite(t).start()
	for name, c := range map[string]struct {
		body   string
		status int
		field  string
		detail string
	}{
		"unknown":       {`{"app": ["api", "shop", "cart"], "environment": "dev", "tag": "main-1a2b3c4"}`, 422, "app[1]", `app[1]: no app "shop" is configured: add it to apps, or correct the name; app[2]: no app "cart" is configured`},
		"not there":     {`{"app": ["api", "worker"], "environment": ["dev", "prod"], "tag": "main-1a2b3c4"}`, 422, "environment[1]", `environment[1]: app "worker" is not configured for environment "prod"`},
		"empty":         {`{"app": [], "environment": "dev", "tag": "main-1a2b3c4"}`, 400, "app", "app: is an empty list"},
		"nested":        {`{"app": ["api", ["worker"]], "environment": "dev", "tag": "main-1a2b3c4"}`, 400, "app[1]", "app[1]: must be a string in quotes, not a list"},
		"a number":      {`{"app": ["api", 1], "environment": "dev", "tag": "main-1a2b3c4"}`, 400, "app[1]", "app[1]: must be a string in quotes, not a number"},
		"an object":     {`{"app": {"0": "api"}, "environment": "dev", "tag": "main-1a2b3c4"}`, 400, "app", "app: must be a string in quotes, not an object"},
		"twice":         {`{"app": "api", "environment": ["dev", "dev"], "tag": "main-1a2b3c4"}`, 400, "environment[1]", `environment[1]: "dev" is there already, as environment[0]`},
		"a list of tag": {`{"app": "api", "environment": "dev", "tag": ["main-1a2b3c4"]}`, 400, "tag", "tag: must be a string in quotes, not a list"},
	} {
		t.Run(name, func(t *testing.T) {
			if p := r.order(strings.ReplaceAll(name, " ", "-"), c.body).problem(t, c.status); p.Field != c.field || !strings.HasPrefix(p.Detail, c.detail) {
				t.Errorf("%+v", p)
			}
		})
	}
	if found := read[api.UpdateList](r, "/api/v1/updates").Updates; len(found) != 0 {
		t.Errorf("updates came of them: %+v", found)
	}
}

// An order that its caller may not order in one place is refused as a whole, and says
// that place alone: what else is wrong with it is not for the caller.
func TestOrdersOfSeveralNeedEveryRight(t *testing.T) {
	s, issuer := newJobSite(t)
	s.edit("may: [read, order, retry, cancel]}", "may: [read, order], apps: [api], environments: [dev]}")
	r := s.start()
	const all = `{"app": ["api", "secret"], "environment": ["dev", "prod"], "tag": "1.0.0"}`
	p := r.order("one", all).problem(t, 403)
	if !strings.HasPrefix(p.Detail, "token ops may not order secret in dev: ") || strings.Contains(p.Detail, "configured for") || strings.Contains(p.Detail, " prod") {
		t.Errorf("%+v", p)
	}
	// A job is told the same, and has not used up its token.
	job := issuer.Token(audience, nil)
	if p := r.ask(job, "two", all).problem(t, 403); !strings.Contains(p.Detail, "may not order secret in dev: ") {
		t.Errorf("%+v", p)
	}
	r.ask(job, "three", `{"app": ["api"], "environment": ["dev"], "tag": "main-1a2b3c4"}`).delivery(t, 202)
	list, _, err := r.store.Deliveries(t.Context(), queue.DeliveryFilter{}, queue.Page{Limit: 10})
	s.must(err)
	if len(list) != 1 {
		t.Errorf("kept: %+v", list)
	}
	refused := make(map[string]bool)
	for len(refused) < 6 { // the audit is written beside the answer
		entries, _, err := r.store.AuditEntries(t.Context(), queue.AuditFilter{Act: gitops.ActRefuse}, queue.Page{Limit: 100})
		s.must(err)
		for _, e := range entries {
			refused[e.Actor+" "+e.Environment+"/"+e.App] = true
		}
	}
	for _, actor := range []string{"token:ops", "github:octocat@octo-org/octo-repo"} {
		for _, place := range []string{"dev/secret", "prod/api", "prod/secret"} {
			if !refused[actor+" "+place] {
				t.Errorf("the audit lacks that %s was refused %s: %v", actor, place, refused)
			}
		}
	}
}

// 1,000 apps in 100 environments, and lists as long as a body may be, are refused at
// once, and nothing is kept of what cannot be read.
func TestHugeOrders(t *testing.T) {
	r := newWideSite(t).start()
	list := func(prefix string, n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("%s%d", prefix, i)
		}
		text, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, c := range map[string]struct {
		apps, environments string
		says               string
	}{
		"1000-in-100": {list("a", 1000), list("e", 100), "app: 1000 apps in 100 environments are 100000 updates, and one order has up to 5000"},
		"100-in-1000": {list("a", 100), list("e", 1000), "app: 100 apps in 1000 environments are 100000 updates"},
		"long":        {list("", 100_000), `"dev"`, "app: has more than 5000 names"},
		"deep":        {strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), `"dev"`, "app[0]: must be a string in quotes, not a list"},
	} {
		if p := r.order(name, `{"app": `+c.apps+`, "environment": `+c.environments+`, "tag": "main-1a2b3c4"}`).problem(t, 400); !strings.HasPrefix(p.Detail, c.says) {
			t.Errorf("%s: %.300s", name, p.Detail)
		}
		body := `{"action": "update-image", "client_payload": {"app": ` + c.apps + `, "env": ` + c.environments + `, "tag": "main-1a2b3c4"}, "repository": ` + shopAPI + `}`
		if p := r.do(r.github(newSecret, name, body)).problem(t, 422); !strings.HasPrefix(p.Detail, "client_payload."+c.says) && !strings.HasPrefix(p.Detail, "client_payload.app[0]: must be a string in quotes") {
			t.Errorf("%s: %.300s", name, p.Detail)
		}
	}
	// As many as may be are judged one by one.
	p := r.order("most", `{"app": `+list("a", 5000)+`, "environment": "dev", "tag": "main-1a2b3c4"}`).problem(t, 422)
	if !strings.HasSuffix(p.Detail, "and more") || len(p.Detail) > 3000 {
		t.Errorf("%.300s", p.Detail)
	}
	if r.order("after", goodOrder).StatusCode != http.StatusAccepted {
		t.Error("no order is accepted afterwards")
	}
}

// A rejected order of several is for who may read all that its places have in common.
func TestRejectedOrdersOfSeveralAreReadByFew(t *testing.T) {
	s := newWideSite(t)
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read], apps: [api], environments: [dev]}\n")
	r := s.start()
	r.order("apps", `{"app": ["api", "worker"], "environment": ["prod"], "tag": "main-1a2b3c4"}`).problem(t, 422)
	r.order("environments", `{"app": "api", "environment": ["dev", "qa"], "tag": "main-1a2b3c4"}`).problem(t, 422)
	r.order("own", `{"app": "api", "environment": "dev", "tag": "no"}`).problem(t, 422)
	found := readAs[api.DeliveryList](r, readToken, "/api/v1/deliveries?"+url.Values{"outcome": {"rejected"}}.Encode()).Deliveries
	if len(found) != 1 || found[0].ID != opsID("own") {
		t.Errorf("the board sees %+v", found)
	}
}
