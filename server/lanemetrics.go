package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// waiting covers an update that is written at once up to one that waited a day for
// a person to fix something.
var waiting = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400}

// laneMetrics is a lane.Recorder.
type laneMetrics struct {
	updates      *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
	lastProgress *prometheus.GaugeVec
	backoff      *prometheus.GaugeVec
}

func newLaneMetrics(registry *prometheus.Registry, environments []string) *laneMetrics {
	m := &laneMetrics{
		updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_updates_total", Help: "Updates in a final state, by state.",
		}, []string{"environment", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_update_seconds", Help: "From an update's acceptance to its commit on the branch.", Buckets: waiting,
		}, []string{"environment"}),
		lastProgress: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_lane_last_progress_timestamp_seconds", Help: "When a lane last recorded a result, as Unix time; 0 before the first.",
		}, []string{"environment"}),
		backoff: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_lane_backoff", Help: "Seconds that a lane waits until its next retry after a failure that is not its updates'; 0 when it does not.",
		}, []string{"environment"}),
	}
	for _, environment := range environments {
		for _, state := range gitops.States() {
			if state.Final() {
				m.updates.WithLabelValues(environment, string(state))
			}
		}
		m.seconds.WithLabelValues(environment)
		m.lastProgress.WithLabelValues(environment)
		m.backoff.WithLabelValues(environment)
	}
	registry.MustRegister(m.updates, m.seconds, m.lastProgress, m.backoff)
	return m
}

// Finished implements lane.Recorder and webhook.Recorder.
func (m *laneMetrics) Finished(environment string, state gitops.State, seconds float64) {
	m.updates.WithLabelValues(environment, string(state)).Inc()
	if state == gitops.Committed {
		m.seconds.WithLabelValues(environment).Observe(seconds)
	}
}

// Progressed implements lane.Recorder.
func (m *laneMetrics) Progressed(environment string, at time.Time) {
	m.lastProgress.WithLabelValues(environment).Set(float64(at.UnixMilli()) / 1000)
}

// BackingOff implements lane.Recorder.
func (m *laneMetrics) BackingOff(environment string, wait time.Duration) {
	m.backoff.WithLabelValues(environment).Set(wait.Seconds())
}

// backlogs asks the store at every scrape what waits.
type backlogs struct {
	reader interface {
		queue.Reader
		Suspects(ctx context.Context) ([]gitops.Suspect, error)
	}
	environments []string
	logger       *slog.Logger
}

var (
	pendingDesc = prometheus.NewDesc("tallyman_pending_updates", "Pending updates that nothing blocks.", []string{"environment"}, nil)
	heldDesc    = prometheus.NewDesc("tallyman_held_updates", "Pending updates that are blocked, by the kind of the first block.", []string{"environment", "kind"}, nil)
	oldestDesc  = prometheus.NewDesc("tallyman_oldest_pending_seconds", "How long the oldest pending update that nothing blocks has waited; 0 when there is none.", []string{"environment"}, nil)
)

var setAsideDesc = prometheus.NewDesc("tallyman_files_set_aside", "Objects that are not parsed any more because a process died twice while it did, by kind.", []string{"kind"}, nil)

// Describe implements prometheus.Collector.
func (b *backlogs) Describe(ch chan<- *prometheus.Desc) {
	ch <- pendingDesc
	ch <- heldDesc
	ch <- oldestDesc
	ch <- setAsideDesc
}

// Collect implements prometheus.Collector. When the store does not answer these
// metrics are absent, which is the truth, and the others are still there.
func (b *backlogs) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	found, err := b.reader.Backlogs(ctx)
	if err != nil {
		b.logger.Warn("backlog not counted", slog.String("error", err.Error()))
		return
	}
	suspects, err := b.reader.Suspects(ctx)
	if err != nil {
		b.logger.Warn("set-aside files not counted", slog.String("error", err.Error()))
		return
	}
	aside := make(map[gitops.ParsedKind]int)
	for _, s := range suspects {
		if s.SetAside() {
			aside[s.Kind]++
		}
	}
	for _, kind := range gitops.ParsedKinds() {
		ch <- prometheus.MustNewConstMetric(setAsideDesc, prometheus.GaugeValue, float64(aside[kind]), string(kind))
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
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{environment}, labels...)...)
		}
		gauge(pendingDesc, float64(backlog.Pending))
		gauge(oldestDesc, waited)
		for _, kind := range gitops.BlockKinds() {
			gauge(heldDesc, float64(backlog.Held[kind]), string(kind))
		}
	}
}
