package server

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Holds are placed and lifted by who has the right for all that they cover, and seen by who
// may read something of it.
func TestHoldsAreScoped(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read, hold, rollback], apps: [api], environments: [dev]}\n")
	r := s.start()
	place := func(body string) string {
		return act[api.HoldAnswer](r, "POST", "/api/v1/holds", "", body, 201).Hold.ID
	}
	everything, prod := place(`{"kind": "stop"}`), place(stopProd)
	worker := place(`{"kind": "bad", "apps": ["worker"], "tag": "main-0000001", "reason": "r"}`)
	dev := place(`{"kind": "freeze", "environments": ["dev"], "for": "1h", "reason": "r"}`)
	bad := place(`{"kind": "bad", "apps": ["api"], "tag": "main-0000001", "reason": "r"}`)
	var seen []string
	for _, h := range readAs[api.HoldList](r, readToken, "/api/v1/holds").Holds {
		seen = append(seen, h.ID)
	}
	if got := strings.Join(seen, " "); got != strings.Join([]string{bad, dev, everything}, " ") {
		t.Errorf("board sees %s", got)
	}
	for _, env := range readAs[api.Environments](r, readToken, "/api/v1/environments").Environments {
		if env.Name != "dev" || len(env.Holds) != 2 { // without the bad mark
			t.Errorf("board's status: %+v", env)
		}
	}
	for id, want := range map[string]string{
		everything: "token board may not stop every app in every environment",
		dev:        "token board may not hold every app in dev",
		bad:        "token board may not hold api in every environment",
	} {
		if p := r.call(readToken, "DELETE", "/api/v1/holds/"+id, "").problem(t, 403); !strings.HasPrefix(p.Detail, want) {
			t.Errorf("%s: %s", id, p.Detail)
		}
	}
	for _, id := range []string{prod, worker, "h999", "h0", "x", "h1%2F"} {
		r.call(readToken, "DELETE", "/api/v1/holds/"+id, "").problem(t, 404)
	}
	for _, body := range []string{`{"kind": "stop", "apps": ["api"], "environments": ["dev"]}`, freezeProd, `{"kind": "freeze", "environments": ["dev"], "apps": ["api", "worker"], "for": "1h", "reason": "r"}`} {
		r.call(readToken, "POST", "/api/v1/holds", body).problem(t, 403)
	}
	if p := r.call(readToken, "POST", "/api/v1/rollbacks", rollProd).problem(t, 403); !strings.HasPrefix(p.Detail, "token board may not rollback api in prod") {
		t.Errorf("%+v", p)
	}
	pin := `{"kind": "pin", "environments": ["dev"], "apps": ["api"], "tag": "main-1a2b3c4", "reason": "r"}`
	if p := r.call(readToken, "POST", "/api/v1/holds", pin).problem(t, 403); !strings.HasPrefix(p.Detail, "token board may not order api in dev") {
		t.Errorf("a pin that orders: %+v", p)
	}
	own := r.call(readToken, "POST", "/api/v1/holds", strings.Replace(pin, "main-1a2b3c4", "main-0000000", 1))
	if own.StatusCode != 201 {
		t.Errorf("a pin at what is there: %s %s", own.Status, own.body)
	}
	r.call(readToken, "GET", "/api/v1/why?app=api&environment=prod", "").problem(t, 404)
	r.audited(8, url.Values{"act": {"refuse"}, "principal": {"token:board"}})
}

// What is wrong with an act is said with the field, the rule and the way out, and nothing is
// stored.
func TestActsThatAreRefused(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	r := s.start()
	long := strings.Repeat("x", 501)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "holds", "", 400, "the body must be a JSON object with kind"},
		{"POST", "holds", `[]`, 400, "the body must be a JSON object"},
		{"POST", "holds", `{"kind": "stop"}{}`, 400, "the body must be a JSON object"},
		{"POST", "holds", `{"kind": "stop", "env": "prod"}`, 400, `the body must be a JSON object with kind, and what the kind needs of environments, apps, tag, digest, reason, until, for and dryRun: unknown field "env", which is called environment`},
		{"POST", "holds", `{"kind": "stop", "environments": "prod"}`, 400, "environments: must be a list of strings, not a text"},
		{"POST", "holds", `{"kind": "stop", "dryRun": "yes"}`, 400, "dryRun: must be true or false, not a text"},
		{"POST", "holds", `{"kind": "lock"}`, 400, `kind: must be pin, freeze, stop or bad, not "lock"`},
		{"POST", "holds", `{"kind": "stop", "reason": "` + long + `"}`, 400, "reason: has 501 bytes"},
		{"POST", "holds", `{"kind": "stop", "reason": "a\nTallyman-Actor: token:root"}`, 400, "reason: must be one line"},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "until": "tomorrow"}`, 400, `until: "tomorrow" is not a time`},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "for": "-1h"}`, 400, `for: "-1h" is not a duration`},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "until": "2020-01-01T00:00:00Z"}`, 422, "until: 2020-01-01T00:00:00Z is not after now"},
		{"POST", "holds", `{"kind": "stop", "environments": ["qa"]}`, 422, `environments[0]: no environment "qa" is configured (there are dev, prod)`},
		{"POST", "holds", `{"kind": "stop", "apps": ["API"]}`, 422, `apps[0]: no app "API" is configured: capitals count, and there is api`},
		{"POST", "holds", strings.Repeat(" ", 65<<10), 413, "the body is larger than 65536 bytes"},
		{"POST", "holds?dryrun=true", `{"kind": "stop"}`, 400, "dryrun: is not a parameter; there are dryRun"},
		{"POST", "holds?dryRun=1", `{"kind": "stop"}`, 400, "dryRun: must be one of true, false"},
		{"POST", "holds", `null`, 400, "the body must be a JSON object, not null"},
		{"POST", "holds", `{"kind": "stop", "environments": null}`, 400, "environments: must not be null"},
		{"POST", "holds", `{"kind": "stop", "dryRun": null}`, 400, "dryRun: must not be null"},
		{"POST", "holds", `{"kind": "stop", "environments": []}`, 400, "environments: is an empty list"},
		{"POST", "holds", `{"kind": "bad", "apps": [], "tag": "1", "reason": "r"}`, 400, "apps: is an empty list"},
		{"POST", "holds", `{"kind": "stop", "environments": ["prod"], "Environments": ["dev"]}`, 400, "Environments: is not a field: capitals count"},
		{"POST", "holds", `{"kind": "stop", "environments": ["prod"], "environments": ["dev"]}`, 400, "environments: is there twice"},
		{"POST", "holds", `{"kind": "stop", "environments": ["prod", "prod"]}`, 400, "environments: names prod twice"},
		{"POST", "holds", `{"kind": "stop", "environments": ["*"]}`, 400, "environments: must be 1 to 100 of"},
		{"POST", "holds", `{"kind": "stop", "environments": [null]}`, 400, "environments: is missing"},
		{"POST", "holds", `{"kind": "stop", "reason": "a\u202eb"}`, 400, "reason: must not have characters that turn the direction of text"},
		{"POST", "holds", `{"kind": "pin", "environments": ["prod"], "apps": ["api"], "tag": "1.0.0", "reason": "r", "until": "0001-01-01T00:00:00Z"}`, 400, `until: "0001-01-01T00:00:00Z" is no end`},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "until": "9999-12-31T23:59:59Z"}`, 422, "until: 9999-12-31T23:59:59Z is in 2562048h: a freeze lasts for up to 366 days"},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "for": "2562047h"}`, 422, "for: "},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "for": "2562048h"}`, 400, `for: "2562048h" is not a duration`},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "for": "1ns"}`, 422, "for: "},
		{"POST", "holds", `{"kind": "freeze", "environments": ["prod"], "reason": "r", "until": "2026-12-31T23:59:60Z"}`, 400, `until: "2026-12-31T23:59:60Z" is not a time`},
		{"POST", "rollbacks", `{"app": null, "environment": "prod", "reason": "r"}`, 400, "app: must not be null"},
		{"POST", "updates", `{"app": "api", "environment": "prod", "tag": "1.0.0", "override": null}`, 400, "override: must not be null"},
		{"POST", "updates", `{"app": "api", "environment": "prod", "tag": "1.0.0", "Override": "x"}`, 400, "Override: is not a field: capitals count"},
		{"POST", "rollbacks", `{"app": "api", "environment": "prod"}`, 400, "reason: is missing"},
		{"POST", "rollbacks", `{"app": "shop", "environment": "prod", "reason": "r"}`, 422, `apps[0]: no app "shop" is configured`},
		{"POST", "rollbacks", `{"app": "api", "environment": "prod", "reason": "r", "tag": "main-1a2b3c4"}`, 422, "tag: prod: tag main-1a2b3c4 is not a semantic version"},
		{"POST", "rollbacks", `{"app": "api", "environment": "prod", "reason": "r"}`, 409, "tag: api in prod never had another tag than main-0000000. Name the tag to go back to (--to TAG)"},
		{"POST", "rollbacks", `{"app": "api", "environment": "prod", "reason": "r", "tag": "1.0.0", "for": "721h"}`, 422, "for: "},
		{"POST", "updates", `{"app": "api", "environment": "prod", "tag": "1.0.0", "orHold": true, "override": "x"}`, 400, "orHold: must be alone"},
		{"POST", "updates", `{"app": "api", "environment": "prod", "tag": "1.0.0", "override": "a\u0000b"}`, 400, "override: must be one line"},
		{"POST", "updates?dryRun=true", `{"app": "api", "environment": "prod", "tag": "main-1a2b3c4"}`, 422, "tag: prod: tag main-1a2b3c4"},
		{"DELETE", "holds/h1?reason=" + strings.Repeat("x", 501), "", 400, "reason: must be at most 500 bytes"},
		{"DELETE", "holds/h1?why=x", "", 400, "why: is not a parameter"},
		{"GET", "holds?kind=lock", "", 400, "kind: must be one of pin, freeze, stop, bad"},
		{"GET", "freezes?from=2026-01-01&until=2028-01-01", "", 400, "until: must be after from, by 366 days at most"},
		{"GET", "freezes?from=soon", "", 400, `from: "soon" is not a time`},
		{"GET", "why?app=api", "", 400, "environment: is missing"},
		{"GET", "why?app=worker&environment=prod", "", 422, `apps[0]: app "worker" is not configured for environment "prod"`},
		{"POST", "holds", `{"kind": "stop", "apps": ["worker"], "environments": ["prod"]}`, 422, `apps[0]: app "worker" is not configured for environment "prod"`},
		{"GET", "why?app=shop&environment=dev", "", 422, `apps[0]: no app "shop" is configured`},
	} {
		if p := r.call(apiToken, c.method, "/api/v1/"+c.path, c.body).problem(t, c.status); !strings.HasPrefix(p.Detail, c.says) {
			t.Errorf("%s %s %.80s: %s, want %s", c.method, c.path, c.body, p.Detail, c.says)
		}
	}
	if list := read[api.HoldList](r, "/api/v1/holds?ended=true"); len(list.Holds) > 0 {
		t.Errorf("there are holds: %+v", list.Holds)
	}
}

// Of many rollbacks at once each is one act, or is told what was written meanwhile: the last
// pin counts, and the branch has what it says.
func TestRollbacksAtOnce(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	r := s.start()
	r.prod("1.4.0")
	r.prod("1.4.1")
	r.prod("1.4.2")
	const several = 8
	answers := make([]response, several)
	var done sync.WaitGroup
	for i := range answers {
		done.Go(func() {
			answers[i] = r.keyed("POST", "/api/v1/rollbacks", fmt.Sprint("back", i/2), strings.Replace(rollProd, "{", fmt.Sprintf(`{"tag": "1.4.%d", `, i/2%2), 1))
		})
	}
	done.Wait()
	stored := 0
	for _, answer := range answers {
		switch answer.StatusCode {
		case 201:
			stored++
		case 200: // the other of the two with its key
		case 409:
			if p := answer.problem(t, 409); !strings.Contains(p.Detail, "meanwhile") && len(p.BlockedBy) == 0 {
				t.Errorf("%+v", p)
			}
		default:
			t.Errorf("%s %s", answer.Status, answer.body)
		}
	}
	pins := read[api.HoldList](r, "/api/v1/holds?kind=pin").Holds
	if stored == 0 || stored > several/2 || len(pins) != 1 {
		t.Fatalf("%d were stored, with %d pins", stored, len(pins))
	}
	for _, u := range read[api.UpdateList](r, "/api/v1/updates?environment=prod").Updates {
		if u.Tag == pins[0].Tag {
			if u = r.settled(u.ID); u.State == gitops.Failed {
				t.Errorf("%+v", u)
			}
		}
	}
	if why := read[api.Why](r, "/api/v1/why?app=api&environment=prod"); why.Written != pins[0].Tag {
		t.Errorf("%s is pinned, and the branch has %s", pins[0].Tag, why.Written)
	}
}

// When freezes begin and end is shown of those that the caller may read and asks for alone,
// and for times that can be written.
func TestFreezesAreScoped(t *testing.T) {
	s := newSite(t)
	s.everyRight()
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read], environments: [dev]}\n")
	s.yaml += "freezes: [{name: nights, environments: [prod], zone: UTC, reason: nobody is in, weekly: [{from: Mon 20:00, until: Tue 08:00}]}]\n"
	r := s.start()
	if f := read[api.FreezeList](r, "/api/v1/freezes"); len(f.Closed) < 4 || f.NextChange.IsZero() {
		t.Errorf("ops sees %+v", f)
	}
	if f := readAs[api.FreezeList](r, readToken, "/api/v1/freezes"); len(f.Closed) > 0 || !f.NextChange.IsZero() {
		t.Errorf("board sees %+v", f)
	}
	if f := read[api.FreezeList](r, "/api/v1/freezes?environment=dev"); len(f.Closed) > 0 || !f.NextChange.IsZero() {
		t.Errorf("of dev: %+v", f)
	}
	for _, times := range []string{"from=9999-12-20", "from=9998-12-20&until=9999-01-01", "from=9999-12-31T23:59:59-12:00"} {
		if p := r.call(apiToken, "GET", "/api/v1/freezes?"+times, "").problem(t, 400); p.Field != "until" {
			t.Errorf("%s: %+v", times, p)
		}
	}
}
