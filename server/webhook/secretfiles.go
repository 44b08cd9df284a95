package webhook

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Secrets returns the secrets that are good now. Safe for concurrent use; what it
// returns must not be changed.
type Secrets func() [][]byte

// SecretFiles are secrets in files, one in each, that are read again when a file
// changes: a secret can be replaced under load, without a restart and without
// losing a delivery. A line break at a file's end, which editors and echo leave,
// is not part of its secret.
//
// A file that cannot be read for now, or is empty, as it is for a moment while it
// is written, leaves its previous secret in force.
type SecretFiles struct {
	check  func(secret []byte) error
	logger *slog.Logger

	mu    sync.Mutex // held to read again
	files []*secretFile
	now   atomic.Pointer[[]secretState] // of all files, in their order
	good  atomic.Pointer[[][]byte]
}

type secretFile struct {
	path    string
	secret  []byte
	problem string // what was logged of it last
}

// secretState is by what a file is known not to have changed.
type secretState struct {
	info fs.FileInfo // nil when the file is not there
	read time.Time
}

// settleTime is how old a file must be before its time tells one content from the
// next: file systems count in steps, and two writes may fall in one.
const settleTime = 2 * time.Second

// ReadSecretFiles reads the files, whose list field configures. A secret that
// check refuses is not used. Its error is Invalid and names the field.
func ReadSecretFiles(field string, files []string, check func(secret []byte) error, logger *slog.Logger) (*SecretFiles, error) {
	if len(files) == 0 {
		return nil, CheckSecrets(field, nil)
	}
	s := &SecretFiles{check: check, logger: logger}
	for i, path := range files {
		field := fmt.Sprintf("%s[%d]", field, i)
		secret, err := s.read(path)
		if err != nil {
			e := *err
			e.Field = field
			return nil, &e
		}
		s.files = append(s.files, &secretFile{path: path, secret: secret})
	}
	none := make([]secretState, len(files))
	s.now.Store(&none) // so that the first call reads them all
	s.publish()
	return s, nil
}

func (s *SecretFiles) read(path string) ([]byte, *gitops.Error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, gitops.FieldErrorf("", "%s cannot be read", path).WithCause(err)
	}
	secret := bytes.TrimRight(text, "\r\n")
	if len(secret) == 0 {
		return nil, gitops.FieldErrorf("", "%s is empty", path)
	}
	if err := s.check(secret); err != nil {
		return nil, gitops.FieldErrorf("", "%s %s", path, gitops.PublicOf(err))
	}
	return secret, nil
}

// Current is [Secrets]. It costs a look at each file.
func (s *SecretFiles) Current() [][]byte {
	for i, seen := range *s.now.Load() {
		if changed(s.files[i].path, seen) {
			return s.reload()
		}
	}
	return *s.good.Load()
}

func changed(path string, seen secretState) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil || seen.info == nil:
		return true
	case !os.SameFile(info, seen.info) || info.Size() != seen.info.Size() || !info.ModTime().Equal(seen.info.ModTime()):
		return true
	}
	return seen.read.Sub(info.ModTime()) < settleTime
}

// reload reads the files again.
func (s *SecretFiles) reload() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]secretState, len(s.files))
	for i, f := range s.files {
		// The state first: what is written between the two is seen next time.
		states[i].read = time.Now()
		states[i].info, _ = os.Stat(f.path)
		secret, err := s.read(f.path)
		problem := ""
		switch {
		case err != nil:
			problem = err.Message
		case !bytes.Equal(secret, f.secret):
			f.secret = secret
		}
		if problem != f.problem && problem != "" {
			s.logger.Warn("secret file unreadable, using the previous secret", slog.String("file", f.path), slog.String("error", err.Error()))
		}
		f.problem = problem
	}
	s.now.Store(&states)
	return s.publish()
}

func (s *SecretFiles) publish() [][]byte {
	good := make([][]byte, len(s.files))
	for i, f := range s.files {
		good[i] = f.secret
	}
	s.good.Store(&good)
	return good
}
