package git

import "errors"

// Bounds on what one answer of the remote may take. They are far above what a
// repository of values files needs, and keep a broken or hostile server from
// filling the memory.
const (
	maxRefsBytes     = 64 << 20  // about 900,000 refs
	maxBelowBytes    = 8 << 20   // of the branches that are kept by how their names begin, about 60,000
	belowCost        = 100       // of each of them, beside its name
	maxPackBytes     = 512 << 20 // of one fetch, compressed
	maxInflatedBytes = 1 << 30   // of one fetch
	maxDroppedBytes  = 8 << 30   // of one fetch, inflated and not kept
	maxReportBytes   = 1 << 20   // of an answer to a push, a hook's words included
	maxWordsBytes    = 2000      // of the server's words that are shown to people
	maxLineBytes     = 300       // of a line of an answer that is shown to people
)

var errTooMuch = errors.New("the remote sent more than is taken from it")
