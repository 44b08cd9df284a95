package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// orderMetrics count the orders of people that undo or pass something.
type orderMetrics struct {
	rollbacks, overrides *prometheus.CounterVec
}

func newOrderMetrics(registry *prometheus.Registry) orderMetrics {
	m := orderMetrics{
		rollbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_rollbacks_total", Help: "Rollbacks that were accepted.",
		}, []string{"environment"}),
		overrides: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_overrides_total", Help: "Orders that were accepted with a reason to pass what holds them, by the kind of what they pass; one that passes several kinds counts in each.",
		}, []string{"environment", "kind"}),
	}
	registry.MustRegister(m.rollbacks, m.overrides)
	return m
}

// know makes the series of an environment.
func (m orderMetrics) know(environment string) {
	m.rollbacks.WithLabelValues(environment)
	for _, kind := range gitops.HoldKinds() {
		m.overrides.WithLabelValues(environment, string(kind))
	}
}

// ordered counts what was accepted for the first time. A rollback passes pins and freezes
// without a reason of its own, so only the stop that it passes is overridden.
func (m orderMetrics) ordered(updates []gitops.Update) {
	for _, u := range updates {
		if u.Terms == nil {
			continue
		}
		back := u.Terms.RollsBack != ""
		if back {
			m.rollbacks.WithLabelValues(u.Environment).Inc()
		}
		for _, kind := range u.Terms.Passes {
			if u.Terms.Override != "" && (!back || kind == gitops.BlockStop) {
				m.overrides.WithLabelValues(u.Environment, string(kind)).Inc()
			}
		}
	}
}

// countedStore counts the orders that are placed.
type countedStore struct {
	queue.Queue
	orders orderMetrics
}

// Place implements queue.Holds.
func (c countedStore) Place(ctx context.Context, p queue.Placement) (queue.Placed, error) {
	placed, err := c.Queue.Place(ctx, p)
	if err == nil && placed.Order != nil && !placed.Duplicate {
		c.orders.ordered(placed.Order.Updates)
	}
	return placed, err
}

// holdStates says at every scrape what holds: the holds in the store and the freezes of
// the configuration that are closed. It is the same on every replica.
type holdStates struct {
	store interface {
		HoldsInForce(ctx context.Context) (queue.InForce, error)
	}
	environments func() []string
	freezes      func() *gate.Freezes
	logger       *slog.Logger
}

var (
	holdsDesc   = laneDesc("tallyman_holds", "Holds in force, and freezes of the configuration that are closed now. One that covers several environments counts in each.", "kind")
	holdAgeDesc = laneDesc("tallyman_hold_oldest_seconds", "How long the oldest of these holds and freezes has been in force; 0 when there is none. A freeze of the configuration counts as 8 days at most.", "kind")
	pinEndsDesc = laneDesc("tallyman_pin_ends_timestamp_seconds", "When the first pin that is in force ends, as Unix time; 0 when there is none.")
)

// oldestFreeze is how far back the gate looks for a freeze's beginning.
const oldestFreeze = 8 * 24 * time.Hour

// Describe implements prometheus.Collector.
func (h holdStates) Describe(ch chan<- *prometheus.Desc) {
	ch <- holdsDesc
	ch <- holdAgeDesc
	ch <- pinEndsDesc
}

// Collect implements prometheus.Collector. When the store does not answer these metrics
// are absent, which is the truth.
func (h holdStates) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	in, err := h.store.HoldsInForce(ctx)
	if err != nil {
		h.logger.Warn("holds not counted", slog.String("error", err.Error()))
		return
	}
	environments, freezes := h.environments(), h.freezes()
	found := make(map[string]*holdSums, len(environments))
	for _, environment := range environments {
		found[environment] = newHoldSums(freezes.At(environment, "", in.At), in.At)
	}
	for _, hold := range in.Holds {
		covered := hold.Environments
		if len(covered) == 0 {
			covered = environments
		}
		for _, environment := range covered {
			if sums := found[environment]; sums != nil { // else it is not configured any more
				sums.add(hold)
			}
		}
	}
	for _, environment := range environments {
		found[environment].collect(ch, environment, in.At)
	}
}

// holdSums are what holds in one environment.
type holdSums struct {
	count   map[gitops.HoldKind]int
	oldest  map[gitops.HoldKind]time.Time
	pinEnds time.Time // of the first
}

func newHoldSums(closed []gate.Closed, now time.Time) *holdSums {
	s := &holdSums{count: make(map[gitops.HoldKind]int), oldest: make(map[gitops.HoldKind]time.Time)}
	for _, c := range closed {
		since := c.From
		if since.IsZero() {
			since = now.Add(-oldestFreeze)
		}
		s.add(gitops.Hold{Kind: gitops.HoldFreeze, Since: since})
	}
	return s
}

func (s *holdSums) add(h gitops.Hold) {
	s.count[h.Kind]++
	if oldest := s.oldest[h.Kind]; oldest.IsZero() || h.Since.Before(oldest) {
		s.oldest[h.Kind] = h.Since
	}
	if h.Kind == gitops.HoldPin && (s.pinEnds.IsZero() || h.Until.Before(s.pinEnds)) {
		s.pinEnds = h.Until
	}
}

func (s *holdSums) collect(ch chan<- prometheus.Metric, environment string, now time.Time) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{environment}, labels...)...)
	}
	for _, kind := range gitops.HoldKinds() {
		age := 0.0
		if s.count[kind] > 0 {
			age = max(0, now.Sub(s.oldest[kind]).Seconds())
		}
		gauge(holdsDesc, float64(s.count[kind]), string(kind))
		gauge(holdAgeDesc, age, string(kind))
	}
	gauge(pinEndsDesc, unixSeconds(s.pinEnds))
}
