package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
)

// endings are how proposals end, as proposals.Recorder has it.
var endings = []string{"merged", "closed", "confirmed", "cancelled", "superseded", "failed"}

// proposalMetrics count how pull requests end, and what the hosts of manifest repositories
// are asked for. It is a proposals.Recorder.
type proposalMetrics struct {
	ended    *prometheus.CounterVec
	requests *prometheus.CounterVec
	left     *prometheus.GaugeVec
}

func newProposalMetrics(registry *prometheus.Registry) proposalMetrics {
	m := proposalMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_proposals_ended_total", Help: "Proposals that ended, by how: confirmed is that the branch had the tag already.",
		}, []string{"environment", "outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_forge_requests_total", Help: "Requests about pull requests to the hosts of manifest repositories, by outcome: ok, also where the answer is no, or what kept them from being answered.",
		}, []string{"outcome"}),
		left: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_forge_requests_left", Help: "Requests that the host of a manifest repository takes until its limit, as it last said to this replica.",
		}, []string{"repository"}),
	}
	registry.MustRegister(m.ended, m.requests, m.left)
	return m
}

// know makes the series of the environments that are written by pull requests.
func (m proposalMetrics) know(environments []string) {
	for _, environment := range environments {
		for _, how := range endings {
			m.ended.WithLabelValues(environment, how)
		}
	}
	if len(environments) > 0 {
		m.requests.WithLabelValues("ok")
		for _, code := range gitops.Codes() {
			m.requests.WithLabelValues(string(code))
		}
	}
}

// Open implements proposals.Recorder. What is open is told from the store, which is the same
// on every replica.
func (m proposalMetrics) Open(string, int, time.Time) {}

// Request implements proposals.Recorder.
func (m proposalMetrics) Request(outcome string) { m.requests.WithLabelValues(outcome).Inc() }

// RateLeft implements proposals.Recorder.
func (m proposalMetrics) RateLeft(repository string, left int) {
	m.left.WithLabelValues(repository).Set(float64(left))
}

// Ended implements proposals.Recorder.
func (m proposalMetrics) Ended(environment, how string) {
	m.ended.WithLabelValues(environment, how).Inc()
}
