package gitops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code is one of a closed set. It alone decides an error's HTTP status, whether
// the work is tried again, and the error's metric label.
type Code string

const (
	Invalid      Code = "invalid"      // the request or the file says something that cannot be right
	Unauthorized Code = "unauthorized" // no credential, or a wrong one
	Forbidden    Code = "forbidden"    // a good credential that may not do this
	NotFound     Code = "not_found"    // a thing that was named does not exist
	Conflict     Code = "conflict"     // somebody else changed it first, or holds it now
	TooLarge     Code = "too_large"    // over a documented limit
	RateLimited  Code = "rate_limited" // asked to come back later
	Rejected     Code = "rejected"     // understood, and refused by a rule
	Unavailable  Code = "unavailable"  // a part we depend on does not answer
	Internal     Code = "internal"     // our own fault
)

// Codes lists every [Code], so that what must know each of them can be held to it.
func Codes() []Code {
	return []Code{Invalid, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, RateLimited, Rejected, Unavailable, Internal}
}

// Error is the one error type that crosses a package boundary with meaning.
//
// Message is for whoever asked: a sentence they can act on, free of internals
// and secrets. Err is the cause, for the log only.
type Error struct {
	Code       Code
	Field      string        // what is at fault: "client_payload.tag", "environments.dev.tags"; may be empty
	Message    string        // safe to show to the client
	RetryAfter time.Duration // how long the other side asked us to wait; 0 when it did not say
	Err        error         // the cause; never shown to a client
}

// Errorf makes an [Error] without a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// FieldErrorf makes an [Invalid] error that names the field at fault.
func FieldErrorf(field, format string, args ...any) *Error {
	return &Error{Code: Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy of e with the cause: an error that is shared stays as
// it is.
func (e *Error) WithCause(cause error) *Error {
	with := *e
	with.Err = cause
	return &with
}

// Public is the part that may be shown to whoever asked.
func (e *Error) Public() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Error is the sentence and the cause: for logs. A sentence that ends with its cause's own
// is not followed by it a second time.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Public()
	}
	said, cause := e.Public(), e.Err.Error()
	repeated := cause
	if inner := (*Error)(nil); errors.As(e.Err, &inner) {
		repeated = inner.Public()
	}
	if more, ok := strings.CutPrefix(cause, repeated); ok && strings.HasSuffix(said, repeated) {
		return said + more
	}
	return said + ": " + cause
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first [Error] in err's chain, [Unavailable]
// for a context that ended, and [Internal] for everything else.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Internal
}

// PublicOf returns what may be shown of err: the sentence of the first
// [Error] in its chain, or a fixed one that gives nothing away.
func PublicOf(err error) string {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Public()
	case CodeOf(err) == Unavailable:
		return "the work was stopped before it was done"
	}
	return "an internal error; the log has the cause"
}

// PrefixField puts the field of an [Invalid] error, or of each of several that are
// joined, below another: what a part calls "appID" is "githubApp.appID" to whoever
// wrote the file. Other errors stay as they are.
func PrefixField(field string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var each []error
		for _, e := range joined.Unwrap() {
			each = append(each, PrefixField(field, e))
		}
		return errors.Join(each...)
	}
	var e *Error
	if !errors.As(err, &e) || e.Code != Invalid {
		return err
	}
	below := *e
	below.Field = field
	if e.Field != "" {
		below.Field += "." + e.Field
	}
	return &below
}
