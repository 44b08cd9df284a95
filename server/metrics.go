package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// metrics is one server's. It is the recorder of every part: what they count
// becomes Prometheus's only here. Labels are closed sets, and each of their
// combinations is there from the start, at 0.
type metrics struct {
	registry *prometheus.Registry

	deliveries    *prometheus.CounterVec
	updates       *prometheus.CounterVec
	updateSeconds *prometheus.HistogramVec
	pushSeconds   *prometheus.HistogramVec
	pushConflicts prometheus.Counter
	pushUpdates   prometheus.Histogram
	lastSuccess   *prometheus.GaugeVec
	backoff       *prometheus.GaugeVec
	commitSeconds prometheus.Histogram
	httpSeconds   *prometheus.HistogramVec
}

// latency covers a push on the same machine up to one that the server's hooks
// hold up for a minute.
var latency = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// waiting covers an update that is there at once up to one that waited a day for
// somebody to mend something.
var waiting = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400}

func newMetrics(v Version, sources, environments []string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_deliveries_total", Help: "Inbound events, by what became of them.",
		}, []string{"source", "outcome"}),
		updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_updates_total", Help: "Updates that ended, by how.",
		}, []string{"environment", "outcome"}),
		updateSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_update_seconds", Help: "From an update's acceptance to its commit on origin.", Buckets: waiting,
		}, []string{"environment"}),
		pushSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_push_seconds", Help: "Pushes to the manifest repository, by how they ended.", Buckets: latency,
		}, []string{"outcome"}),
		pushConflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tallyman_push_conflicts_total", Help: "Pushes that found the branch moved by somebody else.",
		}),
		pushUpdates: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tallyman_push_updates", Help: "Updates in one push.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		lastSuccess: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_lane_last_success_timestamp_seconds", Help: "When a lane last finished a batch, as Unix time; 0 before the first.",
		}, []string{"environment"}),
		backoff: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_lane_backoff", Help: "How many seconds a lane waits after a failure that is not its updates'; 0 when it does not.",
		}, []string{"environment"}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tallyman_store_commit_seconds", Help: "Transactions of the store, with their fsync.", Buckets: latency,
		}),
		httpSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_http_request_seconds", Help: "Requests to the public listener.", Buckets: latency,
		}, []string{"route", "method", "code"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tallyman_build_info", Help: "What is running; always 1."}, []string{"version", "revision", "goversion"})
	info.WithLabelValues(v.Version, v.Revision, v.Go).Set(1)
	m.registry.MustRegister(m.deliveries, m.updates, m.updateSeconds, m.pushSeconds, m.pushConflicts, m.pushUpdates,
		m.lastSuccess, m.backoff, m.commitSeconds, m.httpSeconds, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.startAtZero(sources, environments)
	return m
}

func (m *metrics) startAtZero(sources, environments []string) {
	for _, source := range sources {
		for _, outcome := range webhook.Outcomes() {
			m.deliveries.WithLabelValues(source, outcome)
		}
	}
	for _, environment := range environments {
		for _, state := range gitops.States() {
			if state.Settled() {
				m.updates.WithLabelValues(environment, string(state))
			}
		}
		m.updateSeconds.WithLabelValues(environment)
		m.lastSuccess.WithLabelValues(environment)
		m.backoff.WithLabelValues(environment)
	}
	for _, outcome := range manifest.PushOutcomes() {
		m.pushSeconds.WithLabelValues(string(outcome))
	}
}

// Delivery implements webhook.Recorder.
func (m *metrics) Delivery(source, outcome string) {
	m.deliveries.WithLabelValues(source, outcome).Inc()
}

// Settled implements lane.Recorder.
func (m *metrics) Settled(environment string, state gitops.State, seconds float64) {
	m.updates.WithLabelValues(environment, string(state)).Inc()
	if state == gitops.Committed {
		m.updateSeconds.WithLabelValues(environment).Observe(seconds)
	}
}

// Succeeded implements lane.Recorder.
func (m *metrics) Succeeded(environment string, at time.Time) {
	m.lastSuccess.WithLabelValues(environment).Set(float64(at.UnixMilli()) / 1000)
}

// BackingOff implements lane.Recorder.
func (m *metrics) BackingOff(environment string, wait time.Duration) {
	m.backoff.WithLabelValues(environment).Set(wait.Seconds())
}

// Pushed implements manifest.Recorder.
func (m *metrics) Pushed(outcome manifest.PushOutcome, took time.Duration, updates int) {
	m.pushSeconds.WithLabelValues(string(outcome)).Observe(took.Seconds())
	switch outcome {
	case manifest.PushConflict:
		m.pushConflicts.Inc()
	case manifest.PushLanded:
		m.pushUpdates.Observe(float64(updates))
	}
}

// Committed implements the stores' recorders.
func (m *metrics) Committed(_ int, took time.Duration) {
	m.commitSeconds.Observe(took.Seconds())
}

// backlogs asks the store at every scrape what waits.
type backlogs struct {
	records      queue.Records
	environments []string
	logger       *slog.Logger
}

var (
	pendingDesc = prometheus.NewDesc("tallyman_pending_updates", "Updates that wait for their lane.", []string{"environment"}, nil)
	oldestDesc  = prometheus.NewDesc("tallyman_oldest_pending_seconds", "How long the oldest pending update has waited; 0 when none waits.", []string{"environment"}, nil)
)

// Describe implements prometheus.Collector.
func (b *backlogs) Describe(ch chan<- *prometheus.Desc) {
	ch <- pendingDesc
	ch <- oldestDesc
}

// Collect implements prometheus.Collector. When the store does not answer the
// two metrics are absent, which is the truth, and the others are still there.
func (b *backlogs) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	found, err := b.records.Backlogs(ctx)
	if err != nil {
		b.logger.Warn("backlog not counted", slog.String("error", err.Error()))
		return
	}
	byEnvironment := make(map[string]queue.Backlog, len(found))
	for _, backlog := range found {
		byEnvironment[backlog.Environment] = backlog
	}
	for _, environment := range b.environments {
		backlog, waited := byEnvironment[environment], 0.0
		if !backlog.Oldest.IsZero() {
			waited = max(0, time.Since(backlog.Oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(backlog.Pending), environment)
		ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, waited, environment)
	}
}
