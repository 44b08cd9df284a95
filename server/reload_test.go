package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// reload writes the site's configuration to a file and puts it in force.
func (s *site) reload(r *running) error {
	s.t.Helper()
	path := filepath.Join(s.dir, "tallyman.yaml")
	s.must(os.WriteFile(path, []byte(s.yaml), 0o600))
	return r.ReloadFile(path)
}

// addFile puts a values file of an app on the branch.
func (s *site) addFile(app, environment string) {
	s.t.Helper()
	_, err := s.repository.Commit(gitserver.Change{Files: map[string]string{
		gitserver.ValuesFile(app, environment): gitserver.Values(app, environment, "main-0000000")}})
	s.must(err)
}

// orders is the answer to a dispatch of an app.
func (r *running) orders(id, app, environment, tag string) response {
	r.t.Helper()
	return r.do(r.github(newSecret, id, order(app, environment, tag)))
}

// An app and an environment that are added are there at once, and what leaves takes its
// updates along.
func TestReloadAppsAndEnvironments(t *testing.T) {
	s := newSite(t)
	r := s.start()
	r.orders("1", "shop", "dev", "main-1a2b3c4").problem(t, http.StatusUnprocessableEntity)
	s.addFile("shop", "dev")
	s.addFile("shop", "qa")
	before := s.yaml
	s.edit("apps:\n", "apps:\n  shop: {environments: [dev, qa]}\n")
	s.edit("environments:\n  dev", "environments:\n  qa: {tags: {match: 'main-[0-9a-f]{7,40}'}}\n  dev")
	s.must(s.reload(r))
	for _, environment := range []string{"dev", "qa"} {
		d := r.orders("2-"+environment, "shop", environment, "main-1a2b3c4").delivery(t, http.StatusAccepted)
		if u := r.settled(d.Updates[0].ID); u.State != gitops.Committed {
			t.Errorf("the update of %s is %s: %s", environment, u.State, u.Reason)
		}
	}
	if _, known := gather(t, r.Server)[`tallyman_lane_backoff{cause="store",environment="qa"}`]; !known {
		t.Error("the new environment has no series")
	}

	s.git.Inject(gitserver.Fault{Status: 500, Times: -1})
	waits := r.orders("3", "shop", "qa", "main-2a2b3c4").delivery(t, http.StatusAccepted)
	s.yaml = before
	s.must(s.reload(r))
	r.orders("4", "shop", "qa", "main-3a2b3c4").problem(t, http.StatusUnprocessableEntity)
	s.git.Heal()
	if u := r.settled(waits.Updates[0].ID); u.State != gitops.Cancelled || u.Reason != `environment "qa" is not configured` {
		t.Errorf("the update that waited is %s: %s", u.State, u.Reason)
	}
	if len(s.log.Lines("configuration reloaded", `"changes":"apps changed, environments.qa removed"`)) != 1 {
		t.Error("the log does not say what changed")
	}
	for series := range gather(t, r.Server) {
		if strings.Contains(series, `environment="qa"`) && strings.HasPrefix(series, "tallyman_lane") {
			t.Errorf("%s is still told", series)
		}
	}
}

// A file that is wrong, or that needs a restart, changes nothing at all; it is counted and
// logged, and the next good one is taken.
func TestReloadIsWholeOrNotAtAll(t *testing.T) {
	s := newSite(t)
	r := s.start()
	good, failures := s.yaml, 0.0
	for _, c := range []struct{ old, now, says string }{
		{"apps:\n", "aps:\n", "aps: is not a field"},
		{"worker: {environments: [dev]}", "worker: {environments: [nowhere]}", `apps.worker.environments[0]: "nowhere" is not among`},
		{"dev: {tags: {match: 'main-[0-9a-f]{7,40}'}}", "dev: {tags: {match: '('}}", "environments.dev.tags.match"},
		{"board, file: " + s.dir, "board, file: /nowhere", "api.tokens[1].file"},
		{"listen: 127.0.0.1:0\nadminListen", "listen: 127.0.0.1:1\nadminListen", "listen cannot change while tallyman runs: restart it"},
		{"  credentials: {tokenFile: ", "  signing: {sshKeyFile: /nowhere}\n  credentials: {tokenFile: ", "manifests.signing.sshKeyFile"},
		{"sources:\n", "repositories: {pay: {url: 'https://pay.example/m', credentials: {}, caFile: /nowhere}}\nsources:\n", "repositories.pay.caFile: /nowhere cannot be read"},
		{"apps:\n", "}{", "is not YAML"},
	} {
		s.yaml = strings.Replace(good, c.old, c.now, 1)
		s.edit("api: {repository", "shop: {}\n  api: {repository") // which would be good
		err := s.reload(r)
		if failures++; err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.now, err)
		}
		r.orders(fmt.Sprint("try-", failures), "shop", "dev", "main-1a2b3c4").problem(t, http.StatusUnprocessableEntity)
		if got := gather(t, r.Server)["tallyman_config_reload_failures_total"]; got != failures {
			t.Errorf("%v failures are counted, want %v", got, failures)
		}
		if got := gather(t, r.Server)["tallyman_config_rejected"]; got != 1 {
			t.Errorf("after a rejected file the gauge is %v", got)
		}
	}
	if err := r.ReloadFile(filepath.Join(s.dir, "missing")); gitops.CodeOf(err) != gitops.NotFound {
		t.Errorf("no file: %v", err)
	}
	pipe := filepath.Join(s.dir, "pipe")
	s.must(syscall.Mkfifo(pipe, 0o600))
	if err := r.ReloadFile(pipe); gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
	s.addFile("shop", "dev")
	s.yaml = good
	s.edit("apps:\n", "apps:\n  shop: {environments: [dev]}\n")
	s.must(s.reload(r))
	r.orders("good", "shop", "dev", "main-1a2b3c4").delivery(t, http.StatusAccepted)
	s.must(s.reload(r)) // the same again
	if got := gather(t, r.Server)["tallyman_config_rejected"]; got != 0 {
		t.Errorf("after an accepted file the gauge is %v", got)
	}
}

// A file that names a secret which comes later is rejected, tried again in silence, and put
// in force when the secret is there; another reason is told.
func TestReloadWaitsForWhatTheFileNames(t *testing.T) {
	s := newSite(t)
	r := s.start()
	late := filepath.Join(s.dir, "late-token")
	s.edit("board, file: "+s.dir+"/read-token", "board, file: "+late)
	path := filepath.Join(s.dir, "tallyman.yaml")
	if err := s.reload(r); err == nil {
		t.Fatal("a token without a file is accepted")
	}
	told := func(want int) {
		t.Helper()
		if got := gather(t, r.Server)["tallyman_config_reload_failures_total"]; got != float64(want) {
			t.Errorf("%v failures are counted, want %d", got, want)
		}
		if lines := s.log.Lines("configuration not reloaded, using the previous one", ""); len(lines) != want {
			t.Errorf("%d lines tell of a rejection, want %d", len(lines), want)
		}
	}
	for range 3 {
		if err := r.RetryFile(path); err == nil {
			t.Fatal("a token without a file is accepted")
		}
	}
	told(1)
	s.must(os.WriteFile(late, []byte("short"), 0o600))
	if err := r.RetryFile(path); err == nil {
		t.Fatal("a token that is too short is accepted")
	}
	told(2)
	s.must(os.WriteFile(late, []byte(strings.Repeat("late", 16)), 0o600))
	s.must(r.RetryFile(path))
	told(2)
	if got := gather(t, r.Server)["tallyman_config_rejected"]; got != 0 {
		t.Errorf("the gauge is %v", got)
	}
	if answer := r.call(strings.Repeat("late", 16), "GET", "/api/v1/environments", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("the token that came late is answered %s", answer.Status)
	}
}

// Who may do something no longer may not from now on, and a stream that began before ends.
func TestReloadTakesAccessAway(t *testing.T) {
	s := newSite(t)
	r := s.start()
	stream := r.followAs(readToken, "", "")
	s.edit("    - {name: board, file: "+s.dir+"/read-token}\n", "")
	s.edit("  - {who: {token: board}, may: [read]}\n", "")
	s.edit("may: [read, order, retry, cancel]}", "may: [read]}")
	s.must(s.reload(r))
	for {
		if _, open := stream.next(); !open {
			break
		}
	}
	if answer := r.call(readToken, "GET", "/api/v1/environments", ""); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token that is gone is answered %s", answer.Status)
	}
	r.order("an-order", `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`).problem(t, http.StatusForbidden)
	if answer := r.call(apiToken, "GET", "/api/v1/environments", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("the other token is answered %s", answer.Status)
	}
	for series := range gather(t, r.Server) {
		if strings.Contains(series, `token="board"`) {
			t.Errorf("%s is still told", series)
		}
	}
	var changes []string
	for _, e := range r.audited(2, map[string][]string{"act": {string(gitops.ActConfig)}}) {
		changes = append(changes, e.Reason)
	}
	if diff := cmp.Diff([]string{"access[2] changed, access[3] removed, api changed", "the first configuration that this store knows"}, changes); diff != "" {
		t.Errorf("the audit (-want +got):\n%s", diff)
	}
}

// A source that is added is there, one that is taken out is not, and the secrets of the
// others stay as they are.
func TestReloadSources(t *testing.T) {
	s := newSite(t)
	r := s.start()
	pushed := func(id string) response { return r.do(r.ecr(bridgeSecret, push(id, "main-1a2b3c4"))) }
	pushed("1").delivery(t, http.StatusAccepted)
	good := s.yaml
	s.edit("  eventbridge: {secretFiles: ["+s.dir+"/bridge]}\n", "")
	s.edit("  - {who: {push: {source: eventbridge, accounts: [\"123456789012\"]}}, may: [order], apps: [\"*\"], environments: [\"*\"]}\n", "")
	s.must(s.reload(r))
	pushed("2").problem(t, http.StatusNotFound)
	r.orders("3", "api", "dev", "main-3a2b3c4").delivery(t, http.StatusAccepted)
	s.yaml = good
	s.must(s.reload(r))
	pushed("1").delivery(t, http.StatusOK)
	pushed("4").delivery(t, http.StatusAccepted)
}

// A request that waits for an issuer's keys is answered although two reloads came meanwhile:
// the first kept what authenticates jobs, and the second had no use for it.
func TestReloadWhileAJobIsAuthenticated(t *testing.T) {
	s, issuer := newJobSite(t)
	r := s.start()
	hold := make(chan struct{})
	issuer.Hold(hold)
	answered := make(chan response, 1)
	go func() {
		answered <- r.ask(issuer.Token(audience, nil), "held", `{"app": "api", "environment": "dev", "tag": "main-1a2b3c4"}`)
	}()
	hold <- struct{}{} // which is taken once the issuer is asked, first of two times
	s.edit("apps:\n", "apps:\n  shop: {environments: [dev]}\n")
	s.must(s.reload(r))
	s.edit("audience: '"+audience+"'", "audience: 'https://other.example'")
	s.must(s.reload(r))
	close(hold)
	(<-answered).delivery(t, http.StatusAccepted)
	r.ask(issuer.Token(audience, nil), "next", `{"app": "api", "environment": "dev", "tag": "main-2a2b3c4"}`).problem(t, http.StatusUnauthorized)
}
