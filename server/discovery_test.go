package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// An app is known with the first look after the commit that brings it, without a restart,
// and its first update is written. With the commit that takes it away it is gone, and what
// it still had to write is cancelled for that.
func TestAppsComeAndGoWithTheBranch(t *testing.T) {
	s := branchSite(t)
	l := s.watch()
	l.reaches("1", "api", "dev", "main-1a2b3c4") // was there from the start
	l.refuses("cart", "dev", "main-1a2b3c4")
	s.commit(valuesOf("cart", "dev"))
	l.look()
	l.reaches("3", "cart", "dev", "main-1a2b3c4")
	l.orders("4", "cart", "prod", "1.0.0").problem(t, http.StatusUnprocessableEntity)
	if lines := s.log.Lines("apps discovered", `"added":1`, `"addedNames":["cart"]`, `"apps":3`); len(lines) != 1 {
		t.Errorf("the log has %q", lines)
	}

	s.git.Inject(gitserver.Fault{On: gitserver.Push, Status: 500, Times: -1})
	waits := l.orders("5", "cart", "dev", "main-2a2b3c4").delivery(t, http.StatusAccepted)
	s.commit(nil, gitserver.ValuesFile("cart", "dev"))
	l.look()
	s.git.Heal()
	const why = `app "cart" is not known in environment "dev" any more: charts/cart/values-dev.yaml is not on the branch`
	if u := l.settled(waits.Updates[0].ID); u.State != gitops.Cancelled || u.Reason != why {
		t.Errorf("what waited is %s: %s", u.State, u.Reason)
	}
	l.refuses("cart", "dev", "main-3a2b3c4")
	l.reaches("7", "worker", "dev", "main-1a2b3c4")
	if n := gather(t, l.Server)[`tallyman_apps{repository="default"}`]; n != 2 {
		t.Errorf("%v apps are told", n)
	}
}

// Two names that differ in capitals alone are a problem of both, which names them; every
// other app goes on, and both are known when one is gone.
func TestACollisionStopsNobodyElse(t *testing.T) {
	s := branchSite(t)
	s.commit(valuesOf("cart", "dev"))
	l := s.watch()
	s.commit(valuesOf("Cart", "dev"))
	l.look()
	for i, app := range []string{"cart", "Cart"} {
		p := l.orders(fmt.Sprint(i), app, "dev", "main-1a2b3c4").problem(t, http.StatusUnprocessableEntity)
		for _, text := range []string{"charts/cart/values-dev.yaml", "charts/Cart/values-dev.yaml"} {
			if !strings.Contains(p.Detail, text) {
				t.Errorf("%s: %s does not name %s", app, p.Detail, text)
			}
		}
	}
	l.reaches("2", "worker", "dev", "main-1a2b3c4")
	if n := gather(t, l.Server)[`tallyman_discovery_problems{repository="default"}`]; n == 0 {
		t.Error("no problem is told")
	}
	s.commit(nil, gitserver.ValuesFile("Cart", "dev"))
	l.look()
	l.reaches("3", "cart", "dev", "main-1a2b3c4")
	if n := gather(t, l.Server)[`tallyman_discovery_problems{repository="default"}`]; n != 0 {
		t.Errorf("%v problems are still told", n)
	}
}

// Before the first look an order of an app that nobody knows is to be sent again, and
// nothing is cancelled; after it the same order is taken.
func TestBeforeTheFirstLook(t *testing.T) {
	s := branchSite(t)
	release := make(chan struct{})
	s.git.Inject(gitserver.Fault{On: gitserver.FetchRefs, Wait: release, Times: -1})
	l := s.watchBefore()
	const body = `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`
	answer := l.call(apiToken, "POST", "/api/v1/updates", body)
	if p := answer.problem(t, http.StatusServiceUnavailable); !strings.Contains(p.Detail, `whether there is an app "api" is not known yet`) || answer.Header.Get("Retry-After") != "1" {
		t.Errorf("%+v, %s", p, answer.Header.Get("Retry-After"))
	}
	s.git.Heal()
	close(release)
	l.wait()
	d := l.call(apiToken, "POST", "/api/v1/updates", body).delivery(t, http.StatusAccepted)
	if u := l.settled(d.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("the update is %s: %s", u.State, u.Reason)
	}
}

// What was accepted before a restart is not cancelled while the branch cannot be looked
// at, and is written when it can be.
func TestARestartCancelsNothing(t *testing.T) {
	s := branchSite(t)
	l := s.watch()
	s.git.Inject(gitserver.Fault{Status: 500, Times: -1})
	waits := l.orders("1", "api", "dev", "main-1a2b3c4").delivery(t, http.StatusAccepted)
	l.stop()
	server, err := s.newServer()
	s.must(err)
	looked := make(chan string, 16)
	server.finder.between, server.finder.looked = 0, func(commit string) { looked <- commit }
	r := s.run(server)
	<-looked // it failed
	if u, err := r.store.Update(t.Context(), waits.Updates[0].ID); err != nil || u.State.Final() {
		t.Fatalf("%+v, %v", u, err)
	}
	if len(s.log.Lines("apps cannot be discovered", `"repository":"default"`)) == 0 {
		t.Error("the log does not say that the look failed")
	}
	s.git.Heal()
	server.finder.ask()
	if u := r.settled(waits.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("the update is %s: %s", u.State, u.Reason)
	}
}

// What is wrong with one app's own key stops that app in that environment alone.
func TestABrokenFileStopsItsAppAlone(t *testing.T) {
	s := branchSite(t)
	s.edit("    exclude: [charts/_*/**]\n", "    exclude: [charts/_*/**]\n    appFile: charts/{app}/tallyman.yaml\n")
	files := valuesOf("cart", "dev")
	files["charts/cart/tallyman.yaml"] = "set: [{key: '.image.tag ='}]\n"
	s.commit(files)
	l := s.watch()
	if p := l.orders("1", "cart", "dev", "main-1a2b3c4").problem(t, http.StatusUnprocessableEntity); !strings.Contains(p.Detail, "charts/cart/tallyman.yaml") {
		t.Error(p.Detail)
	}
	l.reaches("2", "worker", "dev", "main-1a2b3c4")
	answer := l.call(apiToken, "GET", "/api/v1/apps?problems=true", "")
	if answer.StatusCode != http.StatusOK || !strings.Contains(answer.body, `"app":"cart"`) || strings.Contains(answer.body, `"app":"worker"`) {
		t.Error(answer.body)
	}
	s.commit(map[string]string{"charts/cart/tallyman.yaml": "set: [{key: .image.tag}]\n"})
	l.look()
	l.reaches("3", "cart", "dev", "main-2a2b3c4")
}

// A hundred apps of one commit are known with one look, and what an app has pending waits
// while it has a problem.
func TestAHundredAppsInOneCommit(t *testing.T) {
	s := branchSite(t)
	l := s.watch()
	files := make(map[string]string)
	for n := range 100 {
		for path, text := range valuesOf(fmt.Sprintf("app-%03d", n), "dev", "prod") {
			files[path] = text
		}
	}
	s.commit(files)
	began := time.Now()
	l.look()
	t.Logf("known after %s", time.Since(began))
	if n := len(l.current().known().Apps()); n != 102 {
		t.Fatalf("%d apps are known", n)
	}
	l.reaches("1", "app-099", "dev", "main-1a2b3c4")

	s.git.Inject(gitserver.Fault{On: gitserver.Push, Status: 500, Times: -1})
	waits := l.orders("2", "app-007", "dev", "main-2a2b3c4").delivery(t, http.StatusAccepted)
	s.commit(valuesOf("App-007", "dev"))
	l.look()
	s.git.Heal()
	l.reaches("3", "app-008", "dev", "main-1a2b3c4")
	if u, err := l.store.Update(t.Context(), waits.Updates[0].ID); err != nil || u.State != gitops.Pending {
		t.Errorf("%+v, %v", u, err)
	}
	s.commit(nil, gitserver.ValuesFile("App-007", "dev"))
	l.look()
	if u := l.settled(waits.Updates[0].ID); u.State != gitops.Committed {
		t.Errorf("it is %s: %s", u.State, u.Reason)
	}
}
