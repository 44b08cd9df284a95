package main

import (
	"runtime/debug"
	"testing"
)

func TestCollectorIsTheEnvironmentsToSet(t *testing.T) {
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	defer func() { ballast = nil }()
	for _, c := range []struct {
		gogc, limit string
		want        int
	}{{"100", "", 77}, {"off", "", 77}, {"", "1GiB", 77}, {"", "", gcPercent}} {
		t.Setenv("GOGC", c.gogc)
		t.Setenv("GOMEMLIMIT", c.limit)
		tuneCollector()
		if got := debug.SetGCPercent(77); got != c.want || (len(ballast) > 0) != (got == gcPercent) {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: the percentage is %d, the ballast %d bytes", c.gogc, c.limit, got, len(ballast))
		}
	}
}
