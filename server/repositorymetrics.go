package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/server/routing"
)

// repositoryMetrics are of the manifest repositories, by name. It is a routing.Recorder.
type repositoryMetrics struct {
	seconds   *prometheus.HistogramVec
	conflicts *prometheus.CounterVec
	updates   *prometheus.HistogramVec
	backoff   *prometheus.GaugeVec
	known     *knownNames
}

// knownNames are the repositories that are configured, by name.
type knownNames struct {
	mu    sync.Mutex // held while series are made or removed
	names map[string]*routing.Repository
}

func newRepositoryMetrics(registry *prometheus.Registry) repositoryMetrics {
	m := repositoryMetrics{
		known: &knownNames{names: make(map[string]*routing.Repository)},
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_push_seconds", Help: "Pushes to a manifest repository, by outcome.", Buckets: latency,
		}, []string{"repository", "outcome"}),
		conflicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_push_conflicts_total", Help: "Pushes that found the branch moved by another writer.",
		}, []string{"repository"}),
		updates: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_push_updates", Help: "Updates in one push.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}, []string{"repository"}),
		backoff: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_repository_backoff", Help: "Seconds that one of several manifest repositories of an environment is left alone after it could not be written; 0 when it can be.",
		}, []string{"repository"}),
	}
	registry.MustRegister(m.seconds, m.conflicts, m.updates, m.backoff)
	return m
}

// know makes the series of the repositories, and removes those of others: as they stand
// they would say for ever that one is away. One that takes another's place by its name,
// such as with another URL, does not have its outage.
func (m repositoryMetrics) know(all repositories) {
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	for name := range m.known.names {
		if all[name] == nil {
			gone := prometheus.Labels{"repository": name}
			for _, of := range []interface {
				DeletePartialMatch(labels prometheus.Labels) int
			}{m.seconds, m.conflicts, m.updates, m.backoff} {
				of.DeletePartialMatch(gone)
			}
			delete(m.known.names, name)
		}
	}
	for name, r := range all {
		if m.known.names[name] != r.lanes { // nothing was written to it yet
			m.backoff.WithLabelValues(name).Set(0)
		}
		m.known.names[name] = r.lanes
		for _, outcome := range manifest.PushOutcomes() {
			m.seconds.WithLabelValues(name, string(outcome))
		}
		m.conflicts.WithLabelValues(name)
		m.updates.WithLabelValues(name)
	}
}

// of runs what counts for a repository, unless it is configured no longer.
func (m repositoryMetrics) of(repository string, count func()) {
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	if m.known.names[repository] != nil {
		count()
	}
}

// Away implements routing.Recorder. Of a repository that is configured otherwise by now
// nothing is told: no write would ever end its outage.
func (m repositoryMetrics) Away(of *routing.Repository, wait time.Duration) {
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	if m.known.names[of.Name()] == of {
		m.backoff.WithLabelValues(of.Name()).Set(wait.Seconds())
	}
}

// pushes counts the pushes to one repository.
func (m repositoryMetrics) pushes(repository string) manifest.Recorder {
	return pushMetrics{m, repository}
}

// pushMetrics is a manifest.Recorder.
type pushMetrics struct {
	repositoryMetrics
	repository string
}

// Pushed implements manifest.Recorder.
func (m pushMetrics) Pushed(outcome manifest.PushOutcome, took time.Duration, updates int) {
	m.of(m.repository, func() {
		m.seconds.WithLabelValues(m.repository, string(outcome)).Observe(took.Seconds())
		switch outcome {
		case manifest.PushConflict:
			m.conflicts.WithLabelValues(m.repository).Inc()
		case manifest.PushLanded:
			m.updates.WithLabelValues(m.repository).Observe(float64(updates))
		}
	})
}
