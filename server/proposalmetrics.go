package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// proposalMetrics count how pull requests end, and what forges are asked for.
type proposalMetrics struct {
	ended    *prometheus.CounterVec
	requests *prometheus.CounterVec
}

func newProposalMetrics(registry *prometheus.Registry) proposalMetrics {
	m := proposalMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_proposals_ended_total", Help: "Updates whose pull request was open and has ended, by the state that they ended in: committed is merged.",
		}, []string{"environment", "outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_forge_requests_total", Help: "What the host of a manifest repository was asked for about pull requests, by its answer: refused is a no that is not a fault, such as to a merge that its rules do not allow yet.",
		}, []string{"repository", "outcome"}),
	}
	registry.MustRegister(m.ended, m.requests)
	return m
}

// know makes the series of an environment that is written by pull requests.
func (m proposalMetrics) know(environment string) {
	for _, state := range gitops.States() {
		if state.Final() {
			m.ended.WithLabelValues(environment, string(state))
		}
	}
}

// knowForge makes the series of a manifest repository with such an environment.
func (m proposalMetrics) knowForge(repository string) {
	for _, outcome := range forgeOutcomes {
		m.requests.WithLabelValues(repository, outcome)
	}
}

// What a forge answers, as a label.
const (
	forgeOK      = "ok"
	forgeRefused = "refused"
	forgeFailed  = "failed"
)

var forgeOutcomes = []string{forgeOK, forgeRefused, forgeFailed, string(gitops.RateLimited), string(gitops.Forbidden), string(gitops.NotFound), string(gitops.Unavailable)}

// forgeOutcome is the label of an answer.
func forgeOutcome(err error) string {
	switch code := gitops.CodeOf(err); {
	case err == nil:
		return forgeOK
	case errors.Is(err, proposals.ErrExists), errors.Is(err, proposals.ErrNoCommits), errors.Is(err, proposals.ErrHeadMoved), errors.Is(err, proposals.ErrNotNow):
		return forgeRefused
	case code == gitops.RateLimited, code == gitops.Forbidden, code == gitops.NotFound, code == gitops.Unavailable:
		return string(code)
	}
	return forgeFailed
}

// countedProposals counts the pull requests of lanes that end.
type countedProposals struct {
	lane.Proposals
	ended *prometheus.CounterVec
}

func (m proposalMetrics) countEnds(of lane.Proposals) lane.Proposals {
	return countedProposals{of, m.ended}
}

// Results implements lane.Proposals. What ends an update that was never proposed comes
// without a pull request.
func (c countedProposals) Results(environment string) []gitops.ProposalResult {
	results := c.Proposals.Results(environment)
	for _, r := range results {
		if r.Transition == nil || r.Proposal == nil || r.Proposal.EndedAt.IsZero() {
			continue
		}
		if state, ok := gitops.Next(gitops.Proposed, r.Transition.Action); ok {
			c.ended.WithLabelValues(environment, string(state)).Inc()
		}
	}
	return results
}
