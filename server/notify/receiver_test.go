package notify_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// sending is a receiver as one replica has it.
type sending struct {
	p *process
	r *receiver
}

func (s *sending) Send(ctx context.Context, m notify.Message) error {
	if s.p.dead.Load() {
		return gitops.Errorf(gitops.Unavailable, "the process is dead")
	}
	return s.r.take(ctx, m, s.p)
}

// receiver remembers what it took.
type receiver struct {
	mu       sync.Mutex
	got      []string // kind, app or hold, and tag
	ids      []string
	at       []time.Time
	last     notify.Message
	attempts int
	err      error         // that it answers
	taken    bool          // it takes what it answers with an error, too
	takes    time.Duration // that it takes to answer
	before   func(n int)   // called before the nth message is taken
	after    func(n int)   // called after that
}

func (w *world) receiver(notifier string) *receiver {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.receivers[notifier] == nil {
		w.receivers[notifier] = new(receiver)
	}
	return w.receivers[notifier]
}

func (r *receiver) take(ctx context.Context, m notify.Message, p *process) error {
	r.mu.Lock()
	r.attempts++
	n, takes, before, after := r.attempts, r.takes, r.before, r.after
	r.mu.Unlock()
	if before != nil {
		before(n)
	}
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	if !p.dead.Load() && (r.err == nil || r.taken) {
		r.got, r.ids, r.at = append(r.got, shown(m)), append(r.ids, m.ID), append(r.at, now())
		r.last = m
	}
	err := r.err
	r.mu.Unlock()
	if after != nil {
		after(n)
	}
	return err
}

// answers has it answer an error from now on; nil for none.
func (r *receiver) answers(err error) {
	r.set(func() { r.err = err })
}

// set changes what it does from now on.
func (r *receiver) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// takesSoLong has it take its time from now on.
func (r *receiver) takesSoLong(d time.Duration) {
	r.set(func() { r.takes = d })
}

func shown(m notify.Message) string {
	if m.Hold != nil {
		return fmt.Sprintf("%s %s %s", m.Kind, m.Hold.Kind, m.Hold.ID)
	}
	return fmt.Sprintf("%s %s %s", m.Kind, m.Update.App, m.Update.Tag)
}

// once is what a receiver that drops doubles by their ids has.
func (r *receiver) once() (got []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[string]bool)
	for i, id := range r.ids {
		if !seen[id] {
			got = append(got, r.got[i])
		}
		seen[id] = true
	}
	return got
}

// all is what it took, doubles too.
func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// asked is how often it was sent something.
func (r *receiver) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempts
}

// times are when it took what it took.
func (r *receiver) times() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Time(nil), r.at...)
}

// named are the ids of what it took.
func (r *receiver) named() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ids...)
}

// newest is the last message that it took.
func (r *receiver) newest() notify.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
