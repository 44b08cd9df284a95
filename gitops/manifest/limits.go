package manifest

import "errors"

// Bounds on what one answer of the remote, and one push of ours, may take. They
// are far above what a manifest repository needs, and keep a broken or hostile
// server from filling the memory.
const (
	maxRefsBytes     = 64 << 20  // about 900,000 refs
	maxPackBytes     = 512 << 20 // of one fetch, compressed
	maxInflatedBytes = 1 << 30   // of one fetch
	maxReportBytes   = 1 << 20   // of an answer to a push, a hook's words included
	maxWordsBytes    = 2000      // of the server's words that are shown to people

	maxFileBytes = 5 << 20 // of a values file

	maxPushUpdates = 500      // commits in one push
	maxPushBytes   = 16 << 20 // of new objects in one push, before compression

	maxHistory = 100_000 // commits that are searched for an update's trailer
)

var errTooMuch = errors.New("the remote sent more than is taken from it")
