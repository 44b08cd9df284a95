package archive

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"io"
	"iter"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Write writes a backup of the entries to w, and returns how much it holds. After an
// error w has a stream that no reader accepts. An error of the entries is returned as it
// is; one of w has the code Unavailable.
func Write(ctx context.Context, w io.Writer, info Info, entries iter.Seq2[queue.Entry, error]) (held queue.Counts, err error) {
	out, sum := &sink{w: w}, sha256.New()
	if _, err := io.WriteString(io.MultiWriter(sum, out), info.line()); err != nil {
		return held, out.failure(err)
	}
	compressed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return held, err
	}
	bounded := &bounded{w: io.MultiWriter(sum, compressed)}
	encoder := gob.NewEncoder(bounded)
	var left garbage
	for entry, err := range entries {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return held, err
		}
		bounded.left = largestItem
		if err := encoder.Encode(item{Entry: &entry}); err != nil {
			return held, out.failure(err)
		}
		held.Add(entry)
		left.made(largestItem - bounded.left)
	}
	bounded.left = largestItem
	last := end{Counts: held}
	sum.Sum(last.Sum[:0])
	if err := encoder.Encode(item{End: &last}); err != nil {
		return held, out.failure(err)
	}
	if err := compressed.Close(); err != nil {
		return held, out.failure(err)
	}
	return held, nil
}

// bounded fails for an item that no reader would take: better now than at the restore.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errTooLarge()
	}
	return b.w.Write(p)
}

// sink remembers the error of the writer behind it, which comes back wrapped by whatever
// is in between.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}

// failure is the error of a write that failed.
func (s *sink) failure(err error) error {
	if s.err != nil {
		return gitops.Errorf(gitops.Unavailable, "the backup cannot be written to its target").WithCause(s.err)
	}
	return err
}
