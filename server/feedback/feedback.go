// Package feedback tells GitHub what happens to updates: each has a Deployment on the commit
// of the app's own repository that its image was built from, and the Deployment's statuses
// say where the update stands.
//
// It follows the feed of changes from a checkpoint, at least once. What is told is what an
// update is when it is told, not each step that it took: after an outage the backlog is short.
// The updates of an app in an environment are told in their order. Nothing waits for it.
//
// # What a crash leaves
//
// The checkpoint is not moved past what was not told, so the next one who follows comes to it
// again. A Deployment that was made by then is found among those of the repository by the
// update's id in its payload, and its last status is asked for before another is set. So there
// is one Deployment of an update, and a status is set once, unless GitHub answers neither. One
// replica follows at a time, by a lease, and makes no call that could last longer.
//
// # Limits
//
// See [pace]. A repository that refuses is left alone for a while, with what is of it.
package feedback

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/lease"
)

// Source is a repository that is told of the updates of an app.
type Source struct {
	Repository string // owner/name; "" for none
	Manifests  string // name of the manifest repository that the app is in
}

// GitHub makes Deployments; see githubapp.Deployer.
type GitHub interface {
	Page(repository string) string
	Deployments(ctx context.Context, repository string) (newest []githubapp.Deployment, all bool, err error)
	DeploymentsOf(ctx context.Context, repository, revision string) (newest []githubapp.Deployment, err error)
	LastStatus(ctx context.Context, repository string, deployment int64) (githubapp.DeploymentStatus, error)
	Commit(ctx context.Context, repository, ref string) (revision string, err error)
	Deploy(ctx context.Context, repository string, n githubapp.NewDeployment) (id int64, err error)
	SetStatus(ctx context.Context, repository string, deployment int64, s githubapp.DeploymentStatus) error
}

// Site is what is in force.
type Site interface {
	// Source is what an app's image is built from, without a repository where GitHub is not told.
	// Shared says that it is another app's, too.
	Source(environment, app string) (s Source, shared bool)
	// CommitURL is the page of the commit of an update that was written; "" where there is
	// none.
	CommitURL(u gitops.Update) string
	// Followed reports whether updates of an app are followed to the cluster after they are
	// written, so that a rollout of each will be recorded.
	Followed(environment, app string) bool
}

// Store is what is asked of the queue's store.
type Store interface {
	queue.Leases
	queue.Checkpoints
	queue.ChangeFeed
	Update(ctx context.Context, id string) (gitops.Update, error)
	Head(ctx context.Context, environment, app string) (gitops.Head, error)
}

// Left is why nothing was told of an update.
type Left string

// The reasons.
const (
	NoCommit Left = "no_commit" // the commit that its image was built from is not known
	Refused  Left = "refused"   // GitHub would refuse it again
	TooOld   Left = "too_old"   // it changed more than a day ago, or too much waits
)

// Reasons lists every [Left].
func Reasons() []Left { return []Left{NoCommit, Refused, TooOld} }

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	Written()                  // a Deployment, or a status of one
	Failed()                   // a call that is tried again
	LeftOut(why Left)          // an update of which no more is told
	Behind(oldest time.Time)   // since when the oldest waits of what should have been told; zero while nothing waits
	Refusing(repositories int) // so many repositories refuse
}

// Config is what a [Follower] is made of.
type Config struct {
	Site     func() Site                   // in force now
	GitHub   func(manifests string) GitHub // for the sources of a manifest repository's apps
	Store    Store
	Recorder Recorder
	Logger   *slog.Logger
	Holder   string           // names this process in the lease
	Now      func() time.Time // in UTC
}

const (
	job        = "job/feedback" // names the lease and the checkpoint
	leaseTime  = 2 * time.Minute
	claimEvery = 15 * time.Second
	callTime   = 20 * time.Second // a call's; more than that is left of the lease when it begins
	// rest is between two looks at the feed, however fast it moves.
	rest = 500 * time.Millisecond
	// lookEvery is how often the feed is looked at without a hint.
	lookEvery = 10 * time.Second
)

// Follower follows the feed.
type Follower struct{ Config }

// New makes a follower.
func New(c Config) *Follower { return &Follower{c} }

// Run follows until ctx ends, whenever no other replica does.
func (f *Follower) Run(ctx context.Context) {
	lease.Job{
		Store: f.Store, Holder: f.Holder, Name: job, Length: leaseTime, Every: claimEvery, Who: "the feedback", Logger: f.Logger, Now: f.Now,
	}.Run(ctx, f.lead)
}

// lead follows as long as the lease is this replica's.
func (f *Follower) lead(ctx context.Context, held *lease.Lease) {
	l := &leader{Follower: f, lease: held, repositories: make(map[Source]*repository)}
	defer l.end(ctx)
	for ctx.Err() == nil {
		changed := f.Store.Changed()
		wait, ok := l.step(ctx)
		if !ok {
			return
		}
		lease.Pause(ctx, min(wait, rest))
		if wait -= rest; wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-changed:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
	}
}
