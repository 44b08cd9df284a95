package server

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/feedback"
)

// feedbackMetrics is a feedback.Recorder.
type feedbackMetrics struct {
	written, failed prometheus.Counter
	leftOut         *prometheus.CounterVec
	refusing        prometheus.Gauge
	oldest          atomic.Int64 // Unix time in milliseconds; 0 while nothing waits
}

func newFeedbackMetrics(registry *prometheus.Registry) *feedbackMetrics {
	m := &feedbackMetrics{
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tallyman_feedback_written_total", Help: "Deployments, and statuses of them, that were written to GitHub.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tallyman_feedback_failed_total", Help: "Requests to GitHub about Deployments that failed or were refused, and are made again.",
		}),
		leftOut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_feedback_left_out_total", Help: "Updates of which GitHub is told no more, by reason: nobody knows the commit, GitHub refuses it for good, or it changed more than a day ago.",
		}, []string{"reason"}),
		refusing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tallyman_feedback_refusing_repositories", Help: "Repositories that refuse Deployments: the App is not installed there, or lacks a permission.",
		}),
	}
	for _, reason := range feedback.Reasons() {
		m.leftOut.WithLabelValues(string(reason))
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tallyman_feedback_backlog_age_seconds", Help: "For how long the oldest change has waited that GitHub should have been told of; 0 while none waits, and on replicas that do not tell.",
	}, m.age)
	registry.MustRegister(m.written, m.failed, m.leftOut, m.refusing, age)
	return m
}

func (m *feedbackMetrics) age() float64 {
	oldest := m.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(oldest)).Seconds())
}

// Written implements feedback.Recorder.
func (m *feedbackMetrics) Written() { m.written.Inc() }

// Failed implements feedback.Recorder.
func (m *feedbackMetrics) Failed() { m.failed.Inc() }

// LeftOut implements feedback.Recorder.
func (m *feedbackMetrics) LeftOut(why feedback.Left) { m.leftOut.WithLabelValues(string(why)).Inc() }

// Refusing implements feedback.Recorder.
func (m *feedbackMetrics) Refusing(repositories int) { m.refusing.Set(float64(repositories)) }

// Behind implements feedback.Recorder.
func (m *feedbackMetrics) Behind(oldest time.Time) {
	if oldest.IsZero() {
		m.oldest.Store(0)
		return
	}
	m.oldest.Store(oldest.UnixMilli())
}
