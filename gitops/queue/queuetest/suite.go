// Package queuetest holds every store to the contract in package queue.
//
// Three kinds of cases do that. Golden scripts, in testdata, are calls with the
// answers that a person wrote down for them; they share no rule with the code.
// The other cases are scripts in Go that run beside a [Model] of the store; after
// each event everything that the store can be asked is asked and compared with
// the model's answers. Some of these are random.
package queuetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Instance is one store, which the suite opens several times in a row.
type Instance interface {
	// Open opens the store with now as its clock. The first time it is empty;
	// later it has what was left by the queue before, which has been closed or
	// has crashed. The processes before are known to be dead: what they held can be
	// claimed at once.
	Open(now func() time.Time) (queue.Queue, error)

	// Crash does to q what kill -9 does to its process: what was answered is
	// there at the next Open, and no lease was given back. It frees what q uses.
	Crash(q queue.Queue) error
}

// Run runs the suite, but for the cases of the names without; create makes an instance
// that lasts as long as its test.
func Run(t *testing.T, create func(t *testing.T) Instance, without ...string) {
	for _, name := range without {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return c.name == name }) {
			t.Fatalf("there is no case %s", name)
		}
	}
	runGolden(t, create)
	for _, c := range cases {
		if !slices.Contains(without, c.name) {
			c.play(t, create)
		}
	}
}

// RunOnly runs the cases whose names begin with one of the prefixes.
func RunOnly(t *testing.T, create func(t *testing.T) Instance, prefixes ...string) {
	for _, prefix := range prefixes {
		begins := func(c testCase) bool { return strings.HasPrefix(c.name, prefix) }
		if !slices.ContainsFunc(cases, begins) {
			t.Fatalf("there is no case %s", prefix)
		}
		for _, c := range cases {
			if begins(c) {
				c.play(t, create)
			}
		}
	}
}

func (c testCase) play(t *testing.T, create func(t *testing.T) Instance) {
	t.Run(c.name, func(t *testing.T) {
		s := begin(t, create(t))
		s.create = create
		defer s.end()
		c.run(s)
	})
}

type testCase struct {
	name string
	run  func(*script)
}

// cases are the scripts in Go, by what they are about.
var cases = []testCase{
	{"Accept/EverythingIsKept", everythingIsKept},
	{"Accept/WithoutUpdates", withoutUpdates},
	{"Accept/NothingOfTheArgumentIsKept", nothingOfTheArgumentIsKept},
	{"Accept/Duplicate", duplicate},
	{"Accept/DuplicatesAtOnce", duplicatesAtOnce},
	{"Accept/SameSecond", sameSecond},
	{"Accept/LateAfterReopen", lateAfterReopen},
	{"Accept/OneAppTwice", oneAppTwice},
	{"Accept/Bounds", bounds},
	{"Accept/OrderUnderConcurrency", orderUnderConcurrency},
	{"Accept/ExistingIDs", existingIDs},
	{"Accept/OnlyUp", onlyUp},
	{"Accept/OnlyUpAtOnce", onlyUpAtOnce},
	{"Accept/OnlyUpOutOfOrder", onlyUpOutOfOrder},
	{"Accept/OnlyUpPastBad", onlyUpPastBad},
	{"Accept/AcceptedVersion", acceptedVersion},

	{"Images/Recorded", imagesRecorded},
	{"Images/Accepted", imagesAccepted},
	{"Images/Found", imagesFound},
	{"Images/OutliveEverything", imagesOutliveEverything},
	{"Images/AtOnce", imagesAtOnce},
	{"Images/Since", imageSince},
	{"Images/Rejudged", imagesRejudged},
	{"Images/Freed", imageFreed},

	{"Leases/OneHolderAtATime", oneHolderAtATime},
	{"Leases/ClaimsAtOnce", claimsAtOnce},
	{"Leases/OwnLeaseAgain", ownLeaseAgain},
	{"Leases/StaleLease", staleLease},
	{"Leases/Extend", extend},
	{"Leases/Release", release},
	{"Leases/AfterCrash", afterCrash},
	{"Leases/CloseWithoutRelease", closeWithoutRelease},
	{"Leases/Jobs", jobs},
	{"Leases/ClaimWhileReporting", claimWhileReporting},
	{"Leases/ClaimWhileTaking", claimWhileTaking},

	{"Lanes/Report", report},
	{"Lanes/ReportAllOrNothing", reportAllOrNothing},
	{"Lanes/Blocks", blocks},
	{"Lanes/Outages", outages},
	{"Lanes/TakeLimit", takeLimit},
	{"Lanes/Wake", wake},
	{"Lanes/ManyBlocked", manyBlocked},

	{"Proposals/Kept", proposalsKept},
	{"Proposals/Fenced", proposalsFenced},
	{"Proposals/Supersede", proposeSupersedes},
	{"Proposals/Older", proposeOlder},
	{"Proposals/AtOnce", proposedAtOnce},
	{"Proposals/NotReady", proposedIsNotReady},
	{"Proposals/Backlogs", proposedBacklogs},
	{"Rollouts/NotRunning", notRunning},
	{"Proposals/ClosedBefore", closedBefore},
	{"Proposals/ClosedAndRetried", closedAndRetried},
	{"Proposals/ClosedAndWritten", closedAndWritten},

	{"Rollouts/Kept", rolloutsKept},
	{"Rollouts/Steps", rolloutSteps},
	{"Rollouts/Fenced", rolloutsFenced},
	{"Rollouts/Final", rolloutsFinal},
	{"Rollouts/NotWritten", rolloutsOfOthers},
	{"Rollouts/Bounds", rolloutBounds},
	{"Rollouts/LastHealthy", lastHealthy},
	{"Rollouts/Open", openRollouts},
	{"Rollouts/AtOnce", verdictsAtOnce},
	{"Rollouts/WhileLanesWork", rolloutsWhileLanesWork},

	{"Decisions/Refusals", refusals},
	{"Decisions/Cancel", cancelled},

	{"Reader/NotFound", notFound},
	{"Reader/Backlogs", backlogs},
	{"Reader/Lists", lists},
	{"Reader/PagesStandStill", pagesStandStill},
	{"Reader/ForeignCursors", foreignCursors},

	{"ChangeFeed/Changes", changes},
	{"ChangeFeed/Changed", changed},
	{"ChangeFeed/FollowedWhileItHappens", followedWhileItHappens},
	{"ChangeFeed/CursorAboveTheNewest", cursorAboveTheNewest},

	{"Upkeep/Checkpoints", checkpoints},
	{"Upkeep/UseOnce", useOnce},
	{"Upkeep/ProofKeys", proofKeys},
	{"Upkeep/Prune", prune},
	{"Upkeep/PruneKeepsHeads", pruneKeepsHeads},
	{"Upkeep/PrunedNumbersStayGone", prunedNumbersStayGone},

	{"Parsing/TwoDeathsSetAside", twoDeathsSetAside},
	{"Parsing/DeathOfSeveral", deathOfSeveral},
	{"Parsing/TheLivingAreNoDeaths", theLivingAreNoDeaths},
	{"Parsing/ClearIsAudited", clearIsAudited},
	{"Parsing/AtOnce", parsingAtOnce},

	{"Audit/EveryOrderAndDecision", everyOrderAndDecision},
	{"Audit/Appended", appended},
	{"Audit/Filters", auditFilters},
	{"Audit/OutlivesDeliveries", auditOutlivesDeliveries},
	{"Audit/ClockSetBack", auditClockSetBack},

	{"Waiting/Settled", settled},
	{"Waiting/SettledAtOnce", settledAtOnce},
	{"Waiting/LateBehindNewer", lateBehindNewer},
	{"Waiting/WrongClock", waitingByAWrongClock},
	{"Waiting/OneBodyCountsOnce", waitingBodyCountsOnce},
	{"Waiting/KeptWhileItWaits", keptWhileItWaits},
	{"Waiting/Refusals", settleRefusals},
	{"Waiting/Bound", waitingBound},

	{"Holds/Placed", placed},
	{"Holds/Refusals", placeRefusals},
	{"Holds/Replaced", replaced},
	{"Holds/SameKey", sameKey},
	{"Holds/Written", writtenMeanwhile},
	{"Holds/TooMany", tooManyHolds},
	{"Holds/PinsAtOnce", pinsAtOnce},
	{"Holds/LiftedIsReady", liftedIsReady},
	{"Holds/LiftedIsAsLapsed", liftedIsAsLapsed},
	{"Holds/LiftEnded", liftEnded},
	{"Holds/Rejudge", rejudge},
	{"Holds/JudgedBefore", judgedBefore},
	{"Holds/NewestHeld", newestHeld},
	{"Holds/Listed", holdsListed},
	{"Holds/InTheOneOrder", holdsInTheOneOrder},
	{"Holds/Kept", holdsKept},
	{"Holds/LastWord", lastWord},

	{"Memory/KeysOutliveDeliveries", keysOutliveDeliveries},
	{"Memory/OneBodyCountsOnce", oneBodyCountsOnce},
	{"Memory/SameBodyAtOnce", sameBodyAtOnce},
	{"Memory/UnacceptedAreForgotten", unacceptedAreForgotten},

	{"Scope/Lists", scopedLists},

	{"Close", closed},
	{"EndedContext", endedContext},
	{"Random", random},
}

// began is when every script begins. Stores keep microseconds.
var began = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
