package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/missed"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
)

// startSweeps has what GitHub could not deliver fetched, where there is an App to
// ask as.
func (s *Server) startSweeps() {
	if s.app == nil {
		return
	}
	sweeper := missed.New(missed.Config{
		App: s.app, GitHub: s.githubNow, Store: s.store,
		Recorder: newMissedMetrics(s.metrics.registry), Logger: s.logger, Holder: newHolder(), Now: now,
	})
	s.runUntilStop("missed deliveries", sweeper.Run)
}

// githubNow is what takes GitHub's webhooks in now; not ok while none are configured.
func (s *Server) githubNow() (to missed.Destination, ok bool) {
	g := s.current()
	receiver, ok := g.receivers["/webhooks/github"].(*github.Receiver)
	return missed.Destination{Receiver: receiver, Intake: g.intake}, ok
}

// missedMetrics is a missed.Recorder.
type missedMetrics struct {
	deliveries *prometheus.CounterVec
	last       prometheus.Gauge
}

func newMissedMetrics(registry *prometheus.Registry) *missedMetrics {
	m := &missedMetrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_missed_deliveries_total", Help: "Deliveries that GitHub could not deliver, by outcome.",
		}, []string{"outcome"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tallyman_missed_last_sweep_timestamp_seconds", Help: "When all of GitHub's deliveries were last accounted for, as Unix time; 0 before the first.",
		}),
	}
	for _, outcome := range missed.Outcomes() {
		m.deliveries.WithLabelValues(string(outcome))
	}
	registry.MustRegister(m.deliveries, m.last)
	return m
}

// Missed implements missed.Recorder.
func (m *missedMetrics) Missed(outcome missed.Outcome) {
	m.deliveries.WithLabelValues(string(outcome)).Inc()
}

// Swept implements missed.Recorder.
func (m *missedMetrics) Swept(at time.Time) { m.last.Set(float64(at.UnixMilli()) / 1000) }
