package manifest

import (
	"errors"

	"github.com/tallyman-dev/tallyman/gitops"
)

// remoteIsDown reports whether the error would have met any call.
func remoteIsDown(err error) bool {
	if err == nil {
		return false
	}
	switch gitops.CodeOf(err) {
	case gitops.Unavailable, gitops.Unauthorized, gitops.Forbidden, gitops.NotFound, gitops.RateLimited:
		return true
	}
	return false
}

// setBar keeps everybody away from the server for as long as it asked for. The
// lock is held.
func (w *Writer) setBar(err error) {
	var e *gitops.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		w.barred, w.barUntil = e, w.config.Now().Add(e.RetryAfter)
	}
}

// bar returns the error for a call that comes while the server wants us to stay
// away, with what is left of that time. The lock is held.
func (w *Writer) bar() error {
	left := w.barUntil.Sub(w.config.Now())
	if w.barred == nil || left <= 0 {
		w.barred = nil
		return nil
	}
	e := *w.barred
	e.RetryAfter = left
	return &e
}
