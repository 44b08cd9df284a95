package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// ruleFile is what is asked of a file of rules; promtool has checked the rest.
type ruleFile struct{ Groups []ruleGroup }

type ruleGroup struct {
	Name  string
	Rules []rule
}

type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	if err := yaml.UnmarshalStrict([]byte(read(t, "observability/rules.yaml")), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// alerts are the rules that alert.
func (f ruleFile) alerts() (all []rule) {
	for _, group := range f.Groups {
		for _, r := range group.Rules {
			if r.Alert != "" {
				all = append(all, r)
			}
		}
	}
	return all
}

func TestRules(t *testing.T) {
	t.Parallel()
	run(t, tool(t, "promtool", "check", "rules", "--lint=all", "--lint-fatal", "../observability/rules.yaml"))
	for _, file := range glob(t, "observability/*.test.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			run(t, tool(t, "promtool", "test", "rules", "../"+file))
		})
	}
}

// TestAlertsAreTested sees that each alert is tested to be silent, to fire, and to stay
// while it should: at two times of one test at least.
func TestAlertsAreTested(t *testing.T) {
	stays, silent := make(map[string]bool), make(map[string]bool)
	for _, file := range glob(t, "observability/*.test.yaml") {
		var f struct {
			Tests []struct {
				AlertRuleTest []struct {
					Alertname string
					ExpAlerts []any `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			}
		}
		if err := yaml.Unmarshal([]byte(read(t, file)), &f); err != nil {
			t.Fatal(err)
		}
		for _, test := range f.Tests {
			fires := make(map[string]int)
			for _, c := range test.AlertRuleTest {
				if len(c.ExpAlerts) == 0 {
					silent[c.Alertname] = true
				} else if fires[c.Alertname]++; fires[c.Alertname] == 2 {
					stays[c.Alertname] = true
				}
			}
		}
	}
	for _, r := range rules(t).alerts() {
		if !stays[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: tested to fire and stay %t, to be silent %t", r.Alert, stays[r.Alert], silent[r.Alert])
		}
	}
}

// runbookParts are what each alert's section of the runbooks has, in this order.
var runbookParts = []string{"**Meaning.**", "**First.**", "**Causes.**", "**Way out.**"}

// placeholders are what stands for a label in a runbook's command.
var placeholders = regexp.MustCompile(`\{\{ \$labels\.(\w+) \}\}`)

// TestAlertsLeadToRunbooks sees that each alert names a command, which there is, and has
// a section of the runbooks with the command and all its parts.
func TestAlertsLeadToRunbooks(t *testing.T) {
	for _, r := range rules(t).alerts() {
		section := checkRunbook(t, r.Alert, r.Annotations["runbook_url"])
		at := 0
		for _, part := range runbookParts {
			next := strings.Index(section, part)
			if next < at {
				t.Errorf("%s: its section of the runbooks has no %s, or not in its place", r.Alert, part)
			}
			at = max(at, next)
		}
		command := r.Annotations["command"]
		if shown := placeholders.ReplaceAllStringFunc(command, func(label string) string {
			name := placeholders.FindStringSubmatch(label)[1]
			if name == "namespace" {
				return "tallyman"
			}
			return map[string]string{"environment": "ENV", "job": "tallyman-admin"}[name]
		}); !strings.Contains(section, shown) {
			t.Errorf("%s: its section of the runbooks does not have its command %q", r.Alert, shown)
		}
		switch words := strings.Fields(command); {
		case len(words) < 2 || !slices.Contains([]string{"tallyman", "kubectl", "git"}, words[0]):
			t.Errorf("%s: its command is %q", r.Alert, command)
		case words[0] == "tallyman":
			run(t, exec.Command(binary, words[1], "--help"))
		}
		if _, inPod, is := strings.Cut(command, " -- "); is { // where nothing else is, and no shell
			words := strings.Fields(inPod)
			if words[0] != "/usr/bin/tallyman" {
				t.Errorf("%s: its command runs %q in the pod", r.Alert, words[0])
			}
			run(t, exec.Command(binary, words[1], "--help"))
		} else if strings.Contains(command, "/etc/tallyman") {
			t.Errorf("%s: its command %q names a file of the pod, and does not run there", r.Alert, command)
		}
	}
}

const runbooks = "https://github.com/tallyman-dev/tallyman/blob/main/docs/runbooks.md"

// checkRunbook sees that a link leads to a section of the runbooks, and returns it.
func checkRunbook(t *testing.T, where, link string) (section string) {
	t.Helper()
	anchor, ok := strings.CutPrefix(link, runbooks+"#")
	if !ok {
		t.Errorf("%s leads to %q, which is not in the runbooks", where, link)
		return ""
	}
	for _, part := range strings.Split(read(t, "../docs/runbooks.md"), "\n## ")[1:] {
		heading, text, _ := strings.Cut(part, "\n")
		if strings.ToLower(heading) == anchor {
			return text
		}
	}
	t.Errorf("%s leads to #%s, and docs/runbooks.md has no such section", where, anchor)
	return ""
}

// renderedRules are the rules of the chart with some values beside those of the
// monitoring example.
func renderedRules(t *testing.T, values string) ruleFile {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	text := render(t, chart, filepath.Join(chart, "ci", "gateway-monitoring-values.yaml"), "--values", file)
	for _, document := range strings.Split(text, "\n---") {
		if !strings.Contains(document, "kind: PrometheusRule") {
			continue
		}
		var object struct{ Spec ruleFile }
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		return object.Spec
	}
	t.Fatal("the chart renders no rules")
	return ruleFile{}
}

// TestChartsRules sees that the chart's rules are those of the file, but for how many
// replicas there must be and its CronJob's name, which it knows; and that it makes what is asked of them.
func TestChartsRules(t *testing.T) {
	t.Parallel()
	want := rules(t)
	change := func(name string, how func(*rule)) {
		for g := range want.Groups {
			for i := range want.Groups[g].Rules {
				if r := &want.Groups[g].Rules[i]; r.Alert == name || r.Record == name {
					how(r)
					return
				}
			}
		}
		t.Fatalf("there is no rule %s", name)
	}
	change("tallyman:replicas:wanted", func(r *rule) {
		r.Expr = `label_replace(label_replace(vector(1), "namespace", "tallyman", "", ""), "job", "tallyman-admin", "", "")`
	})
	change("TallymanBackupJobOverdue", func(r *rule) {
		r.Expr = strings.ReplaceAll(r.Expr, `cronjob=~".*tallyman.*-backup"`, `namespace="tallyman", cronjob="tallyman-backup"`)
	})
	if diff := cmp.Diff(want, renderedRules(t, "{}")); diff != "" {
		t.Errorf("by default: -file +chart:\n%s", diff)
	}
	got := renderedRules(t, `monitoring: {prometheusRule: {additionalLabels: {team: platform}, alerts: {
		TallymanUpdatesWaiting: {threshold: 900, for: 10m, severity: page}, TallymanStoreVolumeNearlyFull: {threshold: 5000000000},
		TallymanLaneStalled: {threshold: 0.5}, TallymanPushConflicts: {enabled: false}, TallymanDown: {enabled: true}}}}`)
	change("TallymanUpdatesWaiting", func(r *rule) {
		r.For, r.Labels["severity"], r.Expr = "10m", "page", strings.Replace(r.Expr, "> 300", "> 900", 1)
	})
	change("TallymanStoreVolumeNearlyFull", func(r *rule) { r.Expr = strings.Replace(r.Expr, "< 2e8", "< 5e+09", 1) })
	change("TallymanLaneStalled", func(r *rule) { r.Expr = strings.Replace(r.Expr, "> 600", "> 0.5", 1) })
	for g := range want.Groups {
		for i := range want.Groups[g].Rules {
			if labels := want.Groups[g].Rules[i].Labels; labels != nil {
				labels["team"] = "platform"
			}
		}
		want.Groups[g].Rules = slices.DeleteFunc(want.Groups[g].Rules, func(r rule) bool { return r.Alert == "TallymanPushConflicts" })
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with changes: -want +chart:\n%s", diff)
	}
}

// TestChartsReplicas sees that the chart wants the replicas that there must be.
func TestChartsReplicas(t *testing.T) {
	t.Parallel()
	const postgres = `store: {postgres: {enabled: true, url: "postgres://tallyman@db:5432/tallyman", passwordSecret: {name: s}}}`
	for values, want := range map[string]string{
		postgres + "\nreplicas: 3": "vector(3)",
		postgres + "\nreplicas: 3\nautoscaling: {enabled: true, minReplicas: 2, maxReplicas: 4, cpu: 70}\nfullnameOverride: release": "vector(2)",
	} {
		for _, group := range renderedRules(t, values).Groups {
			for _, r := range group.Rules {
				if r.Record == "tallyman:replicas:wanted" && !strings.Contains(r.Expr, want) {
					t.Errorf("%s: %s", values, r.Expr)
				}
			}
		}
	}
}

// threshold is the number at the end of an expression.
var threshold = regexp.MustCompile(`[<>] [0-9.e]+\n$`)

// TestChartsAlertsAreInItsSchema sees that each alert can be changed, its threshold where
// it has one, and that a name which is mistyped is an error.
func TestChartsAlertsAreInItsSchema(t *testing.T) {
	t.Parallel()
	var values strings.Builder
	values.WriteString("monitoring: {prometheusRule: {alerts: {")
	for _, r := range rules(t).alerts() {
		values.WriteString(r.Alert + ": {enabled: true, severity: page, for: 1h30m")
		if threshold.MatchString(r.Expr) {
			values.WriteString(", threshold: 1")
		}
		values.WriteString("}, ")
	}
	for _, r := range renderedRules(t, values.String()+"}}}").alerts() {
		if r.Labels["severity"] != "page" || r.For != "1h30m" || threshold.MatchString(r.Expr) && !strings.HasSuffix(r.Expr, " 1\n") {
			t.Errorf("changed, it is %+v", r)
		}
	}
	for _, wrong := range []string{"TallymanDwon: {enabled: false}", "TallymanDown: {threshold: 1}", "TallymanDown: {for: soon}", "TallymanDown: {enable: false}"} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte("monitoring: {prometheusRule: {alerts: {"+wrong+"}}}"), 0o600); err != nil {
			t.Fatal(err)
		}
		var problem bytes.Buffer
		c := tool(t, "helm", "template", "tallyman", chart, "--values", filepath.Join(chart, "ci", "gateway-monitoring-values.yaml"), "--values", file)
		c.Stderr = &problem
		if err := c.Run(); err == nil || !strings.Contains(problem.String(), "alerts") {
			t.Errorf("%s: %v\n%s", wrong, err, &problem)
		}
	}
}
