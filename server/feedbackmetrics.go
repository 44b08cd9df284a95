package server

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/feedback"
)

// feedbackMetrics counts what GitHub is told of updates. It is a feedback.Recorder.
type feedbackMetrics struct {
	written  prometheus.Counter
	failed   prometheus.Counter
	left     *prometheus.CounterVec
	refusing prometheus.Gauge
	oldest   *atomic.Int64 // Unix nanoseconds; 0 while nothing waits
}

func newFeedbackMetrics(registry *prometheus.Registry) feedbackMetrics {
	m := feedbackMetrics{
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tallyman_feedback_written_total", Help: "Deployments and statuses of them that were written to GitHub.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tallyman_feedback_failures_total", Help: "Requests about Deployments that failed and are retried.",
		}),
		left: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_feedback_left_out_total", Help: "Updates of which GitHub is told nothing more, by reason.",
		}, []string{"reason"}),
		refusing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tallyman_feedback_refusing_repositories", Help: "Repositories of apps that refuse Deployments, as this replica sees it.",
		}),
		oldest: new(atomic.Int64),
	}
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tallyman_feedback_oldest_seconds", Help: "How long the oldest change that GitHub is not told yet has waited at this replica; 0 when nothing waits.",
	}, m.waits)
	registry.MustRegister(m.written, m.failed, m.left, m.refusing, oldest)
	for _, why := range feedback.Reasons() {
		m.left.WithLabelValues(string(why))
	}
	return m
}

// waits is how long the oldest change has waited, in seconds.
func (m feedbackMetrics) waits() float64 {
	at := m.oldest.Load()
	if at == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, at)).Seconds())
}

// Written implements feedback.Recorder.
func (m feedbackMetrics) Written() { m.written.Inc() }

// Failed implements feedback.Recorder.
func (m feedbackMetrics) Failed() { m.failed.Inc() }

// LeftOut implements feedback.Recorder.
func (m feedbackMetrics) LeftOut(why feedback.Left) { m.left.WithLabelValues(string(why)).Inc() }

// Behind implements feedback.Recorder.
func (m feedbackMetrics) Behind(oldest time.Time) {
	if oldest.IsZero() {
		m.oldest.Store(0)
		return
	}
	m.oldest.Store(oldest.UnixNano())
}

// Refusing implements feedback.Recorder.
func (m feedbackMetrics) Refusing(repositories int) { m.refusing.Set(float64(repositories)) }
