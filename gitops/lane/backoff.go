package lane

import (
	"errors"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// backoff counts failures in a row. The zero value is the state after a success.
type backoff struct {
	failures int
	since    time.Time // of the first failure
	cause    Cause     // of the latest, where a lane backs off
}

const (
	firstWait   = time.Second
	longestWait = time.Minute
	// A server that asks for more is asked again after this long: its clock or
	// its words may be wrong, and a lane that sleeps for a day helps no one.
	maxRetryAfter = 15 * time.Minute
)

// next is how long to wait after one more failure: doubled each time, with a
// random part so that lanes that failed together do not all come back together,
// and never shorter than the other side asked for.
func (b *backoff) next(asked time.Duration, jitter func(time.Duration) time.Duration) time.Duration {
	if b.failures == 0 {
		b.since = time.Now()
	}
	wait := min(firstWait<<min(b.failures, 10), longestWait)
	b.failures++
	wait = wait/2 + jitter(wait/2+1)
	return max(wait, min(asked, maxRetryAfter))
}

// reset ends a row of failures, and reports whether there was one.
func (b *backoff) reset() bool {
	failed := b.failures > 0
	*b = backoff{}
	return failed
}

// attrs are what the log says of the latest failure.
func (b *backoff) attrs(err error, wait time.Duration) []any {
	return []any{
		slog.String("code", string(gitops.CodeOf(err))),
		slog.String("error", err.Error()),
		slog.Int("attempt", b.failures),
		slog.Time("since", b.since.UTC()),
		slog.String("wait", wait.Round(time.Millisecond).String()),
	}
}

// failed says what is wrong and since when, and returns how long to wait.
func (l *lane) failed(b *backoff, cause Cause, doing string, err error) (wait time.Duration) {
	wait = b.next(retryAfter(err), l.Jitter)
	if b.cause != "" && b.cause != cause {
		l.Recorder.BackingOff(l.environment, b.cause, 0)
	}
	b.cause = cause
	l.Recorder.BackingOff(l.environment, cause, wait)
	l.logger.Warn("lane backing off", append(b.attrs(err, wait), slog.String("cause", string(cause)), slog.String("doing", doing))...)
	return wait
}

// resetBackoff ends a row of failures, if there was one. Until then the lane
// counts as backing off, its attempts included.
func (l *lane) resetBackoff(b *backoff) {
	if b.failures == 0 {
		return
	}
	l.Recorder.BackingOff(l.environment, b.cause, 0)
	l.logger.Info("lane recovered", slog.Int("failures", b.failures), slog.Time("since", b.since.UTC()))
	b.reset()
}

func retryAfter(err error) time.Duration {
	var e *gitops.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// wakeEvents end a pause early. A nil channel never does.
type wakeEvents struct {
	wake      <-chan struct{} // there is work
	images    <-chan struct{} // more is known of the updates' images
	proposals <-chan struct{} // more is known of their pull requests
	drain     <-chan struct{} // no more work is to be taken up
	lost      <-chan struct{} // the lease is lost, or the work given up
}

// stopEvents end a pause that no work ends.
func (t *leaseTerm) stopEvents() wakeEvents {
	return wakeEvents{drain: t.drain, lost: t.ctx.Done()}
}

// pause waits for d or for an event, whichever comes first, and reports whether it
// was woken by work.
func (t *leaseTerm) pause(d time.Duration, on wakeEvents) (woken bool) {
	t.extendDeadline(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-on.wake:
		t.look()
		return true
	case <-on.images:
		return true
	case <-on.proposals:
		return true
	case <-on.drain:
	case <-on.lost:
	}
	return false
}
