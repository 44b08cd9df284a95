package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/server/storehealth"
)

// storeRecorder is the stores' recorder.
type storeRecorder struct {
	storeMetrics
	*storehealth.Monitor
}

// storeMetrics is of the store's transactions.
type storeMetrics struct{ seconds prometheus.Histogram }

func newStoreMetrics(registry *prometheus.Registry) storeMetrics {
	m := storeMetrics{prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "tallyman_store_commit_seconds", Help: "Transactions of the store, with their fsync.", Buckets: latency,
	})}
	registry.MustRegister(m.seconds)
	return m
}

// Committed implements the stores' recorders.
func (m storeMetrics) Committed(_ int, took time.Duration) { m.seconds.Observe(took.Seconds()) }

// storeCollector says what the monitor knows. It asks the store nothing, so a store that
// does not answer holds up no scrape.
type storeCollector struct{ health *storehealth.Monitor }

var (
	storeUpDesc    = prometheus.NewDesc("tallyman_store_up", "1 while the store takes deliveries and answers questions, else 0.", nil, nil)
	storeBytesDesc = prometheus.NewDesc("tallyman_store_bytes", "What the store takes: its file, or its tables and indexes in the database.", nil, nil)
	storeWALDesc   = prometheus.NewDesc("tallyman_store_wal_bytes", "The log beside the store's file; only with SQLite.", nil, nil)
	storeFreeDesc  = prometheus.NewDesc("tallyman_store_free_bytes", "What the store can still use: free on its volume and inside its file; only with SQLite.", nil, nil)
	storeOldDesc   = prometheus.NewDesc("tallyman_store_oldest_transaction_seconds",
		"How long another program's transaction has kept old versions of rows in the store's database; 0 when there is none; only with PostgreSQL.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{storeUpDesc, storeBytesDesc, storeWALDesc, storeFreeDesc, storeOldDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector. What is not known is absent.
func (c storeCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	up := 0.0
	if c.health.Up() {
		up = 1
	}
	gauge(storeUpDesc, up)
	if u, known := c.health.Usage(); known {
		gauge(storeBytesDesc, float64(u.Bytes))
		if u.File != nil {
			gauge(storeWALDesc, float64(u.File.WAL))
			gauge(storeFreeDesc, float64(u.File.Free))
		}
	}
	if age, known := c.health.OldestTransaction(); known {
		gauge(storeOldDesc, age.Seconds())
	}
}
