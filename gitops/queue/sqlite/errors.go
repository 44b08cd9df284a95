package sqlite

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/tallyman-dev/tallyman/gitops"
)

// resultCode is SQLite's primary result code in err's chain, or 0
// (sqlite.org/rescode.html).
func resultCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// broken reports whether err is the file's or the disk's fault, and so every
// request's of its group, not one request's.
func broken(err error) bool {
	switch resultCode(err) {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_NOMEM,
		lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL, lib.SQLITE_PERM,
		lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_INTERRUPT, lib.SQLITE_MISUSE:
		return true
	}
	return false
}

// domainError is err in the contract's terms. An error that speaks them already
// stays as it is.
func domainError(err error) error {
	var e *gitops.Error
	switch {
	case err == nil, errors.As(err, &e):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return gitops.Errorf(gitops.Unavailable, "the store timed out").WithCause(err)
	}
	switch resultCode(err) {
	case lib.SQLITE_FULL:
		return gitops.Errorf(gitops.Unavailable, "the store's disk is full").WithCause(err)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return gitops.Errorf(gitops.Unavailable, "the store's file is locked by another program").WithCause(err)
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return gitops.Errorf(gitops.Unavailable, "the store's file is damaged").WithCause(err)
	}
	if broken(err) {
		return gitops.Errorf(gitops.Unavailable, "the store's file cannot be read or written").WithCause(err)
	}
	return gitops.Errorf(gitops.Internal, "the store could not do it; the log has the cause").WithCause(err)
}

func errClosed() error {
	return gitops.Errorf(gitops.Unavailable, "the store is closed")
}

func errLeaseLost(name string) error {
	return gitops.Errorf(gitops.Conflict, "the lease of %s is no longer this holder's", name)
}
