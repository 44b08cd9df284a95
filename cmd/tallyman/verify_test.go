package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/verify"
)

// report is one of an app in prod with these words, in the order of the places.
func report(app string, words ...verify.Word) verify.Report {
	r := verify.Report{App: app, Environment: "prod", Tag: "1.4.2", At: noon, Result: verify.NotAsked}
	texts := map[verify.Place]string{
		verify.Registry: "1.4.2, sha256:0123456789ab", verify.Manifest: "1.4.2 at abc1234",
		verify.ArgoCD: "at abc1234, which has 1.4.2, Synced, Healthy", verify.Cluster: "all 3 pods run 1.4.2",
	}
	for i, place := range []verify.Place{verify.Registry, verify.Manifest, verify.ArgoCD, verify.Cluster} {
		r.Lines = append(r.Lines, verify.Line{Place: place, Word: words[i], Text: texts[place]})
		r.Result = verify.Worse(r.Result, words[i])
	}
	return r
}

// serveReports points the commands at a server that has a report of each app in prod; nil is
// one that it fails to make.
func serveReports(t *testing.T, all map[string]*verify.Report) {
	t.Helper()
	_ = serveAnswers(t, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any
		switch r.URL.Path {
		case "/api/v1/environments":
			answer = api.Environments{Environments: []api.Environment{{Name: "prod"}}}
		case "/api/v1/apps":
			list := api.KnownAppList{Complete: true}
			for _, app := range []string{"api", "cart", "mail", "shop", "web"} {
				if _, known := all[app]; known {
					list.Apps = append(list.Apps, api.KnownApp{App: app, Environment: "prod"})
				}
			}
			answer = list
		case "/api/v1/verify":
			found, known := all[r.URL.Query().Get("app")]
			if found == nil {
				w.WriteHeader(map[bool]int{true: http.StatusForbidden, false: http.StatusNotFound}[known])
				answer = map[string]any{"code": map[bool]string{true: "forbidden", false: "not_found"}[known], "detail": "there is no app that your credential may read"}
				break
			}
			answer = found
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("TALLYMAN_URL", s.URL)
}

// What people see of one app and of all, with the exit code that scripts go by.
func TestVerifyIsShown(t *testing.T) {
	good := report("api", verify.OK, verify.OK, verify.OK, verify.OK)
	moving := report("cart", verify.NotAsked, verify.OK, verify.OnItsWay, verify.OnItsWay)
	away := report("mail", verify.OK, verify.OK, verify.NoAnswer, verify.NoAnswer)
	bad := report("shop", verify.OK, verify.OK, verify.OK, verify.Differs)
	bad.Lines[3].Text = "1 of 3 pods runs shop:1.4.1, not 1.4.2"
	unsure := report("web", verify.OK, verify.OK, verify.OK, verify.Unsure)
	tr := &transcript{t: t, ids: make(map[string]string)}
	show := func(args ...string) {
		out, failure, exit := ran(t, args...)
		if failure != "" {
			failure = "tallyman: " + failure + "\n"
		}
		fmt.Fprintf(&tr.text, "$ tallyman %s\n%s%s[exit %d]\n\n", strings.Join(args, " "), failure, out, exit)
	}
	serveReports(t, map[string]*verify.Report{"api": &good, "cart": &moving, "mail": &away, "shop": &bad, "web": &unsure})
	for _, app := range []string{"api", "cart", "mail", "shop", "web"} {
		show("verify", app, "--env", "prod")
	}
	show("verify", "api", "--env", "prod", "-o", "json")
	show("verify", "--all", "--env", "prod")
	tr.note("Nothing differs, and one app cannot be compared")
	serveReports(t, map[string]*verify.Report{"api": &good, "cart": &moving, "web": nil})
	show("verify", "--all", "--env", "prod")
	tr.note("One is on its way")
	serveReports(t, map[string]*verify.Report{"api": &good, "cart": &moving})
	show("verify", "--all", "--env", "prod")
	show("verify", "--all", "--env", "prod", "-o", "yaml")
	tr.note("All agree, and no app is there")
	serveReports(t, map[string]*verify.Report{"api": &good})
	show("verify", "--all", "--env", "prod")
	serveReports(t, nil)
	show("verify", "--all", "--env", "prod")
	tr.note("What is asked wrongly")
	show("verify", "api")
	show("verify", "--env", "prod")
	show("verify", "api", "--all", "--env", "prod")
	show("verify", "--all", "--env", "prdo")
	show("verify", "none", "--env", "prod")
	tr.compare("verify.golden")
}
