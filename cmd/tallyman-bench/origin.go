package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// origin sees every push that the git server answers, at no cost to anybody: it
// stands where the answer of git's own process goes out to the client. By then
// git has moved the branch and ended.
type origin struct {
	git *gitserver.Server

	mu      sync.Mutex
	arrived []time.Time   // pushes that git works on; they are answered in any order
	pushes  []push        // that were answered
	hold    func()        // the next push runs it before git sees it; nil when nothing holds it
	news    chan struct{} // has a value when pushes has grown; one waiter at a time
}

// push is one push as the server saw it.
type push struct {
	began, ended time.Time // of git's work
}

func newOrigin(git *gitserver.Server) *origin {
	o := &origin{git: git, news: make(chan struct{}, 1)}
	o.watch()
	return o
}

func (o *origin) watch() {
	o.git.Inject(gitserver.Fault{On: gitserver.Push, Times: -1, Before: o.begin, Replace: o.end})
}

func (o *origin) begin() {
	o.mu.Lock()
	o.arrived = append(o.arrived, time.Now())
	hold := o.hold
	o.hold = nil
	o.mu.Unlock()
	if hold != nil {
		hold()
	}
}

// holdNext has the next push wait, from when arrived is closed until release is
// called; release may be called again.
func (o *origin) holdNext() (arrived <-chan struct{}, release func()) {
	came, over := make(chan struct{}), make(chan struct{})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold = func() {
		close(came)
		<-over
	}
	return came, sync.OnceFunc(func() { close(over) })
}

// end is given the answer and lets it through as it is.
func (o *origin) end(answer []byte) []byte {
	o.mu.Lock()
	p := push{ended: time.Now()}
	p.began, o.arrived = o.arrived[0], o.arrived[1:]
	o.pushes = append(o.pushes, p)
	o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
	return answer
}

// goDown makes the server answer 503 to everything until reset.
func (o *origin) goDown() {
	o.git.Heal()
	o.git.Inject(gitserver.Fault{Times: -1, Status: http.StatusServiceUnavailable})
}

// comeUp ends goDown.
func (o *origin) comeUp() {
	o.git.Heal()
	o.watch()
}

// reset forgets what was pushed and counted, once nothing is under way.
func (o *origin) reset(ctx context.Context) error {
	if err := o.await(ctx, func() bool { return len(o.arrived) == 0 }); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pushes = nil
	o.git.ResetCounts()
	return nil
}

// seen returns the pushes since the last reset, in the order of their ends.
func (o *origin) seen() []push {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pushes
}

// next waits for the first push since the last reset.
func (o *origin) next(ctx context.Context) (push, error) {
	if err := o.await(ctx, func() bool { return len(o.pushes) > 0 }); err != nil {
		return push{}, err
	}
	return o.seen()[0], nil
}

// await waits until it is so, which is asked under the lock.
func (o *origin) await(ctx context.Context, so func() bool) error {
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		o.mu.Lock()
		done := so()
		o.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-o.news:
		case <-timeout.C:
			return errors.New("nothing was pushed for a minute")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
