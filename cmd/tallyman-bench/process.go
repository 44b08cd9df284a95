package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What Linux says of a process. Elsewhere these figures are 0 and shown as such.

// cpu is the processor time that it has used. Threads that have ended are left
// out, which Go's do not.
func (t *tallyman) cpu() (total time.Duration) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", t.cmd.Process.Pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		var onCPU time.Duration
		_, _ = fmt.Sscan(string(text), &onCPU)
		total += onCPU
	}
	return total
}

// peakMiB is the most memory that it ever had resident, residentMiB what it has.
func (t *tallyman) peakMiB() float64     { return t.status("VmHWM:") }
func (t *tallyman) residentMiB() float64 { return t.status("VmRSS:") }

func (t *tallyman) status(field string) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(text), field)
	var kib float64
	_, _ = fmt.Sscan(rest, &kib)
	return kib / 1024
}

// written is how many bytes it has caused to be sent to the disk.
func (t *tallyman) written() float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", t.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes:")
	var n float64
	_, _ = fmt.Sscan(rest, &n)
	return n
}

// fileSystem is the type of the file system that a directory is on, as in
// "tmpfs", or "unknown".
func fileSystem(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "unknown"
	}
	text, _ := os.ReadFile("/proc/mounts")
	found, longest := "unknown", -1
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at := strings.TrimSuffix(f[1], "/")
		if len(at) >= longest && (dir == at || strings.HasPrefix(dir, at+"/")) {
			found, longest = f[2], len(at)
		}
	}
	return found
}
