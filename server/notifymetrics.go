package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/config"
	"github.com/tallyman-dev/tallyman/server/notify"
)

// notifyMetrics counts what receivers are told. It is a notify.Recorder, and of a notifier
// that is not configured, which may be ending, it notes nothing.
type notifyMetrics struct {
	total  *prometheus.CounterVec
	behind *prometheus.Desc

	mu    sync.Mutex
	since map[string]time.Time // by notifier: the next message's time; zero while nothing waits
}

func newNotifyMetrics(registry *prometheus.Registry) *notifyMetrics {
	m := &notifyMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_notifications_total", Help: "Messages of notifiers: sent, refused by the receiver, too old and so left out; and attempts that failed and are retried.",
		}, []string{"notifier", "result"}),
		behind: prometheus.NewDesc("tallyman_notify_behind_seconds", "How long ago the oldest happened that a notifier's receiver is not told yet, at this replica; 0 when nothing waits.", []string{"notifier"}, nil),
		since:  make(map[string]time.Time),
	}
	registry.MustRegister(m.total, m)
	return m
}

// know makes the series of the notifiers of a configuration, and removes those of others.
func (m *notifyMetrics) know(c config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.since
	m.since = make(map[string]time.Time, len(c.Notify))
	for _, n := range c.Notify {
		m.since[n.Name] = before[n.Name]
		for _, result := range notify.Results() {
			m.total.WithLabelValues(n.Name, string(result))
		}
	}
	for name := range before {
		if _, stays := m.since[name]; !stays {
			m.total.DeletePartialMatch(prometheus.Labels{"notifier": name})
		}
	}
}

// Count implements notify.Recorder.
func (m *notifyMetrics) Count(notifier string, r notify.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.since[notifier]; known {
		m.total.WithLabelValues(notifier, string(r)).Inc()
	}
}

// Behind implements notify.Recorder.
func (m *notifyMetrics) Behind(notifier string, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.since[notifier]; known {
		m.since[notifier] = since
	}
}

// Describe implements prometheus.Collector.
func (m *notifyMetrics) Describe(to chan<- *prometheus.Desc) { to <- m.behind }

// Collect implements prometheus.Collector.
func (m *notifyMetrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for notifier, since := range m.since {
		seconds := 0.0
		if !since.IsZero() {
			seconds = max(0, time.Since(since).Seconds())
		}
		to <- prometheus.MustNewConstMetric(m.behind, prometheus.GaugeValue, seconds, notifier)
	}
}
