package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/server/discovery"
)

// How often what waits for an app is looked at when nothing says that apps have come: its
// time runs out, and another replica may have died before it was decided. How soon it is
// looked at again at the earliest.
const (
	reconsiderEvery = time.Minute
	reconsiderAgain = time.Second
)

// startReconsidering has deliveries that wait for an app decided: now, since apps may
// have come while no replica was there, and whenever s.waiting is asked.
func (s *Server) startReconsidering() {
	s.waiting = discovery.NewLoop(reconsiderEvery, reconsiderAgain, func(ctx context.Context) {
		if err := s.current().intake.Reconsider(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("waiting deliveries not decided, trying again", slog.String("error", err.Error()))
		}
	})
	s.runUntilStop("waiting deliveries", s.waiting.Run)
}

// waitingDeliveries asks the store at every scrape how many deliveries wait for an app. It
// is the same on every replica.
type waitingDeliveries struct {
	store  queue.Waiting
	logger *slog.Logger
}

var (
	waitingDesc       = prometheus.NewDesc("tallyman_deliveries_waiting", "Deliveries that wait for an app that is not known yet.", nil, nil)
	waitingOldestDesc = prometheus.NewDesc("tallyman_deliveries_waiting_oldest_seconds", "How long the oldest delivery has waited for an app; 0 when none waits.", nil, nil)
)

// Describe implements prometheus.Collector.
func (w waitingDeliveries) Describe(ch chan<- *prometheus.Desc) {
	ch <- waitingDesc
	ch <- waitingOldestDesc
}

// Collect implements prometheus.Collector. When the store does not answer the metrics are
// absent, which is the truth.
func (w waitingDeliveries) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	found, err := w.store.WaitingCount(ctx)
	if err != nil {
		w.logger.Warn("waiting deliveries not counted", slog.String("error", err.Error()))
		return
	}
	oldest := 0.0
	if found.Count > 0 {
		oldest = max(0, now().Sub(found.Oldest).Seconds())
	}
	ch <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(found.Count))
	ch <- prometheus.MustNewConstMetric(waitingOldestDesc, prometheus.GaugeValue, oldest)
}
