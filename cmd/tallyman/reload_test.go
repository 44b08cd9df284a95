package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A change of the file is put in force without a signal, SIGHUP does it at once, and a file
// that is wrong changes nothing and ends nothing.
func TestServeReloads(t *testing.T) {
	s := newSite(t, 1)
	ctx := deadline(t)
	c, _, _ := s.start(ctx)
	text, err := os.ReadFile(s.config())
	s.must(err)
	awaits := func(message, of string) {
		t.Helper()
		s.must(c.await(ctx, func(line map[string]any) bool {
			changes, _ := line["changes"].(string)
			problem, _ := line["error"].(string)
			return line["msg"] == message && strings.Contains(changes+problem, of)
		}))
	}
	good := strings.Replace(string(text), "apps:\n", "apps:\n  shop: {environments: [dev]}\n", 1)
	s.must(os.WriteFile(s.config(), []byte(good), 0o600))
	awaits("configuration reloaded", "apps changed")

	s.must(c.cmd.Process.Signal(syscall.SIGHUP)) // the same again
	s.must(c.await(ctx, func(line map[string]any) bool {
		return line["msg"] == "configuration reloaded" && line["changes"] == ""
	}))

	s.must(os.WriteFile(s.config(), []byte(strings.Replace(good, "apps:\n", "apps:\n  shop: {}\n", 1)), 0o600))
	s.must(c.cmd.Process.Signal(syscall.SIGHUP))
	awaits("configuration not reloaded, using the previous one", "apps.shop: is given twice")

	// A secret that comes after the file that names it, as the kubelet may bring them.
	late := filepath.Join(s.dir, "late-secret")
	s.must(os.WriteFile(s.config(), []byte(strings.Replace(good, "secretFiles: [", "secretFiles: ["+late+", ", 1)), 0o600))
	s.must(c.cmd.Process.Signal(syscall.SIGHUP))
	awaits("configuration not reloaded, using the previous one", late+" cannot be read")
	s.must(os.WriteFile(late, []byte(strings.Repeat("late", 16)), 0o600))
	awaits("configuration reloaded", "sources changed")
	s.must(c.stop())
}
