package test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// dashboard is what is asked of Grafana's JSON.
type dashboard struct {
	UID        string
	Links      []link
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type string
			Datasource struct{ UID string }
			Query      any
		}
	}
}

type link struct{ Title, URL string }

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource struct{ UID string }
	Links      []link
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		Expr       string
		Datasource struct{ UID string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "observability/dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	ids := make(map[int]bool)
	for i, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for _, other := range d.Panels[:i] {
			a, b := p.GridPos, other.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q lies on %q", p.Title, other.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("%q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			if p.Datasource.UID != "${datasource}" || target.Datasource.UID != "${datasource}" {
				t.Errorf("%q asks a data source of its own", p.Title)
			}
		}
		for _, l := range p.Links {
			checkRunbook(t, p.Title, l.URL)
		}
	}
	if len(d.Links) != 1 || d.Links[0].URL != runbooks {
		t.Errorf("the dashboard's links are %v", d.Links)
	}
}

// exposed is what a running tallyman's /metrics has: the values of each label of
// each series' name.
type exposed map[string]map[string]map[string]bool

// TestMetricsExist starts a real tallyman and sees that every metric, label and
// value which a rule or a panel asks for is there.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	metrics := scrape(t)
	for _, group := range rules(t).Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" {
				metrics[rule.Record] = nil
			}
		}
	}
	for _, group := range rules(t).Groups {
		for _, rule := range group.Rules {
			metrics.check(t, rule.Alert+rule.Record, rule.Expr)
		}
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			metrics.check(t, p.Title, target.Expr)
		}
	}
	query := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for _, variable := range d.Templating.List {
		if variable.Type != "query" {
			continue
		}
		found := query.FindStringSubmatch(variable.Query.(map[string]any)["query"].(string))
		if found == nil || variable.Datasource.UID != "${datasource}" {
			t.Errorf("variable %s: %v", variable.Name, variable)
			continue
		}
		metrics.check(t, "variable "+variable.Name, found[1])
	}
}

// added are the labels that Prometheus gives to what it scrapes.
var added = []string{"namespace", "job", "instance", "pod"}

// others are the metrics that the tallyman of this test does not have, with their labels:
// those of kube-state-metrics, and what PostgreSQL alone has.
var others = exposed{
	"kube_cronjob_status_last_successful_time":  {"cronjob": {"tallyman-backup": true}},
	"kube_cronjob_created":                      {"cronjob": {"tallyman-backup": true}},
	"tallyman_store_oldest_transaction_seconds": {},
}

// check sees that an expression asks for nothing that is not there.
func (e exposed) check(t *testing.T, where, expression string) {
	t.Helper()
	// Grafana puts in a time and a pattern of its own.
	expression = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$namespace", ".*", "$job", ".*", "$environment", ".*").Replace(expression)
	parsed, err := parsePromQL(expression)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	var names []string // of metrics
	grouped := make(map[string]bool)
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			names = append(names, n.Name)
			family, ok := e[n.Name]
			if others[n.Name] != nil {
				family, ok = others[n.Name], true
			}
			if !ok {
				t.Errorf("%s: a running tallyman has no %s", where, n.Name)
				return nil
			}
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel && !slices.Contains(added, m.Name) && family != nil {
					checkMatcher(t, where+": "+n.Name, m, family)
				}
			}
		case *parser.AggregateExpr:
			for _, label := range n.Grouping {
				grouped[label] = true
			}
		}
		return nil
	})
	for label := range grouped {
		if !slices.Contains(added, label) && !slices.ContainsFunc(names, func(name string) bool {
			return e[name][label] != nil || others[name][label] != nil
		}) {
			t.Errorf("%s: groups by %s, which no metric of it has", where, label)
		}
	}
}

func parsePromQL(expression string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(expression)
}

// checkMatcher sees that some value is matched. HTTP statuses are whatever was
// answered, so only the label is asked for.
func checkMatcher(t *testing.T, where string, m *labels.Matcher, family map[string]map[string]bool) {
	t.Helper()
	values, ok := family[m.Name]
	if !ok {
		t.Errorf("%s has no label %s", where, m.Name)
		return
	}
	for value := range values {
		if m.Matches(value) {
			return
		}
	}
	if m.Name != "code" {
		t.Errorf("%s: no value of %s is %s; there are %v", where, m.Name, m.Value, values)
	}
}

const metricsConfig = `
listen: 127.0.0.1:0
adminListen: 127.0.0.1:0
probeListen: 127.0.0.1:0
store: sqlite://%[1]s/tallyman.db
backup: {directory: %[1]s}
manifests:
  url: http://127.0.0.1:1/shop/manifests.git
  credentials: {githubApp: {appID: 1, installationID: 2, privateKeyFile: %[1]s/app.pem, apiURL: "http://127.0.0.1:1"}}
sources:
  github: {secretFiles: [%[1]s/secret]}
  eventbridge: {secretFiles: [%[1]s/secret]}
api:
  tokens: [{name: ops, file: %[1]s/token, expires: "2999-01-01"}]
access:
  - {who: {dispatch: {repository: shop/api, repositoryID: 17}}, may: [order], apps: [myshop-api], environments: [dev]}
  - {who: {push: {source: eventbridge, accounts: ["123456789012"]}}, may: [order], apps: [myshop-api], environments: [dev]}
  - {who: {token: ops}, may: [read, order]}
  - {who: {poll: {registries: ["127.0.0.1:1"]}}, may: [order], apps: [myshop-web], environments: [prod]}
environments:
  dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}
  prod: {tags: {semver: ">=1.0.0"}, image: {poll: 1h}, write: pull-request}
discover: [{file: "charts/{app}/values-{env}.yaml"}]
notify: [{name: ops, webhook: {url: "http://127.0.0.1:1/", secretFile: %[1]s/hook}}]
argocd: [{url: "http://127.0.0.1:1", tokenFile: %[1]s/token, projects: [myshop]}]
apps:
  myshop-api: {}
  myshop-web: {file: "web/values-{env}.yaml", repository: "127.0.0.1:1/web", environments: [prod]}
`

var series = regexp.MustCompile(`^([a-zA-Z_:][\w:]*)(\{.*\})? `)

// scrape starts a tallyman, sends it a request, and reads its metrics.
func scrape(t *testing.T) exposed {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"secret": "not-a-real-secret", "token": "not-a-real-token-at-all", "hook": "whsec_bm90LWEtcmVhbC1zZWNyZXQtYXQtYWxsLTMyLWJ5dA==", "app.pem": exampleSecret(t, "app.pem"), "tallyman.yaml": strings.ReplaceAll(metricsConfig, "%[1]s", dir)})
	at := serve(t, filepath.Join(dir, "tallyman.yaml"))
	refused, err := http.Post("http://"+at.Listen+"/webhooks/github", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	response, err := http.Get("http://" + at.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	found := make(exposed)
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		parts := series.FindStringSubmatch(lines.Text())
		if parts == nil {
			continue // a comment
		}
		set, err := parser.NewParser(parser.Options{}).ParseMetric(parts[1] + parts[2])
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if found[parts[1]] == nil {
			found[parts[1]] = make(map[string]map[string]bool)
		}
		set.Range(func(l labels.Label) {
			if found[parts[1]][l.Name] == nil {
				found[parts[1]][l.Name] = make(map[string]bool)
			}
			found[parts[1]][l.Name][l.Value] = true
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
