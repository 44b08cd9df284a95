// Package lane works the queues of all environments of one process: it holds
// their leases, hands what is ready to the writer, and reports the results.
//
// # What a crash leaves
//
// The order is write, then report. A process that dies between the two leaves
// updates that are on the branch and still pending; whoever claims the lane next
// gets them marked MaybePushed, and the writer finds their trailers instead of
// committing them twice. A process that was only paused loses its leases: its
// reports are refused, and what it pushes fails against the moved branch.
//
// # Whose fault
//
// An update's own fault is reported as its failure, and the rest of its batch goes
// on. An update that the git server refuses alone is blocked and waits alone. Any
// other fault is an outage of the lane: it backs off, longer each time, and tries
// again for as long as it takes. Where the files of an environment are in several
// manifest repositories and one of them is away, its updates alone stay in the queue,
// in their order, and the others go on. That writes nothing for each update.
//
// # What is held
//
// What people hold by a pin, a freeze, a stop or a bad mark is judged when it is to be
// written ([Holds]), reported as blocked, and not taken again before a hold of it ends.
// Without an answer of Holds nothing is written. The writer asks once more right before
// each push, so that a hold counts that comes while a batch is at hand. What is held and
// may be on the branch is looked for before it is reported: it may have landed.
//
// # What waits for its image
//
// Where images are inspected ([Images]), nothing is written whose image is not known to be
// there. What is being looked at is left alone, with what is younger of its app, for the
// moment that a look takes; the others are written. What is not there yet is reported as
// blocked, and holds up nothing; of an app's updates the newest goes whose image is there.
// An outage of the registry fails no update, and counts as the git server's does: what could
// not be looked at for a week is stale. A look lives in memory alone, so a new holder of the
// lane has everything looked at again that waits. What may be on the branch is looked for
// there before it fails or waits.
//
// # What is proposed
//
// Where an environment has pull requests ([Environment.PullRequest]), what may be written is not
// given to the writer: the lane says what it wants ([Proposals.Want]), and goes on with
// others. Of an app's updates the newest is wanted. While nothing is known of it, it is pending
// and is left alone, as one whose image is looked at; its results are reported when they
// come. What may be on the branch is looked for there before. An update that is proposed holds
// up nothing and is never stale: it is followed until its pull request has ended, in each term
// from the store on, and also after its environment went back to being written. What holds it
// is judged every few seconds, since the end of a freeze gives no hint. Where it is to end, by a
// person's cancellation or because it left the configuration, its pull request is closed first.
//
// # What leaves the configuration
//
// is cancelled: updates of an app by the lane of their environment, updates of an
// environment by a lane that is closing and ends when it has nothing left to do, its pull
// requests included. The configuration may change while lanes work; see [Replica.Configure].
package lane

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Writer puts updates on the branch.
type Writer interface {
	// Write commits the updates in their order, and only looks for those that are
	// SearchOnly. An update that may have been pushed earlier is looked for before it
	// is written. An error is an outage: it leaves every update open that is not in
	// the result, and its RetryAfter is how long the other side asked to be left
	// alone.
	//
	// It is called once at a time for each environment, by several environments
	// at once. When ctx ends, what was not sent is not sent any more.
	Write(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error)

	// LastStep returns when the writer last made a step in whatever it does for
	// anyone; now while it has nothing to do.
	LastStep() time.Time

	// Away returns the apps whose updates it cannot write now although it can write
	// others of the environment, and the outage that keeps it; its RetryAt is by this
	// process's clock. Without one there are no apps. What Write returns as Unknown is of
	// such apps for a while.
	Away(environment string) (apps []string, outage *queue.Outage)
}

// Queue is what a [Replica] asks of the store; see package queue.
type Queue interface {
	queue.Leases
	queue.Lanes
	Decide(ctx context.Context, d queue.Decision) (gitops.Update, error)
	Backlogs(ctx context.Context) ([]queue.Backlog, error)
	Update(ctx context.Context, id string) (gitops.Update, error)
	Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) (found []gitops.Update, next string, err error)
	Heads(ctx context.Context, environment string, apps []string) ([]gitops.Head, error)
	Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error
}

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	// Finished counts an update whose final state was reported; seconds since its
	// acceptance.
	Finished(environment string, state gitops.State, seconds float64)
	// BackingOff says how long the lane waits before it tries again after a failure of
	// one of the causes; 0 when it has succeeded since, or waits for another cause.
	BackingOff(environment string, cause Cause, wait time.Duration)
}

// Cause is one of a closed set: what a lane backs off from. It is a metric's label.
type Cause string

const (
	CauseStore      Cause = "store"      // the store does not answer: nothing can be taken or reported
	CauseRepository Cause = "repository" // the manifest repository cannot be written
)

// Causes lists every [Cause].
func Causes() []Cause { return []Cause{CauseStore, CauseRepository} }

// Environment is a configured environment.
type Environment struct {
	Name string
	// Coalesce writes of each app's ready updates only the newest.
	Coalesce bool
	// NewestHeld does so with updates that were held.
	NewestHeld bool
	// RespectHandEdits has automation write no tag over one that was edited by hand.
	RespectHandEdits bool
	// PullRequest has its updates proposed instead of written: of each app's ready updates
	// only the newest.
	PullRequest bool
}

// newestOnly reports whether of each app's ready updates only the newest goes on.
func (e Environment) newestOnly() bool { return e.Coalesce || e.PullRequest }

// Config is what a [Replica] is made of.
type Config struct {
	Holder       string // names this process in leases
	Environments []Environment
	// Configured reports whether updates of the app can be written in one of the
	// environments.
	Configured func(environment, app string) bool
	// WhyNot says why updates of an app that is not configured are not written, and whether
	// that is settled: while it is not, they are left alone. Default: a sentence, and it is.
	WhyNot func(environment, app string) (why string, settled bool)
	// AnotherImage says why the image that an update was accepted with is not the one that
	// its app has now, where images are inspected; "" where it is. What was found of the one
	// says nothing of the other, so the update is not written. Default: it is.
	AnotherImage func(u gitops.Update) (why string)

	Queue     Queue
	Writer    Writer
	Holds     Holds     // default: nothing is held
	Images    Images    // default: no images are inspected
	Proposals Proposals // required where an environment has PullRequest
	Recorder  Recorder
	Logger    *slog.Logger

	// Lease is how long a lane stays with a process that is paused, or dead without
	// the store's knowledge, and how long a process works on that does not reach the
	// store. Default 30 s.
	Lease time.Duration

	// Rollout is how long an update that is not configured is left alone after its
	// acceptance or its last retry: while replicas are replaced one by one, another may have a newer
	// configuration. 0 where there is one replica.
	Rollout time.Duration

	// Outdated reports whether this replica could not take up the newest configuration.
	// Others may know what it does not for as long as that lasts, so with a Rollout it
	// cancels nothing meanwhile. Default: never.
	Outdated func() bool

	// BatchSize is how many updates are handed to the writer together to be
	// written. Default 500.
	BatchSize int

	// Jitter draws the random part of a wait: at least 0 and below n. Default
	// rand.N of math/rand/v2.
	Jitter func(n time.Duration) time.Duration
}

// What decides how long a replica takes to notice.
const (
	extensions = 3               // while one lease lasts, the last well before its end, so that it outlives two that fail
	pollEvery  = time.Second     // how late a free lease, a missed hint or a lifted block is noticed
	tidyEvery  = time.Minute     // how late an environment that is not configured is noticed
	writeTime  = 5 * time.Minute // a write that takes longer is given up
	storeTime  = 5 * time.Second // how long one call of the store may take
)

func (c Config) withDefaults() Config {
	if c.Lease == 0 {
		c.Lease = 30 * time.Second
	}
	if c.BatchSize == 0 {
		c.BatchSize = 500
	}
	if c.WhyNot == nil {
		c.WhyNot = func(environment, app string) (string, bool) {
			return fmt.Sprintf("app %q is not configured for environment %q", app, environment), true
		}
	}
	if c.AnotherImage == nil {
		c.AnotherImage = func(gitops.Update) string { return "" }
	}
	if c.Holds == nil {
		c.Holds = noHolds{}
	}
	if c.Images == nil {
		c.Images = noImages{}
	}
	if c.Outdated == nil {
		c.Outdated = func() bool { return false }
	}
	if c.Jitter == nil {
		c.Jitter = rand.N[time.Duration]
	}
	return c
}
