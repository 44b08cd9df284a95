package manifest

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// Whole writes against git's own http-backend on this machine, so nearly all of
// the time is the server's: one update at a time, and a hundred at once.
func BenchmarkWrite(b *testing.B) {
	large := gitserver.Shape{Apps: 2_000, Commits: 20_000, Environments: append([]string{"test"}, testEnvironments...)}
	shapes := []struct {
		name string
		gitserver.Shape
	}{
		{"small", gitserver.Shape{Apps: 20, Commits: 200, Environments: testEnvironments}},
		{"medium", gitserver.Shape{Apps: 300, Commits: 5_000, Environments: testEnvironments}},
		{"large", large},
		{"extra large", gitserver.Shape{Apps: 10_000, Commits: 1_000, Environments: append([]string{"test"}, testEnvironments...)}},
	}
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			server, err := gitserver.Start(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer server.Close()
			repo, err := server.CreateRepository("bench.git")
			if err != nil {
				b.Fatal(err)
			}
			if err := repo.Generate(s.Shape); err != nil {
				b.Fatal(err)
			}
			w, err := New(Config{URL: repo.URL, Author: git.Signature{Name: "bot", Email: "bot@example.com"}, Target: targetsOf(s.Shape), Prover: testProver, Files: filesOf(s.Shape)})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			began := time.Now()
			if err := w.Handshake(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.Logf("the first fetch took %s and %d KiB; the heap holds %d KiB", time.Since(began), server.Counts().BytesOut>>10, heapKiB())
			n := 0
			for _, batch := range []int{1, 100} {
				b.Run(fmt.Sprint(batch), func(b *testing.B) { benchmarkBatch(b, w, server, s.Shape, batch, &n) })
			}
			b.Logf("the heap holds %d KiB after %d updates", heapKiB(), n)
			if err := repo.Fsck(); err != nil {
				b.Error(err)
			}
		})
	}
}

// targetsOf are made once, as the service makes them.
func targetsOf(s gitserver.Shape) func(environment, app string) (Target, error) {
	all := make(map[[2]string]Target)
	for n := range s.Apps {
		for _, environment := range s.Environments {
			app := gitserver.App(n)
			all[[2]string{environment, app}] = Target{Files: []FileEdit{{File: gitserver.ValuesFile(app, environment), Editor: lineEditor{}}}}
		}
	}
	return func(environment, app string) (Target, error) { return all[[2]string{environment, app}], nil }
}

func filesOf(s gitserver.Shape) func() []string {
	var paths []string
	for n := range s.Apps {
		for _, environment := range s.Environments {
			paths = append(paths, gitserver.ValuesFile(gitserver.App(n), environment))
		}
	}
	return func() []string { return paths }
}

func heapKiB() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc >> 10
}

func benchmarkBatch(b *testing.B, w *Writer, server *gitserver.Server, s gitserver.Shape, batch int, n *int) {
	server.ResetCounts()
	updates := 0
	for b.Loop() {
		var out []gitops.Update
		for range batch {
			*n++
			out = append(out, gitops.Update{
				ID: fmt.Sprint("up-", *n), Delivery: gitops.DeliveryKey{Source: "github", ID: fmt.Sprint(*n)},
				Environment: "dev", App: gitserver.App(*n % s.Apps), Tag: fmt.Sprintf("bench-%07d", *n), AcceptedAt: time.Now(),
			})
		}
		settled, err := writeAll(b.Context(), w, out...)
		if err != nil || len(settled) != batch || settled[0].Action != gitops.ActionCommit {
			b.Fatal(settled, err)
		}
		updates += batch
	}
	counts := server.Counts()
	b.ReportMetric(float64(counts.BytesIn)/float64(updates), "sent-B/update")
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(updates), "ms/update")
	b.ReportMetric(float64(counts.Total())*float64(batch)/float64(updates), "requests/op")
}
