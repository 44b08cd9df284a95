package queue

import (
	"context"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Lease is an exclusive right until ExpiresAt: to work the lane of the environment
// that it is named after, or to do a job of the process that one replica does at a
// time. It is a value: Extend returns a new one. It is the caller's as long as its
// holder and token are those of the name's last claim, and it was not released.
type Lease struct {
	Name      string // an environment, or a job's name, which has a slash and so is not an environment's
	Holder    string // names the process, for logs and for people
	Token     int64  // rises with every claim of the name
	ExpiresAt time.Time
}

// Leases hands out leases. Safe for concurrent use. Each call is one transaction
// however many names it has, and one that changes nothing writes nothing.
type Leases interface {
	// Claim takes for ttl those of the names that nobody else holds, each with a new
	// token, and returns them in the order of the names; one that its own holder
	// claims again is taken. A lease is held until it is released, runs out, or the
	// store knows its holder's process to be dead.
	Claim(ctx context.Context, holder string, names []string, ttl time.Duration) (claimed []Lease, err error)

	// Extend makes the leases last ttl from now and returns those that it could
	// extend: one that was claimed since is left out. A lease that merely ran out can
	// be extended as long as nobody claimed it.
	Extend(ctx context.Context, leases []Lease, ttl time.Duration) (kept []Lease, err error)

	// Release gives a lease back at once. With clean the caller vouches that it has
	// reported every update that it may have pushed; without, the next claim marks
	// what is open in the lane MaybePushed, as it does after a lease that ran out or
	// whose holder died. A lease that is no longer the caller's is no error.
	Release(ctx context.Context, l Lease, clean bool) error
}

// Lanes hands out work and records its results. Safe for concurrent use.
type Lanes interface {
	// Ready returns those of the environments whose lanes have something to take
	// now, in the order given. It is one read, for whoever looks after hints that may
	// have been missed, and after blocks whose time has come.
	Ready(ctx context.Context, environments []string) ([]string, error)

	// Take returns what the lane's holder should work on now, in acceptance order
	// and without steps:
	//
	//   - ready updates of all apps but those of except: the first so many as the limit
	//     says, or with newestOnly the newest ready one of each app, the first so many by
	//     acceptance; with newestHeld one that was held only if it is the newest ready one
	//     of its app;
	//   - the first so many of the updates whose cancellation is requested;
	//   - of the apps of all these, each open update that is in unresolved or
	//     MaybePushed: it may be on the branch, where it decides what may be written.
	//
	// A proposed update is never ready, nor the newest ready one of its app: it is returned
	// for its cancellation, or as unresolved or MaybePushed.
	//
	// What is returned beside the ready ones does not count against the limit. Blocks
	// that have lifted are not in BlockedBy. HeldUntil, WrittenTag and ImageSince are set,
	// and ClosedBefore of a pending update that automation asked for: its app has a closed
	// one with exactly its tag, accepted later than what the head says was written, and no
	// person has retried the update since that was closed. Of several it is the newest that
	// had a proposal, or else the newest.
	// Its cost depends on what it returns, not on how many are blocked; ready updates of
	// except that come first cost a look at each, and so does what has lifted since it was
	// last reported of, and with newestHeld what was accepted after that. The error's code is
	// Conflict when the lease is no longer the caller's.
	Take(ctx context.Context, l Lease, o TakeOptions) ([]gitops.Update, error)

	// Report records the results of the lane's updates, and the images that were found
	// ([Images]), all in one durable transaction, and counts an attempt and a step for each
	// update. The error's code is Conflict, and nothing is recorded, when the lease is no
	// longer the caller's; NotFound, and nothing is recorded, when an update is not of this
	// lane.
	//
	// What is known of pull requests is kept first. It is no step, and so no change that
	// the feed tells of: it follows every review and check of a pull request, and whoever
	// follows the feed would be told again and again of updates that stand where they stood.
	// The change that a propose is has what comes with it.
	//
	// A transition that the table does not allow in the update's state is left out:
	// what was reported before stands. Transitions that write (commit, confirm) raise
	// the app's head ([gitops.Raises]), and then supersede every update of the app that is older than the
	// head and still open after them; that is a step without an attempt. A propose leaves
	// the head as it is, and supersedes in the same way every update of the app that is older
	// than the proposed one: pending, blocked or proposed, also one of the same report. So an
	// app has at most one proposed update, and nothing open is older than that.
	// Transitions happen in their order, then what they supersede, in acceptance order, and
	// then the blocks. What was superseded is returned, as it is now and without
	// steps, with a reason that names what superseded it; a report that is repeated
	// supersedes nothing.
	//
	// What is final has no cancel request any more. A pending update that is reported
	// as blocked again, with the same kinds and reasons, keeps Since. The step of a
	// blocked update has the blocks' reasons, joined by "; ", and the time of
	// [gitops.BlockedUntil].
	Report(ctx context.Context, l Lease, r Report) (superseded []gitops.Update, err error)

	// Wake returns a channel that receives after something in the environment became
	// ready or its cancellation was requested. It is a hint for one waiter per
	// environment: it may come without cause, and one of another replica may come
	// late or not at all, so whoever waits on it also looks from time to time. A
	// block whose time has come gives no hint.
	Wake(environment string) <-chan struct{}

	// Nudge gives the hint of each environment ([Lanes.Wake]), on whichever replica the
	// waiter is: something outside the store may have changed that its lane looks at.
	// Nothing is written, and other replicas hear of it late or not at all.
	Nudge(ctx context.Context, environments []string) error
}

// TakeOptions say what to take.
type TakeOptions struct {
	Limit      int      // most updates to be written; at least 1
	NewestOnly bool     // of each app's ready updates only the newest
	NewestHeld bool     // a ready update that was held ([gitops.Update.HeldUntil]) only if it is the newest ready one of its app
	Except     []string // apps whose ready updates are left where they are
	Unresolved []string // ids that the holder has sent to the git server without knowing the result
}

// Report is the results of a lane's updates.
type Report struct {
	Transitions []gitops.Transition
	Blocks      []Blocked
	Proposals   []Proposed // what is known of pull requests by now; no attempt and no step; of an update the last
	Outage      *Outage    // nil: nothing keeps the lane from writing, and an outage that was is over
}

// Blocked says what blocks a pending update from now on, in the place of what was
// reported before. The store sets Since, but where a [gitops.BlockImage] comes with one that
// is not after its time. An update that is not pending is left out. Either all blocks of an
// update are of holds ([gitops.BlockKind.Held]) or none is, and one of an image is the first.
//
// Where the holds have changed since the blocks were judged ([gitops.JudgedBefore]), all of
// them have lifted when they are recorded, as by [Holds.Lift]: what held the update may be
// over, and whoever lifted it could not find it. Its lane judges it again.
type Blocked struct {
	Update    string         // its id
	BlockedBy []gitops.Block // empty: nothing
}

// Proposed says what is known of an update's pull request, in the place of what was known
// before, in whatever state the update is.
type Proposed struct {
	Update   string // its id
	Proposal gitops.Proposal
}

// KeptProposal is a proposal as stores keep it: with times in whole microseconds and UTC.
// It shares nothing with p.
func KeptProposal(p gitops.Proposal) gitops.Proposal {
	p.OpenedAt, p.EndedAt = p.OpenedAt.UTC().Truncate(time.Microsecond), p.EndedAt.UTC().Truncate(time.Microsecond)
	p.WaitsFor = append([]string(nil), p.WaitsFor...)
	return p
}

// Outage is what keeps a lane from writing, or those of its updates whose files are in
// some manifest repositories: somebody else's fault.
type Outage struct {
	Repository string // the names of those that cannot be written, as [JoinNames] has them; "" for the whole lane
	Code       gitops.Code
	Reason     string    // a sentence
	RetryAt    time.Time // when the lane means to try again; zero when its holder gave the work up
}

// JoinNames writes names of manifest repositories as one text.
func JoinNames(names []string) string { return strings.Join(names, ", ") }

// Repositories are the names of the manifest repositories that it is of; none for the
// whole lane.
func (o Outage) Repositories() []string {
	if o.Repository == "" {
		return nil
	}
	return strings.Split(o.Repository, ", ")
}

// Empty reports whether there is nothing to record but that nothing is wrong.
func (r Report) Empty() bool {
	return len(r.Transitions) == 0 && len(r.Blocks) == 0 && len(r.Proposals) == 0 && r.Outage == nil
}

// Backlog is what waits in one lane, and what for.
type Backlog struct {
	Environment string
	Pending     int                      // pending updates that nothing blocks
	Held        map[gitops.BlockKind]int // pending updates that are blocked, by the first block's kind
	Oldest      time.Time                // when the oldest of Pending was accepted; zero when there is none
	Proposed    int                      // updates that are proposed
	Holder      string                   // of the lease; "" when it was given back or its holder is known to be dead

	// OldestProposed is when the oldest pull request of Proposed was opened, or its update
	// accepted where that was not reported; zero where it does not exist.
	OldestProposed time.Time

	LastProgress time.Time // when a transition was last reported; zero when none ever was
	LastSuccess  time.Time // when one last was that raised a head ([gitops.Raises]); zero when none ever was
	Outage       *Outage   // nil while nothing keeps the lane from writing
	OutageSince  time.Time // when the first report of this outage came
}
