package manifest

import (
	"cmp"
	"time"
)

// Limits bound what the writer remembers and does at once. Whatever they are, no
// update is lost or written twice: what is forgotten is searched for, and what does
// not fit waits. A zero field takes its default.
type Limits struct {
	PushUpdates    int           // updates in one push; default 500
	PushBytes      int           // of new objects in one push; default 16 MiB
	PlanTime       time.Duration // from a plan's first edit, after which it is pushed as it is when it has a commit; default 3 s
	TurnTime       time.Duration // after which no further push is begun before others have had their turn; default 2 min
	Attempts       int           // pushes in a row that the branch may move under before the callers are told; default 10
	RejectedPushes int           // pushes in one turn to find out which updates of a rejected one are rejected; default 64
	Landings       int           // updates of the branch's recent history that are remembered, about 300 bytes each; default 5,000
	UnknownPushes  int           // updates that are remembered because the result of their push is unknown; default 10,000
	Claims         int           // commits in one push of which it is found out whether they do what an update asks; default 16
	History        int           // commits that are searched for an update's trailer; default 100,000
	FileBytes      int           // of a file that is edited or held; default 1 MiB
	Snapshot       func() int64  // bytes of one tip of the branch, which may change; called by several goroutines; default 40 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Snapshot == nil {
		l.Snapshot = func() int64 { return 40 << 20 }
	}
	return Limits{
		PushUpdates:    cmp.Or(l.PushUpdates, 500),
		PushBytes:      cmp.Or(l.PushBytes, 16<<20),
		PlanTime:       cmp.Or(l.PlanTime, 3*time.Second),
		TurnTime:       cmp.Or(l.TurnTime, 2*time.Minute),
		Attempts:       cmp.Or(l.Attempts, 10),
		RejectedPushes: cmp.Or(l.RejectedPushes, 64),
		Landings:       cmp.Or(l.Landings, 5_000),
		UnknownPushes:  cmp.Or(l.UnknownPushes, 10_000),
		Claims:         cmp.Or(l.Claims, 16),
		History:        cmp.Or(l.History, 100_000),
		FileBytes:      cmp.Or(l.FileBytes, 1<<20),
		Snapshot:       l.Snapshot,
	}
}
