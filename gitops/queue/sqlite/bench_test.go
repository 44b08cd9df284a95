package sqlite_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// BenchmarkAccept reports durable deliveries per second for growing numbers of
// concurrent callers. BenchmarkFsync is the disk's part to compare with.
func BenchmarkAccept(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(strconv.Itoa(callers)+"-callers", func(b *testing.B) { benchmarkAccept(b, callers) })
	}
}

func benchmarkAccept(b *testing.B, callers int) {
	var counted commits
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{Recorder: &counted})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	body := make([]byte, 1024)
	_, _ = rand.Read(body)
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range callers {
		group.Go(func() {
			for {
				n := int(next.Add(1))
				if n > b.N {
					return
				}
				if _, _, err := s.Accept(b.Context(), benchmarkDelivery(n, body)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
	b.ReportMetric(float64(counted.requests)/float64(counted.commits), "accepts/commit")
}

// commits is a [sqlite.Recorder] that sums up. It is the writer's until the store
// is closed.
type commits struct {
	commits, requests int
}

func (c *commits) Committed(requests int, _ time.Duration) {
	c.commits++
	c.requests += requests
}

// Answered implements [sqlite.Recorder].
func (c *commits) Answered(queue.CallKind, bool) {}

// benchmarkDelivery is the nth delivery, for one of 200 apps in 4 environments.
// Its sender's id is random, as EventBridge's are, and so its update's is, too:
// that costs the store most.
func benchmarkDelivery(n int, body []byte) gitops.Delivery {
	return gitops.Delivery{
		Source: "github", ID: uuid.NewString(), ReceivedAt: time.Now(), Actor: "octocat", Outcome: gitops.OutcomeAccepted, Body: body,
		Updates: []gitops.Update{{
			Environment: fmt.Sprintf("env-%d", n%4), App: fmt.Sprintf("app-%d", n%200),
			Repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app", Tag: "main-1a2b3c4",
		}},
	}
}

func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	b.ResetTimer()
	for range b.N {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fsyncs/s")
}
