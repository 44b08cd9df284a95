// Package follow follows what was written into the cluster: it asks Argo CD, or hears from
// whoever reports, where each written update stands, and records that with the update until
// the update runs, has failed to, or its time is over.
//
// It follows the feed of changes from a checkpoint. An update that is written gets a rollout,
// which is recorded as waiting before the checkpoint moves past it. Nothing waits for a
// rollout: a newer update of the app ends it.
//
// # Who asks
//
// One replica follows, by a lease. It asks several Argo CDs at once, each at its own pace
// ([pace]), so one that does not answer delays no other. What is due next is decided by one
// goroutine, which also asks the store; each request is made by a goroutine of its own.
//
// # What a crash leaves
//
// Each record is made under the lease, and the store keeps the first that is final: so there
// is one verdict, once, whoever came to it. The next replica goes on from the rollouts that
// are open and from the checkpoint, and takes nothing else for known: how long an Application
// was seen to be degraded counts from its own first look.
//
// # Memory
//
// A followed update takes some 3 KB with one Application. Of each instance at most
// [begunLooks] answers are kept at a time, of Applications and their trees, until they are
// judged.
package follow

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/server/lease"
)

// Config is what a [Follower] is made of.
type Config struct {
	Site     func() Site // in force now
	Git      Git
	Reverter Reverter
	Store    Store
	Recorder Recorder
	Logger   *slog.Logger
	Holder   string           // names this process in the lease
	Now      func() time.Time // in UTC
}

const (
	job        = "job/follow" // names the lease and the checkpoint
	leaseTime  = time.Minute
	claimEvery = 10 * time.Second
	// rest is between two looks at the feed, however fast it moves.
	rest = 100 * time.Millisecond
	// lookEvery is how often the feed is looked at without a hint.
	lookEvery = 5 * time.Second
)

// Follower follows what was written.
type Follower struct{ Config }

// New makes a follower.
func New(c Config) *Follower { return &Follower{c} }

// Run follows until ctx ends, whenever no other replica does.
func (f *Follower) Run(ctx context.Context) {
	lease.Job{
		Store: f.Store, Holder: f.Holder, Name: job, Length: leaseTime, Every: claimEvery, Who: "the follower", Logger: f.Logger, Now: f.Now,
	}.Run(ctx, f.lead)
}

// lead follows as long as the lease is this replica's.
func (f *Follower) lead(ctx context.Context, held *lease.Lease) {
	l := newLeader(f, held)
	defer l.end(ctx)
	for ctx.Err() == nil {
		changed := f.Store.Changed()
		wait, ok := l.step(ctx)
		if !ok {
			return
		}
		l.wait(ctx, changed, wait)
	}
}

// wait waits for an answer, or a change, or until something is due. Answers that come
// together are taken together, and so are changes.
func (l *leader) wait(ctx context.Context, changed <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(max(most, 0))
	defer timer.Stop()
	resting := time.NewTimer(rest)
	defer resting.Stop()
	hint := (<-chan struct{})(nil)
	for {
		select {
		case a := <-l.answers:
			l.take(a)
			return
		case <-resting.C:
			hint = changed
		case <-hint:
			return
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
