package server

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
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
	codes, states := texts(gitops.Codes()), texts(gitops.States())
	var kinds []any
	for _, kind := range gitops.BlockKinds() {
		kinds = append(kinds, string(kind))
		if _, ok := doc.Components.Schemas["Lane"].Value.Properties["held"].Value.Properties[string(kind)]; !ok {
			t.Errorf("Lane.held has no %s", kind)
		}
	}
	for name, want := range map[string][]any{"Code": codes, "State": states, "BlockKind": kinds, "HoldKind": texts(gitops.HoldKinds()), "Act": texts(gitops.Acts()), "RolloutState": texts(gitops.RolloutStates())} {
		if diff := cmp.Diff(want, doc.Components.Schemas[name].Value.Enum); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// texts are the values of a closed set, as a schema lists them.
func texts[T ~string](values []T) (all []any) {
	for _, value := range values {
		all = append(all, string(value))
	}
	return all
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
		if request := slices.Contains([]string{"Order", "Decision", "NewHold", "NewRollback", "NewHealthReport"}, name); strict != request {
			t.Errorf("%s is strict: %t", name, strict)
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
	if refused.Outcome != gitops.OutcomeRejected || refused.Field != "client_payload.tag" || !strings.Contains(refused.Reason, "the rule is semver >=1.0.0") || refused.Actor != "github:ann" ||
		refused.Remote != "127.0.0.1" || refused.Credential != "webhook secret" {
		t.Errorf("refused: %+v", refused)
	}
	partly := read[gitops.Delivery](r, "/api/v1/deliveries/d3")
	if partly.Key().String() != "eventbridge/d3" || partly.Reason != "dev: tag 1.2.3 does not match main-[0-9a-f]{7,40} (a regular expression for the whole tag)" || len(partly.Updates) != 1 {
		t.Errorf("partly: %+v", partly)
	}
	if p := r.call(apiToken, "GET", "/api/v1/deliveries/d1", "").problem(t, 409); p.Detail != "eventbridge/d1 and github/d1 both have this id: say which, as SOURCE/ID" {
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
		"/api/v1/deliveries?outcome=refused":                     "outcome: must be one of accepted, ignored, rejected, waiting, not \"refused\"",
		"/api/v1/deliveries?environment=dev":                     "environment: is not a parameter; there are source, outcome, cursor, limit",
		"/api/v1/deliveries?limit=0":                             "limit: must be a number from 1 to 200",
		"/api/v1/deliveries?limit=201":                           "limit: must be a number from 1 to 200",
		"/api/v1/deliveries?limit=all":                           "limit: must be a number from 1 to 200",
		"/api/v1/deliveries?source=a&source=b":                   "source: is in the query twice",
		"/api/v1/deliveries?cursor=whatever":                     "cursor: ",
		"/api/v1/deliveries?source=" + strings.Repeat("x", 501):  "source: must be at most 500 bytes",
		"/api/v1/deliveries?source=%00":                          "source: must be at most 500 bytes, none of them 0",
		"/api/v1/updates?state=done":                             "state: must be one of pending, proposed, committed, unchanged, superseded, failed, closed, cancelled, not \"done\"",
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
