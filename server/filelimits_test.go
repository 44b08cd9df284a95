package server

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/config"
)

// The largest file that is allowed fits into what is for parsing, and two states of the
// branch into what is for it; what is configured beyond that is an error that says what
// fits.
func TestFileLimitsFitTheMemory(t *testing.T) {
	for _, memory := range []int64{budget.Least, budget.Default, 2 << 30} {
		shares := budget.Split(memory)
		file, snapshot, err := fileLimits(config.Limits{File: config.FileLimits{Bytes: 1 << 20}}, shares, 2)
		if err != nil {
			t.Fatal(err)
		}
		largest := values.Size{Bytes: file.Bytes, Nodes: file.Nodes}
		if largest.Cost() > shares.Parsers || 2*snapshot > shares.Snapshot || file.Nodes < 20_000 {
			t.Errorf("of %s: %+v costs %d of %d, and two snapshots of %d are more than %d", budget.Text(memory), file, largest.Cost(), shares.Parsers, snapshot, shares.Snapshot)
		}
	}
	_, _, err := fileLimits(config.Limits{File: config.FileLimits{Bytes: 5 << 20, Nodes: 400_000}, Snapshot: 1 << 30}, budget.Split(budget.Default), 1)
	if err == nil {
		t.Fatal("more than fits is accepted")
	}
	for _, part := range []string{"limits.file.nodes: is 400000", "give at most that, or raise limits.memory", "limits.snapshot: must be 1MiB to "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}

// Every manifest repository has room for two files of the largest size.
func TestManifestRepositoriesFitTheMemory(t *testing.T) {
	c := config.Limits{File: config.FileLimits{Bytes: 1 << 20}}
	if _, _, err := fileLimits(c, budget.Split(budget.Default), 14); err != nil {
		t.Error(err)
	}
	_, _, err := fileLimits(c, budget.Split(budget.Default), 100)
	if want := "repositories: with manifests there are 100, and 409MiB has room for 14: raise limits.memory, or limits.snapshot where it is set"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
