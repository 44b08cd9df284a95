package gitops_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
)

// The codes are what clients, alerts and dashboards are written against.
func TestCodesAreThese(t *testing.T) {
	want := []gitops.Code{
		"invalid", "unauthorized", "forbidden", "not_found", "conflict",
		"too_large", "rate_limited", "rejected", "unavailable", "internal",
	}
	if diff := cmp.Diff(want, gitops.Codes()); diff != "" {
		t.Error(diff)
	}
}

func TestCodeOf(t *testing.T) {
	refused := gitops.Errorf(gitops.Rejected, "no")
	for _, c := range []struct {
		name string
		err  error
		want gitops.Code
	}{
		{"ours", refused, gitops.Rejected},
		{"ours, wrapped", fmt.Errorf("planning: %w", refused), gitops.Rejected},
		{"the outermost of two counts", gitops.Errorf(gitops.Unavailable, "later").WithCause(refused), gitops.Unavailable},
		{"the first of several", errors.Join(io.EOF, refused), gitops.Rejected},
		{"a deadline", fmt.Errorf("asking: %w", context.DeadlineExceeded), gitops.Unavailable},
		{"a cancellation", context.Canceled, gitops.Unavailable},
		{"ours, because of a deadline", gitops.Errorf(gitops.Conflict, "held").WithCause(context.DeadlineExceeded), gitops.Conflict},
		{"anybody else's", io.ErrUnexpectedEOF, gitops.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := gitops.CodeOf(c.err); got != c.want {
				t.Errorf("CodeOf(%v) = %s, want %s", c.err, got, c.want)
			}
		})
	}
}

// What a client is shown holds no cause, however the error was put together; the
// log's text holds all of it.
func TestPublicHidesCauses(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.7:5432: password s3cret refused")
	for _, c := range []struct {
		name, want string
		err        error
	}{
		{"a message", "the store is away", gitops.Errorf(gitops.Unavailable, "the store is away").WithCause(cause)},
		{"a field", "environments.dev.tags: must have match", gitops.FieldErrorf("environments.dev.tags", "must have match").WithCause(cause)},
		{"wrapped", "the store is away", fmt.Errorf("accepting: %w", gitops.Errorf(gitops.Unavailable, "the store is away").WithCause(cause))},
		{"two of ours", "come again", gitops.Errorf(gitops.Unavailable, "come again").WithCause(gitops.Errorf(gitops.Internal, "%v", cause))},
		{"a stopped context", "the work was stopped before it was done", fmt.Errorf("%w: %w", context.Canceled, cause)},
		{"somebody else's", "an internal error; the log has the cause", cause},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := gitops.PublicOf(c.err); got != c.want {
				t.Errorf("the client reads %q, want %q", got, c.want)
			}
			if !strings.Contains(c.err.Error(), "s3cret") {
				t.Errorf("the log does not have the cause: %q", c.err)
			}
			if !errors.Is(c.err, cause) && c.name != "two of ours" {
				t.Error("the cause is not in the chain")
			}
		})
	}
}

func TestErrorFields(t *testing.T) {
	e := gitops.FieldErrorf("set[0].key", "is %s", "missing")
	want := &gitops.Error{Code: gitops.Invalid, Field: "set[0].key", Message: "is missing"}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if e.Error() != e.Public() || e.Unwrap() != nil {
		t.Errorf("an error without cause is its sentence, not %q", e)
	}
	if limited := (&gitops.Error{Code: gitops.RateLimited, Message: "slow down", RetryAfter: time.Minute}); limited.Error() != "slow down" {
		t.Errorf("%q", limited)
	}
}

// A sentence that is made of another is not said twice where both are printed; what the
// other's cause adds is.
func TestASentenceIsSaidOnce(t *testing.T) {
	inner := gitops.Errorf(gitops.Unavailable, "registry ghcr.io answered 503")
	for want, err := range map[string]error{
		"api in prod: registry ghcr.io answered 503":                 gitops.Errorf(gitops.Unavailable, "api in prod: %s", inner.Public()).WithCause(inner),
		"api in prod: registry ghcr.io answered 503: EOF":            gitops.Errorf(gitops.Unavailable, "api in prod: %s", inner.Public()).WithCause(inner.WithCause(io.EOF)),
		"a.b: /key has no PEM block":                                 gitops.FieldErrorf("a.b", "/key has no PEM block").WithCause(errors.New("/key has no PEM block")),
		"not written: registry ghcr.io answered 503":                 gitops.Errorf(gitops.Unavailable, "not written").WithCause(inner),
		"registry ghcr.io answered 503: asking: still 503: a reason": gitops.Errorf(gitops.Unavailable, "registry ghcr.io answered 503").WithCause(fmt.Errorf("asking: %w", gitops.Errorf(gitops.Unavailable, "still 503").WithCause(errors.New("a reason")))),
	} {
		if err.Error() != want || err.(*gitops.Error).Unwrap() == nil {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

func TestPrefixField(t *testing.T) {
	other := errors.New("else")
	err := gitops.PrefixField("a", errors.Join(gitops.FieldErrorf("b", "x").WithCause(other), gitops.FieldErrorf("", "y"), gitops.Errorf(gitops.Unavailable, "z"), other))
	if want := "a.b: x: else\na: y\nz\nelse"; err.Error() != want || !errors.Is(err, other) {
		t.Errorf("%q, want %q", err, want)
	}
	inner := gitops.FieldErrorf("b", "x")
	if err := gitops.PrefixField("a", inner); inner.Field != "b" || gitops.PublicOf(err) != "a.b: x" {
		t.Errorf("%v became %v", inner, err)
	}
	if gitops.PrefixField("a", nil) != nil {
		t.Error("nothing became something")
	}
}

// An error that is shared, as those of a package are, does not take the cause of
// one call into another.
func TestWithCauseCopies(t *testing.T) {
	shared := gitops.Errorf(gitops.Unavailable, "the store is closed")
	cause := errors.New("disk full")
	if err := shared.WithCause(cause); !errors.Is(err, cause) || err.Code != gitops.Unavailable || err.Message != shared.Message {
		t.Errorf("with its cause it is %#v", err)
	}
	if shared.Err != nil {
		t.Errorf("the shared error got the cause %v", shared.Err)
	}
}
