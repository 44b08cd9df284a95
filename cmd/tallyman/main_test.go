package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// binary is the real program, static as in the image, built once for all tests that start it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tallyman-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tallyman")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, ".") // as make build, whose cache it shares
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building tallyman: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func TestVersion(t *testing.T) {
	out, _, exit := run(t, "version")
	if exit != 0 || !strings.HasPrefix(out, "tallyman dev (revision ") {
		t.Errorf("exit %d: %s", exit, out)
	}
}

func TestDemo(t *testing.T) {
	out, errs, exit := run(t, "demo")
	if exit != 0 {
		t.Fatalf("exit %d: %s\n%s", exit, errs, out)
	}
	expect(t, "the demo", out,
		"HTTP 202 Accepted", "HTTP 200 OK", "HTTP 401 Unauthorized", "HTTP 422 Unprocessable Entity",
		"+  tag: main-1a2b3c4   # written by tallyman", `+  tag: "1.4.0"`, "+image: {tag: '1.4.0', pullPolicy: Always}  # one line is enough here",
		`tallyman_updates_total{environment="prod",outcome="committed"} 0 -> 2`, "ended with exit status 0",
		// Each delivery is explained, the refused ones too.
		"$ tallyman explain "+demoGUID+"\n   Delivery github/"+demoGUID+": accepted", "myshop-api in dev to main-1a2b3c4: committed",
		"Delivery eventbridge/13cde686-328b-6117-af20-0e5566167482: accepted", "- dev: tag 1.4.0 does not match main-[0-9a-f]{7,40} (a regular expression for the whole tag)",
		"no delivery or update with ID 00000000-0000-4000-8000-000000000001: not received, not authenticated, malformed, older than retention.keep, or not yours to read",
		"Delivery github/00000000-0000-4000-8000-000000000002: rejected", "- client_payload.tag: staging: tag main-1a2b3c4 is not a semantic version",
		"Delivery github/00000000-0000-4000-8000-000000000005: rejected", "- repository: dispatch of myshop/myshop-api (id 17273051) by ann (id 1) may not order myshop-api in prod: the nearest rule, access[0], does not hold",
		"- prod: push from eventbridge (account 123456789012, region ap-northeast-2) may not order myshop-api in prod", "-release-1.4.0: accepted",
		"Delivery eventbridge/00000000-0000-4000-8000-000000000003: ignored", "- the image was pushed without a tag",
		"$ tallyman dismiss ", "myshop-jobs in dev to main-1a2b3c4: cancelled", "dismissed by token:developer: its chart comes next week",
		"$ tallyman history myshop-api --env prod", "1.4.0  ",
		// An app that nobody configured is discovered, and its first delivery is not lost.
		"$ tallyman apps\n", "myshop-web", "Delivery github/00000000-0000-4000-8000-000000000006: accepted", "myshop-web in dev to main-1a2b3c4: committed",
		// Somebody stops prod, is refused an order meanwhile, and goes back to the tag of before.
		"$ tallyman stop --env prod", "myshop-api in prod is held: developer stopped prod on ", "Lifted h2, stop of prod: ",
		"myshop-api in prod back from 1.4.0 to ", "revert: myshop-api back to ", "Tallyman-Rolls-Back: 1.4.0", "Tallyman-Reason: ",
		// prod is written by pull requests: one is open, is merged by a person, and explained.
		"$ tallyman update myshop-api 1.4.0 --env prod --key release-1.4.0 --wait\n   myshop-api in prod to 1.4.0: proposed (https://github.com/myshop/myshop-manifests/pull/1)", "To wait for the merge: --wait=committed",
		"proposed: pull request #1 is open: ", "bo approves pull request 1, ", "merged by bo at ", "The commit is what pull request 1 was merged as", `tallyman_proposals_ended_total{environment="prod",outcome="committed"} 0 -> 2`,
		"1.4.0 to 1.3.0: proposed (https://github.com/myshop/myshop-manifests/pull/2)", "bo approves pull request 2, \"revert: ",
		// An order comes before its image, waits for it, and is written with its digest.
		"has no myshop-search:main-9f8e7d6 (404 since ", `+  digest: "sha256:`, "chore: bump myshop-search to main-9f8e7d6 (next)",
		// What is written is followed until it runs, and all agree; what the cluster refuses is taken back.
		"in the cluster: healthy", "OK          cluster   its pod runs main-9f8e7d6", "in the cluster: sync_failed: Deployment.apps", "revert: myshop-api back to main-1a2b3c4 (dev)", "tallyman:revert pinned main-1a2b3c4 until ",
		`tallyman_rollouts_total{environment="next",outcome="healthy"} 0 -> 1`, `tallyman_rollouts_total{environment="dev",outcome="sync_failed"} 0 -> 1`, "Tallyman-Reverts: ",
		// What an update changed, whose commit it is, and who did what.
		"    The commit is tallyman's, proved by key ", "-  tag: main-0000000", "$ tallyman audit\n", "RULE", "dismiss   token:developer ", "refuse    github:ann ")
}

func TestSend(t *testing.T) {
	s := newSite(t, 1)
	ctx := deadline(t)
	c, base, _ := s.start(ctx)
	secret := filepath.Join(s.dir, "secret")

	out, errs, exit := run(t, "send", "github", "--url", base, "--secret-file", secret, "--app", "app-00", "--env", "dev", "--tag", "main-1a2b3c4", "--id", "g-1")
	if exit != 0 {
		t.Errorf("exit %d: %s", exit, errs)
	}
	expect(t, "the answer", out, "HTTP 202 Accepted", `"id": "g-1"`, `"actor": "github:tallyman-send"`, `"state": "pending"`)

	out, _, exit = run(t, "send", "ecr", "--url", base+"/", "--secret-file", secret, "--repository", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app-00", "--tag", "v-1a2b3c4")
	if exit != 0 {
		t.Errorf("exit %d: %s", exit, out)
	}
	expect(t, "the answer", out, "HTTP 202 Accepted", `"environment": "prod"`)
	s.must(c.awaitUpdates(ctx, 2))

	out, errs, exit = run(t, "send", "github", "--url", base, "--secret-file", s.config(), "--app", "app-00", "--env", "dev", "--tag", "main-1a2b3c4")
	if exit != exitRejected {
		t.Errorf("a wrong secret: exit %d: %s", exit, errs)
	}
	expect(t, "the answer", out, "HTTP 401 Unauthorized")
	expect(t, "the error", errs, " not accepted")

	_, errs, exit = run(t, "send", "github", "--url", "http://127.0.0.1:1", "--secret-file", secret)
	if exit != exitUnreachable {
		t.Errorf("no server: exit %d: %s", exit, errs)
	}
	expect(t, "the error", errs, "tallyman: 127.0.0.1:1 cannot be reached: ")

	out, _, exit = run(t, "send", "ecr", "--dry-run", "--secret-file", secret, "--repository", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app-00", "--time", "2026-01-02T15:04:05Z")
	if exit != 0 {
		t.Errorf("exit %d", exit)
	}
	expect(t, "the request", out, "POST http://127.0.0.1:8080/webhooks/ecr", "X-Tallyman-Key: s3cret-of-the-webhook", `"time":"2026-01-02T15:04:05Z"`, `"account":"123456789012"`, `"detail-type":"ECR Image Action"`)
	out, _, _ = run(t, "send", "ecr", "--dry-run", "--secret-file", secret, "--repository", "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu/app-00", "--action-type", "REPLICATE")
	expect(t, "a replication", out, `"detail-type":"ECR Replication Action"`, `"region":"eusc-de-east-1"`)

	for _, wrong := range [][]string{
		{"send", "github"},
		{"send"}, {"sned"}, {"serve", "extra"}, {"completion"}, {"completion", "bsh"},
		{"send", "github", "--secret-file", secret, "--url", "127.0.0.1:8080"},
		{"send", "github", "--secret-file", "/nowhere"},
		{"send", "ecr", "--secret-file", secret, "--repository", "myshop-api"},
		{"send", "ecr", "--secret-file", secret, "--repository", "x", "--time", "yesterday"},
	} {
		if _, errs, exit := run(t, wrong...); exit != exitBadInput || errs == "" {
			t.Errorf("%v: exit %d: %s", wrong, exit, errs)
		}
	}
	out, _, _ = run(t, "send", "--help")
	expect(t, "the help", out, "gh api repos/OWNER/REPO/dispatches", "X-Hub-Signature-256", "ECR Image Action")
}

func TestCheck(t *testing.T) {
	s := newSite(t, 2)
	out, errs, exit := run(t, "check", "--config", s.config())
	if exit != 0 {
		t.Errorf("exit %d: %s", exit, errs)
	}
	expect(t, "check", out, "configuration: ok", "store: ok", "may be written", "app-01 in prod: charts/app-01/values-prod.yaml can be edited")

	for dir, says := range map[string]string{s.dir: "backups: " + s.dir + " can be written", "/nowhere": "the directory of backups, /nowhere, cannot be read"} {
		file := filepath.Join(s.dir, "backups.yaml")
		text, err := os.ReadFile(s.config())
		s.must(err)
		s.must(os.WriteFile(file, append(text, "\nbackup: {directory: "+dir+"}\n"...), 0o600))
		out, errs, exit := run(t, "check", "--config", file)
		if wrong := dir == "/nowhere"; wrong != (exit == exitFailed) {
			t.Errorf("backups in %s: exit %d: %s", dir, exit, errs)
		}
		expect(t, "backups in "+dir, out+errs, says, "app-01 in prod: ")
	}

	_, err := s.repository.Commit(gitserver.Change{Delete: []string{"charts/app-01/values-prod.yaml"}, Files: map[string]string{"charts/app-00/values-dev.yaml": "image: {}\n"}})
	s.must(err)
	out, errs, exit = run(t, "check", "--config", s.config())
	if exit != exitFailed {
		t.Errorf("exit %d: %s", exit, errs)
	}
	expect(t, "check", out, "app-00 in prod: charts/app-00/values-prod.yaml can be edited")
	expect(t, "the errors", errs, "app-01 in prod: charts/app-01/values-prod.yaml: ", "app-00 in dev: charts/app-00/values-dev.yaml: ")

	s.git.RequireToken("another")
	if _, errs, exit = run(t, "check", "--config", s.config()); exit != exitFailed || strings.Contains(errs, "s3cret") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	if out, _, exit = run(t, "check", "--offline", "--config", s.config()); exit != 0 || !strings.Contains(out, "configuration: ok") {
		t.Errorf("exit %d: %s", exit, out)
	}

	text, err := os.ReadFile(s.config())
	s.must(err)
	s.must(os.WriteFile(s.config(), bytes.Replace(text, []byte("/tallyman.db"), []byte("/nowhere/tallyman.db"), 1), 0o600))
	_, errs, exit = run(t, "check", "--offline", "--config", s.config())
	if exit != exitFailed {
		t.Errorf("exit %d", exit)
	}
	expect(t, "the error", errs, "/nowhere does not exist")

	s.must(os.WriteFile(s.config(), []byte("listen: 8080\nsotre: x\n"), 0o600))
	for _, command := range []string{"check", "serve"} {
		_, errs, exit = run(t, command, "--config", s.config())
		if exit != exitBadInput {
			t.Errorf("%s: exit %d: %s", command, exit, errs)
		}
		expect(t, "the errors", errs, "tallyman: listen: must be text: write it in quotes (line 1)", "tallyman: sotre: is not a field")
	}
}

// A port in use, a second server on the same store: neither may start, and both
// must say why.
func TestServeRefusesWhatItCannotHave(t *testing.T) {
	s := newSite(t, 1)
	c, base, _ := s.start(deadline(t))
	_, errs, exit := run(t, "serve", "--config", s.config())
	if exit != exitFailed {
		t.Errorf("exit %d", exit)
	}
	expect(t, "the error", errs, "the store is in use by another process")

	other := newSite(t, 1)
	text, err := os.ReadFile(other.config())
	s.must(err)
	s.must(os.WriteFile(other.config(), bytes.Replace(text, []byte("127.0.0.1:0"), []byte(strings.TrimPrefix(base, "http://")), 1), 0o600))
	_, errs, exit = run(t, "serve", "--config", other.config())
	if exit != exitFailed {
		t.Errorf("exit %d", exit)
	}
	expect(t, "the error", errs, "listen: cannot listen on "+strings.TrimPrefix(base, "http://"))
	s.must(c.stop())
}

// get is a GET that must work.
func get(t *testing.T, address string) (status int) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestHealthOfARunningServer(t *testing.T) {
	s := newSite(t, 1)
	c, base, admin := s.start(deadline(t))
	probes := c.probes(t)
	for address, want := range map[string]int{
		probes + "/livez": 200, probes + "/readyz": 200, probes + "/metrics": 404, admin + "/metrics": 200, admin + "/livez": 404, admin + "/debug/pprof/": 404,
		base + "/livez": 404, base + "/metrics": 404, base + "/webhooks/github": 405,
	} {
		if got := get(t, address); got != want {
			t.Errorf("%s: %d, want %d", address, got, want)
		}
	}
	s.must(c.stop())
}
