package server

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// toldOverLimitEvery is how often the log says whose requests are over the limit: once
// for all addresses, which may be many.
const toldOverLimitEvery = time.Minute

// overLimit is the limits.Recorder. Safe for concurrent use.
type overLimit struct {
	valid, invalid prometheus.Counter
	logger         *slog.Logger
	now            func() time.Time

	mu   sync.Mutex
	told time.Time
}

func newOverLimit(registry *prometheus.Registry, logger *slog.Logger) *overLimit {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tallyman_over_limit_requests_total", Help: "Requests from addresses that were refused too often: those with a valid credential passed, the others were answered 429.",
	}, []string{"credential"})
	registry.MustRegister(requests)
	return &overLimit{valid: requests.WithLabelValues("valid"), invalid: requests.WithLabelValues("invalid"), logger: logger, now: now}
}

// OverLimit implements limits.Recorder.
func (o *overLimit) OverLimit(route, remote string, valid bool) {
	if valid {
		o.valid.Inc()
		return
	}
	o.invalid.Inc()
	if o.due() {
		o.logger.Warn("too many requests without a valid credential, answering 429", slog.String("remote", remote), slog.String("route", route),
			slog.String("advice", "block the address in front of tallyman; if it is a proxy's, list it in limits.trustedProxies"))
	}
}

// due reports whether it is time to write a line.
func (o *overLimit) due() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.now()
	if !o.told.IsZero() && at.Sub(o.told) < toldOverLimitEvery {
		return false
	}
	o.told = at
	return true
}
