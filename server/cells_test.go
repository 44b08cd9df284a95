package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
	"github.com/tallyman-dev/tallyman/server/webhook/sns/snstest"
)

const rootToken = "s3cret-of-the-api-for-the-test"

// cellRules give each way in something that no other way has.
const cellRules = `access:
  - {who: {token: root}, may: [read, order]}
  - {who: {dispatch: {repository: shop/api, repositoryID: 17}}, may: [order], apps: [api, worker], environments: [dev]}
  - {who: {push: {source: eventbridge, accounts: ["123456789012"]}}, may: [order], apps: [worker], environments: [dev, prod]}
  - {who: {push: {source: sns}}, may: [order], apps: [api], environments: ["*"]}
  - {who: {job: {repository: octo-org/octo-repo, repositoryID: 456789, ownerID: 123456, refs: [refs/heads/main]}}, may: [order, read], apps: [worker], environments: [dev]}
  - {who: {job: {repository: octo-org/octo-repo, repositoryID: 456789, ownerID: 123456, refs: [refs/heads/main], githubEnvironment: production}}, may: [order, report], apps: [api], environments: [prod]}
  - {who: {token: ops}, may: [read, order, retry, override], apps: [api]}
  - {who: {token: ops}, may: [read, cancel, rollback, stop, report], environments: [prod]}
  - {who: {token: board}, may: [read, hold, report], apps: [worker], environments: [dev]}
  - {who: {revert: {}}, may: [rollback], apps: ["*"], environments: [prod]}
`

// wayIn is how a principal asks. What is given is by app, environment and a name that no
// other cell has.
type wayIn struct {
	principal gitops.Principal
	source    string
	order     func(app, environment, name string) *http.Request
	bearer    string // of the API: it has routes for the other rights
}

// cells is a server where every way in is open, with an update of each app in each
// environment.
func newCells(t *testing.T) (m *matrix, ways map[string]wayIn, seeds map[string]string) {
	t.Helper()
	said.Forbid(rootToken)
	m = newMatrixOf(t, ecr.APIKey, func(s *site) {
		s.must(os.WriteFile(filepath.Join(s.dir, "root"), []byte(rootToken), 0o600))
		s.edit("  tokens:\n", "  tokens:\n    - {name: root, file: "+s.dir+"/root}\n")
		s.yaml = s.yaml[:strings.Index(s.yaml, "access:\n")] + cellRules + s.yaml[strings.Index(s.yaml, "environments:\n  dev"):]
		s.edit("worker: {environments: [dev]}", "worker: {repository: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/worker}")
		s.addFile("worker", "prod")
		s.edit("dev: {tags", "dev: {rollout: {by: reports}, tags")
		s.edit("prod: {tags", "prod: {rollout: {by: reports, revert: true}, tags")
	})
	jobPrincipal := func(token string) gitops.Principal {
		j, err := m.current().jobs.Authenticate(t.Context(), token)
		m.site.must(err)
		return j.Principal()
	}
	pushed := func(app, environment, name string) string {
		return strings.Replace(push(name, cellTag(environment)), "shop/api", "shop/"+app, 1)
	}
	overAPI := func(bearer func() string) func(app, environment, name string) *http.Request {
		return func(app, environment, name string) *http.Request {
			req := m.request("POST", "/api/v1/updates", cellOrder(app, environment, ""))
			req.Header.Set("Idempotency-Key", name)
			return m.withHeader(req, "Authorization", "Bearer "+bearer())
		}
	}
	always := func(token string) func() string { return func() string { return token } }
	gated := map[string]any{"environment": "production"}
	ways = map[string]wayIn{
		"dispatch": {gitops.Principal{Dispatch: &gitops.DispatchSender{Repository: "shop/api", RepositoryID: 17, Sender: "ann", SenderID: 3}}, "github",
			func(app, environment, name string) *http.Request {
				return m.github(oldSecret, name, order(app, environment, cellTag(environment)))
			}, ""},
		"bridge": {gitops.Principal{Push: &gitops.PushSource{Source: "eventbridge", Account: "123456789012", Region: "eu-west-1"}}, "eventbridge",
			func(app, environment, name string) *http.Request {
				return m.ecr(bridgeSecret, pushed(app, environment, name))
			}, ""},
		"topic": {gitops.Principal{Push: &gitops.PushSource{Source: "sns", Account: "123456789012", Region: "eu-west-1", Topic: snstest.Topic}}, "sns",
			func(app, environment, name string) *http.Request {
				return m.sns(m.amazon.Notify("2", name, pushed(app, environment, name), now()))
			}, ""},
		"job":   {jobPrincipal(m.jobs.Token(audience, nil)), "api", overAPI(func() string { return m.jobs.Token(audience, nil) }), m.jobs.Token(audience, nil)},
		"gate":  {jobPrincipal(m.jobs.Token(audience, gated)), "api", overAPI(func() string { return m.jobs.Token(audience, gated) }), m.jobs.Token(audience, gated)},
		"ops":   {gitops.Principal{Token: "ops"}, "api", overAPI(always(apiToken)), apiToken},
		"board": {gitops.Principal{Token: "board"}, "api", overAPI(always(readToken)), readToken},
	}
	seeds = map[string]string{}
	for _, app := range []string{"api", "worker"} {
		for _, environment := range []string{"dev", "prod"} {
			body := cellOrder(app, environment, "")
			u := m.callWith(rootToken, "POST", "/api/v1/updates", body, http.Header{"Idempotency-Key": {app + environment}}).delivery(t, 202).Updates[0]
			seeds[app+" "+environment] = m.settled(u.ID).ID
		}
	}
	return m, ways, seeds
}

// cellTag is one that the environment's rule takes.
func cellTag(environment string) string {
	if environment == "prod" {
		return "1.0.0"
	}
	return "main-1a2b3c4"
}

func cellOrder(app, environment, more string) string {
	return fmt.Sprintf(`{"app": %q, "environment": %q, "tag": %q%s}`, app, environment, cellTag(environment), more)
}

// asks asks by the API for what a right but order is for, without a change to anything.
func (m *matrix) asks(bearer string, right gitops.Right, app, environment, seed string) response {
	m.t.Helper()
	area := fmt.Sprintf(`"apps": [%q], "environments": [%q], "dryRun": true`, app, environment)
	switch right {
	case gitops.RightRead:
		return m.call(bearer, "GET", "/api/v1/updates/"+seed, "")
	case gitops.RightRetry, gitops.RightCancel:
		return m.call(bearer, "POST", "/api/v1/updates/"+seed+"/"+string(right), "")
	case gitops.RightRollback:
		return m.call(bearer, "POST", "/api/v1/rollbacks", fmt.Sprintf(`{"app": %q, "environment": %q, "reason": "r", "dryRun": true}`, app, environment))
	case gitops.RightHold:
		return m.call(bearer, "POST", "/api/v1/holds", `{"kind": "freeze", "reason": "r", "for": "1h", `+area+`}`)
	case gitops.RightStop:
		return m.call(bearer, "POST", "/api/v1/holds", `{"kind": "stop", `+area+`}`)
	case gitops.RightReport:
		return m.call(bearer, "POST", "/api/v1/health", fmt.Sprintf(`{"app": %q, "environment": %q, "update": %q, "state": "healthy", "dryRun": true}`, app, environment, seed))
	case gitops.RightOverride:
		return m.call(bearer, "POST", "/api/v1/updates", cellOrder(app, environment, `, "override": "r", "dryRun": true`))
	}
	m.t.Fatalf("no request asks for %s", right)
	return response{}
}

// Each kind of principal asks in its way for each right to each app in each environment:
// the running program does what the list says of the cell, and nothing else.
func TestEveryCellByEveryWayIn(t *testing.T) {
	m, ways, seeds := newCells(t)
	var got []string
	var refused []gitops.AuditEntry // what the audit must say of it
	for name, way := range ways {
		for _, right := range gitops.Rights() {
			for _, app := range []string{"api", "worker"} {
				for _, environment := range []string{"dev", "prod"} {
					cell := strings.Join([]string{name, string(right), app, environment}, " ")
					rule, err := m.current().access.Authorize(way.principal, right, app, environment)
					allowed := err == nil
					if allowed {
						got = append(got, cell+" "+rule)
					} else if right == gitops.RightOrder || right != gitops.RightRead && way.bearer != "" { // what may not be read is not there
						refused = append(refused, gitops.AuditEntry{Principal: way.principal.ID(), Right: right, App: app, Environment: environment})
					}
					switch {
					case right == gitops.RightOrder:
						id := strings.ReplaceAll(cell, " ", "-")
						answer := m.do(way.order(app, environment, id))
						if way.source == "api" {
							id = api.DeliveryID(way.principal, id)
						}
						d, kept := m.stored(way.source, id)
						if (len(d.Updates) == 1) != allowed || allowed && d.Updates[0].Rule != rule || kept && d.Principal != way.principal.ID() {
							t.Errorf("%s: the list says %q, %v; answered %s %s; kept %+v", cell, rule, err, answer.Status, answer.body, d)
						}
					case way.bearer != "":
						answer := m.asks(way.bearer, right, app, environment, seeds[app+" "+environment])
						if right == gitops.RightOverride && allowed {
							_, err = m.current().access.Authorize(way.principal, gitops.RightOrder, app, environment)
						}
						if refused := answer.StatusCode == 403 || answer.StatusCode == 404; refused != (err != nil) {
							t.Errorf("%s: the list says %q, %v; answered %s %s", cell, rule, err, answer.Status, answer.body)
						}
					case allowed:
						t.Errorf("%s: no request can ask for what the list allows", cell)
					}
				}
			}
		}
	}
	want := []string{
		"board hold worker dev access[8]", "board read worker dev access[8]", "board report worker dev access[8]",
		"bridge order worker dev access[2]", "bridge order worker prod access[2]",
		"dispatch order api dev access[1]", "dispatch order worker dev access[1]",
		"gate order api prod access[5]", "gate order worker dev access[4]", "gate read worker dev access[4]", "gate report api prod access[5]",
		"job order worker dev access[4]", "job read worker dev access[4]",
		"ops cancel api prod access[7]", "ops cancel worker prod access[7]",
		"ops order api dev access[6]", "ops order api prod access[6]", "ops override api dev access[6]", "ops override api prod access[6]",
		"ops read api dev access[6]", "ops read api prod access[6]", "ops read worker prod access[7]",
		"ops report api prod access[7]", "ops report worker prod access[7]",
		"ops retry api dev access[6]", "ops retry api prod access[6]",
		"ops rollback api prod access[7]", "ops rollback worker prod access[7]", "ops stop api prod access[7]", "ops stop worker prod access[7]",
		"topic order api dev access[3]", "topic order api prod access[3]",
	}
	for _, right := range gitops.Rights() {
		for _, environment := range []string{"dev", "prod"} {
			rule, err := m.current().access.Authorize(gitops.Principal{Revert: true}, right, "api", environment)
			if may := right == gitops.RightRollback && environment == "prod"; (err == nil) != may || may && rule != "access[9]" {
				t.Errorf("a revert may %s in %s: %q, %v", right, environment, rule, err)
			}
		}
	}
	// No request comes from tallyman itself, whatever it says that it is.
	if answer := m.call("tallyman:revert", "POST", "/api/v1/rollbacks", `{"app": "api", "environment": "prod", "reason": "r", "dryRun": true}`); answer.StatusCode != 401 {
		t.Errorf("a request in the name of reverts is answered %s", answer.Status)
	}
	m.expectRefused(refused)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("allowed are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// expectRefused waits until the audit has an entry of each thing that was refused. Where the
// right is given for nothing at all, the API may refuse before it reads what is named: a
// stop is a hold then. Who may not order may not order past a hold either.
func (m *matrix) expectRefused(want []gitops.AuditEntry) {
	m.t.Helper()
	for {
		found, _, err := m.store.AuditEntries(m.t.Context(), queue.AuditFilter{Act: gitops.ActRefuse}, queue.Page{Limit: 1000})
		m.site.must(err)
		want = slices.DeleteFunc(want, func(w gitops.AuditEntry) bool {
			return slices.ContainsFunc(found, func(e gitops.AuditEntry) bool {
				unread := e.App+e.Environment == ""
				return e.Principal == w.Principal && e.Reason != "" && (unread || e.App == w.App && e.Environment == w.Environment) &&
					(e.Right == w.Right || w.Right == gitops.RightOverride && e.Right == gitops.RightOrder || unread && w.Right == gitops.RightStop && e.Right == gitops.RightHold)
			})
		})
		if len(want) == 0 {
			return
		}
	}
}

// Whatever senders reach is a route of the API, which asks the list, or gives events to the
// intake, which asks it too; the rest orders nothing. A route beside these has to be added
// here, and is then thought about.
func TestEveryRouteIsOfTheAPIOrOfTheIntake(t *testing.T) {
	m := newMatrix(t, ecr.OAuth)
	known := map[string]bool{"POST /webhooks/ecr/token": true, "GET " + appCreatedPath: true} // a token for a secret, and a page
	for _, route := range m.current().api.Routes() {
		known[route.Method+" "+route.Pattern] = true
	}
	for pattern := range m.current().receivers {
		known["POST "+pattern] = true
	}
	served := 0
	err := chi.Walk(m.newHandler(m.current()).(chi.Routes), func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if served++; !known[method+" "+pattern] {
			t.Errorf("%s %s is served, and no test knows who asks the list for it", method, pattern)
		}
		return nil
	})
	if err != nil || served != len(known) {
		t.Errorf("%d of %d routes are served: %v", served, len(known), err)
	}
}
