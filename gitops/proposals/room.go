package proposals

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// How often is looked. A hint is followed at once, and then no more often than lookEvery; what
// no hint tells is found by a sweep.
const (
	lookEvery    = 5 * time.Second
	sweepEvery   = 3 * time.Minute // and up to a quarter more
	detailsEvery = 20 * time.Second
	detailsMost  = 10
)

// Room follows the proposals of one manifest repository. All is done by one goroutine, one
// request at a time.
type Room struct {
	config Config
	board  *board
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{}

	mu       sync.Mutex
	inbox    []func() // what was asked for; the goroutine does it
	busyWith string   // environment of what is under way
	stop     context.CancelFunc
	outage   *queue.Outage

	// The goroutine's own.
	apps    map[appOf]*app
	heads   Heads
	inWay   map[string]string // the directories of topic branches, and one branch below each
	listed  map[string]Pull   // open pull requests as last listed, by branch
	onList  map[string]bool   // branches that have a pull request in the list that was read last
	lookAt  time.Time         // when to look; zero before the first wish
	looked  time.Time
	hinted  map[string]bool // environments whose pull requests may have changed
	builder *app            // that a commit was built for last
	details time.Time       // when some were asked for last
	rules   Rules
	rulesAt time.Time // when they were read; zero for never
	git     away
	forge   away
	limited away // the forge takes no writes
	refused away // the forge does not let tallyman list pull requests
}

// New begins a room.
func New(c Config) *Room {
	c = c.withDefaults()
	return newRoom(c, newBoard())
}

func newRoom(c Config, b *board) *Room {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Room{
		config: c, board: b, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1),
		apps: map[appOf]*app{}, hinted: map[string]bool{},
	}
	go r.run(ctx)
	return r
}

// Close ends the room's work. What is under way is given up.
func (r *Room) Close() {
	r.cancel()
	<-r.done
}

// ask has the goroutine do something.
func (r *Room) ask(do func()) {
	r.mu.Lock()
	r.inbox = append(r.inbox, do)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Want implements the lanes' Proposals.
func (r *Room) Want(environment string, wishes []gitops.ProposalWish) {
	wishes, term := slices.Clone(wishes), r.board.term(environment)
	r.ask(func() {
		for _, w := range wishes {
			of := appOf{environment, w.Update.App}
			if r.apps[of] == nil {
				r.apps[of] = &app{of: of, term: term}
			}
			if r.apps[of].want(w) {
				r.lookSoon()
			}
		}
	})
}

// Results implements the lanes' Proposals.
func (r *Room) Results(environment string) []gitops.ProposalResult { return r.board.take(environment) }

// Changed implements the lanes' Proposals.
func (r *Room) Changed(environment string) <-chan struct{} { return r.board.wait(environment) }

// Look implements the lanes' Proposals.
func (r *Room) Look(environment string) {
	r.ask(func() {
		if len(r.apps) > 0 {
			r.hinted[environment] = true
			r.lookSoon()
		}
	})
}

// Leave implements the lanes' Proposals.
func (r *Room) Leave(environment string) {
	r.board.leave(environment)
	r.leave(environment)
}

func (r *Room) leave(environment string) {
	r.mu.Lock()
	if r.stop != nil && r.busyWith == environment {
		r.stop()
	}
	r.mu.Unlock()
	r.ask(func() {
		for of, a := range r.apps {
			if of.environment == environment {
				a.ungate()
				delete(r.apps, of)
			}
		}
	})
}

// withdraw closes what is open of an app that is in another repository by now. No lane is told.
func (r *Room) withdraw(of appOf) {
	r.ask(func() {
		if a := r.apps[of]; a != nil {
			w := a.wish.ProposalWish
			w.Close = "its app is in another manifest repository by now"
			a.want(w)
			a.left = true
		}
	})
}

// review judges everything again: the configuration has changed.
func (r *Room) review(c Config) {
	r.ask(func() {
		r.config.Environment, r.config.Places, r.config.CompareURL = c.Environment, c.Places, c.CompareURL
		for _, a := range r.apps {
			a.pending, a.due = nil, true
		}
	})
}

// Away implements the lanes' Proposals: what is away is so for all environments.
func (r *Room) Away(string) *queue.Outage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outage
}

// run is the room's goroutine.
func (r *Room) run(ctx context.Context) {
	defer close(r.done)
	for ctx.Err() == nil {
		r.takeInbox()
		now := r.config.Now()
		switch {
		case r.lookDue(now):
			r.look(ctx, now)
		case r.write(ctx, now):
		case r.advanceOne(ctx, now):
		default:
			r.publishOutage()
			r.sleep(ctx, now)
		}
	}
	for _, a := range r.apps {
		a.ungate()
	}
}

func (r *Room) takeInbox() {
	r.mu.Lock()
	inbox := r.inbox
	r.inbox = nil
	r.mu.Unlock()
	for _, do := range inbox {
		do()
	}
}

// lookSoon looks as soon as the last look is not too young.
func (r *Room) lookSoon() {
	if at := r.looked.Add(lookEvery); r.lookAt.IsZero() || at.Before(r.lookAt) {
		r.lookAt = at
	}
}

func (r *Room) sweepAt(now time.Time) time.Time {
	return now.Add(sweepEvery + r.config.Jitter(sweepEvery/4))
}

func (r *Room) lookDue(now time.Time) bool {
	if len(r.apps) == 0 || now.Before(r.git.until) {
		return false
	}
	return !now.Before(r.lookAt) || !r.forge.since.IsZero() && !now.Before(r.forge.until)
}

// sleep waits for something to do.
func (r *Room) sleep(ctx context.Context, now time.Time) {
	timer := time.NewTimer(r.nextTime(now).Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-timer.C:
	}
}

// nextTime is when there may be something to do without a hint.
func (r *Room) nextTime(now time.Time) time.Time {
	next := now.Add(time.Hour)
	sooner := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if len(r.apps) > 0 {
		sooner(later(r.lookAt, r.git.until))
		sooner(later(r.forge.until, r.git.until))
		if now.Before(r.limited.until) {
			sooner(r.limited.until)
		}
	}
	for _, a := range r.apps {
		switch {
		case a.pending != nil:
			sooner(r.writeAt(a, now))
		case !a.parked && r.mayGoOn(a, now):
			sooner(a.retryAt)
		case !a.parked:
			sooner(later(a.retryAt, r.git.until))
		}
	}
	return next
}

// later is the later of two times, or zero where the first is.
func later(at, other time.Time) time.Time {
	if !at.IsZero() && other.After(at) {
		return other
	}
	return at
}

// do makes one request for an environment, which Leave can stop.
func (r *Room) do(ctx context.Context, environment string, request func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	r.busyWith, r.stop = environment, cancel
	r.mu.Unlock()
	err := request(ctx)
	r.mu.Lock()
	r.stop = nil
	r.mu.Unlock()
	return err
}

// zero is where no branch is.
var zero git.Hash
