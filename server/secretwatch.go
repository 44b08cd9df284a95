package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"time"
)

// lookAtSecrets is how often the secrets' files are read for the audit: some 20 small
// files.
const lookAtSecrets = 5 * time.Second

// secretWatch notices that the secret in a file was replaced while the program runs,
// whatever the file is for. It keeps hashes, not secrets.
type secretWatch struct {
	files    func() []secretFile // those of the configuration in force
	logger   *slog.Logger
	replaced func(field string) // is told the field that names the file

	seen map[secretFile][sha256.Size]byte
}

// newSecretWatch reads the files for the first time.
func newSecretWatch(files func() []secretFile, logger *slog.Logger, replaced func(field string)) *secretWatch {
	w := &secretWatch{files: files, logger: logger, replaced: replaced, seen: make(map[secretFile][sha256.Size]byte)}
	w.look()
	return w
}

// run looks until ctx ends, and once more then.
func (w *secretWatch) run(ctx context.Context) {
	look := time.NewTicker(lookAtSecrets)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			w.look()
		case <-ctx.Done():
			w.look()
			return
		}
	}
}

// look compares the files with the last look. One that the configuration names since
// then is only read.
func (w *secretWatch) look() {
	for _, f := range w.files() {
		hash, ok := f.hash()
		before, known := w.seen[f]
		if !known {
			w.seen[f] = hash
		} else if ok && hash != before {
			w.seen[f] = hash
			w.logger.Info("secret replaced", slog.String("field", f.field), slog.String("file", f.path))
			w.replaced(f.field)
		}
	}
}

// hash is that of the secret without the white space around it, which does not count. A
// file that is gone or empty, as for a moment while it is written, has none.
func (f secretFile) hash() (hash [sha256.Size]byte, ok bool) {
	text, err := os.ReadFile(f.path)
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return hash, false
	}
	return sha256.Sum256(text), true
}
