package main

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/tallyman-dev/tallyman/server/budget"
)

// What the environment says of the collector counts, and each of its two settings by
// itself.
func TestCollectorIsTheEnvironmentsToSet(t *testing.T) {
	before, limitBefore := debug.SetGCPercent(77), debug.SetMemoryLimit(math.MaxInt64)
	defer debug.SetGCPercent(before)
	defer debug.SetMemoryLimit(limitBefore)
	defer func() { ballast = nil }()
	shares := budget.Split(budget.Default)
	for _, c := range []struct {
		gogc, gomemlimit string
		percent          int
		limit            int64
	}{
		{"100", "", 77, shares.Heap()}, {"off", "", 77, shares.Heap()}, {"", "1GiB", gcPercent, math.MaxInt64}, {"100", "1GiB", 77, math.MaxInt64},
		{"", "", gcPercent, shares.Heap() + ballastSize},
	} {
		t.Setenv("GOGC", c.gogc)
		t.Setenv("GOMEMLIMIT", c.gomemlimit)
		ballast = nil
		tuneCollector()
		limitHeap(shares)
		percent, limit := debug.SetGCPercent(77), debug.SetMemoryLimit(math.MaxInt64)
		if percent != c.percent || (len(ballast) > 0) != (percent == gcPercent) || limit != c.limit {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: the percentage is %d, the ballast %d bytes, the limit %d", c.gogc, c.gomemlimit, percent, len(ballast), limit)
		}
	}
}
