package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/tallyman-dev/tallyman/server/webhook"
)

// request is what the access log says of a request beside its route: who asked. It is
// of the goroutine that serves the request.
type request struct {
	caller Caller
	done   func() // ends the turn of its answer; nil when it has none
}

type requestKey struct{}

// noteCaller says whose request it is, for the access log.
func noteCaller(ctx context.Context, c Caller) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		r.caller = c
	}
}

// whenAnswered has a turn end when the request has been answered.
func whenAnswered(ctx context.Context, done func()) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		r.done = done
	} else {
		done()
	}
}

// endTurn ends the turn of a request's answer early: of a stream, which has bounds of its
// own.
func endTurn(ctx context.Context) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok && r.done != nil {
		r.done()
		r.done = nil
	}
}

// StatusWriter is a response writer that knows the status it has written, 0 before that.
type StatusWriter interface {
	http.ResponseWriter
	Status() int
}

// Logged serves a route and writes one line for each request, a stream's when it ends.
// The line has the route's pattern and no value of the request but the method, which
// the route gives: a query or a path may hold what a client put there by mistake, such
// as a token. The writer that the handler is given must be a [StatusWriter].
func (a *API) Logged(route Route, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began, who := time.Now(), new(request)
		written := w.(StatusWriter)
		defer func() {
			a.Logger.LogAttrs(r.Context(), slog.LevelInfo, "API request",
				slog.String("method", route.Method), slog.String("route", route.Pattern), slog.Int("status", written.Status()),
				slog.Float64("seconds", time.Since(began).Seconds()), slog.String("principal", who.caller.Principal.ID()),
				slog.String("credential", who.caller.Credential), slog.String("remote", webhook.ClientIP(r.RemoteAddr)))
		}()
		ctx := context.WithValue(r.Context(), requestKey{}, who)
		defer endTurn(ctx)
		serve(w, r.WithContext(ctx))
	}
}
