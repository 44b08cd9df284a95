// Package branch reads a branch of a repository: its tip as an immutable snapshot, with all
// trees and with the files that matter, within a bound of memory. It decides nothing and
// writes nothing.
package branch

import (
	"context"
	"log/slog"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Config says what is read. All of it is required.
type Config struct {
	Branch string // its name

	// Files lists the files whose contents are held. It is called by several goroutines and
	// must not block; its result is not changed, and may be another one later.
	Files func() []string

	// Guard stands before what the server sends is parsed.
	Guard Guard

	Limits Limits
	Logger *slog.Logger
	Now    func() time.Time
}

// Guard bounds what is parsed at a time, and keeps what ends the process from ending it
// again. [*guard.Guard] is one. Safe for concurrent use.
type Guard interface {
	// Enter is called before an object is parsed that may take so many bytes; leave is
	// called when nothing of it is held any more. Without wait there is no leave and no
	// error when the memory is not to be had now. An error that is [gitops.Rejected] is
	// the object's own.
	Enter(ctx context.Context, o gitops.ParsedObject, cost int64, wait bool) (leave func(), err error)
}

// Limits bound what is held of one tip, and what is searched.
type Limits struct {
	FileBytes int          // of a file that is held
	Bytes     func() int64 // of a snapshot: a quarter for its trees, the rest for the files; called by several goroutines
	History   int          // commits that are searched back
}

// directories is the part of the snapshot that is for its trees, and files that for the
// contents of the files that updates can change.
func (l Limits) directories() int64 { return l.Bytes() / 4 }
func (l Limits) files() int64       { return l.Bytes() - l.directories() }

// Oversize is why a file of a size is not held.
func (l Limits) Oversize(size int64) error {
	return gitops.Errorf(gitops.TooLarge, "the file has %d bytes, and at most %d are read: split it, or raise limits.file.bytes", size, l.FileBytes)
}
