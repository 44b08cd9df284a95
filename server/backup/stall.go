package backup

import (
	"context"
	"io"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// newStallWriter returns a writer to w that fails when w takes nothing for so long. While
// a backup is read the store keeps what changes meanwhile: a reader at the other end of a
// pipe that sleeps would fill its disk. A write that is given up goes on in w until w
// takes it, or the process ends.
func newStallWriter(ctx context.Context, w io.Writer, limit time.Duration) io.Writer {
	return &stallWriter{ctx: ctx, w: w, limit: limit, done: make(chan written, 1)}
}

type stallWriter struct {
	ctx   context.Context // of the backup: a process that is stopped does not wait for the target
	w     io.Writer
	limit time.Duration
	done  chan written
	buf   []byte // the caller's bytes, which are its own again when it gives up
	err   error  // of a write before
}

type written struct {
	n   int
	err error
}

func (s *stallWriter) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	s.buf = append(s.buf[:0], p...)
	go func() {
		n, err := s.w.Write(s.buf)
		s.done <- written{n, err}
	}()
	timer := time.NewTimer(s.limit)
	defer timer.Stop()
	select {
	case d := <-s.done:
		s.err = d.err
		return d.n, d.err
	case <-s.ctx.Done():
		s.err = s.ctx.Err()
		return 0, s.err
	case <-timer.C:
		s.err = gitops.Errorf(gitops.Unavailable, "the target of the backup took nothing for %s", s.limit)
		return 0, s.err
	}
}
