package server

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/registry"
	"github.com/tallyman-dev/tallyman/server/api"
	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/limits"
)

// chartMemory is the limit that the chart gives a pod by default.
func chartMemory(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("../deploy/helm/tallyman/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^resources:\n(?:  .*\n)*?  limits: \{memory: ([0-9]+)Mi\}`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the chart's values have no resources.limits.memory in MiB")
	}
	mib, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mib << 20
}

// Everything that can be taken at a client's or a repository's wish, each at its bound
// and at the same moment, fits into what the chart gives, with the fifth of it left
// that the kernel counts besides. Where a bound is the share itself, the package that
// keeps it holds its worst case to that.
func TestBoundsFitTheChart(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "") // it is the environment's of whoever runs this
	s := newSite(t)
	s.yaml += fmt.Sprintf("limits: {memory: %dB}\n", int64(budget.Default))
	server, err := s.newServer()
	s.must(err)
	t.Cleanup(func() { s.must(server.Stop(t.Context())) })
	shares, memory := server.Memory(), server.current().answerMemory(server.current().known())
	connections, _ := server.limits.Connections()
	const delivery = (1 + 2) << 10 // an image of the site means an update in each environment
	sum := shares.Program + shares.Garbage
	for _, w := range []struct {
		what         string
		bytes, share int64
	}{
		{"connections", int64(connections) * limits.ConnectionBytes, shares.Connections},
		{"bodies", shares.Bodies, shares.Bodies}, // limits.TestBodiesAreBounded
		{"answers", int64(memory.Answers*memory.Page) * delivery, shares.Answers},
		{"streams", int64(api.MaxStreams*memory.Changes) * delivery, shares.Streams},
		{"search", shares.Search, shares.Search}, // history.TestBoundsFitTheMemory
		{"snapshot", shares.Snapshot, shares.Snapshot},
		{"parsers", shares.Parsers, shares.Parsers},
	} {
		t.Logf("%-12s %s of %s", w.what, budget.Text(w.bytes), budget.Text(w.share))
		if w.bytes > w.share || w.bytes < w.share/2 {
			t.Errorf("%s may take %s, and their share is %s", w.what, budget.Text(w.bytes), budget.Text(w.share))
		}
		sum += w.bytes
	}
	if registry.Memory > shares.Garbage/2 {
		t.Errorf("registries' answers may take %s of the %s that are left", budget.Text(registry.Memory), budget.Text(shares.Garbage))
	}
	limit := chartMemory(t) * 80 / 100
	if sum > limit || budget.Default > limit {
		t.Errorf("at once they take %s, and the chart leaves %s", budget.Text(sum), budget.Text(limit))
	}
	if sockets, kernel := int64(connections)*limits.SocketBytes, chartMemory(t)-limit; sockets > kernel*4/5 {
		t.Errorf("the sockets' buffers take %s of the %s that are left for the kernel", budget.Text(sockets), budget.Text(kernel))
	}
}

// What does not fit is said before anything starts, with what would.
func TestConnectionsThatDoNotFitAreNamed(t *testing.T) {
	s := newSite(t)
	s.yaml += "limits: {memory: 200MiB, connections: 2000}\n"
	_, err := s.newServer()
	want := "limits.connections: is 2000, and 428 fit: connections may take 33MiB of the memory of 200MiB, and one takes up to 80KiB"
	if gitops.CodeOf(err) != gitops.Invalid || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// The start says in one line how the memory is divided, and how many connections follow.
func TestTheStartSaysItsMemory(t *testing.T) {
	s := newSite(t)
	s.yaml += "limits: {memory: 300MiB, connectionsPerAddress: 7}\n"
	s.start()
	if lines := s.log.Lines(`"msg":"memory"`, `"memory":"300MiB","source":"limits.memory"`, `"parsers":"60MiB"`, `"connections":709`, `"connectionsPerAddress":7`); len(lines) != 1 {
		t.Errorf("the log says it in %d lines: %s", len(lines), s.log.Lines(`"msg":"memory"`))
	}
}
