// Package budget divides the memory of the process among those that take it at a
// client's or a repository's wish, so that all of their bounds together fit where the
// process runs. A bound that is derived from a share states, where it stands, how
// much of the share its worst case takes; TestBoundsFitTheChart multiplies them.
package budget

import (
	"fmt"
	"log/slog"
	"math"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	// Default is the memory of a process whose limit nobody says: as if it had the 512 MiB
	// that the chart gives, 409 MiB.
	Default = 512 << 20 * ofGroup / 100

	// Least is the least memory that gives every consumer a share it can work with.
	Least = 192 << 20

	// program is what the process needs beside the heap of Go: the pages of the
	// program that are used (25 MiB), SQLite's caches and the write-ahead log's index, and
	// what the runtime needs for itself beyond what it counts.
	program = 48 << 20

	// ofGroup is the part of a cgroup's limit that is planned with, in percent. The
	// kernel counts there what is not the process's alone: buffers of sockets, pages of
	// files that are being written, and page tables.
	ofGroup = 80
)

// Shares are how many bytes each consumer may take. Their sum is Memory.
type Shares struct {
	Memory int64  // of the process
	Source string // who says so: limits.memory, GOMEMLIMIT, cgroup or default

	Program     int64 // outside the heap of Go
	Connections int64 // to the public listener: goroutines, buffers, headers, and the first 16 KiB of bodies
	Bodies      int64 // what unauthenticated senders send beyond those
	Parsers     int64 // trees of the files that are read or edited
	Snapshot    int64 // the tip of the branch: trees and target files
	Search      int64 // pages of the branch's history
	Streams     int64 // event streams
	Answers     int64 // answers of the API while they are written
	Garbage     int64 // the queue's transactions, registries' answers, the rest of the program, and what is not collected yet
}

// Split divides memory. What the program needs by itself comes first; the rest is
// divided in fixed parts.
func Split(memory int64) Shares {
	s := Shares{Memory: memory, Program: program}
	part := func(percent int64) int64 { return (memory - program) / 100 * percent }
	s.Connections = part(22)
	s.Bodies = part(7)
	s.Parsers = part(24)
	s.Snapshot = part(22)
	s.Search = part(13)
	s.Streams = part(2)
	s.Answers = part(5)
	s.Garbage = memory - program - s.Connections - s.Bodies - s.Parsers - s.Snapshot - s.Search - s.Streams - s.Answers
	return s
}

// Heap is the limit for the runtime of Go: everything but what is outside its heap.
func (s Shares) Heap() int64 { return s.Memory - s.Program }

// LogValue implements [slog.LogValuer]: one line of the log has them all.
func (s Shares) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("memory", Text(s.Memory)), slog.String("source", s.Source), slog.String("program", Text(s.Program)),
		slog.String("connections", Text(s.Connections)), slog.String("bodies", Text(s.Bodies)), slog.String("parsers", Text(s.Parsers)),
		slog.String("snapshot", Text(s.Snapshot)), slog.String("search", Text(s.Search)), slog.String("streams", Text(s.Streams)),
		slog.String("answers", Text(s.Answers)), slog.String("garbage", Text(s.Garbage)))
}

// Read divides the memory that the process has: configured (limits.memory) where it is
// not 0, else the runtime's limit, which is that of GOMEMLIMIT before anybody else set
// one, else a part of the cgroup's limit, else the default. Its error is Invalid and
// names who said what is too little or too much.
func Read(configured, runtimeLimit int64) (Shares, error) {
	return read(configured, runtimeLimit, root)
}

func read(configured, runtimeLimit int64, machine files) (Shares, error) {
	group, limited := groupLimit(machine)
	memory, source := int64(Default), "default"
	switch {
	case configured != 0:
		memory, source = configured, "limits.memory"
	case runtimeLimit < math.MaxInt64:
		memory, source = runtimeLimit, "GOMEMLIMIT"
	case limited:
		memory, source = group*ofGroup/100, "cgroup"
	}
	switch {
	case limited && memory > group:
		return Shares{}, gitops.FieldErrorf(source, "is %s, but the cgroup of this process is limited to %s: give at most %s (%d %%), or raise the cgroup's limit",
			Text(memory), Text(group), Text(group*ofGroup/100), ofGroup)
	case memory < Least && source == "cgroup":
		return Shares{}, gitops.FieldErrorf("limits.memory", "would be %s, %d %% of the cgroup's limit of %s, and must be at least %s: raise the cgroup's limit to %s",
			Text(memory), ofGroup, Text(group), Text(Least), Text(Least*100/ofGroup))
	case memory < Least:
		return Shares{}, gitops.FieldErrorf(source, "is %s, and must be at least %s", Text(memory), Text(Least))
	}
	s := Split(memory)
	s.Source = source
	return s, nil
}

// Text is a number of bytes as the configuration writes it, rounded down to MiB where
// it is more than one.
func Text(bytes int64) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%dMiB", bytes>>20)
	case bytes >= 1<<10:
		return fmt.Sprintf("%dKiB", bytes>>10)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
