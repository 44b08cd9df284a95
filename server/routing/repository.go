package routing

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Writer writes one branch of one repository. [*manifest.Writer] is one.
type Writer interface {
	Write(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error)
	Handshake(ctx context.Context) error
	LastStep() time.Time
	Abort()
	Close() error
}

// Recorder is told what metrics need. Safe for concurrent use.
type Recorder interface {
	// Away says how long a repository is left alone that could not be written; 0 when it
	// can be again. One may be in its place by now that has the same name.
	Away(of *Repository, wait time.Duration)
}

// Repository is one manifest repository, as lanes write it. Safe for concurrent use.
type Repository struct {
	name     string
	writer   Writer
	free     func() // what is used beside the writer
	router   *Router
	recorder Recorder
	logger   *slog.Logger

	life   context.Context // ends when it is closed
	end    context.CancelFunc
	closed sync.Once
	probes sync.WaitGroup

	mu       sync.Mutex
	users    int           // configurations and writes
	outage   *queue.Outage // nil while it can be written, as far as is known
	failures int           // in a row
	probe    *time.Timer   // the next; nil for none
}

// Add makes a repository of a writer, for one configuration, which releases it. free is
// called when the writer is closed.
func (r *Router) Add(name string, w Writer, free func(), recorder Recorder, logger *slog.Logger) *Repository {
	added := &Repository{name: name, writer: w, free: free, router: r, recorder: recorder, logger: logger.With("repository", name), users: 1}
	added.life, added.end = context.WithCancel(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[added] = true
	return added
}

// Keep uses the repository once more, until Release. It reports false when nobody used it
// any more, and it is being closed.
func (r *Repository) Keep() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == 0 {
		return false
	}
	r.users++
	return true
}

// Release ends one use. After the last the repository is closed, in the background.
func (r *Repository) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users--; r.users == 0 {
		r.router.closing.Go(r.close)
	}
}

func (r *Repository) close() {
	r.closed.Do(func() {
		r.end()
		r.mu.Lock()
		r.stopProbe()
		r.mu.Unlock()
		r.probes.Wait()
		if err := r.writer.Close(); err != nil {
			r.logger.Warn("manifest repository not closed", slog.String("error", err.Error()))
		}
		r.free()
		r.router.mu.Lock()
		defer r.router.mu.Unlock()
		delete(r.router.live, r)
	})
}

// Name is its name in the configuration.
func (r *Repository) Name() string { return r.name }

// Outage says why it cannot be written now; nil when it can, as far as is known.
func (r *Repository) Outage() *queue.Outage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outage
}

// away is [Repository.Outage] as an error.
func (r *Repository) away() error {
	if o := r.Outage(); o != nil {
		return gitops.Errorf(o.Code, "%s", o.Reason)
	}
	return nil
}

// How long a repository is left alone: as lanes leave one alone that they have for
// themselves.
const (
	firstWait   = time.Second
	longestWait = time.Minute
	// A server that asks for more is asked again after this long: its clock may be wrong.
	longestAsked = 15 * time.Minute
)

// failed notes that it could not be written, and has it tried again.
func (r *Repository) failed(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outage != nil && r.probe != nil || r.life.Err() != nil {
		return // others said so
	}
	wait := min(firstWait<<min(r.failures, 10), longestWait)
	wait = wait/2 + rand.N(wait/2+1)
	var e *gitops.Error
	if errors.As(why, &e) {
		wait = max(wait, min(e.RetryAfter, longestAsked))
	}
	r.failures++
	r.outage = &queue.Outage{Repository: r.name, Code: gitops.CodeOf(why), Reason: gitops.PublicOf(why), RetryAt: time.Now().Add(wait)}
	r.recorder.Away(r, wait)
	r.logger.Warn("manifest repository cannot be written, its updates wait", slog.String("code", string(r.outage.Code)),
		slog.String("error", why.Error()), slog.Int("attempt", r.failures), slog.String("wait", wait.Round(time.Millisecond).String()))
	r.probes.Add(1)
	r.probe = time.AfterFunc(wait, r.try)
}

// stopProbe stops one that has not begun.
func (r *Repository) stopProbe() {
	if r.probe != nil && r.probe.Stop() {
		r.probes.Done()
	}
	r.probe = nil
}

// try asks whether it can be written again. That says nothing of a server that takes no
// push, so the failures count on until a write has succeeded.
func (r *Repository) try() {
	defer r.probes.Done()
	err := r.writer.Handshake(r.life)
	r.mu.Lock()
	r.probe = nil
	if err == nil {
		r.outage = nil
		r.recorder.Away(r, 0)
	}
	r.mu.Unlock()
	if err != nil {
		r.failed(err)
	}
}

// succeeded notes that it was written.
func (r *Repository) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures == 0 {
		return
	}
	r.logger.Info("manifest repository can be written again", slog.Int("failures", r.failures))
	r.failures, r.outage = 0, nil
	r.stopProbe()
	r.recorder.Away(r, 0)
}

// giveUp counts a write as failed that takes too long; not when the caller gave it up.
func (r *Repository) giveUp(ctx context.Context) error {
	err := gitops.Errorf(gitops.Unavailable, "no answer within %s", patience)
	if ctx.Err() == nil {
		r.failed(err)
	}
	return err
}
