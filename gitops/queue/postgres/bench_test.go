package postgres_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
)

// benchmarked is a store whose server waits for its disk.
func benchmarked(b *testing.B) *postgres.Store {
	server := postgrestest.Start(b)
	s, err := postgres.Open(b.Context(), postgres.Address{URL: server.Schema(b)}, postgres.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func BenchmarkLists(b *testing.B) { queuetest.BenchmarkLists(b, benchmarked(b)) }

// BenchmarkAccept reports durable deliveries per second for growing numbers of
// concurrent callers of one replica.
func BenchmarkAccept(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(strconv.Itoa(callers)+"-callers", func(b *testing.B) {
			s := benchmarked(b)
			var next atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range callers {
				all.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if _, _, err := s.Accept(b.Context(), order(strconv.FormatInt(n, 10), "app-"+strconv.FormatInt(n%200, 10))); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
		})
	}
}
