package config

import (
	"path/filepath"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Backup says where serve writes backups of the store from time to time. It does not
// without a directory.
type Backup struct {
	// Directory is the absolute path of a directory, best on another volume than the
	// store's. Files in it that are no backups are left alone.
	Directory string `yaml:"directory"`
	// Every is how long after the newest backup in the directory the next one is made,
	// as in "24h", at least 1m. Default 24h.
	Every time.Duration `yaml:"every"`
	// Keep is how many backups stay in the directory, 1 to 1000. Default 7.
	Keep int64 `yaml:"keep"`
}

// checkDirectory refuses what only means something with a directory, before it has
// defaults: whoever says how often there are backups counts on having some.
func (b Backup) checkDirectory() error {
	if b.Directory == "" && (b.Every != 0 || b.Keep != 0) {
		return gitops.FieldErrorf("backup.directory", "is missing: without it no backup is made, so every and keep mean nothing")
	}
	return nil
}

func (b Backup) check(report func(field, format string, args ...any)) {
	if b.Directory != "" && !filepath.IsAbs(b.Directory) {
		report("backup.directory", "must be an absolute path, such as /var/backups/tallyman")
	}
	if b.Every < time.Minute {
		report("backup.every", "must be at least 1m")
	}
	if b.Keep < 1 || b.Keep > 1000 {
		report("backup.keep", "must be 1 to 1000")
	}
}
