package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/budget"
	"github.com/tallyman-dev/tallyman/server/limits"
)

// connectionMetrics is a limits.ConnectionRecorder. Listeners are named after the
// fields that configure them.
type connectionMetrics struct {
	open           *prometheus.GaugeVec
	refused        *prometheus.CounterVec
	withoutRequest *prometheus.CounterVec
	requests       *prometheus.HistogramVec // to the public listener
}

func newConnectionMetrics(registry *prometheus.Registry, requests *prometheus.HistogramVec, listeners ...string) connectionMetrics {
	m := connectionMetrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_connections", Help: "Open connections, by listener.",
		}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_connections_refused_total", Help: "Connections that were closed as they came, or while they waited for their client and one more came, since there were too many in all or of their address.",
		}, []string{"listener", "reason"}),
		withoutRequest: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_connections_without_request_total", Help: "Connections that ended before a request came, or within its header.",
		}, []string{"listener"}),
		requests: requests,
	}
	for _, listener := range listeners {
		m.open.WithLabelValues(listener)
		m.withoutRequest.WithLabelValues(listener)
		for _, reason := range limits.Reasons() {
			m.refused.WithLabelValues(listener, string(reason))
		}
	}
	registry.MustRegister(m.open, m.refused, m.withoutRequest)
	return m
}

// Opened implements limits.ConnectionRecorder.
func (m connectionMetrics) Opened(listener string) { m.open.WithLabelValues(listener).Inc() }

// Closed implements limits.ConnectionRecorder.
func (m connectionMetrics) Closed(listener string) { m.open.WithLabelValues(listener).Dec() }

// Refused implements limits.ConnectionRecorder.
func (m connectionMetrics) Refused(listener string, why limits.Reason) {
	m.refused.WithLabelValues(listener, string(why)).Inc()
}

// WithoutRequest implements limits.ConnectionRecorder.
func (m connectionMetrics) WithoutRequest(listener string) {
	m.withoutRequest.WithLabelValues(listener).Inc()
}

// HeaderRefused implements limits.ConnectionRecorder. The answer is a request's like
// any other, though no handler has seen it.
func (m connectionMetrics) HeaderRefused(listener string) {
	if listener == publicListener {
		m.requests.WithLabelValues("none", "other", "431").Observe(0)
	}
}

// recordMemory shows what the process may take.
func recordMemory(registry *prometheus.Registry, shares budget.Shares) {
	limit := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tallyman_memory_limit_bytes", Help: "The memory that the process is planned to take at most: limits.memory.",
	})
	limit.Set(float64(shares.Memory))
	registry.MustRegister(limit)
}
