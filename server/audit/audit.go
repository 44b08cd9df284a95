// Package audit writes down what the store does not write by itself: what was refused
// to an authenticated principal, a configuration that is another than the last time,
// and a secret that was replaced. Orders and decisions are written by the store, in
// their own transactions.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

const (
	// maxRefusals is how many refusals of a principal are written in refusalsEvery. The
	// rest are counted, and one entry says how many: 61 rows an hour x 24 x 400 days is
	// 585,600 rows of a principal that does nothing else, which is some 200 MiB.
	maxRefusals   = 60
	refusalsEvery = time.Hour
	// maxPrincipals is how many principals are counted at a time. Those beyond share one
	// count. They are names that the configuration or GitHub gives, not the sender.
	maxPrincipals = 1000
	// queued is how many entries wait for the store at most: some 300 KiB.
	queued = 500
	// together is how many entries one transaction writes.
	together = 100

	// maxText is the longest text of an entry, in bytes.
	maxText = 300

	// maxConfigurations is how many configurations wait for the store at most.
	maxConfigurations = 20

	appendWithin = 10 * time.Second
	retryAfter   = 5 * time.Second
)

// Store is what the entries are written to; see queue.Audit and queue.Checkpoints.
type Store interface {
	AppendAudit(ctx context.Context, entries []gitops.AuditEntry) error
	Checkpoint(ctx context.Context, name string) (value string, err error)
	SetCheckpoint(ctx context.Context, name, value string) error
}

// Counter counts entries that were lost. Safe for concurrent use.
type Counter interface{ Inc() }

// Config is what a [Recorder] is made of.
type Config struct {
	Logger *slog.Logger
	Lost   Counter
	Now    func() time.Time
	Hash   string // of the configuration in force
}

// Recorder writes entries beside the work that they are of: nobody waits for it. When
// the store is away entries wait in memory; those beyond the bound, and those that a
// crash finds there, are lost, which the log and a metric say. Safe for concurrent use.
type Recorder struct {
	Config
	ready chan struct{} // receives when there is something to write

	mu       sync.Mutex
	waiting  []gitops.AuditEntry
	began    time.Time // of the hour that is counted
	refused  map[string]*refusals
	overflow int // entries that were lost since the log last said so

	configurations []Configuration // that wait, in their order
}

// refusals are those of one principal in this hour.
type refusals struct {
	written, left int
	last          gitops.AuditEntry
}

// New makes a recorder. It takes entries at once, and writes them while Run runs.
func New(c Config) *Recorder {
	return &Recorder{Config: c, ready: make(chan struct{}, 1), refused: make(map[string]*refusals)}
}

// Refused records that a principal asked for what it may not do. Of one that does so
// again and again a few are written, and how many more there were.
func (r *Recorder) Refused(e gitops.AuditEntry) {
	e.Act = gitops.ActRefuse
	if e.Environment == "" {
		e.App = "" // without an environment it is nowhere
	}
	for _, text := range []*string{&e.Environment, &e.App, &e.Update, &e.Delivery, &e.After, &e.Reason} {
		*text = gitops.Clip(*text, maxText)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turnHour()
	of := r.refused[e.Principal]
	if of == nil && len(r.refused) >= maxPrincipals {
		of = r.refused[""]
	}
	if of == nil {
		of = &refusals{}
		r.refused[e.Principal] = of
	}
	if of.written < maxRefusals {
		of.written++
		r.add(e)
		return
	}
	of.left++
	of.last = e
}

// turnHour begins another count after an hour, and writes how much was left out in the
// one before.
func (r *Recorder) turnHour() {
	now := r.Now()
	if since := now.Sub(r.began); since >= 0 && since < refusalsEvery {
		return
	}
	r.leftOut()
	r.began = now
	clear(r.refused)
	r.refused[""] = &refusals{}
}

// leftOut adds an entry for each principal of whose refusals not all were written.
func (r *Recorder) leftOut() {
	for _, principal := range slices.Sorted(maps.Keys(r.refused)) {
		of := r.refused[principal]
		if of.left == 0 {
			continue
		}
		e := gitops.AuditEntry{
			Act: gitops.ActRefuse, Principal: of.last.Principal, Actor: of.last.Actor, Credential: of.last.Credential, Remote: of.last.Remote,
			Reason: fmt.Sprintf("%d more refusals in an hour are not written down; the last one: %s", of.left, of.last.Reason),
		}
		of.left = 0
		r.add(e)
	}
}

// Replaced records that the secret of a field of the configuration was replaced.
func (r *Recorder) Replaced(field string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(gitops.AuditEntry{Act: gitops.ActSecret, Reason: field + " was replaced"})
}

// add queues an entry.
func (r *Recorder) add(e gitops.AuditEntry) {
	if len(r.waiting) >= queued {
		r.lose(1)
		return
	}
	e.At, e.Config = r.Now(), r.Hash
	r.waiting = append(r.waiting, e)
	r.wake()
}

// wake says that there is something to write.
func (r *Recorder) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// lose counts entries that are not written, and says so the first time.
func (r *Recorder) lose(n int) {
	for range n {
		r.Lost.Inc()
	}
	if r.overflow == 0 {
		r.Logger.Error("audit entries are lost: the store does not take them, and the queue is full", slog.Int("queued", queued))
	}
	r.overflow += n
}
