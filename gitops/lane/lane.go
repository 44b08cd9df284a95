// Package lane works the queue of one environment: it holds the lane's lease,
// hands what is pending to the writer, and settles what became of it.
//
// # What a crash leaves
//
// The order is write, then settle. A process that dies between the two leaves
// updates that are on the branch and still pending; whoever claims the lane next
// gets them marked MaybePushed, and the writer finds their trailers instead of
// committing them twice. A process that was only paused loses its lease: its
// settlements are refused, and what it pushes fails against the moved branch.
//
// # Whose fault
//
// An update's own fault settles it as failed and the rest of its batch goes on.
// Anybody else's leaves the batch pending: the lane waits, longer each time, and
// tries again for as long as it takes.
package lane

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Writer puts updates on origin's branch.
type Writer interface {
	// Write commits the updates in their order. It returns a settlement for every
	// update whose fate is known: committed and on origin, unchanged, superseded by
	// a later one that is on the branch already, or failed by its own fault. An
	// error means that the fate of the others is open, by somebody else's fault;
	// they are to be written again, and the writer looks for what an earlier attempt
	// may have pushed. Its RetryAfter is how long the other side asked to be left
	// alone.
	//
	// It is called once at a time for each environment, by several environments
	// at once. When ctx ends, what has not been sent is not sent any more.
	Write(ctx context.Context, updates []gitops.Update) ([]gitops.Settlement, error)
}

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	// Settled counts an update that ended; seconds since its acceptance.
	Settled(environment string, state gitops.State, seconds float64)
	// Succeeded says that the writer answered for a whole batch at this time.
	Succeeded(environment string, at time.Time)
	// BackingOff says how long the lane waits before it tries again after a
	// failure; 0 when it has succeeded since.
	BackingOff(environment string, wait time.Duration)
}

// Config is what a [Lane] is made of.
type Config struct {
	Environment string
	Holder      string // names this process in leases
	Queue       queue.Lanes
	Writer      Writer
	Recorder    Recorder
	Logger      *slog.Logger

	// Lease is how long the lane stays with a process that is dead or paused, and
	// how long one works on that does not reach the store. Default 30 s.
	Lease time.Duration

	// Jitter draws the random part of a wait: at least 0 and below n. Default
	// rand.N of math/rand/v2.
	Jitter func(n time.Duration) time.Duration

	// Coalesce settles an update as superseded when a newer one of the same app
	// waits behind it.
	Coalesce bool
}

// What decides how long a lane takes to notice. Each is bounded by the others:
// a lease outlives two failed extensions, and a lane that is not heard of for
// the time of a write is stuck.
const (
	extensions = 3               // while one lease lasts
	pollEvery  = 5 * time.Second // how late an update accepted by another replica may be seen
	batchSize  = 500             // updates handed to the writer together
	writeTime  = 5 * time.Minute // a write that takes longer is given up
	settleTime = 5 * time.Second // how long one attempt to settle may take
	stuckAfter = time.Minute     // past its own deadline, a lane counts as stuck
)

// Lane is the worker of one environment. Start it once, stop it once.
type Lane struct {
	Config

	drain    chan struct{} // closed: take up nothing more
	draining sync.Once
	work     context.Context // ends: give up what is being written
	giveUp   context.CancelFunc
	done     chan struct{} // closed: the worker has returned

	mu       sync.Mutex
	progress time.Time // by when the worker says something again
}

// New makes a lane that does nothing until [Lane.Start].
func New(c Config) *Lane {
	l := &Lane{Config: c, drain: make(chan struct{}), done: make(chan struct{})}
	l.Logger = c.Logger.With("environment", c.Environment)
	if l.Lease == 0 {
		l.Lease = 30 * time.Second
	}
	if l.Jitter == nil {
		l.Jitter = rand.N[time.Duration]
	}
	l.work, l.giveUp = context.WithCancel(context.Background())
	l.expect(0)
	return l
}

// Start begins the work, in the background.
func (l *Lane) Start() {
	go func() {
		defer close(l.done)
		l.run()
	}()
}

// Stop takes up nothing more and waits until the batch at hand is settled and
// the lane given back. When ctx ends first, the batch is given up: what has not
// been pushed stays pending. Stop returns when the worker has. A lane that was
// never started must not be stopped.
func (l *Lane) Stop(ctx context.Context) {
	l.draining.Do(func() { close(l.drain) })
	select {
	case <-l.done:
	case <-ctx.Done():
		l.giveUp()
		<-l.done
	}
	l.giveUp()
}

// Stuck reports whether the worker has been silent for longer than anything it
// does may take: the process should be restarted.
func (l *Lane) Stuck() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().After(l.progress)
}

// expect says that the worker is alive, and will say so again within d.
func (l *Lane) expect(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress = time.Now().Add(d + stuckAfter)
}

// run claims the lane again and again until it is drained.
func (l *Lane) run() {
	var wait backoff
	for !l.isDraining() {
		lease, err := l.Queue.Claim(l.work, l.Environment, l.Holder, l.Lease)
		switch {
		case err == nil:
			l.recovered(&wait)
			l.hold(lease)
		case gitops.CodeOf(err) == gitops.Conflict:
			l.pause(min(pollEvery, max(retryAfter(err), time.Millisecond)), interruptions{drain: l.drain})
		default:
			l.backOff(&wait, "the lane could not be claimed", err, interruptions{drain: l.drain})
		}
	}
}

func (l *Lane) isDraining() bool {
	select {
	case <-l.drain:
		return true
	default:
		return false
	}
}

// interruptions end a pause early. A nil channel never does.
type interruptions struct {
	wake  <-chan struct{} // there is work
	drain <-chan struct{} // there shall be none
	lost  <-chan struct{} // the lease is gone, or the work given up
}

// pause waits for d or for an interruption, whichever comes first.
func (l *Lane) pause(d time.Duration, on interruptions) {
	l.expect(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-on.wake:
	case <-on.drain:
	case <-on.lost:
	}
}
