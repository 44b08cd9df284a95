package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// One command orders several apps in several environments, waits for all, and says what
// came of each; also where some of them fail.
func TestUpdateSeveral(t *testing.T) {
	s := newSite(t, 3)
	c, base, _ := s.start(deadline(t))
	s.commandLine(base)
	out, errs, exit := run(t, "update", "app-00,app-01", "main-1a2b3c4", "--env", "dev", "--env", "staging", "--key", "all", "--wait")
	if exit != 0 {
		t.Fatalf("exit %d: %s%s", exit, errs, out)
	}
	expect(t, "the output", out, "4 updates to main-1a2b3c4: 4 committed\n", "details: tallyman explain api/")
	for _, row := range []string{`dev +app-00 +committed +\S+ +[0-9a-f]{12}`, `dev +app-01 +committed`, `staging +app-00 +committed`, `staging +app-01 +committed`} {
		if !regexp.MustCompile(`(?m)^` + row).MatchString(out) {
			t.Errorf("no row is %s:\n%s", row, out)
		}
	}
	expect(t, "the progress", errs, "waiting for 4 updates\n", "app-01 in staging to main-1a2b3c4: committed (")

	_, err := s.repository.Commit(gitserver.Change{Message: "Away", Files: map[string]string{"charts/app-01/values-dev.yaml": "image: {}\n"}})
	s.must(err)
	out, errs, exit = run(t, "update", "app-00,app-01", "--tag", "main-1a2b3c5", "--env", "dev", "--wait", "-o", "json")
	if exit != exitEnded {
		t.Errorf("with one that fails: exit %d", exit)
	}
	expect(t, "the error", errs, "tallyman: 1 of 2 updates are not committed. The first: app-01 in dev to main-1a2b3c5: not committed: failed: ")
	var d gitops.Delivery
	s.must(json.Unmarshal([]byte(out), &d))
	if len(d.Updates) != 2 || d.Updates[0].State != gitops.Committed || d.Updates[1].State != gitops.Failed || d.Updates[1].Reason == "" {
		t.Errorf("as JSON: %s", out)
	}
	out, _, _ = run(t, "explain", d.Key().String())
	expect(t, "explain", out, "Created 2 updates", "app-00 in dev to main-1a2b3c5: committed", "app-01 in dev to main-1a2b3c5: failed")

	for name, refused := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"unknown":  {[]string{"app-00,app-09,app-08", "main-1a2b3c6", "--env", "dev"}, exitRejected, `app[1]: no app "app-09" is configured: add it to apps, or correct the name; app[2]: no app "app-08" is configured`},
		"twice":    {[]string{"app-00,app-00", "main-1a2b3c6", "--env", "dev"}, exitRejected, `app[1]: "app-00" is there already, as app[0]: remove one`},
		"empty":    {[]string{"app-00,", "main-1a2b3c6", "--env", "dev"}, exitRejected, "app[1]: is empty: give a name, or remove it"},
		"no env":   {[]string{"app-00", "main-1a2b3c6", "--env", ""}, exitBadInput, "--env is empty: give it a value, or leave it out"},
		"two tags": {[]string{"app-00", "main-1a2b3c6", "--env", "dev", "--tag", "main-1a2b3c6"}, exitBadInput, "tallyman update needs APP, not 2 arguments"},
	} {
		if _, errs, exit := run(t, append([]string{"update"}, refused.args...)...); exit != refused.exit || !strings.Contains(errs, refused.want) {
			t.Errorf("%s: exit %d: %s", name, exit, errs)
		}
	}
	s.must(c.stop())
}

// A dispatch of several is sent as gh makes it, and explain lists many updates and shows
// those that need somebody.
func TestSendAndExplainMany(t *testing.T) {
	s := newSite(t, 6)
	ctx := deadline(t)
	c, base, _ := s.start(ctx)
	s.commandLine(base)
	_, err := s.repository.Commit(gitserver.Change{Message: "Away", Files: map[string]string{"charts/app-04/values-dev.yaml": "image: {}\n"}})
	s.must(err)
	args := []string{"send", "github", "--url", base, "--secret-file", s.dir + "/secret", "--id", "many", "--app", "app-00,app-01,app-02", "--app", "app-03,app-04,app-05", "--env", "dev,staging", "--tag", "main-1a2b3c4"}
	out, errs, exit := run(t, append(args, "--dry-run")...)
	if exit != 0 {
		t.Fatalf("exit %d: %s%s", exit, errs, out)
	}
	expect(t, "the request", out, `"client_payload":{"app":["app-00","app-01","app-02","app-03","app-04","app-05"],"env":["dev","staging"],"tag":"main-1a2b3c4"`)
	if out, errs, exit = run(t, args...); exit != 0 {
		t.Fatalf("exit %d: %s%s", exit, errs, out)
	}
	s.must(c.awaitEnds(ctx, 12))
	out, errs, exit = run(t, "explain", "many")
	if exit != 0 {
		t.Fatalf("exit %d: %s%s", exit, errs, out)
	}
	expect(t, "explain", out, "Created 12 updates", "12 updates to main-1a2b3c4: 11 committed, 1 failed", "\napp-04 in dev to main-1a2b3c4: failed\n", "Every step of one: tallyman explain UPDATE")
	if strings.Contains(out, "app-00 in dev to") {
		t.Errorf("updates that need no decision are shown with every step:\n%s", out)
	}
	id := gitops.UpdateID(gitops.DeliveryKey{Source: "github", ID: "many"}, "dev", "app-00")
	out, _, _ = run(t, "explain", id)
	expect(t, "explain of one", out, "app-00 in dev to main-1a2b3c4: committed", "Update "+id, "One of 12 updates. All: tallyman explain github/many")
	if strings.Contains(out, "app-04") {
		t.Errorf("the others are there, too:\n%s", out)
	}
	s.must(c.stop())
}

// What waits for several and is interrupted says how many are pending.
func TestWaitForSeveralInterrupted(t *testing.T) {
	s := newSite(t, 2)
	c, base, _ := s.start(deadline(t))
	s.commandLine(base)
	s.must(s.git.Close())
	out, errs, exit := run(t, "update", "app-00,app-01", "main-1a2b3c4", "--env", "dev", "--wait", "--timeout", "500ms")
	if exit != exitPending {
		t.Errorf("exit %d: %s%s", exit, errs, out)
	}
	expect(t, "the error", errs, "2 of 2 updates are not committed. The first: app-00 in dev to main-1a2b3c4: still pending after 500ms")
	expect(t, "the output", out, "2 updates to main-1a2b3c4: 2 pending")
	s.must(c.stop())
}
