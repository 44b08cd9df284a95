package server

import (
	"log/slog"
	"os"
	"reflect"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/audit"
	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/webhook/sns"
)

// ReloadFile puts the configuration in the file in force: the whole of it, or, with an
// error, nothing of it. The log and the metrics say which. A delivery is judged by one
// configuration from its beginning to its end: who is let in by the old one while the
// new one takes its place has it judged by the old one. It is not safe for concurrent
// use, and not to be called before Start has returned or after Stop was called.
func (s *Server) ReloadFile(path string) error {
	err := s.tryFile(path)
	if err != nil {
		s.rejectFile(path, err)
	}
	return err
}

// RetryFile is ReloadFile for a file that was rejected and did not change: what it names,
// such as a secret's file, may be there by now. It counts and logs a rejection only when
// the reason is another one.
func (s *Server) RetryFile(path string) error {
	err := s.tryFile(path)
	if err != nil && err.Error() != s.rejection {
		s.rejectFile(path, err)
	}
	return err
}

func (s *Server) tryFile(path string) error {
	// Whoever opens a pipe waits for its writer, and everything else would wait with him.
	if file, err := os.Stat(path); err == nil && !file.Mode().IsRegular() {
		return gitops.Errorf(gitops.Invalid, "%s is not a regular file, and cannot be read again: restart tallyman", path)
	}
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	if err := s.reload(c); err != nil {
		return err
	}
	s.rejection = ""
	s.outdated.Store(false)
	s.metrics.configs.rejected.Set(0)
	s.metrics.configs.loaded.SetToCurrentTime()
	return nil
}

// rejectFile tells that the file is not in force.
func (s *Server) rejectFile(path string, why error) {
	s.rejection = why.Error()
	s.outdated.Store(true)
	s.metrics.configs.rejected.Set(1)
	s.metrics.configs.failures.Inc()
	s.logger.Error("configuration not reloaded, using the previous one", slog.String("file", path), slog.String("error", s.rejection))
}

func (s *Server) reload(c config.Config) error {
	s.finder.changing.Lock() // no look puts anything in force meanwhile
	defer s.finder.changing.Unlock()
	before := s.current()
	if fields := config.NeedRestart(before.config, c); len(fields) > 0 {
		return gitops.Errorf(gitops.Invalid, "%s cannot change while tallyman runs: restart it, or undo the change", strings.Join(fields, ", "))
	}
	p, err := buildAfter(before, c, s.logger)
	if err != nil {
		_ = p.jobs.release()
		return err
	}
	keepJobs(&p, before, c)
	keepCertificates(p, before)
	next := newGeneration(c, p)
	instances, err := newArgoCDs(c, before.argoCDs, s.metrics.rollouts, s.logger)
	if err != nil {
		_ = p.jobs.release()
		return err
	}
	all, err := s.manifests.make(c, before.repositories)
	if err != nil {
		_ = p.jobs.release()
		return err
	}
	next.use(all)
	next.argoCDs = instances
	next.registries = s.newRegistries(c, before.registries)
	next.known().remember(before.known())
	s.prepare(next, before.known())
	s.knowLabels(before, next)
	s.lanes.Configure(laneEnvironments(c), func() { s.replace(next) })
	s.configureProposals(next) // before the repositories of before are closed
	s.sweep(next)
	s.poll(next)
	s.tellSources(next)
	s.notifiers.Configure(next.notifiers)
	s.followRollouts(next)
	s.warm(next)
	s.finder.follow(next)
	s.room.Reconfigured()
	before.endStreams()
	s.waiting.Ask() // apps may have come
	s.background.Go(func() {
		before.requests.Wait()
		_ = before.release()
		before.argoCDs.endUnused(next.argoCDs)
		if before.registries != next.registries {
			before.registries.client.Close()
		}
	})
	s.tellReload(configuration(before.config), configuration(c))
	return nil
}

// keepJobs keeps what authenticates jobs where its configuration and the certificates in
// its file stay.
func keepJobs(p *parts, before *generation, c config.Config) {
	if before.jobs == nil || !reflect.DeepEqual(before.config.API.OIDC, c.API.OIDC) || !before.jobs.roots.Equal(p.jobs.roots) {
		return
	}
	_ = p.jobs.release()
	p.jobs = before.jobs.share()
}

// keepCertificates keeps the certificates that SNS signs with: they are fetched from SNS,
// which may not answer now.
func keepCertificates(p parts, before *generation) {
	for route, receiver := range p.receivers {
		now, ok := receiver.(*sns.Receiver)
		if of, had := before.receivers[route].(*sns.Receiver); ok && had {
			now.KeepCertificates(of)
		}
	}
}

// tellReload says what changed, in the log and in the audit.
func (s *Server) tellReload(before, now audit.Configuration) {
	s.logger.Info("configuration reloaded", slog.String("changes", audit.Changes(before, now)), slog.String("hash", now.Hash))
	if before.Hash == now.Hash {
		return
	}
	s.audit.Configured(now)
	s.logAccess()
	s.logWarnings()
}

// configMetrics say whether the file that is there is in force.
type configMetrics struct {
	loaded, rejected prometheus.Gauge
	failures         prometheus.Counter
}

func newConfigMetrics(registry *prometheus.Registry) configMetrics {
	m := configMetrics{
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tallyman_config_loaded_timestamp_seconds", Help: "When the configuration in force was read, as Unix time.",
		}),
		rejected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tallyman_config_rejected", Help: "1 while the configuration file was rejected and the one before it is in force, 0 otherwise.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tallyman_config_reload_failures_total", Help: "Changes of the configuration that were not put in force.",
		}),
	}
	m.loaded.SetToCurrentTime()
	registry.MustRegister(m.loaded, m.rejected, m.failures)
	return m
}
