// Package poll looks into registries for images that no event told of.
//
// Events of registries are best effort. A poll lists the tags of every image that an
// environment with image.poll runs, and what it finds takes the same way as an event: it is
// a delivery of the source "registry", planned, authorized and stored by the intake.
//
// # What it never does
//
// It never undoes what a person or an event did. It orders only tags that were never seen in
// their repository before, of them only the highest version above everything that was ever
// accepted for the app in the environment, or, where the tags are no versions, the one that
// was pushed last, if that was after everything that was accepted. A version is not ordered
// either that is known to have been pushed before a person's last order. All of this is kept
// for ever by the store. So a deleted tag, a list that is cut short, a rollback, a rule that
// takes more than before, or an app that joins orders nothing that was there before.
//
// The first complete scan of an image records what is there and orders nothing.
//
// # What a crash leaves
//
// What would be ordered is recorded as seen after it was ordered, and everything else of a
// page at once. So a scan that dies is made again, finds what it had not ordered, and what it
// had ordered is not above what was accepted any more; the delivery has the same id. The
// checkpoint of an image is moved when its scan is over: a first scan that died is a first
// scan again. One replica polls at a time, by a lease.
package poll

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/lease"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// Source is the source of the deliveries.
const Source = "registry"

// Image is one tag of a repository.
type Image struct {
	Tag, Digest string    // the digest is empty where the registry's list has none
	PushedAt    time.Time // of the image, not of the tag; zero where the registry does not say
}

// Registry lists what repositories have. Safe for concurrent use. Errors are *gitops.Error:
// RateLimited, with RetryAfter where the registry says, and Unavailable are of the host, all
// others of the repository.
type Registry interface {
	// Host is the one that is asked about an image: what is paced and backs off together.
	Host(repository string) string
	// Images calls each with every page of a repository's tags; its error ends the list and
	// is returned. A page is one request.
	Images(ctx context.Context, repository string, each func(page []Image) error) error
}

// Policy is the rules of apps and environments; see policy.Policy.
type Policy interface {
	Places(environments []string) map[string][]gitops.Place
	ComparesVersions(environment, app string) bool
	WhyNot(e gitops.ImagePush, environment, app string) string
}

// Intake takes events in; see webhook.Intake.
type Intake interface {
	Accept(ctx context.Context, in webhook.Inbound) (d gitops.Delivery, accepted bool, err error)
}

// Site is what is in force: a configuration, and the apps that are known with it. It is not
// changed.
type Site struct {
	Policy       Policy
	Intake       Intake
	Registry     Registry
	Environments map[string]Environment // those that poll
}

// Environment is how one environment polls.
type Environment struct {
	Every        time.Duration
	RefusesMoved bool // a tag that came to name another image is refused, and counted
}

// Store is what a poll asks the queue's store.
type Store interface {
	queue.Leases
	queue.Checkpoints
	queue.Images
	ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error)
	Head(ctx context.Context, environment, app string) (gitops.Head, error)
}

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	// Ordered counts an update that no event had asked for.
	Ordered(environment string)
	// Complete says since when every image of a registry was looked at, and how often that
	// should be. An image that is new counts as looked at when it came: its first scan takes its
	// time, too.
	Complete(host string, since time.Time, every time.Duration)
	// Gone says that a registry is polled no longer, or not by this replica.
	Gone(host string)
}

// Config is what a [Poller] is made of.
type Config struct {
	// Site is what is in force now: the same as long as nothing has changed. It is asked every
	// few seconds, before each scan, and before anything is ordered.
	Site     func() *Site
	Store    Store
	Recorder Recorder
	Logger   *slog.Logger
	Holder   string           // names this process in the lease
	Now      func() time.Time // in UTC
	// Jitter draws the random part of a wait: at least 0 and below n.
	Jitter func(n time.Duration) time.Duration
}

const (
	job        = "job/poll"
	leaseTime  = 2 * time.Minute
	claimEvery = 30 * time.Second
	// lookEvery is how soon an app that came, or another interval, counts.
	lookEvery = 10 * time.Second
)

// Poller polls.
type Poller struct {
	Config
	told told
}

// New makes a poller.
func New(c Config) *Poller { return &Poller{Config: c} }

// Run polls until ctx ends, whenever no other replica does.
func (p *Poller) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if len(p.Site().Environments) > 0 {
			held, err := lease.Claim(ctx, p.Store, p.Holder, job, leaseTime, p.Now)
			switch {
			case held != nil:
				p.lead(ctx, held)
			case err != nil && ctx.Err() == nil:
				p.Logger.Warn("lease of the poll not claimed, retrying", slog.String("error", err.Error()))
			}
		}
		lease.Pause(ctx, claimEvery+p.jitter(claimEvery))
	}
}

// lead polls as long as the lease is this replica's.
func (p *Poller) lead(ctx context.Context, held *lease.Lease) {
	ctx, stop := context.WithCancel(ctx)
	l := newLeader(p)
	defer func() {
		stop()
		l.end()
		held.Release(ctx)
	}()
	extend := time.NewTicker(leaseTime / 2)
	defer extend.Stop()
	for {
		select {
		case <-l.startDue(ctx):
		case done := <-l.done:
			l.finish(done)
		case <-extend.C:
			if !p.keep(ctx, held) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// keep keeps the lease, and reports whether it is still this replica's. A store that does not
// answer costs nothing before the lease has run out.
func (p *Poller) keep(ctx context.Context, held *lease.Lease) bool {
	ok, err := held.Keep(ctx)
	if ok || err != nil && held.Left() > 0 {
		return true
	}
	if ctx.Err() == nil {
		p.Logger.Warn("another replica may poll now: the lease was lost")
	}
	return false
}

// jitter is up to a tenth of an interval, so that many do not ask at the same moment.
func (p *Poller) jitter(every time.Duration) time.Duration { return p.Jitter(every/10 + 1) }
