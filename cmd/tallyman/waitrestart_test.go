package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// followedSite is a site where reports say what runs in dev, tallyman goes back from what does
// not, and a server that is started again has the address of before.
func followedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, 1)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.must(free.Close())
	text, err := os.ReadFile(s.config())
	s.must(err)
	edited := strings.NewReplacer(
		"\nlisten: 127.0.0.1:0", "\nlisten: "+free.Addr().String(),
		"stop, override]}", "stop, override, report]}\n  - {who: {revert: {}}, may: [rollback], apps: [\"*\"], environments: [dev]}",
		"dev:     {", "dev:     {rollout: {by: reports, revert: true}, ",
	).Replace(string(text))
	s.must(os.WriteFile(s.config(), []byte(edited), 0o600))
	return s
}

// waiting is a command that waits until what it ordered runs.
type waiting struct {
	cmd   *exec.Cmd
	out   strings.Builder
	lines *bufio.Scanner // of its standard error
	last  string
}

func (s *site) waitHealthy(tag string) *waiting {
	s.t.Helper()
	w := &waiting{cmd: exec.CommandContext(s.t.Context(), binary, "update", "app-00", tag, "--env", "dev", "--wait=healthy", "--timeout", "2m")}
	w.cmd.Stdout = &w.out
	errs, err := w.cmd.StderrPipe()
	s.must(err)
	s.must(w.cmd.Start())
	w.lines = bufio.NewScanner(errs)
	return w
}

// until reads what the command says until a line has a text.
func (w *waiting) until(t *testing.T, text string) {
	t.Helper()
	for w.lines.Scan() {
		if w.last = w.lines.Text(); strings.Contains(w.last, text) {
			return
		}
	}
	t.Fatalf("it ended and did not say %q; last: %s", text, w.last)
}

// ends waits for the end of the command, and returns its exit status.
func (w *waiting) ends() int {
	for w.lines.Scan() {
		w.last = w.lines.Text()
	}
	_ = w.cmd.Wait()
	return w.cmd.ProcessState.ExitCode()
}

// Who waits until a tag runs goes on over a restart of the server, is told when tallyman has
// gone back from it, and does not take Ctrl-C for a success.
func TestWaitUntilHealthyInTheMiddleOfThings(t *testing.T) {
	s := followedSite(t)
	c, base, _ := s.start(deadline(t))
	s.commandLine(base)
	report := func(tag, state string) {
		t.Helper()
		if out, errs, exit := run(t, "health", "app-00", "--env", "dev", "--tag", tag, "--state", state, "--reason", "as it was seen"); exit != 0 {
			t.Fatalf("exit %d: %s%s", exit, errs, out)
		}
	}
	w := s.waitHealthy("main-1111111")
	w.until(t, "in the cluster: waiting")
	s.must(c.kill())
	c, _, _ = s.start(deadline(t))
	report("main-1111111", "progressing")
	w.until(t, "in the cluster: progressing: as it was seen")
	report("main-1111111", "healthy")
	if exit := w.ends(); exit != 0 {
		t.Errorf("exit %d: %s", exit, w.last)
	}

	w = s.waitHealthy("main-2222222")
	w.until(t, "in the cluster: waiting")
	report("main-2222222", "degraded")
	if exit := w.ends(); exit != exitNotHealthy || !strings.Contains(w.last, "degraded: as it was seen") {
		t.Errorf("exit %d: %s", exit, w.last)
	}
	s.must(c.await(deadline(t), func(line map[string]any) bool {
		return line["msg"] == "update committed" && strings.Contains(fmt.Sprint(line), "main-1111111")
	}))

	if out, errs, exit := run(t, "unpin", "app-00", "--env", "dev"); exit != 0 {
		t.Fatalf("exit %d: %s%s", exit, errs, out)
	}
	w = s.waitHealthy("main-3333333")
	w.until(t, "in the cluster: waiting")
	s.must(w.cmd.Process.Signal(os.Interrupt))
	if exit := w.ends(); exit != exitPending || !strings.Contains(w.last, "interrupted; still committed; in the cluster: waiting") {
		t.Errorf("exit %d: %s", exit, w.last)
	}
	expect(t, "at Ctrl-C", w.out.String(), "details: tallyman explain api/")
	s.must(c.stop())
}
