package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// appMetrics tell how many apps are known, and how looking for them goes. The label is the
// manifest repository's name.
type appMetrics struct {
	apps, problems, lastLook *prometheus.GaugeVec
	failures                 *prometheus.CounterVec

	mu    sync.Mutex
	known map[string]bool // repositories whose series are there; true for those that are looked at
}

func newAppMetrics(registry *prometheus.Registry) *appMetrics {
	label := []string{"repository"}
	m := &appMetrics{
		known: make(map[string]bool),
		apps: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_apps", Help: "Apps that are known and whose files are in the manifest repository.",
		}, label),
		problems: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_discovery_problems", Help: "What is wrong with apps, or files that should name one, on the branch of the manifest repository; updates of these apps are not written.",
		}, label),
		lastLook: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_discovery_last_look_timestamp_seconds", Help: "When the branch was last looked at for apps, as Unix time; 0 before the first look.",
		}, label),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_discovery_failures_total", Help: "Looks at the branch for apps that failed; what was found before counts on.",
		}, label),
	}
	registry.MustRegister(m.apps, m.problems, m.lastLook, m.failures)
	return m
}

// know makes the series of the manifest repositories, and removes those of others. Only
// those that are looked at have series of looks.
func (m *appMetrics) know(repositories []string, looked func(repository string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.known
	m.known = make(map[string]bool, len(repositories))
	for _, repository := range repositories {
		m.known[repository] = looked(repository)
		m.apps.WithLabelValues(repository)
		if m.known[repository] {
			m.problems.WithLabelValues(repository)
			m.lastLook.WithLabelValues(repository)
			m.failures.WithLabelValues(repository)
		}
	}
	for repository := range before {
		if _, stays := m.known[repository]; !stays {
			m.apps.DeleteLabelValues(repository)
		}
		if !m.known[repository] {
			m.problems.DeleteLabelValues(repository)
			m.lastLook.DeleteLabelValues(repository)
			m.failures.DeleteLabelValues(repository)
		}
	}
}

// set tells what is known.
func (m *appMetrics) set(k *known) {
	apps, problems := k.AppsIn(), make(map[string]int)
	for _, p := range k.Problems() {
		problems[p.Manifests]++
	}
	for _, look := range k.Looks() {
		if look.Result != nil {
			problems[look.Manifests] += look.Result.More
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for repository, looked := range m.known {
		m.apps.WithLabelValues(repository).Set(float64(apps[repository]))
		if looked {
			m.problems.WithLabelValues(repository).Set(float64(problems[repository]))
		}
	}
}

// sawBranch tells of a look that succeeded.
func (m *appMetrics) sawBranch(repository string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[repository] {
		m.lastLook.WithLabelValues(repository).Set(float64(at.UnixNano()) / float64(time.Second))
	}
}

// lookFailed tells of one that did not.
func (m *appMetrics) lookFailed(repository string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[repository] {
		m.failures.WithLabelValues(repository).Inc()
	}
}
