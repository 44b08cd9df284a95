package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/acts"
	"github.com/tallyman-dev/tallyman/server/api"
)

// statuses is the only place where an error's code becomes an HTTP status. An
// EventBridge API destination tries again after 401, 407, 409, 429 and 5xx, so
// only what can succeed later may have one of those; a bad credential may, while
// a secret is being replaced.
var statuses = map[gitops.Code]int{
	gitops.Invalid:      http.StatusBadRequest,
	gitops.Unauthorized: http.StatusUnauthorized,
	gitops.Forbidden:    http.StatusForbidden,
	gitops.NotFound:     http.StatusNotFound,
	gitops.Conflict:     http.StatusConflict,
	gitops.TooLarge:     http.StatusRequestEntityTooLarge,
	gitops.RateLimited:  http.StatusTooManyRequests,
	gitops.Rejected:     http.StatusUnprocessableEntity,
	gitops.Unavailable:  http.StatusServiceUnavailable,
	gitops.Internal:     http.StatusInternalServerError,
}

// retryAfter is what a sender is asked to wait when we cannot say how long.
const retryAfter = 5 // seconds

// problem is the body of an error answer: RFC 9457, with our code, and the field
// at fault where there is one.
type problem struct {
	Type   string      `json:"type"`
	Title  string      `json:"title"`
	Status int         `json:"status"`
	Detail string      `json:"detail"`
	Code   gitops.Code `json:"code"`
	Field  string      `json:"field,omitempty"`

	BlockedBy []gitops.Block `json:"blockedBy,omitempty"` // what holds what was asked for
}

// writeProblem answers with an error. What it says is the error's sentence, never
// its cause.
func (s *Server) writeProblem(w http.ResponseWriter, err error) {
	s.writeProblemStatus(w, statuses[gitops.CodeOf(err)], err)
}

// writeProblemStatus is writeProblem where HTTP has a status of its own for what
// went wrong. Who is refused keeps no connection: one address has so many, and what others
// send from a sender's address must not take them.
func (s *Server) writeProblemStatus(w http.ResponseWriter, status int, err error) {
	code := gitops.CodeOf(err)
	if code == gitops.Unauthorized || code == gitops.Forbidden || code == gitops.RateLimited {
		w.Header().Set("Connection", "close")
	}
	p := problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: gitops.PublicOf(err), Code: code}
	var e *gitops.Error
	wait := float64(retryAfter)
	if errors.As(err, &e) {
		p.Field = e.Field
		if e.RetryAfter > 0 {
			wait = math.Ceil(e.RetryAfter.Seconds())
		}
	}
	if held := new(acts.Blocked); errors.As(err, &held) {
		p.BlockedBy = held.BlockedBy
	}
	if code == gitops.Unavailable || code == gitops.RateLimited {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait)))
	}
	if code == gitops.Internal {
		s.logger.Error("internal error", slog.String("error", err.Error()))
	}
	writeJSON(w, status, "application/problem+json", p)
}

// answer serves with h: what it returns, or the error that it returns. A status of
// 0 says that h has answered by itself.
func (s *Server) answer(h func(w http.ResponseWriter, r *http.Request) (status int, body any, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, body, err := h(w, r)
		if err != nil {
			s.writeProblem(w, err)
			return
		}
		if status == 0 {
			return // it was a stream, which is over
		}
		writeJSON(w, status, "application/json", body)
	}
}

// writeJSON writes an answer. When it cannot be delivered the sender is gone: it
// will ask again, and be told of a duplicate.
func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	if itself, ok := body.(api.JSONWriter); ok {
		_ = itself.WriteJSON(w)
		return
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // a tag rule is full of < and >
	_ = encoder.Encode(body)
}
