package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/proof"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/holds"
	"github.com/tallyman-dev/tallyman/server/missed"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// replica is one process of the service, wired as package server wires it.
type replica struct {
	*world
	name       string
	offset     atomic.Int64 // how far its wall clock is from the true time, in nanoseconds
	handlers   map[string]*webhook.Handler
	store      *storeLink
	lanes      *lane.Replica
	book       *holds.Book
	freezes    atomic.Pointer[gate.Freezes] // of the configuration that it has loaded
	judged     atomic.Pointer[judgement]    // what was said of the push in hand
	judgedPull atomic.Pointer[judgement]    // likewise of the pull request that is opened or merged
	files      *parsers                     // nil: nothing is guarded
	writer     *manifest.Writer
	intake     *webhook.Intake
	room       *roomLink       // nil: no image is inspected
	proposed   *proposalsLink  // nil: nothing is written by pull request
	knows      atomic.Bool     // the newcomer
	life       context.Context // of its poll
	endPolls   context.CancelFunc

	storeCut, networkCut atomic.Bool

	dead    chan struct{} // closed: the process is gone
	mu      sync.Mutex
	resumed chan struct{} // not nil: the process is stopped, until this is closed
	ambush  func()        // befalls it when its next push has reached the server
}

func (w *world) newReplica(name string) *replica {
	r := &replica{world: w, name: name, dead: make(chan struct{}), handlers: make(map[string]*webhook.Handler)}
	r.life, r.endPolls = context.WithCancel(context.Background())
	// Within a process only wall clocks go back, and what is measured with Now is
	// measured on the other one; so here a clock goes back between two processes.
	if !w.sweeps {
		r.offset.Store(int64(between(w.chance.of(name+"/clock"), -20*time.Minute, 20*time.Minute)))
	}
	r.store = &storeLink{replica: r, store: w.store.connect(name)}
	r.freezes.Store(w.frozen.now())
	r.book = holds.New(r.rules)
	r.book.Use(r.store)
	keys, err := r.store.store.ProofKeys(context.Background())
	if err != nil {
		panic(err) // no fault is between here and the store
	}
	config := manifest.Config{
		Prover:    proof.New(keys...),
		URL:       manifestsURL,
		Author:    git.Signature{Name: "tallyman[bot]", Email: "bot@example.com"},
		Target:    w.target,
		Squash:    func(environment string) bool { return environment == w.squash },
		Files:     targetFiles,
		Limits:    w.limits,
		Transport: networkLink{r, ""},
		Now:       r.now,
		Jitter:    r.jitter,
		Gate:      r.askBeforePush,
	}
	if w.poisons > 0 {
		r.files = newParsers(r)
		config.Guard = r.files
	}
	if r.writer, err = manifest.New(config); err != nil {
		panic(err) // the configuration is ours
	}
	r.intake = &webhook.Intake{
		Planner: r, Authorizer: list, Inbox: r.store, Waiting: r.store, Recorder: uncounted{}, Logger: silent, Now: r.now,
	}
	r.refuseMoved()
	r.knows.Store(w.newcomers == 0)
	for source, receiver := range receivers {
		r.handlers[source] = &webhook.Handler{Receiver: receiver, Intake: r.intake}
	}
	r.room = r.newRoom()
	c := lane.Config{
		Holder: name, Configured: func(string, string) bool { return true },
		Queue: r.store, Writer: single{r.writer}, Holds: laneHolds{r}, Environments: w.settings(), Recorder: uncounted{}, Logger: silent, Jitter: r.jitter, BatchSize: w.batch,
	}
	if r.room != nil {
		c.Images = r.room
	}
	if r.proposed = r.newProposals(keys); r.proposed != nil {
		c.Proposals = r.proposed
	}
	r.lanes = lane.NewReplica(c)
	return r
}

const manifestsURL = "http://git.example/manifests.git"

// single is the writer of all environments.
type single struct{ *manifest.Writer }

// Away implements lane.Writer.
func (single) Away(string) ([]string, *queue.Outage) { return nil, nil }

var silent = slog.New(slog.DiscardHandler)

// uncounted is a recorder that counts nothing.
type uncounted struct{}

func (uncounted) Delivery(string, string)                      {}
func (uncounted) Finished(string, gitops.State, float64)       {}
func (uncounted) NotKept(string, string)                       {}
func (uncounted) BackingOff(string, lane.Cause, time.Duration) {}
func (uncounted) Missed(missed.Outcome)                        {}
func (uncounted) Swept(time.Time)                              {}

func (r *replica) start() {
	r.tell("%s starts", r.name)
	r.lanes.Start()
	if r.room != nil {
		for _, environment := range environments {
			go r.room.relay(environment)
		}
	}
	if r.proposed != nil {
		go r.proposed.relay(r.proposing.environment)
	}
	if r.newcomers > 0 {
		go r.look()
	}
	if r.polls() {
		go r.poll()
	}
	if len(r.clusters.followed) > 0 {
		go r.follow()
	}
	if r.sweeps {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-r.dead
			cancel()
		}()
		go r.sweep(ctx)
	}
}

// now is what the process takes for the time.
func (r *replica) now() time.Time { return time.Now().Add(time.Duration(r.offset.Load())) }

// jitter depends on the time alone: lanes that wake at one moment ask in an order
// that the seed has not drawn.
func (r *replica) jitter(n time.Duration) time.Duration {
	return time.Duration(r.chance.fresh(fmt.Sprint(r.name, "/jitter/", time.Now().UnixNano())).Int64N(int64(n)))
}

// stop drains as SIGTERM does, within the time.
func (r *replica) stop(within time.Duration) {
	r.tell("%s stops", r.name)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	defer context.AfterFunc(ctx, r.writer.Abort)()
	r.endPolls()
	r.lanes.Stop(ctx)
	if r.room != nil {
		r.room.Close()
	}
	if r.proposed != nil {
		r.proposed.Close()
	}
	_ = r.writer.Close() // it has no error to give
	if r.files != nil {
		r.files.Close()
	}
	r.end()
}

// crash ends the process as kill -9 does: nothing that it does from here on has
// an effect. What is on its way may still arrive.
func (r *replica) crash() {
	r.tell("%s dies", r.name)
	r.end()
	r.sessionEnds()
	r.world.background.Go(func() { r.stop(0) }) // its goroutines are no longer anybody's
}

// sessionEnds has the store know of the death after a while: at once when the
// system closed the connection, and not before the lease's end when the machine went
// down with it.
func (r *replica) sessionEnds() {
	after := one(r.chance.of(r.name+"/session"), 0, time.Second, 3*time.Second, time.Hour)
	if after > time.Minute {
		return
	}
	r.world.background.Go(func() {
		time.Sleep(r.chance.alone(after))
		met.meet("the store knew of a death")
		r.world.store.killHolder(r.name)
	})
}

func (r *replica) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isDead() {
		close(r.dead)
	}
}

func (r *replica) isDead() bool {
	select {
	case <-r.dead:
		return true
	default:
		return false
	}
}

// lieInWait has something happen between the replica's next push and its answer.
func (r *replica) lieInWait(what func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ambush = what
}

func (r *replica) pushArrived() {
	r.mu.Lock()
	what := r.ambush
	r.ambush = nil
	r.mu.Unlock()
	if what != nil {
		what()
	}
}

// pause stops the process as SIGSTOP does: none of its calls begins or returns.
func (r *replica) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resumed == nil {
		r.tell("%s is stopped", r.name)
		r.resumed = make(chan struct{})
	}
}

func (r *replica) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resumed != nil {
		r.tell("%s goes on", r.name)
		close(r.resumed)
		r.resumed = nil
	}
}

// gate holds a call at the border of a process that is stopped. When that goes on the calls do
// so one after the other, in an order that was drawn: each draws what it meets next.
func (r *replica) gate(order uint64) {
	r.mu.Lock()
	resumed := r.resumed
	r.mu.Unlock()
	if resumed == nil {
		return
	}
	select {
	case <-resumed:
		time.Sleep(time.Duration(order % uint64(time.Millisecond)))
	case <-r.dead:
	}
}

// wait waits for d and reports whether the caller is still there then.
func (r *replica) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(r.chance.alone(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-r.dead:
	}
	return false
}
