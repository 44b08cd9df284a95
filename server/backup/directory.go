package backup

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Directory holds the newest backups. What else is in it is left alone.
//
// A backup whose name says a time to come was written while a clock was wrong, then or
// now. It is not the newest and counts for nothing, and is not removed before that time:
// else it would be kept in the place of each one that is written after the clock was set
// right, or be removed for one that is older.
type Directory struct {
	Path string
	Keep int // how many backups
}

const nameLayout = "tallyman-20060102T150405Z.backup"

var (
	name = regexp.MustCompile(`^tallyman-\d{8}T\d{6}Z\.backup$`)
	part = regexp.MustCompile(`^\.tallyman-\d{8}T\d{6}Z\.backup\.\d+\.part$`)
)

// abandonedAfter is how old a part of ours is that nobody writes any more.
const abandonedAfter = 24 * time.Hour

// Add writes a backup into the directory, under the name of the time, and then removes
// those that are too many. A failure removes none. Parts that a process left that died go
// first: they may have taken the room that the backup needs.
func (d Directory) Add(ctx context.Context, s Source) (file string, held queue.Counts, err error) {
	_, abandoned, err := d.list()
	if err != nil {
		return "", queue.Counts{}, err
	}
	unremoved := d.remove(abandoned)
	file = filepath.Join(d.Path, time.Now().UTC().Format(nameLayout))
	if held, err = s.WriteFile(ctx, file); err != nil {
		return "", queue.Counts{}, err
	}
	return file, held, cmp.Or(d.prune(), unremoved)
}

// prune removes all but the newest backups.
func (d Directory) prune() error {
	backups, _, err := d.list()
	if err != nil {
		return err
	}
	return d.remove(backups[:max(0, len(backups)-d.Keep)])
}

// remove removes files of the directory. One that is gone was removed by another process
// that shares the directory.
func (d Directory) remove(names []string) error {
	var errs []error
	for _, name := range names {
		if err := os.Remove(filepath.Join(d.Path, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return gitops.Errorf(gitops.Unavailable, "the backup is written; older ones in %s, or parts of them, cannot be removed", d.Path).WithCause(err)
	}
	return nil
}

// list returns the names of the backups of until now, oldest first, and of the parts that
// nobody writes.
func (d Directory) list() (backups, abandoned []string, err error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, nil, gitops.Errorf(gitops.Unavailable, "the directory of backups, %s, cannot be read", d.Path).WithCause(err)
	}
	now := time.Now().UTC().Format(nameLayout)
	for _, entry := range entries {
		if name.MatchString(entry.Name()) && entry.Name() <= now {
			backups = append(backups, entry.Name())
		}
		if info, err := entry.Info(); err == nil && part.MatchString(entry.Name()) && time.Since(info.ModTime()) > abandonedAfter {
			abandoned = append(abandoned, entry.Name())
		}
	}
	slices.SortFunc(backups, strings.Compare)
	return backups, abandoned, nil
}

// Check reports whether backups can be written into the directory. It changes nothing.
func (d Directory) Check() error {
	if _, _, err := d.list(); err != nil {
		return err
	}
	if unix.Access(d.Path, unix.W_OK|unix.X_OK) != nil {
		return gitops.Errorf(gitops.Unavailable, "the directory of backups, %s, cannot be written by this user", d.Path)
	}
	return nil
}

// Newest is when the newest backup was made; the zero time when there is none.
func (d Directory) Newest() (time.Time, error) {
	backups, _, err := d.list()
	if err != nil || len(backups) == 0 {
		return time.Time{}, err
	}
	return time.Parse(nameLayout, backups[len(backups)-1])
}
