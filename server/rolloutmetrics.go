package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// rolloutSeconds covers a rollout that was there at once up to one that took an hour.
var rolloutSeconds = []float64{1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600}

// rolloutMetrics counts what comes of written updates in the cluster, and what Argo CD is
// asked. It is a follow.Recorder and an argocd.Recorder. The label of an Argo CD is no
// "instance": Prometheus has that name for what it scrapes.
type rolloutMetrics struct {
	ended     *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	open      *prometheus.GaugeVec
	refreshes *prometheus.CounterVec
	requests  *prometheus.CounterVec
	away      *prometheus.GaugeVec
	expires   *prometheus.GaugeVec

	mu        *sync.Mutex     // guards what follows
	followed  map[string]bool // environments
	instances map[string]bool // that are asked: what one of before still says makes no series
}

func newRolloutMetrics(registry *prometheus.Registry) rolloutMetrics {
	m := rolloutMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_rollouts_total", Help: "Written updates whose rollout in the cluster came to an end, by what it came to.",
		}, []string{"environment", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_rollout_seconds", Help: "From the acceptance of an update until it was seen healthy in the cluster.", Buckets: rolloutSeconds,
		}, []string{"environment"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_rollouts_open", Help: "Rollouts that this replica follows, by where they stand.",
		}, []string{"environment", "state"}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_argocd_refreshes_total", Help: "How often Argo CD was asked to look at git: first where its webhook had not come 2 s after a push, and next where it had not looked after that.",
		}, []string{"argocd", "cause"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_argocd_requests_total", Help: "Requests to Argo CD, by result: ok, or the code of the error.",
		}, []string{"argocd", "result"}),
		away: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_argocd_away", Help: "1 while Argo CD does not answer, does not compare, or refuses its token, as this replica sees it.",
		}, []string{"argocd"}),
		expires: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_argocd_token_expires_timestamp_seconds", Help: "When the token for Argo CD expires; 0 where it does not say, or was not used yet.",
		}, []string{"argocd"}),
		mu: new(sync.Mutex), followed: make(map[string]bool), instances: make(map[string]bool),
	}
	registry.MustRegister(m.ended, m.seconds, m.open, m.refreshes, m.requests, m.away, m.expires)
	return m
}

// know makes the series of what a configuration follows, and removes those of what the one
// before followed and this one does not.
func (m rolloutMetrics) know(before, now *generation) {
	if before != nil {
		for environment := range before.config.Environments {
			if in, stays := now.config.Environments[environment]; !stays || !in.Rollout.Followed() {
				m.follow(environment, false)
				of := prometheus.Labels{"environment": environment}
				m.ended.DeletePartialMatch(of)
				m.seconds.DeletePartialMatch(of)
			}
		}
		for _, a := range before.argoCDs {
			of := prometheus.Labels{"argocd": a.client.Instance()}
			if !now.asks(a.client.Instance()) {
				m.mu.Lock()
				delete(m.instances, a.client.Instance())
				m.mu.Unlock()
				for _, series := range []interface{ DeletePartialMatch(prometheus.Labels) int }{m.refreshes, m.requests, m.away, m.expires} {
					series.DeletePartialMatch(of)
				}
			}
		}
	}
	for environment, in := range now.config.Environments {
		if !in.Rollout.Followed() {
			continue
		}
		m.seconds.WithLabelValues(environment)
		m.follow(environment, true)
		for _, state := range gitops.RolloutStates() {
			if state.Final() {
				m.ended.WithLabelValues(environment, string(state))
			}
		}
	}
	for _, a := range now.argoCDs {
		m.knowInstance(a.client.Instance())
	}
}

// knowInstance makes the series of an instance.
func (m rolloutMetrics) knowInstance(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instances[name] = true
	m.away.WithLabelValues(name)
	m.expires.WithLabelValues(name)
	for _, cause := range follow.Causes() {
		m.refreshes.WithLabelValues(name, string(cause))
	}
	m.requests.WithLabelValues(name, "ok")
	for _, code := range gitops.Codes() {
		m.requests.WithLabelValues(name, string(code))
	}
}

// asks reports whether an instance is asked.
func (g *generation) asks(instance string) bool {
	for _, a := range g.argoCDs {
		if a.client.Instance() == instance {
			return true
		}
	}
	return false
}

// Ended implements [follow.Recorder].
func (m rolloutMetrics) Ended(u gitops.Update, r gitops.Rollout) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.followed[u.Environment] { // any more: its series are removed
		return
	}
	m.ended.WithLabelValues(u.Environment, string(r.State)).Inc()
	if r.State == gitops.RolloutHealthy {
		m.seconds.WithLabelValues(u.Environment).Observe(max(0, r.Since.Sub(u.AcceptedAt).Seconds()))
	}
}

// Open implements [follow.Recorder].
func (m rolloutMetrics) Open(now map[follow.Standing]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for environment := range m.followed {
		for _, state := range gitops.RolloutStates() {
			if !state.Final() {
				m.open.WithLabelValues(environment, string(state)).Set(float64(now[follow.Standing{Environment: environment, State: state}]))
			}
		}
	}
}

// follow has the series of what is open in an environment be there, or not.
func (m rolloutMetrics) follow(environment string, followed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !followed {
		delete(m.followed, environment)
		m.open.DeletePartialMatch(prometheus.Labels{"environment": environment})
		return
	}
	m.followed[environment] = true
	for _, state := range gitops.RolloutStates() {
		if !state.Final() {
			m.open.WithLabelValues(environment, string(state))
		}
	}
}

// Refreshed implements [follow.Recorder].
func (m rolloutMetrics) Refreshed(instance string, cause follow.Cause) {
	m.of(instance, func() { m.refreshes.WithLabelValues(instance, string(cause)).Inc() })
}

// Away implements [follow.Recorder].
func (m rolloutMetrics) Away(instance string, away bool) {
	is := 0.0
	if away {
		is = 1
	}
	m.of(instance, func() { m.away.WithLabelValues(instance).Set(is) })
}

// of notes something of an instance, if it is still asked.
func (m rolloutMetrics) of(instance string, note func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.instances[instance] {
		note()
	}
}

// ArgoCDRequest implements argocd.Recorder.
func (m rolloutMetrics) ArgoCDRequest(instance, result string) {
	m.of(instance, func() { m.requests.WithLabelValues(instance, result).Inc() })
}

// ArgoCDTokenExpires implements argocd.Recorder.
func (m rolloutMetrics) ArgoCDTokenExpires(instance string, at time.Time) {
	seconds := 0.0
	if !at.IsZero() {
		seconds = float64(at.Unix())
	}
	m.of(instance, func() { m.expires.WithLabelValues(instance).Set(seconds) })
}
