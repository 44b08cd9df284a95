package main

import (
	"os"
	"runtime/debug"

	"github.com/tallyman-dev/tallyman/server/budget"
)

// The settings of the garbage collector. By its own rule the heap may grow by as
// much as is live, which is little for a small repository (5 MB: it would run a
// hundred times a second while deliveries come fast) and much for a large one
// (it would double what the largest needs). With these two, garbage is about 7 MB
// where 5 MB are live, 14 MB where 24 MB are, as with 2,000 apps, and so less
// memory is needed where it counts.
//
// The limit stands beside them for the hour of an attack: when everything that is
// bounded is at its bound at once, a third of it as garbage would be more than there
// is, and the collector then works harder instead. The limit alone, without a
// percentage, would be worse on every other day: the heap would grow up to it before
// the collector runs at all.
const (
	ballastSize = 16 << 20
	gcPercent   = 35 // of what is live and the ballast together
)

// ballast is never written, so it never becomes resident.
var ballast []byte

// tuneCollector sets how much garbage there may be, unless the environment does.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		ballast = make([]byte, ballastSize)
		debug.SetGCPercent(gcPercent)
	}
}

// limitHeap gives the runtime its limit, unless the environment does.
func limitHeap(shares budget.Shares) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(shares.Heap() + int64(len(ballast))) // it counts the ballast, which takes nothing
	}
}
