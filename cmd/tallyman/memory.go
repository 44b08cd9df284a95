package main

import (
	"os"
	"runtime/debug"
)

// The settings of the garbage collector. By its own rule the heap may grow by as
// much as is live, which is little for a small repository (5 MB: it would run a
// hundred times a second while deliveries come fast) and much for a large one
// (it would double what the largest needs). With these two, garbage is about 7 MB
// where 5 MB are live, 14 MB where 24 MB are, as with 2,000 apps, and so less
// memory is needed where it counts.
//
// A limit (GOMEMLIMIT) would be simpler and worse: a repository that comes near
// to it would keep the collector running all the time.
const (
	ballastSize = 16 << 20
	gcPercent   = 35 // of what is live and the ballast together
)

// ballast is never written, so it never becomes resident.
var ballast []byte

// tuneCollector sets up the collector for a server, unless the environment does.
func tuneCollector() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	ballast = make([]byte, ballastSize)
	debug.SetGCPercent(gcPercent)
}
