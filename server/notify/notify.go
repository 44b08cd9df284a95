// Package notify tells receivers what happens to updates, and what comes to hold them.
//
// Each notifier follows the feed of changes on its own, from a checkpoint of its own and
// under a lease of its own. So one whose receiver is down, slow or wrong delays no other
// notifier, and nothing waits for any of them.
//
// # What is promised
//
// Of each change that a notifier is for, its receiver is told at least once, in the order of
// the feed: the next message is sent when the one before was taken. A message has an id that
// is the same each time, by which a receiver drops what it has. Left out are only a message
// that the receiver itself refuses, what is older than [MaxAge], and what is held no longer
// when it would be told; the first two are counted.
//
// # What a crash leaves
//
// The checkpoint is moved after a message was taken, so the next one who follows sends at
// most that one again. A notifier without a checkpoint begins with what happens from then
// on.
package notify

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// MaxAge is how old a change is at most that is still told.
const MaxAge = 24 * time.Hour

// SendTime is how long a receiver may take for one message.
const SendTime = 10 * time.Second

// Receiver takes messages. Safe for concurrent use.
type Receiver interface {
	// Send returns when the message was taken. Its error is a [*gitops.Error] without secrets:
	// [gitops.Rejected] where this message alone is refused and would be again; with
	// RetryAfter where the receiver says how long it wants to be left alone. After any other
	// error the message may have been taken.
	Send(ctx context.Context, m Message) error
}

// Notifier is one that is configured.
type Notifier struct {
	Name     string
	Receiver Receiver
	Text     *Text
	Kinds    []Kind
	// Environments are the names of those that it is for; empty means all.
	Environments []string
	// App reports whether it is for an app; nil means all.
	App func(name string) bool
	// Pace is between two messages at least.
	Pace time.Duration
	// Fingerprint is another when anything of the notifier is.
	Fingerprint string
}

// Store is what is asked of the queue's store.
type Store interface {
	queue.Leases
	queue.Checkpoints
	queue.ChangeFeed
	Update(ctx context.Context, id string) (gitops.Update, error)
}

// Result is what came of a message, or of one attempt to send it.
type Result string

// The results.
const (
	Sent    Result = "sent"    // the receiver took it
	Failed  Result = "failed"  // an attempt that is made again
	Refused Result = "refused" // the receiver refuses this message: it is left out
	TooOld  Result = "too_old" // it happened more than [MaxAge] ago: it is left out
)

// Results lists every [Result].
func Results() []Result { return []Result{Sent, Failed, Refused, TooOld} }

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	Count(notifier string, r Result)
	// Behind says since when the next message of a notifier waits; zero while none does.
	Behind(notifier string, since time.Time)
}

// Config is what a [Manager] is made of.
type Config struct {
	Store    Store
	Recorder Recorder
	Logger   *slog.Logger
	Holder   string           // names this process in leases
	Now      func() time.Time // in UTC
	// Jitter draws the random part of a wait: at least 0 and below n.
	Jitter func(n time.Duration) time.Duration
	// CommitURL is the page of an update's commit; "" where there is none.
	CommitURL func(u gitops.Update) string
}

// Manager runs the notifiers of the configuration in force. Its methods are not safe for
// concurrent use.
type Manager struct {
	Config
	running map[string]*running // by name
}

// running is a notifier at work.
type running struct {
	fingerprint string
	stop        context.CancelFunc
	ended       chan struct{}
}

// New makes a manager that runs nothing yet.
func New(c Config) *Manager { return &Manager{Config: c, running: make(map[string]*running)} }

// Configure puts notifiers in the place of those before. One that stays as it is goes on
// undisturbed; one that changed goes on from its place in the feed, after what it was
// sending has ended; one that is gone stops.
func (m *Manager) Configure(all []Notifier) {
	wanted := make(map[string]bool, len(all))
	for _, n := range all {
		wanted[n.Name] = true
		before := m.running[n.Name]
		if before != nil && before.fingerprint == n.Fingerprint {
			continue
		}
		m.start(n, before)
	}
	gone := make(map[string]*running)
	for name, r := range m.running {
		if !wanted[name] {
			gone[name] = r
			delete(m.running, name)
		}
	}
	end(gone)
}

// end stops notifiers, and returns when they have ended.
func end(all map[string]*running) {
	for _, r := range all {
		r.stop()
	}
	for _, r := range all {
		<-r.ended
	}
}

// start runs a notifier, in the place of one with its name, if there is one.
func (m *Manager) start(n Notifier, before *running) {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{fingerprint: n.Fingerprint, stop: stop, ended: make(chan struct{})}
	m.running[n.Name] = r
	if before != nil {
		before.stop()
	}
	go func() {
		defer close(r.ended)
		if before != nil {
			<-before.ended
		}
		(&follower{Config: m.Config, Notifier: n}).run(ctx)
	}()
}

// Stop ends all of them, and returns when they have ended. What is being sent is given up:
// the next one who follows sends it again.
func (m *Manager) Stop() {
	end(m.running)
	clear(m.running)
}
