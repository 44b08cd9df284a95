package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/inspect"
	"github.com/tallyman-dev/tallyman/gitops/policy"
)

// imageMetrics count what registries are asked for, and what was found there. They are a
// recorder of gitops/registry, of its ECR, of gitops/inspect, and of polls.
type imageMetrics struct {
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	inspected *prometheus.CounterVec
	ordered   *prometheus.CounterVec
	complete  *prometheus.GaugeVec
	every     *prometheus.GaugeVec
	room      atomic.Pointer[inspect.Room] // nil before the start

	mu           sync.Mutex
	environments map[string]bool // whose images are inspected
	hosts        map[string]bool // of their apps' images
	polled       map[string]bool // hosts of images that are polled
}

var (
	imagesWaitingDesc = prometheus.NewDesc("tallyman_images_waiting", "Updates that this replica has wait for their image, or for the answer of its registry.", []string{"environment"}, nil)
	unavailableDesc   = prometheus.NewDesc("tallyman_registry_unavailable_since_timestamp_seconds", "Since when a registry does not answer, refuses all or throttles, as Unix time; 0 while it answers or is not asked.", []string{"host"}, nil)
)

func newImageMetrics(registry *prometheus.Registry) *imageMetrics {
	m := &imageMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_registry_requests_total", Help: "Requests to registries, their token servers and storage included, by the registry's host, what is asked for, and the HTTP status or why there was none.",
		}, []string{"host", "operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_registry_request_seconds", Help: "Requests to registries, with their answers.", Buckets: latency[:slices.Index(latency, 30)],
		}, []string{"host", "operation"}),
		inspected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_images_inspected_total", Help: "Images of updates that were looked at before they were written or accepted, by what was found.",
		}, []string{"environment", "outcome"}),
		ordered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_poll_ordered_total", Help: "Updates that polls of registries ordered, each for a lost or late event.",
		}, []string{"environment"}),
		complete: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_poll_last_success_timestamp_seconds", Help: "The time since which this replica has listed every image that it polls in a registry, as Unix time; its configuration counts as the first, and 0 means that it does not poll.",
		}, []string{"host"}),
		every: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_poll_interval_seconds", Help: "The longest image.poll of a registry that this replica polls.",
		}, []string{"host"}),
	}
	registry.MustRegister(m.requests, m.seconds, m.inspected, m.ordered, m.complete, m.every, m)
	return m
}

// know makes the series of what is inspected now, and removes those of registries that
// nothing is in any more.
func (m *imageMetrics) know(g *generation, apps *known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.knowPolled(g, apps)
	m.environments = make(map[string]bool, len(g.images))
	for environment := range g.images {
		m.environments[environment] = true
		for _, outcome := range image.Outcomes() {
			m.inspected.WithLabelValues(environment, string(outcome))
		}
	}
	before := m.hosts
	m.hosts = make(map[string]bool)
	for _, t := range apps.Targets() {
		if !m.environments[t.Environment] || t.Image == "" {
			continue
		}
		if host, _ := image.Split(t.Image); !m.hosts[host] {
			m.hosts[host] = true
			m.requests.WithLabelValues(host, "manifest_head", "200")
			m.seconds.WithLabelValues(host, "manifest_head")
		}
	}
	for host := range before {
		if !m.hosts[host] {
			m.requests.DeletePartialMatch(prometheus.Labels{"host": host})
			m.seconds.DeletePartialMatch(prometheus.Labels{"host": host})
		}
	}
}

// knowPolled makes the series of what is polled now, and removes those of other registries.
// Since when all was looked at, the replica says that polls.
func (m *imageMetrics) knowPolled(g *generation, apps *known) {
	before := m.polled
	m.polled = make(map[string]bool)
	for environment := range g.polled {
		m.ordered.WithLabelValues(environment)
	}
	for _, t := range apps.Targets() {
		of, polls := g.polled[t.Environment]
		host := policy.HostOf(t.Image)
		if !polls || t.Image == "" || m.polled[host] {
			continue
		}
		if m.polled[host] = true; !before[host] {
			m.Complete(host, time.Time{}, of.Every)
		}
	}
	for host := range before {
		if !m.polled[host] {
			m.Gone(host)
		}
	}
}

// Request implements registry.Recorder and ecr.Recorder. What is asked for right after its
// host has left the configuration is not counted.
func (m *imageMetrics) Request(host, operation, code string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts[host] {
		m.requests.WithLabelValues(host, operation, code).Inc()
		m.seconds.WithLabelValues(host, operation).Observe(took.Seconds())
	}
}

// Inspected implements inspect.Recorder.
func (m *imageMetrics) Inspected(environment string, outcome image.Outcome) {
	m.inspected.WithLabelValues(environment, string(outcome)).Inc()
}

// Ordered implements poll.Recorder.
func (m *imageMetrics) Ordered(environment string) { m.ordered.WithLabelValues(environment).Inc() }

// Complete implements poll.Recorder.
func (m *imageMetrics) Complete(host string, since time.Time, every time.Duration) {
	at := 0.0
	if !since.IsZero() {
		at = float64(since.UnixMilli()) / 1000
	}
	m.complete.WithLabelValues(host).Set(at)
	m.every.WithLabelValues(host).Set(every.Seconds())
}

// Gone implements poll.Recorder.
func (m *imageMetrics) Gone(host string) {
	m.complete.DeleteLabelValues(host)
	m.every.DeleteLabelValues(host)
}

// Describe implements prometheus.Collector.
func (m *imageMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- imagesWaitingDesc
	ch <- unavailableDesc
}

// Collect implements prometheus.Collector: it has what the room knows now.
func (m *imageMetrics) Collect(ch chan<- prometheus.Metric) {
	var waiting map[string]int
	var unavailable map[string]time.Time
	if room := m.room.Load(); room != nil {
		waiting, unavailable = room.Waiting(), room.Unavailable()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for environment := range m.environments {
		ch <- prometheus.MustNewConstMetric(imagesWaitingDesc, prometheus.GaugeValue, float64(waiting[environment]), environment)
	}
	for host := range m.hosts {
		since := 0.0
		if at, away := unavailable[host]; away {
			since = float64(at.UnixMilli()) / 1000
		}
		ch <- prometheus.MustNewConstMetric(unavailableDesc, prometheus.GaugeValue, since, host)
	}
}
