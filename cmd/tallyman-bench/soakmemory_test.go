package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// confined is how a process is kept to the memory that the chart gives it.
type confined struct {
	how         string   // for the reader
	within      []string // see [setup]
	environment []string
	events      string // file that counts kills for want of memory; empty when nothing is killed
}

// confine makes a control group for one process. Where none can be made, as outside a
// container's root, the Go runtime alone is told.
func confine(t *testing.T, bytes int64) confined {
	for _, of := range []struct{ version, limit, events, at string }{
		{"2", "memory.max", "memory.events", controlGroup("", "/sys/fs/cgroup")},
		{"1", "memory.limit_in_bytes", "memory.oom_control", controlGroup("memory", "/sys/fs/cgroup/memory")},
	} {
		dir := filepath.Join(of.at, fmt.Sprintf("tallyman-soak-%d", os.Getpid()))
		if of.at == "" || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })                                // the kernel removes it when it is empty, and says so otherwise
		limit, err := os.OpenFile(filepath.Join(dir, of.limit), os.O_WRONLY, 0) // a group without the controller has no such file
		if err != nil {
			continue
		}
		_, err = limit.WriteString(strconv.FormatInt(bytes, 10))
		if errors.Join(err, limit.Close()) != nil {
			continue
		}
		return confined{
			how:    fmt.Sprintf("a control group (v%s) of %d MiB", of.version, bytes>>20),
			within: []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(dir, "cgroup.procs")},
			events: filepath.Join(dir, of.events),
		}
	}
	limit := bytes / 5 * 4
	return confined{how: fmt.Sprintf("GOMEMLIMIT=%d alone: no control group can be made here", limit), environment: []string{fmt.Sprintf("GOMEMLIMIT=%d", limit)}}
}

// controlGroup is the directory of this process's own group, for a controller of
// version 1, or of version 2 when that is empty; empty when there is none.
func controlGroup(controller, mount string) string {
	text, _ := os.ReadFile("/proc/self/cgroup") // elsewhere than on Linux there is none
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && f[1] == controller {
			return filepath.Join(mount, f[2])
		}
	}
	return ""
}

// killed is how often a process of the group was killed for want of memory.
func (c confined) killed() (n int) {
	text, _ := os.ReadFile(c.events)
	_, rest, _ := strings.Cut(string(text), "oom_kill ")
	_, _ = fmt.Sscan(rest, &n)
	return n
}
