// Package archive is the form in which a store is backed up: a stream of bytes that
// holds everything of it, whichever store it was, and from which any store is made.
//
// # The form
//
// The first line is text: "tallyman backup 1", the time of the backup, and the program's
// version. After it comes a gzip stream, in which entries (see [queue.Entry]) follow one
// another in the encoding of [encoding/gob]: first all that a store exports, in its
// order, and at the end one that says how much of each kind there was, and a SHA-256
// of all bytes before it. Nothing follows.
//
// # What a reader may rely on
//
// [Reader.Entries] yields an error, and not the end, for a stream that is cut off
// anywhere, has a changed byte, or goes on behind its end: whoever brings the entries in
// and commits after the last one has all of them, or nothing. Both sides hold one entry
// in memory and some 100 KiB beside it; an entry is at most one delivery, with a body of
// 1 MiB and [queue.MaxUpdates] updates. One that takes more than [largestItem] is neither
// written nor read, whatever length the stream says it has.
//
// # Versions
//
// A field that is added needs no new number: older streams leave it zero, and
// [encoding/gob] would skip it silently in an older program, which is why [version] rises
// with every field or kind of entry that an older program must not lose. A stream of a
// higher version is refused.
//
// The stream holds the keys that prove commits. It is as secret as the store.
package archive

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// version is that of the form; the package's comment says when it rises.
const version = 1

const (
	magic       = "tallyman backup "
	longestLine = 200 // of the first line, in bytes
)

// largestItem is in bytes, uncompressed: three times what a delivery takes that is as large
// as the server accepts. Without it a stream of 1 MiB that compresses well has gob read
// 1 GiB as one item.
const largestItem = 32 << 20

// collectAfter is of how many bytes the garbage is collected before more is read or written. The
// collector runs beside the program, and on a busy machine it is late: what the disk gives
// meanwhile is garbage too, so a restore once took 146 MiB where 90 are usual. A collection takes
// some 5 ms.
const collectAfter = 8 << 20

// garbage counts what entries leave behind.
type garbage struct{ bytes int }

// made counts an entry that has been read or written.
func (g *garbage) made(bytes int) {
	if g.bytes += bytes; g.bytes >= collectAfter {
		g.bytes = 0
		runtime.GC()
	}
}

// Info is what the first line says.
type Info struct {
	MadeAt  time.Time // UTC, in whole seconds; what was accepted later is not in it
	Program string    // the version of the program that wrote it
}

func (i Info) line() string {
	program := strings.Join(strings.Fields(i.Program), "-")
	return fmt.Sprintf("%s%d %s %.100s\n", magic, version, i.MadeAt.UTC().Format(time.RFC3339), program)
}

// parseLine reads the first line, without its end.
func parseLine(line string) (i Info, err error) {
	var number int
	var at string
	text, ours := strings.CutPrefix(line, magic)
	if !ours {
		return i, errNotOurs()
	}
	if _, err := fmt.Sscan(text, &number, &at); err != nil {
		return i, errDamaged(err)
	}
	if number > version {
		return i, gitops.Errorf(gitops.Invalid, "the backup was written by a newer tallyman (form %d; this one reads up to %d): restore it with that version or a later one", number, version)
	}
	if i.MadeAt, err = time.Parse(time.RFC3339, at); err != nil {
		return i, errDamaged(err)
	}
	if fields := strings.Fields(text); len(fields) == 3 {
		i.Program = fields[2]
	}
	return i, nil
}

// item is what the gzip stream holds a sequence of.
type item struct {
	Entry *queue.Entry
	End   *end
}

// end is the last item.
type end struct {
	Counts queue.Counts
	Sum    [sha256.Size]byte // of all bytes before the item
}

func errNotOurs() error {
	return gitops.Errorf(gitops.Invalid, "this is not a backup of tallyman: a backup begins with %q", strings.TrimSpace(magic))
}

func errDamaged(cause error) error {
	return gitops.Errorf(gitops.Invalid, "the backup is damaged: nothing of it was restored; take another one").WithCause(cause)
}

func errTooLarge() error {
	return gitops.Errorf(gitops.Invalid, "the backup has an entry of more than %d MiB, which no store holds", largestItem>>20)
}

func errCutOff(cause error) error {
	return gitops.Errorf(gitops.Invalid, "the backup is not complete: it was cut off while it was written or copied. Nothing of it was restored; take another one").WithCause(cause)
}
