package argocd

import (
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// How long nothing is sent to an instance that cannot be asked.
const (
	minPause      = time.Second      // after the first failure; twice as long after each further one
	maxPause      = time.Minute      // also after a rejected token
	maxRetryAfter = 15 * time.Minute // of what the instance asks for: one wrong header must not stop it for a day
)

// breaker keeps requests from an instance that cannot be asked. After a pause it lets one
// through; whether that has an answer decides.
type breaker struct {
	logger *slog.Logger

	mu       sync.Mutex
	fault    *gitops.Error // why nothing is sent; nil while it is closed
	until    time.Time
	pause    time.Duration // the latest
	trying   bool          // one request was let through, and is under way
	openings int
	rejected [sha256.Size]byte // of the token that the instance does not accept; zero when that is not the fault
}

// pass is the right to send one request.
type pass struct {
	openings int
	trial    bool
}

func newBreaker(logger *slog.Logger) *breaker { return &breaker{logger: logger} }

// enter gives a pass, or says why nothing is sent, and for how long. Whoever has a pass
// hands it back: to answered, failed or stopped. A token that is not the rejected one is
// tried at once.
func (b *breaker) enter(token string) (pass, *gitops.Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault == nil {
		return pass{openings: b.openings}, nil
	}
	left := time.Until(b.until)
	if b.rejected != [sha256.Size]byte{} && b.rejected != sha256.Sum256([]byte(token)) {
		left = 0
	}
	if left > 0 || b.trying {
		e := *b.fault
		e.RetryAfter = max(left, minPause)
		return pass{}, &e
	}
	b.trying = true
	return pass{b.openings, true}, nil
}

// answered closes the breaker: the instance can be asked.
func (b *breaker) answered(p pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.openings != b.openings {
		return // it began before a failure that was later
	}
	if b.fault != nil {
		b.logger.Info("Argo CD answers again")
	}
	b.fault, b.pause, b.trying, b.rejected = nil, 0, false, [sha256.Size]byte{}
}

// failed opens the breaker, or keeps it open for longer, and returns the fault with how long
// that is. Of requests that were under way together the first failure counts.
func (b *breaker) failed(p pass, fault *gitops.Error, token string) *gitops.Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.openings == b.openings {
		b.open(fault, token)
	}
	e := *fault
	e.RetryAfter = max(time.Until(b.until), minPause)
	return &e
}

// open begins a pause. The lock is held.
func (b *breaker) open(fault *gitops.Error, token string) {
	if b.fault == nil || b.fault.Code != fault.Code {
		b.logger.Warn("Argo CD cannot be asked", slog.String("error", fault.Error()))
	}
	b.pause = min(max(2*b.pause, minPause), maxPause)
	b.rejected = [sha256.Size]byte{}
	if fault.Code == gitops.Unauthorized {
		b.pause, b.rejected = maxPause, sha256.Sum256([]byte(token))
	}
	b.fault, b.trying = fault, false
	b.openings++
	b.until = time.Now().Add(max(b.pause, min(fault.RetryAfter, maxRetryAfter)))
}

// stopped hands back a pass whose request says nothing of the instance.
func (b *breaker) stopped(p pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.trial && p.openings == b.openings {
		b.trying = false
	}
}
