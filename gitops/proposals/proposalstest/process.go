package proposalstest

import (
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// Writes are the calls that change something at the forge.
var Writes = []string{"create", "edit", "close", "comment", "arm", "disarm"}

// Call is a call that a process made.
type Call struct {
	Op     string // the method, in lower case
	Branch string // where the method has one
	Number int    // of the pull request, where the method has one
	At     time.Time
}

// Fault is how a call fails.
type Fault struct {
	Err     error
	Applied bool   // what was asked for is done all the same
	Branch  string // only calls of this branch; "" for any
}

// Process is one process that works on a world. It can die: nothing that it asks for is done
// from then on.
type Process struct {
	w     *World
	mu    sync.Mutex
	left  int  // calls until it dies; 0: it does not
	last  bool // its last call is done
	asked int
	dead  chan struct{}
}

// Process begins a process.
func (w *World) Process() *Process { return &Process{w: w, dead: make(chan struct{})} }

// Branches is the git side, as the process sees it.
func (p *Process) Branches() proposals.Branches { return &branches{p: p} }

// Forge is the forge, as the process sees it.
func (p *Process) Forge() proposals.Forge { return &forge{p: p} }

// DieAt has the process die at its nth call from now on, which is done before, or not; of 0 it
// does not die.
func (p *Process) DieAt(n int, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.last, p.asked = n, done, 0
}

// Asked counts the calls since [Process.DieAt].
func (p *Process) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Dead is closed when the process has died.
func (p *Process) Dead() <-chan struct{} { return p.dead }

// Fail has the next calls of a method fail, one after the other.
func (w *World) Fail(op string, faults ...Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[op] = append(w.faults[op], faults...)
}

// Before has something happen once, right before the next call of a method is done.
func (w *World) Before(op string, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks[op] = append(w.hooks[op], do)
}

// Calls returns the calls that were made, all or of some methods.
func (w *World) Calls(ops ...string) []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.calls), func(c Call) bool { return len(ops) > 0 && !slices.Contains(ops, c.Op) })
}

// Forget forgets the calls that were made.
func (w *World) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = nil
}

var errDead = gitops.Errorf(gitops.Unavailable, "the process is dead")

// call makes a call of a process.
func (p *Process) call(op, branch string, number int, do func(w *World) error) error {
	alive, done := p.step()
	if !alive && !done {
		return errDead
	}
	w := p.w
	w.mu.Lock()
	var hook func()
	if hooks := w.hooks[op]; len(hooks) > 0 {
		hook, w.hooks[op] = hooks[0], hooks[1:]
	}
	w.mu.Unlock()
	if hook != nil {
		hook()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, Call{Op: op, Branch: branch, Number: number, At: time.Now()})
	fails := func(f Fault) bool { return f.Branch == "" || f.Branch == branch }
	if i := slices.IndexFunc(w.faults[op], fails); i >= 0 {
		fault := w.faults[op][i]
		w.faults[op] = slices.Delete(w.faults[op], i, i+1)
		if fault.Applied {
			_ = do(w)
		}
		return fault.Err
	}
	if err := do(w); alive || err != nil {
		return err
	}
	return errDead
}

// step counts a call: the process is alive, or dies at it and it is done, or not.
func (p *Process) step() (alive, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.dead:
		return false, false
	default:
	}
	if p.asked++; p.left == 0 || p.asked < p.left {
		return true, true
	}
	close(p.dead)
	return false, p.last
}

// Calm ends what was to happen: no call fails, and no person acts before one.
func (w *World) Calm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.faults)
	clear(w.hooks)
}
