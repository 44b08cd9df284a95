package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tallyman-dev/tallyman/gitops"
)

// What the functions of the migrations fail with.
const (
	leaseLost   = "TM001"
	notInLane   = "TM002"
	noHold      = "TM003"
	known       = "TM004"
	unexpected  = "TM005"
	tooMany     = "TM006"
	diskFull    = "53100"
	readOnly    = "25006"
	lockTimeout = "55P03"
	canceled    = "57014" // by the time limit, or by a person

	insufficientPrivilege = "42501"
	uniqueViolation       = "23505"
)

// sqlState is the code that the server gave the error, or ""
// (postgresql.org/docs/current/errcodes-appendix.html).
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// broken reports whether err is the server's or the connection's fault, and so
// every request's of its group, not one request's. What the server says about
// itself has a class of its own; what it did not say is the connection's end.
func broken(err error) bool {
	state := sqlState(err)
	switch {
	case state == "":
		return err != nil
	case state == readOnly, state == lockTimeout:
		return true
	}
	switch state[:2] {
	case "08", "28", "3D", "40", "53", "57", "58", "XX": // connection, login, no such database, rolled back, resources, operator, system, damage
		return true
	}
	return false
}

// domainError is err in the contract's terms. An error that speaks them already
// stays as it is.
func domainError(err error) error {
	var e *gitops.Error
	unavailable := func(sentence string) error { return gitops.Errorf(gitops.Unavailable, "%s", sentence).WithCause(err) }
	state := sqlState(err)
	switch {
	case err == nil, errors.As(err, &e):
		return err
	case state == "" && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return unavailable("the store timed out")
	case state == diskFull:
		return unavailable("the store's disk is full")
	case state == readOnly:
		return unavailable("the store's server takes no changes: it is a standby, or set to read only")
	case strings.HasPrefix(state, "28"):
		return unavailable("the store's server refuses the login")
	case strings.HasPrefix(state, "3D"):
		return unavailable("the store's database does not exist")
	case state == insufficientPrivilege, state == "3F000":
		return unavailable("the store's user lacks a right in its database, or its schema is not there")
	case state == canceled, state == lockTimeout:
		return unavailable("the store timed out")
	case broken(err):
		return unavailable("the store's server cannot be reached, or is not able to work")
	}
	return gitops.Errorf(gitops.Internal, "the store could not do it; the log has the cause").WithCause(err)
}

func errClosed() error {
	return gitops.Errorf(gitops.Unavailable, "the store is closed")
}

// leaseError is domainError for a call with the lease of the name.
func leaseError(name string, err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case leaseLost:
			return gitops.Errorf(gitops.Conflict, "the lease of %s was lost", name)
		case notInLane:
			return gitops.Errorf(gitops.NotFound, "there is no update %s in the lane of %s", e.Message, name)
		}
	}
	return domainError(err)
}

func errNoUpdate(id string) error {
	return gitops.Errorf(gitops.NotFound, "there is no update %s", id)
}
