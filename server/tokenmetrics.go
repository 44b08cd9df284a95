package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/api"
)

// tokenMetrics say which tokens are used, and which will end: whoever replaces one sees
// when the old one is used no longer. A token is named as in the configuration, and by
// its file, which tells two of a name apart.
type tokenMetrics struct {
	lastUsed, expiry *prometheus.GaugeVec
}

func newTokenMetrics(registry *prometheus.Registry) tokenMetrics {
	labels := []string{"token", "file"}
	m := tokenMetrics{
		lastUsed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_api_token_last_used_timestamp_seconds", Help: "When this process last accepted the token; 0 when it never did.",
		}, labels),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_api_token_expiry_timestamp_seconds", Help: "When the token stops being valid; missing for one that does not.",
		}, labels),
	}
	registry.MustRegister(m.lastUsed, m.expiry)
	return m
}

// know makes the series of the configured tokens.
func (m tokenMetrics) know(tokens []api.Token) {
	for _, t := range tokens {
		m.lastUsed.WithLabelValues(t.Name, t.File)
		if !t.Expires.IsZero() {
			m.expiry.WithLabelValues(t.Name, t.File).Set(float64(t.Expires.Unix()))
		}
	}
}

// Used notes that a token was accepted.
func (m tokenMetrics) Used(t api.Token, at time.Time) {
	m.lastUsed.WithLabelValues(t.Name, t.File).Set(float64(at.Unix()))
}
