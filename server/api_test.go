package server

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

func TestEveryRouteIsInTheContract(t *testing.T) {
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	var documented, served []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, route := range api.New(api.Config{}).Routes() {
		served = append(served, route.Method+" "+route.Pattern)
	}
	slices.Sort(documented)
	slices.Sort(served)
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("the contract has -, the server +:\n%s", diff)
	}
	var codes, states []any
	for _, code := range gitops.Codes() {
		codes = append(codes, string(code))
	}
	for _, state := range gitops.States() {
		states = append(states, string(state))
	}
	var kinds []any
	for _, kind := range gitops.BlockKinds() {
		kinds = append(kinds, string(kind))
		if _, ok := doc.Components.Schemas["Lane"].Value.Properties["held"].Value.Properties[string(kind)]; !ok {
			t.Errorf("Lane.held has no %s", kind)
		}
	}
	for name, want := range map[string][]any{"Code": codes, "State": states, "BlockKind": kinds} {
		if diff := cmp.Diff(want, doc.Components.Schemas[name].Value.Enum); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// A generator of clients makes a type of each component, so no two may have the same
// name. Requests are strict, and answers may get more fields.
func TestTheContractIsFitForGenerators(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range doc.Components.Schemas {
		names = append(names, strings.ToLower(name))
	}
	for name := range doc.Components.Parameters {
		names = append(names, strings.ToLower(name))
	}
	for name := range doc.Components.Responses {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			t.Errorf("two components are named %s", names[i])
		}
	}
	for name, schema := range doc.Components.Schemas {
		strict := schema.Value.AdditionalProperties.Has != nil
		if request := name == "Order" || name == "Decision"; strict != request {
			t.Errorf("%s is strict: %t", name, strict)
		}
	}
}

// Without a token in the configuration the API is not served.
func TestWithoutATokenTheAPIIsNotServed(t *testing.T) {
	s := newSite(t)
	begin, end := strings.Index(s.yaml, "api:\n"), strings.Index(s.yaml, "environments:\n")
	s.yaml = s.yaml[:begin] + s.yaml[end:]
	r := s.start()
	for _, route := range api.New(api.Config{}).Routes() {
		req := r.request(route.Method, route.Pattern, "")
		req.Header.Set("Authorization", "Bearer "+apiToken)
		r.do(req).problem(t, 404)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	s := newSite(t)
	s.edit("can: [read, order, retry, cancel]}", "can: [read, order, retry, cancel], environments: [dev], apps: [api]}")
	r := s.start()
	aRelease := order("api", "prod", "1.0.0")
	refused := 0
	for _, route := range api.New(api.Config{}).Routes() {
		for token, detail := range map[string]string{"": "the header Authorization must be", "wrong": "invalid token: no configured token matches", apiToken + "x": "invalid token"} {
			answer := r.call(token, route.Method, strings.NewReplacer("{source}", "github", "{id}", "x").Replace(route.Pattern), "")
			p := answer.problem(t, 401)
			if p.Code != gitops.Unauthorized || !strings.HasPrefix(p.Detail, detail) || answer.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s: %s", route.Method, route.Pattern, answer.body)
			}
			refused++
		}
	}
	order := func(token, app, environment, tag string) response {
		return r.call(token, "POST", "/api/v1/updates", `{"app": "`+app+`", "environment": "`+environment+`", "tag": "`+tag+`"}`)
	}
	for _, c := range []struct {
		answer response
		detail string
	}{
		{order(readToken, "api", "dev", "main-1a2b3c4"), `token board does not have the right "order"`},
		{r.call(readToken, "POST", "/api/v1/updates/x/retry", ""), `token board does not have the right "retry"`},
		{r.call(readToken, "POST", "/api/v1/updates/x/cancel", ""), `token board does not have the right "cancel"`},
		{r.call(readToken, "POST", "/api/v1/updates/x/dismiss", ""), `token board does not have the right "cancel"`},
		{order(apiToken, "api", "prod", "1.0.0"), "token ops has no rights in environment prod"},
		{order(apiToken, "worker", "dev", "main-1a2b3c4"), "token ops has no rights on app worker"},
	} {
		if p := c.answer.problem(t, 403); p.Detail != c.detail {
			t.Errorf("refused with %q, want %q", p.Detail, c.detail)
		}
		refused++
	}
	if list := read[api.DeliveryList](r, "/api/v1/deliveries"); len(list.Deliveries) != 0 {
		t.Errorf("kept all the same: %+v", list)
	}
	if answer := order(apiToken, "api", "dev", "main-1a2b3c4"); answer.StatusCode != 202 {
		t.Errorf("answered %s %s", answer.Status, answer.body)
	}
	if answer := r.call(readToken, "GET", "/api/v1/deliveries", ""); answer.StatusCode != 200 {
		t.Errorf("answered %s %s", answer.Status, answer.body)
	}
	elsewhere := r.do(r.github(oldSecret, "p", aRelease)).delivery(t, 202).Updates[0].ID
	for _, decision := range []string{"retry", "cancel", "dismiss"} {
		if p := r.call(apiToken, "POST", "/api/v1/updates/"+elsewhere+"/"+decision, "").problem(t, 403); p.Detail != "token ops has no rights in environment prod" {
			t.Errorf("%s: refused with %q", decision, p.Detail)
		}
		refused++
	}
	// Each leaves a count and a line, whatever it was refused.
	counted := gather(t, r.Server)[`tallyman_deliveries_total{outcome="unauthorized",source="api"}`]
	if lines := s.log.with(`"outcome":"unauthorized"`, `"source":"api"`, `"remote":"127.0.0.1"`); len(lines) != refused || counted != float64(refused) {
		t.Errorf("of %d that were refused %v are counted, and %d lines written", refused, counted, len(lines))
	}
}

// A new token in the same file counts at once, and the old one no more. A file
// that is gone is nobody's token.
func TestTokensAreReadAgain(t *testing.T) {
	s := newSite(t)
	r := s.start()
	const next = "s3cret-of-the-api-from-tomorrow"
	said.Forbid(next)
	file := filepath.Join(s.dir, "api-token")
	s.must(os.WriteFile(file, []byte(next), 0o600))
	r.call(apiToken, "GET", "/api/v1/updates", "").problem(t, 401)
	if answer := r.call(next, "GET", "/api/v1/updates", ""); answer.StatusCode != 200 {
		t.Errorf("answered %s", answer.body)
	}
	s.must(os.Remove(file))
	r.call(next, "GET", "/api/v1/updates", "").problem(t, 401)
	if len(s.log.with("API token cannot be read", "token ops", "no such file")) == 0 {
		t.Error("nobody is told")
	}
}

func TestTokensThatWillNotDo(t *testing.T) {
	s := newSite(t)
	s.must(os.WriteFile(filepath.Join(s.dir, "api-token"), []byte("short\n"), 0o600))
	s.must(os.WriteFile(filepath.Join(s.dir, "read-token"), []byte("two tokens that are long enough\n"), 0o600))
	_, err := s.newServer()
	for _, want := range []string{"api.tokens[0].file: " + s.dir + "/api-token holds fewer than 20 characters", "api.tokens[1].file: " + s.dir + "/read-token must hold one token"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

// What arrived can be found in every way, a page at a time.
func TestLists(t *testing.T) { onEachStore(t, testLists) }

func testLists(t *testing.T, s *site) {
	r := s.start()
	r.do(r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	r.do(r.github(oldSecret, "d2", order("api", "prod", "main-1a2b3c4"))).problem(t, 422)
	r.do(r.ecr(bridgeSecret, push("d3", "1.2.3"))).delivery(t, 202)
	r.do(r.ecr(bridgeSecret, push("d4", ""))).delivery(t, 200)
	r.do(r.ecr(bridgeSecret, push("d1", "2.0.0"))).delivery(t, 202) // the same id from another source

	keys := func(query string) (found []string) {
		path := "/api/v1/deliveries?limit=2" + query
		for {
			list := read[api.DeliveryList](r, path)
			for _, d := range list.Deliveries {
				found = append(found, d.Key().String())
			}
			if list.Next == "" {
				return found
			}
			path = "/api/v1/deliveries?limit=2" + query + "&cursor=" + url.QueryEscape(list.Next)
		}
	}
	for query, want := range map[string][]string{
		"":                                     {"eventbridge/d1", "eventbridge/d4", "eventbridge/d3", "github/d2", "github/d1"},
		"&source=github":                       {"github/d2", "github/d1"},
		"&outcome=rejected":                    {"github/d2"},
		"&outcome=accepted&source=eventbridge": {"eventbridge/d1", "eventbridge/d3"},
		"&source=nobody":                       nil,
	} {
		if diff := cmp.Diff(want, keys(query)); diff != "" {
			t.Errorf("%q:\n%s", query, diff)
		}
	}
	refused := read[gitops.Delivery](r, "/api/v1/deliveries/github/d2")
	if refused.Outcome != gitops.OutcomeRejected || refused.Field != "client_payload.tag" || !strings.Contains(refused.Reason, "the rule is semver >=1.0.0") || refused.Actor != "ann" ||
		refused.Remote != "127.0.0.1" || refused.Credential != "webhook secret" {
		t.Errorf("refused: %+v", refused)
	}
	partly := read[gitops.Delivery](r, "/api/v1/deliveries/d3")
	if partly.Key().String() != "eventbridge/d3" || partly.Reason != "dev: tag 1.2.3 does not match main-[0-9a-f]{7,40}" || len(partly.Updates) != 1 {
		t.Errorf("partly: %+v", partly)
	}
	if p := r.call(apiToken, "GET", "/api/v1/deliveries/d1", "").problem(t, 409); p.Detail != "eventbridge and github have both sent a delivery with this id: say SOURCE/ID" {
		t.Errorf("two of the same id: %s", p.Detail)
	}
	u := r.settled(partly.Updates[0].ID)
	for query, want := range map[string]bool{"": true, "?environment=prod&app=api": true, "?environment=dev": false, "?state=" + string(u.State): true, "?app=worker": false} {
		list := read[api.UpdateList](r, "/api/v1/updates"+query)
		if got := slices.ContainsFunc(list.Updates, func(found gitops.Update) bool { return found.ID == u.ID }); got != want {
			t.Errorf("updates%s has it: %t", query, got)
		}
	}
	if got := read[gitops.Update](r, "/api/v1/updates/"+u.ID); len(got.Steps) != 1 || got.Steps[0].State != gitops.Committed || got.Steps[0].Commit != u.Commit || got.Attempts != 1 {
		t.Errorf("the update's steps: %+v", got)
	}
	if got := read[gitops.Delivery](r, "/api/v1/deliveries/d3"); len(got.Updates[0].Steps) != 1 {
		t.Errorf("the delivery's steps: %+v", got)
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	r := newSite(t).start()
	for path, want := range map[string]string{
		"/api/v1/deliveries?outcome=refused":                     "outcome: must be one of accepted ignored rejected",
		"/api/v1/deliveries?environment=dev":                     "environment: is not a parameter; there are source, outcome, cursor, limit",
		"/api/v1/deliveries?limit=0":                             "limit: must be a number from 1 to 200",
		"/api/v1/deliveries?limit=201":                           "limit: must be a number from 1 to 200",
		"/api/v1/deliveries?limit=all":                           "limit: must be a number from 1 to 200",
		"/api/v1/deliveries?source=a&source=b":                   "source: is in the query twice",
		"/api/v1/deliveries?cursor=whatever":                     "cursor: ",
		"/api/v1/deliveries?source=" + strings.Repeat("x", 501):  "source: must be at most 500 bytes",
		"/api/v1/deliveries?source=%00":                          "source: must be at most 500 bytes, none of them 0",
		"/api/v1/updates?state=done":                             "state: must be one of pending proposed committed unchanged superseded failed closed cancelled",
		"/api/v1/updates?cursor=whatever":                        "cursor: ",
		"/api/v1/environments?app=api":                           "app: is not a parameter; there are none",
		"/api/v1/history?app=api":                                "environment: is missing",
		"/api/v1/history?environment=dev":                        "app: is missing",
		"/api/v1/history?environment=dev&app=api&commits=100001": "commits: must be a number from 1 to 100000",
		"/api/v1/events?after=whatever":                          "cursor: ",
		"/api/v1/events?delivery=d1":                             "delivery: must be SOURCE/ID",
	} {
		if p := r.call(apiToken, "GET", path, "").problem(t, 400); p.Code != gitops.Invalid || !strings.HasPrefix(p.Detail, want) {
			t.Errorf("%s: %s, want %s", path, p.Detail, want)
		}
	}
	for _, path := range []string{"/api/v1/deliveries/github/nobody", "/api/v1/deliveries/nobody", "/api/v1/updates/nobody", "/api/v1/deliveries/a%2Fb", "/api/v1/history?environment=prod&app=worker"} {
		r.call(apiToken, "GET", path, "").problem(t, 404)
	}
	for _, decision := range []string{"retry", "cancel", "dismiss"} {
		r.call(apiToken, "POST", "/api/v1/updates/nobody/"+decision, "").problem(t, 404)
	}
	answer := r.do(r.request("POST", "/api/v1/deliveries", ""))
	if p := answer.problem(t, 405); p.Detail != "this path takes GET" || answer.Header.Get("Allow") != "GET" {
		t.Errorf("answered %s, allowed %s", answer.body, answer.Header.Get("Allow"))
	}
}

// Every environment, how its lane does and what origin says.
func TestEnvironments(t *testing.T) {
	s := newSite(t)
	r := s.start()
	began := time.Now().Add(-time.Second)
	d := r.do(r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	r.settled(d.Updates[0].ID)
	now := read[api.Environments](r, "/api/v1/environments")
	if len(now.Environments) != 2 || now.Origin.Problem != "" || now.Origin.AsOf.Before(began) {
		t.Fatalf("%+v", now)
	}
	dev, prod := now.Environments[0], now.Environments[1]
	want := []api.App{{App: "api", File: gitserver.ValuesFile("api", "dev"), Tag: "main-1a2b3c4"}, {App: "worker", File: gitserver.ValuesFile("worker", "dev"), Tag: "main-0000000"}}
	if diff := cmp.Diff(want, dev.Apps); diff != "" {
		t.Error(diff)
	}
	_, err := s.repository.Commit(gitserver.Change{Message: "By hand", Files: map[string]string{want[0].File: gitserver.Values("api", "dev", "main-7654321")}})
	s.must(err)
	r.tips.mu.Lock()
	r.tips.asked = time.Time{} // as if a moment had passed
	r.tips.mu.Unlock()
	want[0].Tag = "main-7654321"
	if diff := cmp.Diff(want, read[api.Environments](r, "/api/v1/environments").Environments[0].Apps); diff != "" {
		t.Error(diff)
	}
	// What could not be read and can be again is a problem no more.
	r.tips.mu.Lock()
	r.tips.asked, r.tips.last.Problem = time.Time{}, gitops.Errorf(gitops.Unavailable, "away")
	r.tips.mu.Unlock()
	if now := read[api.Environments](r, "/api/v1/environments"); now.Origin.Problem != "" {
		t.Errorf("%+v", now.Origin)
	}
	if dev.Lane.LastSuccess.Before(began) || dev.Lane.Pending != 0 || !prod.Lane.LastSuccess.IsZero() {
		t.Errorf("dev %+v, prod %+v", dev.Lane, prod.Lane)
	}
}

// When origin is away what it last said is still told, with when that was, and
// the lanes say what they wait for.
func TestEnvironmentsWithoutOrigin(t *testing.T) {
	s := newSite(t)
	r := s.start()
	first := read[api.Environments](r, "/api/v1/environments")
	s.must(s.git.Close())
	d := r.do(r.github(oldSecret, "d1", order("api", "dev", "main-1a2b3c4"))).delivery(t, 202)
	r.changes(func(u gitops.Update) bool { return u.ID == d.Updates[0].ID && u.Reason != "" })
	r.tips.mu.Lock()
	r.tips.asked = time.Time{} // as if a moment had passed
	r.tips.mu.Unlock()
	now := read[api.Environments](r, "/api/v1/environments")
	if !strings.Contains(now.Origin.Problem, "cannot be talked to") || !now.Origin.AsOf.Equal(first.Origin.AsOf) {
		t.Errorf("origin: %+v, first %+v", now.Origin, first.Origin)
	}
	if diff := cmp.Diff(first.Environments[0].Apps, now.Environments[0].Apps); diff != "" {
		t.Error(diff)
	}
	lane := now.Environments[0].Lane
	if lane.Pending != 1 || lane.Oldest.IsZero() || lane.Waits == nil || lane.Waits.Reason == "" || lane.Waits.Code != gitops.Unavailable || lane.Waits.RetryAt.IsZero() {
		t.Errorf("the lane: %+v", lane)
	}
}

// The past is read from the commits, people's and tallyman's.
func TestHistory(t *testing.T) {
	s := newSite(t)
	r := s.start()
	d := r.order("k", goodOrder).delivery(t, 202)
	u := r.settled(d.Updates[0].ID)
	file := gitserver.ValuesFile("api", "dev")
	byHand, err := s.repository.Commit(gitserver.Change{Message: "Back to what was good", Files: map[string]string{file: gitserver.Values("api", "dev", "main-0000000")}})
	s.must(err)
	h := read[api.History](r, "/api/v1/history?environment=dev&app=api")
	if h.File != file || h.Tip != byHand || !h.Complete || len(h.Versions) != 3 {
		t.Fatalf("%+v", h)
	}
	hand, bot, first := h.Versions[0], h.Versions[1], h.Versions[2]
	if hand.Tag != "main-0000000" || hand.Commit != byHand || hand.Subject != "Back to what was good" || len(hand.Updates) != 0 || hand.Author == "" {
		t.Errorf("by hand: %+v", hand)
	}
	want := []api.UpdateTrailer{{Update: u.ID, Delivery: u.Delivery, Actor: "token:ops"}}
	if diff := cmp.Diff(want, bot.Updates); diff != "" || bot.Tag != u.Tag || bot.Commit != u.Commit || bot.At.IsZero() {
		t.Errorf("by the bot: %+v\n%s", bot, diff)
	}
	if first.Tag != "main-0000000" || first.Commit == "" {
		t.Errorf("the first: %+v", first)
	}
	if h := read[api.History](r, "/api/v1/history?environment=dev&app=api&limit=1"); len(h.Versions) != 1 || h.Complete {
		t.Errorf("one: %+v", h)
	}
}
