package server

import (
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/backup"
	"github.com/tallyman-dev/tallyman/server/config"
)

// backupMetrics tell how old the newest backup is. They are there only where backups
// are made.
type backupMetrics struct {
	last prometheus.Gauge
}

func newBackupMetrics(registry *prometheus.Registry, c config.Backup) backupMetrics {
	m := backupMetrics{last: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tallyman_backup_last_success_timestamp_seconds", Help: "When the newest backup in backup.directory was made; 0 when there is none.",
	})}
	every := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tallyman_backup_interval_seconds", Help: "How long after a backup the next one is made: backup.every.",
	})
	every.Set(c.Every.Seconds())
	registry.MustRegister(m.last, every)
	return m
}

func (m backupMetrics) succeeded(at time.Time) { m.last.Set(float64(at.Unix())) }

// CheckBackups reports whether timed backups can be written, where they are configured.
// It changes nothing.
func (s *Server) CheckBackups(out io.Writer) error {
	c := s.current().config.Backup
	if c.Directory == "" {
		return nil
	}
	if err := (backup.Directory{Path: c.Directory}).Check(); err != nil {
		return err
	}
	fmt.Fprintf(out, "backups: %s can be written\n", c.Directory)
	return nil
}

// startBackups has the store backed up from time to time, where that is configured.
func (s *Server) startBackups() {
	c := s.current().config.Backup
	if c.Directory == "" {
		return
	}
	timed := backup.Timed{
		Directory: backup.Directory{Path: c.Directory, Keep: int(c.Keep)}, Every: c.Every, Source: BackupSource(s.current().config, s.version),
		Succeeded: newBackupMetrics(s.metrics.registry, c).succeeded, Logger: s.logger,
	}
	s.runUntilStop("backup", timed.Run)
}
