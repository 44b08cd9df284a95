package main

import (
	"os"
	"runtime/debug"
)

// What the garbage collector is told. By its own rule the heap may grow by as
// much as is live, which is little for a small repository (5 MB: it would run a
// hundred times a second while deliveries come fast) and much for a large one
// (it would double what the largest needs). With these two, garbage is about 11
// MB where 5 MB are live and 16 MB where 20 MB are, which costs a tenth less of
// the processor at the one end and takes less memory at the other.
//
// A limit (GOMEMLIMIT) would be simpler and worse: a repository that comes near
// to it would keep the collector running all the time.
const (
	ballastSize = 32 << 20
	gcPercent   = 30 // of what is live and the ballast together
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
