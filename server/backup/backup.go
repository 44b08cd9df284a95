// Package backup writes backups to files and streams, and into a directory from time to
// time.
package backup

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/archive"
)

// Source is a store that is backed up, whether it is open or not.
type Source struct {
	Export  func(ctx context.Context) iter.Seq2[queue.Entry, error]
	Program string // its version
}

// stalledAfter is how long a target may take nothing: a reader that sleeps, or a volume
// whose server is away.
const stalledAfter = time.Minute

// Write writes a backup to w, and fails when w takes nothing for a minute.
func (s Source) Write(ctx context.Context, w io.Writer) (queue.Counts, error) {
	buffered := bufio.NewWriterSize(newStallWriter(ctx, w, stalledAfter), 64<<10)
	held, err := archive.Write(ctx, buffered, archive.Info{MadeAt: time.Now(), Program: s.Program}, s.Export(ctx))
	if err != nil {
		return held, err
	}
	if err := buffered.Flush(); err != nil {
		return held, gitops.Errorf(gitops.Unavailable, "the backup cannot be written to its target").WithCause(err)
	}
	return held, nil
}

// partSuffix ends the name of a file that is being written, which begins with a dot.
const partSuffix = ".part"

// WriteFile writes a backup to a new file, which its owner alone may read. The file
// appears whole and on the disk, or not at all. The error's code is Conflict when
// something of its name is there, and Unavailable when it cannot be written.
func (s Source) WriteFile(ctx context.Context, file string) (queue.Counts, error) {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return queue.Counts{}, gitops.Errorf(gitops.Conflict, "%s is there already, and a backup overwrites nothing: give another name, or move that file away", file)
	}
	part, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*"+partSuffix) // readable by its owner alone
	if err != nil {
		return queue.Counts{}, gitops.Errorf(gitops.Unavailable, "%s cannot be written", file).WithCause(err)
	}
	held, err := s.Write(ctx, part)
	if err == nil {
		err = publish(part, file)
	}
	if err != nil {
		return queue.Counts{}, errors.Join(err, part.Close(), os.Remove(part.Name()))
	}
	return held, part.Close()
}

// publish gives the part its name, and puts both on the disk.
func publish(part *os.File, file string) error {
	err := part.Sync()
	if err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err == nil {
		err = syncDir(filepath.Dir(file))
	}
	if err != nil {
		return gitops.Errorf(gitops.Unavailable, "%s cannot be written", file).WithCause(err)
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
