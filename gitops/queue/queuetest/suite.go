// Package queuetest holds every store to the contract in package queue.
//
// The cases are scripts of events. Beside the store runs a model of it, a few
// maps that follow the contract's words; after each event everything the store
// can be asked is asked and compared with the model. One of the scripts is
// random.
package queuetest

import (
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Instance is one store, which the suite opens several times in a row.
type Instance interface {
	// Open opens the store with now as its clock. The first time it is empty;
	// later it has what was left by the queue before, which has been closed or
	// has crashed.
	Open(now func() time.Time) (queue.Queue, error)

	// Crash does to q what kill -9 does to its process: what was answered is
	// there at the next Open, and no lease was given back. It frees what q uses.
	Crash(q queue.Queue) error
}

// Run runs the suite; create makes an instance that lasts as long as its test.
func Run(t *testing.T, create func(t *testing.T) Instance) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := begin(t, create(t))
			defer s.end()
			c.run(s)
		})
	}
}

// cases are all scripts, by what they are about.
var cases = []struct {
	name string
	run  func(*script)
}{
	{"Accept/EverythingIsKept", everythingIsKept},
	{"Accept/WithoutUpdates", withoutUpdates},
	{"Accept/NothingOfTheArgumentIsKept", nothingOfTheArgumentIsKept},
	{"Accept/Duplicate", duplicate},
	{"Accept/DuplicatesAtOnce", duplicatesAtOnce},
	{"Accept/LateEvents", lateEvents},
	{"Accept/SameSecond", sameSecond},
	{"Accept/EventsFromTheFuture", eventsFromTheFuture},
	{"Accept/ClockSetBack", clockSetBack},
	{"Accept/OneAppTwice", oneAppTwice},
	{"Accept/LateAfterReopen", lateAfterReopen},
	{"Accept/OrderUnderConcurrency", orderUnderConcurrency},

	{"Lanes/Settle", settle},
	{"Lanes/FirstSettlementStands", firstSettlementStands},
	{"Lanes/SettleAllOrNothing", settleAllOrNothing},
	{"Lanes/Defer", deferred},
	{"Lanes/PendingLimit", pendingLimit},
	{"Lanes/OneHolderAtATime", oneHolderAtATime},
	{"Lanes/ClaimsAtOnce", claimsAtOnce},
	{"Lanes/OwnLaneAgain", ownLaneAgain},
	{"Lanes/StaleLease", staleLease},
	{"Lanes/Extend", extend},
	{"Lanes/Release", release},
	{"Lanes/Wake", wake},

	{"MaybePushed/LeaseRanOut", leaseRanOut},
	{"MaybePushed/UncleanRelease", uncleanRelease},
	{"MaybePushed/Crash", afterCrash},
	{"MaybePushed/CloseWithoutRelease", closeWithoutRelease},
	{"MaybePushed/StaysMarked", staysMarked},

	{"Records/NotFound", notFound},
	{"Records/Backlogs", backlogs},

	{"Stories/Steps", steps},
	{"Stories/Lists", lists},
	{"Stories/PagesStandStill", pagesStandStill},
	{"Stories/Changes", changes},
	{"Stories/Changed", changed},
	{"Stories/FollowedWhileItHappens", followedWhileItHappens},
	{"Stories/ForeignCursors", foreignCursors},

	{"Upkeep/Retry", retry},
	{"Upkeep/RetryBehindNewer", retryBehindNewer},
	{"Upkeep/RetryKeepsItsPlace", retryKeepsItsPlace},
	{"Upkeep/Known", known},
	{"Upkeep/Marks", marks},
	{"Upkeep/Spend", spend},
	{"Upkeep/Prune", prune},
	{"Upkeep/PruneKeepsWhatDecides", pruneKeepsWhatDecides},
	{"Upkeep/PruneKeepsWhatRetryAsks", pruneKeepsWhatRetryAsks},
	{"Upkeep/PrunedNumbersStayGone", prunedNumbersStayGone},

	{"Close", closed},
	{"EndedContext", endedContext},
	{"Random", random},
}

// clock is the time of a script: it stands still until it is set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
