package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/server/api"
)

// problem is an answer that refuses.
type problem struct {
	status int
	body   map[string]any
}

// serveActs answers "METHOD PATH" and notes each request with its query, its body and
// whether it has a key.
func serveActs(t *testing.T, all answers) (asked *[]string) {
	t.Helper()
	_ = serveAnswers(t, nil)
	asked = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		query, _ := url.QueryUnescape(r.URL.RawQuery)
		line := strings.Join(strings.Fields(r.Method+" "+r.URL.Path+" "+query+" "+string(body)), " ")
		if key := r.Header.Get("Idempotency-Key"); key != "" && !strings.HasPrefix(key, "k1") {
			line = "[a new key] " + line
		} else if key != "" {
			line = "[" + key + "] " + line
		}
		*asked = append(*asked, line)
		answer := all[r.Method+" "+r.URL.Path]
		if p, ok := answer.(problem); ok {
			w.WriteHeader(p.status)
			answer = p.body
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("TALLYMAN_URL", s.URL)
	return asked
}

// noonHold is a hold that was placed a while before noon of the tests' day.
func noonHold(id string, kind gitops.HoldKind, edit func(h *gitops.Hold)) gitops.Hold {
	h := gitops.Hold{ID: id, Kind: kind, Principal: "token:ann", Actor: "token:ann", Since: time.Now().Add(-time.Hour)}
	edit(&h)
	return h
}

// Each command asks for what its flags say, once, and says what was done and how to undo it.
func TestActs(t *testing.T) {
	in14h := time.Now().Add(14*time.Hour + time.Minute).UTC().Truncate(time.Second)
	pin := noonHold("h7", gitops.HoldPin, func(h *gitops.Hold) {
		h.Environments, h.Apps, h.Tag, h.Until, h.Reason = []string{"prod"}, []string{"api"}, "1.4.1", in14h, "incident 4711"
	})
	old := pin
	old.ID, old.Actor, old.Tag, old.Reason = "h3", "token:bo", "1.4.3", "load test"
	bad := noonHold("h8", gitops.HoldBad, func(h *gitops.Hold) {
		h.Environments, h.Apps, h.Tag, h.Reason = []string{"prod"}, []string{"api"}, "1.4.2", "incident 4711"
	})
	stop := noonHold("h9", gitops.HoldStop, func(h *gitops.Hold) { h.Environments = []string{"prod"} })
	u := gitops.Update{ID: "u1", Delivery: gitops.DeliveryKey{Source: "api", ID: "d1"}, Environment: "prod", App: "api", Tag: "1.4.1", State: gitops.Committed, Commit: "c0ffee"}
	order := gitops.Delivery{Source: "api", ID: "d1", Updates: []gitops.Update{u}}
	for name, c := range map[string]struct {
		args   string
		answer any
		asked  string
		want   []string
	}{
		"rollback": {"rollback api --env prod --reason incident --no-wait", api.RollbackAnswer{From: "1.4.2", To: "1.4.1", Update: &u, Delivery: u.Delivery, Pin: pin, Bad: &bad, Replaced: []gitops.Hold{old}, UnderWay: []string{"u0"}, Resume: "tallyman unpin api", Undo: "tallyman update api 1.4.2"},
			`[a new key] POST /api/v1/rollbacks {"app":"api","environment":"prod","reason":"incident"}`,
			[]string{"api in prod back from 1.4.2 to 1.4.1: committed (c0ffee)\n", "It comes after 1 update that is open: u0\n", "Pin: h7, ", " pinned 1.4.1 until ", ": incident 4711 (in 14 h)\n",
				"Bad mark: h8, ", " marked 1.4.2 as bad ", "It takes the place of h3: ", "to have updates written again: tallyman unpin api\n", "to undo it: tallyman update api 1.4.2\n", "details: tallyman explain api/d1\n"}},
		"rollback, all flags": {"rollback api --env prod --reason incident --no-wait --to 1.4.0 --for 24h --keep --through-stop now --dry-run --key k1", api.RollbackAnswer{From: "1.4.2", To: "1.4.0", Pin: pin, Note: "nothing is written: the branch has it"},
			`[k1] POST /api/v1/rollbacks {"app":"api","environment":"prod","tag":"1.4.0","reason":"incident","for":"24h0m0s","keep":true,"throughStop":"now","dryRun":true}`,
			[]string{"Dry run: nothing was done. This would be done:\napi in prod back from 1.4.2 to 1.4.0: nothing is written: the branch has it\n"}},
		"pin": {"pin api 1.4.1 --env prod --reason incident --until 2999-01-02T08:00:00+01:00 --no-wait", api.HoldAnswer{Hold: pin, Order: &order, Undo: "tallyman unpin api --env prod"},
			`[a new key] POST /api/v1/holds {"kind":"pin","environments":["prod"],"apps":["api"],"tag":"1.4.1","reason":"incident","until":"2999-01-02T07:00:00Z"}`,
			[]string{"Pin of api in prod: h7, ", "api in prod to 1.4.1: committed (c0ffee)\n", "to undo it: tallyman unpin api --env prod\n"}},
		"freeze": {"freeze --env prod --env staging --app cart,pay --for 90m --reason sale", api.HoldAnswer{Hold: noonHold("h5", gitops.HoldFreeze, func(h *gitops.Hold) { h.Environments = []string{"prod", "staging"}; h.Apps = []string{"cart", "pay"} })},
			`[a new key] POST /api/v1/holds {"kind":"freeze","environments":["prod","staging"],"apps":["cart","pay"],"reason":"sale","for":"1h30m0s"}`,
			[]string{"Freeze of cart and pay in prod and staging: h5, "}},
		"stop": {"stop --env prod", api.HoldAnswer{Hold: stop, Stop: &api.Stopped{UnderWay: []string{"u5", "u6"}, QuietSince: time.Now(), OtherReplicas: []string{"pod-b"}}, Undo: "tallyman resume h9"},
			`[a new key] POST /api/v1/holds {"kind":"stop","environments":["prod"]}`,
			[]string{"Stop of prod: h9, ", "  Being pushed when it was placed, which a stop cannot take back:\n    api in prod to 1.4.1: committed (c0ffee)\n    update u6\n", "Quiet since ", "Other replicas see it before their next push: pod-b\n", "to undo it: tallyman resume h9\n"}},
		"stop everything, dry": {"stop --dry-run --reason fire", api.HoldAnswer{Hold: noonHold("", gitops.HoldStop, func(*gitops.Hold) {}), UnderWay: []string{"u5", "u6"}},
			`[a new key] POST /api/v1/holds {"kind":"stop","reason":"fire","dryRun":true}`,
			[]string{"Dry run: ", "Stop of everything: ", "It would hold 2 updates that are open: u5, u6\n"}},
		"mark-bad": {"mark-bad api 1.4.2 --reason broken --json", api.HoldAnswer{Hold: bad, Undo: "tallyman unmark-bad api 1.4.2"},
			`[a new key] POST /api/v1/holds {"kind":"bad","apps":["api"],"tag":"1.4.2","reason":"broken"}`,
			[]string{"{\n  \"hold\": {", `"undo": "tallyman unmark-bad api 1.4.2"`}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := serveActs(t, answers{"POST /api/v1/rollbacks": c.answer, "POST /api/v1/holds": c.answer, "GET /api/v1/updates/u5": u,
				"GET /api/v1/updates/u6": problem{http.StatusNotFound, map[string]any{"code": gitops.NotFound, "detail": "no such update"}}})
			out, failure, exit := ran(t, strings.Fields(c.args)...)
			if exit != 0 {
				t.Fatalf("exit %d: %s", exit, failure)
			}
			if diff := cmp.Diff([]string{c.asked}, (*asked)[:min(1, len(*asked))]); diff != "" || strings.Count(strings.Join(*asked, "\n"), "POST") != 1 {
				t.Error(diff)
			}
			expect(t, "the output", out, c.want...)
		})
	}
}

// A command that lifts takes the hold with an ID, or those of exactly what was named, and
// says which others remain.
func TestLifts(t *testing.T) {
	of := func(id string, kind gitops.HoldKind, tag string, environments, apps []string) gitops.Hold {
		return noonHold(id, kind, func(h *gitops.Hold) { h.Tag, h.Environments, h.Apps = tag, environments, apps })
	}
	prod, api1 := []string{"prod"}, []string{"api"}
	holds := map[string][]gitops.Hold{
		"stop":   {of("h1", gitops.HoldStop, "", nil, nil), of("h2", gitops.HoldStop, "", prod, nil), of("h3", gitops.HoldStop, "", prod, api1), of("h4", gitops.HoldStop, "", []string{"dev"}, nil)},
		"freeze": {of("h5", gitops.HoldFreeze, "", []string{"dev", "prod"}, nil)},
		"pin":    {of("h6", gitops.HoldPin, "1.4.1", prod, api1), of("h7", gitops.HoldPin, "1.4.1", prod, []string{"web"})},
		"bad":    {of("h8", gitops.HoldBad, "1.4.2", prod, api1), of("h9", gitops.HoldBad, "1.4.2", nil, api1), of("h10", gitops.HoldBad, "1.4.3", nil, api1)},
	}
	for name, c := range map[string]struct {
		args, kind string
		asked      []string
		want       []string
		exit       int
	}{
		"resume an environment": {"resume --env prod --reason over --key k1", "stop", []string{"[k1] DELETE /api/v1/holds/h2 reason=over"},
			[]string{"Lifted h2, stop of prod: ", "  It held 2 updates, which go on unless something else holds them\n", "to undo it: again\n", "Still in force: h1, stop of everything: ", "Still in force: h3, stop of api in prod: "}, 0},
		"resume everything":    {"resume --dry-run --key k1", "stop", []string{"[k1] DELETE /api/v1/holds/h1 dryRun=true"}, []string{"Dry run: ", "Still in force: h4, stop of dev: "}, 0},
		"resume by id":         {"resume h3 --key k1", "stop", []string{"[k1] DELETE /api/v1/holds/h3"}, []string{"Lifted h3, stop of api in prod"}, 0},
		"thaw in any order":    {"thaw --env prod,dev --key k1", "freeze", []string{"[k1] DELETE /api/v1/holds/h5"}, []string{"Lifted h5, freeze of dev and prod"}, 0},
		"unpin":                {"unpin api --env prod --key k1", "pin", []string{"[k1] DELETE /api/v1/holds/h6"}, []string{"Lifted h6, pin of api in prod"}, 0},
		"unmark every mark":    {"unmark-bad api 1.4.2 --key k1", "bad", []string{"[k1.h8] DELETE /api/v1/holds/h8", "[k1.h9] DELETE /api/v1/holds/h9"}, []string{"Lifted h8, bad mark of api in prod", "Lifted h9, bad mark of api everywhere"}, 0},
		"unmark by id":         {"unmark-bad h9 --key k1", "bad", []string{"[k1] DELETE /api/v1/holds/h9"}, []string{"Lifted h9, bad mark of api everywhere"}, 0},
		"unmark one":           {"unmark-bad api 1.4.2 --env prod --key k1", "bad", []string{"[k1] DELETE /api/v1/holds/h8"}, []string{"Still in force: h9, bad mark of api everywhere"}, 0},
		"of the configuration": {"thaw weekend", "freeze", nil, []string{"no freeze with the ID weekend is in force. In force: h5 of dev and prod (", "Freeze weekend of stage is in the configuration, and no command lifts it: take its window out of freezes"}, exitRejected},
		"beside one of it":     {"thaw --env stage", "freeze", nil, []string{"no freeze of stage is in force. Freeze weekend of stage is in the configuration"}, exitRejected},
		"not exactly":          {"thaw --env prod", "freeze", nil, []string{"no freeze of prod is in force. In force: h5 of dev and prod ("}, exitRejected},
		"no such id":           {"resume h5", "stop", nil, []string{"no stop with the ID h5 is in force. In force: h1 of everything ("}, exitRejected},
		"nothing of the tag":   {"unmark-bad api 1.9.9", "bad", nil, []string{"no bad mark of 1.9.9 of api everywhere is in force: tallyman holds"}, exitRejected},
	} {
		t.Run(name, func(t *testing.T) {
			weekend := []gate.Scheduled{{Closed: gate.Closed{Freeze: "weekend"}, Environments: []string{"stage"}}}
			all := answers{"GET /api/v1/holds": api.HoldList{Holds: holds[c.kind]}, "GET /api/v1/freezes": api.FreezeList{Now: weekend}}
			for _, h := range holds[c.kind] {
				all["DELETE /api/v1/holds/"+h.ID] = api.LiftAnswer{Hold: h, Ready: 2, Undo: "again"}
			}
			asked := serveActs(t, all)
			out, failure, exit := ran(t, strings.Fields(c.args)...)
			if exit != c.exit {
				t.Fatalf("exit %d: %s", exit, failure)
			}
			lifts := (*asked)[:0]
			for _, line := range *asked {
				if strings.Contains(line, "DELETE") {
					lifts = append(lifts, line)
				}
			}
			if diff := cmp.Diff(c.asked, lifts, cmpEmpty); diff != "" {
				t.Error(diff)
			}
			expect(t, "the output", out+failure, c.want...)
		})
	}
}

// cmpEmpty has an empty list equal none.
var cmpEmpty = cmp.FilterValues(func(a, b []string) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

// What is wrong with flags is said before anything is asked, and what holds an order has an
// exit status of its own.
func TestActsThatAreRefused(t *testing.T) {
	held := problem{http.StatusConflict, map[string]any{"code": gitops.Conflict, "detail": "api in prod is held: bo stopped prod", "blockedBy": []gitops.Block{{Kind: gitops.BlockStop, Reason: "bo stopped prod"}}}}
	all := answers{"POST /api/v1/rollbacks": held, "POST /api/v1/updates": held, "POST /api/v1/holds": problem{http.StatusServiceUnavailable, map[string]any{"code": gitops.Unavailable, "detail": "the store is away"}}}
	serveActs(t, all)
	if out, failure, exit := ran(t, "update", "api", "1.4.1", "--env", "prod", "--dry-run", "--json"); exit != exitHeld || !strings.Contains(failure, "bo stopped prod") ||
		!strings.Contains(out, `"blockedBy": [`) || !strings.Contains(out, `"kind": "stop"`) {
		t.Errorf("as JSON: exit %d: %s\n%s", exit, failure, out)
	}
	for args, want := range map[string]struct {
		exit int
		says string
	}{
		"rollback api --reason x":                            {exitBadInput, "--env is required"},
		"rollback api --env prod":                            {exitBadInput, "--reason is required"},
		"rollback api --env prod --reason x":                 {exitHeld, "api in prod is held: bo stopped prod"},
		"update api 1.4.1 --env prod":                        {exitHeld, "api in prod is held: bo stopped prod"},
		"update api 1.4.1 --env prod --or-hold --override x": {exitBadInput, "--or-hold and --override contradict each other: give one of them"},
		"pin api 1.4.1 --env prod":                           {exitBadInput, "--reason is required"},
		"pin api 1.4.1 --reason x":                           {exitBadInput, "--env is required"},
		"pin api --env prod --reason x":                      {exitBadInput, "tallyman pin needs APP and TAG, not 1 argument"},
		"pin api 1.4.1 --env prod --reason x --until noon":   {exitBadInput, `--until "noon" is not a time: write `},
		"freeze --env prod --reason x":                       {exitBadInput, "--until or --for is required: what has no end is a stop, tallyman stop"},
		"freeze --for 1h --reason x":                         {exitBadInput, "--env or --app is required"},
		"freeze --env prod --for 1h":                         {exitBadInput, "--reason is required"},
		"thaw":                                               {exitBadInput, "an ID, or --env or --app, is required"},
		"unmark-bad":                                         {exitBadInput, "tallyman unmark-bad needs APP and TAG, not 0 arguments"},
		"unmark-bad h1 --env prod":                           {exitBadInput, "an ID names one hold: leave --env and --app out"},
		"thaw h1 --env prod":                                 {exitBadInput, "an ID names one hold: leave --env and --app out"},
		"resume h1 h2":                                       {exitBadInput, "tallyman resume takes one ID at most, not 2 arguments"},
		"unpin api":                                          {exitBadInput, "--env is required"},
		"why api":                                            {exitBadInput, "--env is required"},
		"freeze --env prod --for 0s --reason x":              {exitBadInput, "--for must be more than 0, such as 72h"},
		"freezes --days 367":                                 {exitBadInput, "--days must be from 1 to 366, not 367"},
		"freezes --days 0":                                   {exitBadInput, "--days must be from 1 to 366, not 0"},
		"holds -o yaml --json":                               {exitBadInput, "--json and --output yaml ask for two formats: give one of them"},
		"stop --key k1":                                      {exitUnreachable, "the store is away; result unknown; repeat safely with --key k1"},
	} {
		serveActs(t, all)
		if _, failure, exit := ran(t, strings.Fields(args)...); exit != want.exit || !strings.Contains(failure, want.says) {
			t.Errorf("%s: exit %d: %s", args, exit, failure)
		}
	}
}
