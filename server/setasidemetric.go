package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
)

// setAsides asks the store at every scrape what is set aside. It is the same on every
// replica.
type setAsides struct {
	store interface {
		Suspects(ctx context.Context) ([]gitops.Suspect, error)
	}
	logger *slog.Logger
}

var setAsideDesc = prometheus.NewDesc("tallyman_files_set_aside", "Objects that are not parsed any more because a process died twice while it did, by kind.", []string{"kind"}, nil)

// Describe implements prometheus.Collector.
func (s setAsides) Describe(ch chan<- *prometheus.Desc) { ch <- setAsideDesc }

// Collect implements prometheus.Collector. When the store does not answer the metric is
// absent, which is the truth.
func (s setAsides) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	suspects, err := s.store.Suspects(ctx)
	if err != nil {
		s.logger.Warn("what is set aside not counted", slog.String("error", err.Error()))
		return
	}
	aside := make(map[gitops.ParsedKind]int)
	for _, suspect := range suspects {
		if suspect.SetAside() {
			aside[suspect.Kind]++
		}
	}
	for _, kind := range gitops.ParsedKinds() {
		ch <- prometheus.MustNewConstMetric(setAsideDesc, prometheus.GaugeValue, float64(aside[kind]), string(kind))
	}
}
