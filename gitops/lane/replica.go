package lane

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Replica works the lanes of one process. Start it once, stop it once.
type Replica struct {
	Config

	drain      chan struct{} // closed: take up nothing more
	draining   sync.Once
	work       context.Context // ends: give up what is being written
	cancelWork context.CancelFunc
	lanesDone  sync.WaitGroup // the loop that claims, and every lease term
	done       chan struct{}  // closed: all goroutines have returned

	configured chan struct{} // holds one after [Replica.Configure], until what left is looked for

	mu       sync.Mutex
	revision int              // how often the configuration has changed
	lanes    map[string]*lane // by environment: those that are configured, and those that are closing
}

// lane is the queue of one environment. What changes of it belongs to
// [Replica.mu].
type lane struct {
	*Replica
	environment string
	settings    Environment
	closing     bool // its environment is not configured
	logger      *slog.Logger
	due         chan struct{} // holds at most one hint: there is something to do

	term     *leaseTerm // nil while the lease is not ours
	idle     bool       // its term waits for work
	writing  bool       // it waits for the writer
	deadline time.Time  // by when its next step is due; zero while it is idle
}

// NewReplica makes a replica that does nothing until [Replica.Start].
func NewReplica(c Config) *Replica {
	r := &Replica{Config: c.withDefaults(), drain: make(chan struct{}), done: make(chan struct{}), configured: make(chan struct{}, 1), lanes: make(map[string]*lane)}
	r.work, r.cancelWork = context.WithCancel(context.Background())
	for _, e := range c.Environments {
		r.addLane(e, false)
	}
	return r
}

func (r *Replica) addLane(e Environment, closing bool) {
	r.lanes[e.Name] = &lane{
		Replica: r, environment: e.Name, settings: e, closing: closing,
		logger: r.Logger.With("environment", e.Name), due: make(chan struct{}, 1),
	}
}

// Start begins the work, in the background.
func (r *Replica) Start() {
	renewing, stopRenewing := context.WithCancel(context.Background())
	var others sync.WaitGroup
	others.Go(func() { r.renewLeases(renewing) })
	others.Go(r.tidy)
	r.lanesDone.Go(r.claimLeases)
	go func() {
		defer close(r.done)
		r.lanesDone.Wait()
		stopRenewing()
		others.Wait()
	}()
}

// Stop takes up nothing more and waits until the batches at hand are reported and
// the leases released. When ctx ends first, the batches are given up: what was not
// pushed stays pending. Stop returns when all work has ended. A replica that was
// never started must not be stopped.
func (r *Replica) Stop(ctx context.Context) {
	r.draining.Do(func() { close(r.drain) })
	defer r.cancelWork()
	select {
	case <-r.done:
	case <-ctx.Done():
		r.cancelWork()
		<-r.done
	}
}

// Configure changes which environments are worked, and how. It may be called at any
// time; apply changes what [Config.Configured] and the writer ask, and must not block. A
// lane goes on with what it has in hand, and what fails of that is tried again; the lane of
// an environment that is not there any more cancels its updates, and ends.
func (r *Replica) Configure(environments []Environment, apply func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	apply()
	r.revision++
	gone := maps.Clone(r.lanes)
	for _, e := range environments {
		delete(gone, e.Name)
		if l := r.lanes[e.Name]; l != nil {
			l.settings, l.closing = e, false
		} else {
			r.addLane(e, false)
		}
	}
	for _, l := range gone {
		l.closing = true
	}
	for _, l := range r.lanes {
		l.hint()
	}
	select {
	case r.configured <- struct{}{}:
	default: // what left is looked for already
	}
}

// currentRevision tells one configuration from the next.
func (r *Replica) currentRevision() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision
}

// does is what the lane's environment is configured to do.
func (l *lane) does() Environment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settings
}

// isClosing reports whether the environment is not configured.
func (l *lane) isClosing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

func (r *Replica) isDraining() bool {
	select {
	case <-r.drain:
		return true
	default:
		return false
	}
}

// stuckAfter is how long a step may be overdue. It is longer than any step of the
// writer may take.
const stuckAfter = 3 * time.Minute

// Stuck names a lane that makes no progress for longer than anything it does may
// take: the process should be restarted. A lane that waits for its turn behind the
// slow pushes of others is overdue, too, but then the writer makes steps.
func (r *Replica) Stuck() (environment string, stuck bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	writerHangs := now.Sub(r.Writer.LastStep()) > stuckAfter
	for _, l := range r.lanes {
		overdue := !l.deadline.IsZero() && now.Sub(l.deadline) > stuckAfter
		if overdue && (writerHangs || !l.writing) {
			return l.environment, true
		}
	}
	return "", false
}

// extendDeadline says that the lane made a step, and makes the next within d.
func (l *lane) extendDeadline(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = time.Now().Add(d)
}

// setWriting says whether the lane waits for the writer.
func (l *lane) setWriting(writing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing, l.deadline = writing, time.Now().Add(writeTime)
}

// setIdle says whether the lane waits for work, which may take for ever.
func (l *lane) setIdle(idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle, l.deadline = idle, time.Time{}
}
