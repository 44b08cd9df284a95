package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// waiting covers an update that is written at once up to one that waited a day for
// a person to fix something.
var waiting = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400}

// laneMetrics is a lane.Recorder.
type laneMetrics struct {
	updates *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	backoff *prometheus.GaugeVec

	mu    sync.Mutex      // held while series of an environment are made or removed
	known map[string]bool // the environments that are configured
}

func newLaneMetrics(registry *prometheus.Registry) *laneMetrics {
	m := &laneMetrics{
		known: make(map[string]bool),
		updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_updates_total", Help: "Updates in a final state, by state.",
		}, []string{"environment", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_update_seconds", Help: "From an update's acceptance to its commit on the branch; of one that had a pull request, from its merge until that was known.", Buckets: waiting,
		}, []string{"environment"}),
		backoff: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_lane_backoff", Help: "Seconds that a lane waits until its next retry, after the store or the manifest repository failed; 0 when it does not.",
		}, []string{"environment", "cause"}),
	}
	registry.MustRegister(m.updates, m.seconds, m.backoff)
	return m
}

// know makes the series of an environment.
func (m *laneMetrics) know(environment string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, state := range gitops.States() {
		if state.Final() {
			m.updates.WithLabelValues(environment, string(state))
		}
	}
	m.seconds.WithLabelValues(environment)
	m.known[environment] = true
	for _, cause := range lane.Causes() {
		m.backoff.WithLabelValues(environment, string(cause))
	}
}

// forget removes the gauges of an environment that is not configured any more: as they
// stand they would say for ever that it backs off. What was counted stays.
func (m *laneMetrics) forget(environment string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, environment)
	m.backoff.DeletePartialMatch(prometheus.Labels{"environment": environment})
}

// Finished implements lane.Recorder and webhook.Recorder.
func (m *laneMetrics) Finished(environment string, state gitops.State, seconds float64) {
	m.updates.WithLabelValues(environment, string(state)).Inc()
	if state == gitops.Committed {
		m.seconds.WithLabelValues(environment).Observe(seconds)
	}
}

// BackingOff implements lane.Recorder.
func (m *laneMetrics) BackingOff(environment string, cause lane.Cause, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The lane of one that is not configured goes on until its updates are cancelled.
	if m.known[environment] {
		m.backoff.WithLabelValues(environment, string(cause)).Set(wait.Seconds())
	}
}

// laneStates asks the store at every scrape what waits, what failed, and when lanes last
// went on. It is the same on every replica, and after a start.
type laneStates struct {
	reader       queue.Reader
	environments func() []string
	logger       *slog.Logger
}

func laneDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"environment"}, labels...), nil)
}

var (
	pendingDesc  = laneDesc("tallyman_pending_updates", "Pending updates that nothing blocks.")
	heldDesc     = laneDesc("tallyman_held_updates", "Pending updates that are blocked, by the kind of the first block.", "kind")
	oldestDesc   = laneDesc("tallyman_oldest_pending_seconds", "How long the oldest pending update that nothing blocks has waited; 0 when there is none.")
	proposedDesc = laneDesc("tallyman_proposals_open", "Updates whose pull request is open.")
	proposalDesc = laneDesc("tallyman_proposal_age_seconds", "How long the oldest pull request has been open; 0 when no pull request is.")
	failedDesc   = laneDesc("tallyman_failed_updates", "Failed updates that are neither dismissed nor overtaken by a later one of their app.")
	progressDesc = laneDesc("tallyman_lane_last_progress_timestamp_seconds", "When a lane last recorded a result, a failure included, as Unix time; 0 before the first.")
	successDesc  = laneDesc("tallyman_lane_last_success_timestamp_seconds", "When a lane last recorded that an update is on the branch, as Unix time; 0 before the first.")
)

// Describe implements prometheus.Collector.
func (l *laneStates) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{pendingDesc, heldDesc, oldestDesc, proposedDesc, proposalDesc, failedDesc, progressDesc, successDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector. When the store does not answer these
// metrics are absent, which is the truth, and the others are still there.
func (l *laneStates) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	found, err := l.reader.Backlogs(ctx)
	var failures []queue.Failure
	if err == nil {
		failures, err = l.reader.Failures(ctx)
	}
	if err != nil {
		l.logger.Warn("backlog not counted", slog.String("error", err.Error()))
		return
	}
	backlogs, failed := make(map[string]queue.Backlog), make(map[string]int)
	for _, b := range found {
		backlogs[b.Environment] = b
	}
	for _, f := range failures {
		failed[f.Environment] += f.Count
	}
	for _, environment := range l.environments() {
		collectLane(ch, environment, backlogs[environment], failed[environment])
	}
}

// ageSeconds is how long ago something was; 0 of the zero time, and of one to come.
func ageSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Since(t).Seconds())
}

// collectLane gives the metrics of one lane.
func collectLane(ch chan<- prometheus.Metric, environment string, b queue.Backlog, failed int) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{environment}, labels...)...)
	}
	gauge(pendingDesc, float64(b.Pending))
	gauge(oldestDesc, ageSeconds(b.Oldest))
	gauge(proposedDesc, float64(b.Proposed))
	gauge(proposalDesc, ageSeconds(b.OldestProposed))
	gauge(failedDesc, float64(failed))
	gauge(progressDesc, unixSeconds(b.LastProgress))
	gauge(successDesc, unixSeconds(b.LastSuccess))
	for _, kind := range gitops.BlockKinds() {
		gauge(heldDesc, float64(b.Held[kind]), string(kind))
	}
}

// unixSeconds is a time as metrics have it; 0 for none.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
