// Package missed takes in what GitHub could not deliver.
//
// GitHub does not send a webhook again by itself, but remembers for three days
// what it sent to a GitHub App, and with which payload. A sweep lists that, the
// newest first, back to where the last complete sweep began, and takes in every
// event whose GUID never arrived: as recovered, and with the time at which GitHub
// first tried to deliver it. The newest is taken in first, so an older release of
// the same app is late when its turn comes, and is not written over it. Where
// GitHub has no payload any more, it is asked to send it again, and the event then
// happened when it arrives. Events that are only hints are left out.
//
// # What a crash leaves
//
// The checkpoint is moved when a sweep is over, and no further than what it has
// taken in. A sweep that dies is made again from its beginning, and what it had
// taken in is known by then. One replica sweeps at a time, by a lease.
//
// Facts: docs.github.com "Handling failed webhook deliveries", "Redelivering
// webhooks"; the OpenAPI description of /app/hook/deliveries.
package missed

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// App lists and tells what GitHub sent; see githubapp.App.
type App interface {
	Deliveries(ctx context.Context, cursor string) (page []githubapp.Delivery, next string, err error)
	DeliveryRequest(ctx context.Context, id int64) (githubapp.DeliveryRequest, error)
	Redeliver(ctx context.Context, id int64) error
}

// Receiver decodes a webhook; see webhook.Receiver. What the App's API tells
// needs no signature.
type Receiver interface {
	Source() string
	Decode(header http.Header, body []byte) (gitops.Event, error)
	// IsHint reports whether nothing is stored of events of a kind: they cannot be told from
	// missed ones, and who acts on them looks without them, too.
	IsHint(kind string) bool
}

// Store is what a sweep asks the queue's store.
type Store interface {
	queue.Leases
	queue.Checkpoints
	ExistingIDs(ctx context.Context, source string, ids []string) (existing []string, err error)
	Deliveries(ctx context.Context, f queue.DeliveryFilter, p queue.Page) (found []gitops.Delivery, next string, err error)
}

// Intake takes events in; see webhook.Intake.
type Intake interface {
	Accept(ctx context.Context, in webhook.Inbound) (d gitops.Delivery, accepted bool, err error)
}

// Destination is where webhooks go.
type Destination struct {
	Receiver Receiver
	Intake   Intake
}

// Outcome is the result for a missed delivery.
type Outcome string

const (
	Recovered   Outcome = "recovered"   // taken in from the payload that GitHub remembers
	Redelivered Outcome = "redelivered" // GitHub was asked to send it again
	Unreadable  Outcome = "unreadable"  // not a webhook of GitHub's; it would not have been accepted when it came
)

// Outcomes lists every [Outcome].
func Outcomes() []Outcome { return []Outcome{Recovered, Redelivered, Unreadable} }

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	// Missed counts a delivery that never arrived.
	Missed(outcome Outcome)
	// Swept says that a sweep was complete.
	Swept(at time.Time)
}

// Config is what a [Sweeper] is made of.
type Config struct {
	App App
	// Job names the lease and the checkpoint, for each App has deliveries of its own. It
	// begins with "job/".
	Job string
	// GitHub is what takes GitHub's webhooks in now; not ok while nothing does, and then
	// nothing is swept. It is asked once for each sweep.
	GitHub   func() (to Destination, ok bool)
	Store    Store
	Recorder Recorder
	Logger   *slog.Logger
	Holder   string           // names this process in the lease
	Now      func() time.Time // in UTC
}

const (
	every     = 3 * time.Minute
	retention = 3 * 24 * time.Hour // on github.com
	// An attempt is listed when it is over, and clocks differ: what is a little
	// older than the checkpoint is looked at again, which costs a question to the store.
	overlap = 10 * time.Minute

	leaseTime = 2 * time.Minute
	atOnce    = 500 // ids in one question to the store
)

// Sweeper sweeps. Its methods are not safe for concurrent use.
type Sweeper struct {
	Config
	Destination // of the sweep that is made
	// skip are the events, by GUID, that this process does not look at again before
	// GitHub has tried once more: it was asked to send them, they cannot be read, or
	// they became no updates and the store may not have them. Only those that the last
	// sweep's list had are kept.
	skip map[string]event
	// failed says of the events that the last sweep left, by GUID, in how many
	// sweeps in a row GitHub or the store did not answer for them.
	failed map[string]int
}

// New makes a sweeper.
func New(c Config) *Sweeper { return &Sweeper{Config: c, skip: make(map[string]event)} }

// Run sweeps at once and then every few minutes until ctx ends.
func (s *Sweeper) Run(ctx context.Context) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := ""
	for {
		err := s.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failing = ""
		case err.Error() != failing: // the same again every few minutes says nothing new
			failing = err.Error()
			s.Logger.Warn("check for missed deliveries failed, retrying",
				slog.String("code", string(gitops.CodeOf(err))), slog.String("error", err.Error()))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
