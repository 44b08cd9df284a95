//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/tallyman-dev/tallyman/gitops"
)

const lockSuffix = ".lock"

// lock makes this process the only one at the store. The kernel frees flock(2)
// however the process ends, so a lock that is held means that its holder lives.
// The file stays: deleting it would let two processes lock two files of one name.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, gitops.Errorf(gitops.Unavailable, "the store's lock file %s cannot be opened", path).WithCause(err)
	}
	if err := ownAs(path, strings.TrimSuffix(path, lockSuffix)); err != nil {
		return nil, errors.Join(gitops.Errorf(gitops.Unavailable, "the store's lock file %s cannot be given to the store's owner", path).WithCause(err), f.Close())
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		// For the sentence below and for whoever looks; nothing depends on it.
		_ = f.Truncate(0)
		_, _ = fmt.Fprintln(f, os.Getpid())
		return f, nil
	}
	owner := ownerOf(f)
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, gitops.Errorf(gitops.Conflict,
			"the store is in use by another process%s, and one at a time may have it open: stop that one first", owner)
	}
	return nil, gitops.Errorf(gitops.Unavailable, "the store's lock file %s cannot be locked", path).WithCause(err)
}

// ownerOf says which process wrote f, if one did.
func ownerOf(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 20))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return " (" + pid + ")"
	}
	return ""
}
