package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/api"
)

// Without a token in the configuration the API is not served.
func TestWithoutATokenTheAPIIsNotServed(t *testing.T) {
	s := newSite(t)
	begin, end := strings.Index(s.yaml, "api:\n"), strings.Index(s.yaml, "access:\n")
	s.yaml = s.yaml[:begin] + s.yaml[end:]
	s.edit("  - {who: {token: ops}, may: [read, order, retry, cancel]}\n  - {who: {token: board}, may: [read]}\n", "")
	r := s.start()
	for _, route := range api.New(api.Config{}).Routes() {
		req := r.request(route.Method, route.Pattern, "")
		req.Header.Set("Authorization", "Bearer "+apiToken)
		r.do(req).problem(t, 404)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	s := newSite(t)
	s.edit("may: [read, order, retry, cancel]}", "may: [order, retry, cancel], environments: [dev], apps: [api]}")
	s.edit("  - {who: {token: board}, may: [read]}\n", "  - {who: {token: board}, may: [read]}\n  - {who: {token: ops}, may: [read]}\n")
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
		{order(readToken, "api", "dev", "main-1a2b3c4"), `token board may not order anything: the nearest rule, access[3], does not hold: right "order" is not among read (change that rule, or add one to access in the configuration)`},
		{r.call(readToken, "POST", "/api/v1/updates/x/retry", ""), `token board may not retry anything: the nearest rule, access[3], does not hold: right "retry" is not among read (change that rule, or add one to access in the configuration)`},
		{r.call(readToken, "POST", "/api/v1/updates/x/cancel", ""), `token board may not cancel anything: the nearest rule, access[3], does not hold: right "cancel" is not among read (change that rule, or add one to access in the configuration)`},
		{r.call(readToken, "POST", "/api/v1/updates/x/dismiss", ""), `token board may not cancel anything: the nearest rule, access[3], does not hold: right "cancel" is not among read (change that rule, or add one to access in the configuration)`},
		{order(apiToken, "api", "prod", "1.0.0"), `token ops may not order api in prod: the nearest rule, access[2], does not hold: environment "prod" is not among dev (change that rule, or add one to access in the configuration)`},
		{order(apiToken, "worker", "dev", "main-1a2b3c4"), `token ops may not order worker in dev: the nearest rule, access[2], does not hold: app "worker" is not among api (change that rule, or add one to access in the configuration)`},
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
	for decision, right := range map[string]string{"retry": "retry", "cancel": "cancel", "dismiss": "cancel"} {
		if p := r.call(apiToken, "POST", "/api/v1/updates/"+elsewhere+"/"+decision, "").problem(t, 403); !strings.HasPrefix(p.Detail, "token ops may not "+right+" api in prod: ") {
			t.Errorf("%s: refused with %q", decision, p.Detail)
		}
		refused++
	}
	// What is missing is named, and no rule is said to be in its way.
	for field, answer := range map[string]response{"app": order(apiToken, "", "dev", "main-1a2b3c4"), "environment": order(apiToken, "api", "", "main-1a2b3c4")} {
		if p := answer.problem(t, 422); p.Detail != field+": is missing" {
			t.Errorf("without %s: refused with %q", field, p.Detail)
		}
	}
	// Each leaves a count and a line, whatever it was refused.
	counted := gather(t, r.Server)[`tallyman_deliveries_total{outcome="unauthorized",source="api"}`]
	if lines := s.log.Lines(`"outcome":"unauthorized"`, `"source":"api"`, `"remote":"127.0.0.1"`); len(lines) != refused || counted != float64(refused) {
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
	for range 3 { // each of which looks for the file
		r.call(next, "GET", "/api/v1/updates", "").problem(t, 401)
	}
	if lines := s.log.Lines("API token cannot be read", "token ops", "no such file"); len(lines) != 1 {
		t.Errorf("the log says so %d times", len(lines))
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
