package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tallyman-dev/tallyman/server/webhook"
)

// metrics is one server's: a recorder for each part, which becomes Prometheus's
// only here. Labels are closed sets, and each of their combinations is there from
// the start, or since the configuration has it, at 0; see [Server.knowLabels].
type metrics struct {
	registry     *prometheus.Registry
	deliveries   deliveryMetrics
	lanes        *laneMetrics
	orders       orderMetrics
	repositories repositoryMetrics
	store        storeMetrics
	credentials  *credentialMetrics
	configs      configMetrics
	apps         *appMetrics
	images       *imageMetrics
	proposals    proposalMetrics
	feedback     feedbackMetrics
	notify       *notifyMetrics
	rollouts     rolloutMetrics
	auditLost    prometheus.Counter
	requests     *prometheus.HistogramVec // to the public listener
	connections  connectionMetrics
}

// latency covers a push on the same machine up to one that the server's hooks
// hold up for a minute.
var latency = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

func newMetrics(v Version) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.lanes = newLaneMetrics(m.registry)
	m.orders = newOrderMetrics(m.registry)
	m.deliveries = newDeliveryMetrics(m.registry, m.lanes)
	m.repositories = newRepositoryMetrics(m.registry)
	m.store = newStoreMetrics(m.registry)
	m.credentials = newCredentialMetrics(m.registry)
	m.configs = newConfigMetrics(m.registry)
	m.apps = newAppMetrics(m.registry)
	m.images = newImageMetrics(m.registry)
	m.proposals = newProposalMetrics(m.registry)
	m.feedback = newFeedbackMetrics(m.registry)
	m.notify = newNotifyMetrics(m.registry)
	m.rollouts = newRolloutMetrics(m.registry)
	m.auditLost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tallyman_audit_lost_total", Help: "Entries of the audit that were not written, since the store did not take them.",
	})
	m.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tallyman_http_request_seconds", Help: "Requests to the public listener.", Buckets: latency,
	}, []string{"route", "method", "code"})
	m.connections = newConnectionMetrics(m.registry, m.requests, publicListener, adminListener, probeListener)
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tallyman_build_info", Help: "The version that is running; always 1."}, []string{"version", "revision", "goversion"})
	info.WithLabelValues(v.Version, v.Revision, v.Go).Set(1)
	m.registry.MustRegister(m.requests, m.auditLost, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// deliveryMetrics is a webhook.Recorder.
type deliveryMetrics struct {
	*laneMetrics // counts updates that were final when they were accepted
	total        *prometheus.CounterVec
	notKept      *prometheus.CounterVec
}

func newDeliveryMetrics(registry *prometheus.Registry, lanes *laneMetrics) deliveryMetrics {
	m := deliveryMetrics{lanes, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tallyman_deliveries_total", Help: "Inbound events, by outcome.",
	}, []string{"source", "outcome"}), prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tallyman_deliveries_not_kept_total", Help: "Rejected and ignored events of which nothing is kept, by why: their sender had too many, or the store is nearly full.",
	}, []string{"source", "reason"})}
	registry.MustRegister(m.total, m.notKept)
	return m
}

// know makes the series of a source.
func (m deliveryMetrics) know(source string) {
	for _, reason := range webhook.NotKeptReasons() {
		m.notKept.WithLabelValues(source, reason)
	}
	for _, outcome := range webhook.Outcomes() {
		m.total.WithLabelValues(source, outcome)
	}
}

// NotKept implements webhook.Recorder.
func (m deliveryMetrics) NotKept(source, reason string) {
	m.notKept.WithLabelValues(source, reason).Inc()
}

// Delivery implements webhook.Recorder.
func (m deliveryMetrics) Delivery(source, outcome string) {
	m.total.WithLabelValues(source, outcome).Inc()
}
