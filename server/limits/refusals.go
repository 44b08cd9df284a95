package limits

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/tallyman-dev/tallyman/gitops"
)

// refusedAgain is how long an address that was refused too often is asked to wait.
const refusedAgain = 10 * time.Second

// Refusals turns an address away that was refused too often, before anything of
// its request is read. Authenticated requests are not counted, so a burst of
// deliveries is not limited.
func (l *Limits) Refusals(writeProblem func(http.ResponseWriter, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return l.limitRefusals(next, writeProblem) }
}

func (l *Limits) limitRefusals(next http.Handler, writeProblem func(http.ResponseWriter, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := clientKey(r)
		if _, rate, err := l.refusals.Status(key); err != nil || rate >= float64(l.perMinute) {
			w.Header().Set("Connection", "close")
			e := gitops.Errorf(gitops.RateLimited, "too many requests from this address were refused")
			e.RetryAfter = refusedAgain
			writeProblem(w, e)
			return
		}
		ww, ok := w.(middleware.WrapResponseWriter)
		if !ok {
			ww = middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		}
		next.ServeHTTP(ww, r)
		if isRefusal(r, ww.Status()) {
			l.refusals.OnLimit(ww, r, key) // it has answered: this only counts
		} else if r.Method == http.MethodPost && ww.Status() < 300 {
			l.noteAuthenticated(key)
		}
	})
}

// isRefusal reports whether an answer is one that an authenticated client gets by
// mistake at most.
func isRefusal(r *http.Request, status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
		return true
	case http.StatusBadRequest: // of an incomplete body, which is mostly not authenticated by then
		body, ok := r.Body.(*countedBody)
		return ok && body.broken
	case http.StatusNotFound: // not of a thing that the API was asked for
		return chi.RouteContext(r.Context()).RoutePattern() == ""
	}
	return false
}

// countRefusal counts what a client did besides a request.
func (l *Limits) countRefusal(client string) {
	_ = l.refusals.Counter().IncrementBy(client, time.Now().UTC().Truncate(time.Minute), 1)
}
