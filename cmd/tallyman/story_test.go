package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/api"
)

// deliver sends a webhook and expects an answer.
func (s *site) deliver(req *http.Request, err error, status int) {
	s.t.Helper()
	s.must(err)
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != status {
		s.t.Fatalf("answered %s", resp.Status)
	}
}

// commandLine points the commands that ask a server to one.
func (s *site) commandLine(base string) {
	s.t.Setenv("TALLYMAN_URL", base)
	s.t.Setenv("TALLYMAN_TOKEN_FILE", filepath.Join(s.dir, "api-token"))
	s.t.Setenv("TALLYMAN_TOKEN", "")
	s.t.Setenv("TALLYMAN_AUDIENCE", "")
	s.t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "") // as where this runs in a job itself
	s.t.Setenv("XDG_CONFIG_HOME", s.dir)
	s.t.Setenv("HOME", s.dir)
}

// What a developer sees from the first status to the last: testdata/story.golden.
func TestTheWholeStory(t *testing.T) {
	s := newSite(t, 2)
	ctx := deadline(t)
	c, base, _ := s.start(ctx)
	s.commandLine(base)
	tr := &transcript{t: t, ids: map[string]string{}}

	tr.run("status")
	tr.run("update", "app-00", "main-1a2b3c4", "--env", "dev", "--key", "release-1", "--wait")
	tr.run("update", "app-00", "main-1a2b3c4", "--env", "dev", "--key", "release-1")
	tr.run("update", "app-00", "main-1a2b3c5", "--env", "dev", "--key", "release-1")
	tr.run("update", "app-00", "v-1a2b3c4", "--env", "dev", "--key", "release-2")
	tr.run("explain", "release-2")

	tr.note("GitHub delivers a dispatch of a tag that prod does not take and one of another event_type, and EventBridge a push that two environments do not take.")
	wrong := dispatch{App: []string{"app-00"}, Environment: []string{"prod"}, Tag: "rc-1a2b3c4", eventType: "update-image", actor: "ann", repositoryID: 1}
	req, err := wrong.request(base, s.secret, "guid-1")
	s.deliver(req, err, 422)
	other := wrong
	other.eventType = "deploy"
	req, err = other.request(base, s.secret, "guid-2")
	s.deliver(req, err, 200)
	pushed := imageEvent{header: "X-Tallyman-Key", repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app-00", tag: "rc-1a2b3c4", digest: demoDigest, action: "PUSH", at: time.Now()}
	req, err = pushed.request(base, s.secret, "event-1")
	s.deliver(req, err, 202)
	s.must(c.awaitUpdates(ctx, 2))
	for _, id := range []string{"guid-1", "guid-2", "eventbridge/event-1"} {
		tr.run("explain", id)
	}

	tr.note("Somebody takes the key out of app-01's file, and later puts it back.")
	file := "charts/app-01/values-dev.yaml"
	content, err := s.repository.Git("show", "main:"+file)
	s.must(err)
	_, err = s.repository.Commit(gitserver.Change{Message: "Away", Files: map[string]string{file: "image: {}\n"}})
	s.must(err)
	tr.run("update", "app-01", "main-1a2b3c4", "--env", "dev", "--key", "release-3", "--wait")
	var failed struct {
		Updates []struct{ ID string }
	}
	s.must(json.Unmarshal([]byte(tr.run("updates", "--state", "failed", "-o", "json")), &failed))
	tr.run("update", "app-01", "main-1a2b3c5", "--env", "dev", "--key", "release-4", "--wait")
	unwanted := gitops.UpdateID(gitops.DeliveryKey{Source: api.Source, ID: api.DeliveryID(gitops.Principal{Token: "ci"}, "release-4")}, "dev", "app-01")
	tr.run("dismiss", unwanted, "--reason", "1a2b3c4 is the release")
	tr.run("explain", "release-4")
	tr.run("cancel", unwanted)
	_, err = s.repository.Commit(gitserver.Change{Message: "Back", Files: map[string]string{file: content + "\n"}})
	s.must(err)
	tr.run("retry", failed.Updates[0].ID, "--wait")
	tr.run("explain", failed.Updates[0].ID)
	tr.run("retry", failed.Updates[0].ID)

	tr.note("How it all looks now.")
	tr.run("deliveries")
	tr.run("deliveries", "--outcome", "rejected", "-n", "1", "-o", "yaml")
	tr.run("updates", "--env", "dev")
	tr.run("updates", "--env", "dve")
	tr.run("history", "app-01", "--env", "dev")
	tr.run("history", "app-01", "--env", "dev", "-n", "1", "-o", "yaml")
	tr.run("history", "app-09", "--env", "dev")
	tr.run("__complete", "update", "")
	tr.run("__complete", "update", "app-00", "x", "--env", "")
	tr.run("__complete", "retry", "")
	tr.run("__complete", "explain", "")
	tr.run("__complete", "deliveries", "--source", "")

	tr.note("What goes wrong.")
	tr.run("explain", "unknown")
	tr.run("retry", "api/release-3")
	tr.run("cancel", "api/release-3")
	tr.run("update", "app-00", "main-1a2b3c4")
	tr.run("update", "app-00")
	tr.run("status", "-o", "xml")
	tr.run("deliveries", "-n", "0")
	tr.run("deliveries", "--outcome", "lost")
	tr.run("status", "--url", "http://tallyman.example")
	tr.run("status", "--url", "http://127.0.0.1:1")
	tr.run("explain", "release-1", "--url", base+"/nowhere")
	t.Setenv("TALLYMAN_TOKEN_FILE", "/nowhere")
	tr.run("status")
	t.Setenv("TALLYMAN_TOKEN_FILE", "")
	tr.run("status")
	t.Setenv("TALLYMAN_TOKEN", "a-token-of-no-configuration")
	tr.run("status")
	tr.compare("story.golden")
	s.must(c.stop())
}

// While the git server is away an order waits, and status and explain say for what.
func TestTheStoryOfAWait(t *testing.T) {
	s := newSite(t, 1)
	c, base, _ := s.start(deadline(t))
	s.commandLine(base)
	tr := &transcript{t: t, ids: map[string]string{}}
	tr.run("status")
	s.must(s.git.Close())
	tr.run("update", "app-00", "main-1a2b3c4", "--env", "dev", "--key", "release-1")
	var out string
	for !strings.Contains(out, "Pending: retries automatically. Lane blocked since ") {
		var exit int
		if out, _, exit = run(t, "explain", "release-1"); exit != 0 {
			t.Fatalf("exit %d", exit)
		}
	}
	expect(t, "explain", out, "the connection to the git server failed")
	tr.run("update", "app-00", "main-1a2b3c4", "--env", "dev", "--key", "release-1", "--wait", "--timeout", "500ms")
	out, _, _ = run(t, "status")
	expect(t, "status", out, "blocked for", "the connection to the git server failed")
	s.interrupted("update", "app-00", "main-1a2b3c4", "--env", "dev", "--key", "release-1", "--wait")
	tr.compare("wait.golden")
	s.must(c.stop())
}

// While the git server refuses one app's file, its update is held and others go on:
// status, updates and explain say by what, and a person cancels it.
func TestTheStoryOfARefusal(t *testing.T) {
	s := newSite(t, 2)
	c, base, _ := s.start(deadline(t))
	s.commandLine(base)
	s.must(s.repository.Hook("pre-receive", `read old new ref; if git diff --name-only $old $new | grep -q app-00; then echo "CODEOWNERS: @owners must approve charts/app-00" >&2; exit 1; fi`))
	tr := &transcript{t: t, ids: map[string]string{}}
	tr.run("update", "app-00", "main-1a2b3c4", "--env", "dev", "--key", "release-1")
	s.must(c.await(deadline(t), func(line map[string]any) bool { return line["msg"] == "update blocked" }))
	tr.run("update", "app-01", "main-1a2b3c4", "--env", "dev", "--key", "release-2", "--wait")
	tr.run("status")
	tr.run("updates", "--state", "pending")
	tr.run("explain", "release-1")
	id := gitops.UpdateID(gitops.DeliveryKey{Source: api.Source, ID: api.DeliveryID(gitops.Principal{Token: "ci"}, "release-1")}, "dev", "app-00")
	tr.run("cancel", id, "--reason", "the owners said no")
	tr.run("explain", "release-1")
	tr.compare("refusal.golden")
	s.must(c.stop())
}

// interrupted runs a command that waits for an update, and presses Ctrl-C.
func (s *site) interrupted(args ...string) {
	s.t.Helper()
	var out strings.Builder
	waits := exec.CommandContext(s.t.Context(), binary, args...)
	waits.Stdout = &out
	errs, err := waits.StderrPipe()
	s.must(err)
	s.must(waits.Start())
	lines := bufio.NewScanner(errs)
	lines.Scan() // it waits
	s.must(waits.Process.Signal(os.Interrupt))
	var last string
	for lines.Scan() {
		last = lines.Text()
	}
	_ = waits.Wait()
	if exit := waits.ProcessState.ExitCode(); exit != exitPending {
		s.t.Errorf("exit %d", exit)
	}
	expect(s.t, "at Ctrl-C", last, "interrupted; still pending")
	expect(s.t, "at Ctrl-C", out.String(), "details: tallyman explain api/")
}

// The connection's address and token may stand in a file, and what is wrong with
// it is said.
func TestClientFile(t *testing.T) {
	s := newSite(t, 1)
	_, base, _ := s.start(deadline(t))
	s.commandLine("")
	t.Setenv("TALLYMAN_TOKEN_FILE", "")
	s.must(os.Mkdir(filepath.Join(s.dir, "tallyman"), 0o700))
	file := filepath.Join(s.dir, "tallyman", "client.yaml")
	s.must(os.WriteFile(file, fmt.Appendf(nil, "url: %s\ntokenFile: %s/api-token\n", base, s.dir), 0o600))
	if out, errs, exit := run(t, "status"); exit != 0 || !strings.Contains(out, "main-0000000") {
		t.Errorf("exit %d: %s%s", exit, errs, out)
	}
	s.must(os.WriteFile(file, []byte("adress: x\n"), 0o600))
	_, errs, exit := run(t, "status")
	if exit != exitBadInput {
		t.Errorf("exit %d", exit)
	}
	expect(t, "the error", errs, "client.yaml", "adress")
}

// watch prints each event, and goes on over a restart.
func TestWatch(t *testing.T) {
	s := newSite(t, 1)
	c, base, _ := s.start(deadline(t))
	text, err := os.ReadFile(s.config())
	s.must(err)
	s.must(os.WriteFile(s.config(), []byte(strings.Replace(string(text), "listen: 127.0.0.1:0", "listen: "+strings.TrimPrefix(base, "http://"), 1)), 0o600))
	s.commandLine(base)
	watch := exec.CommandContext(t.Context(), binary, "watch", "--env", "dev", "-o", "json")
	out, err := watch.StdoutPipe()
	s.must(err)
	s.must(watch.Start())
	t.Cleanup(func() { _ = watch.Process.Kill(); _ = watch.Wait() })
	lines := bufio.NewScanner(out)
	type line struct {
		Delivery, Update *struct{ ID, Outcome, State string }
	}
	next := func() (l line) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("watch has ended")
		}
		s.must(json.Unmarshal(lines.Bytes(), &l))
		return l
	}
	// The stream may not be open yet: orders are made until it prints one, and then
	// one more, of which it prints everything.
	stop := make(chan struct{})
	ordered := make(chan int)
	go func() {
		n := 0
		for stopped := false; !stopped; {
			select {
			case <-stop:
				stopped = true
			default:
			}
			n++
			run(t, "update", "app-00", fmt.Sprintf("main-%07d", n), "--env", "dev", "--key", fmt.Sprintf("order-%d", n), "--wait")
		}
		ordered <- n
	}()
	first := next()
	close(stop)
	last := fmt.Sprintf("order-%d", <-ordered)
	if first.Delivery == nil && first.Update == nil {
		t.Fatalf("%+v", first)
	}
	for seen := first; seen.Delivery == nil || !strings.HasSuffix(seen.Delivery.ID, "-"+last); seen = next() {
	}
	if l := next(); l.Update == nil || l.Update.State != "committed" {
		t.Errorf("%+v", l)
	}
	s.must(c.stop())
	c, _, _ = s.start(deadline(t))
	run(t, "update", "app-00", "main-9999999", "--env", "dev", "--key", "after", "--wait")
	if l := next(); l.Delivery == nil || !strings.HasSuffix(l.Delivery.ID, "-after") {
		t.Errorf("after the restart: %+v", l)
	}
	s.must(c.stop())
}
