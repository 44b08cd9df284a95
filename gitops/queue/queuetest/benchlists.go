package queuetest

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// listedDeliveries is how many deliveries the lists are measured with.
const listedDeliveries = 100_000

// BenchmarkLists reports how long a page of 100 takes for every kind of filter,
// those that match little or nothing included, while all updates wait and after
// all have ended; and how long pruning, following and counting do. The store is
// empty at first.
func BenchmarkLists(b *testing.B, s queue.Queue) {
	fill(b, s)
	b.Run("waiting", func(b *testing.B) { benchmarkLists(b, s) })
	for n := range 4 {
		finishAll(b, s, fmt.Sprintf("env-%d", n))
	}
	b.Run("ended", func(b *testing.B) { benchmarkLists(b, s) })
	b.Run("Prune", func(b *testing.B) {
		for b.Loop() {
			if n, err := s.Prune(b.Context(), time.Now().Add(time.Hour), 50); err != nil || n != 50 {
				b.Fatal(n, err)
			}
		}
	})
}

func fill(b *testing.B, s queue.Queue) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 256 {
		all.Go(func() {
			for n := int(next.Add(1)); n <= listedDeliveries; n = int(next.Add(1)) {
				d := benchmarkDelivery(n)
				if n == 10 {
					d.Source, d.Updates[0].App = "rare", "rare"
				}
				if n%100 == 0 {
					d.Outcome, d.Updates = gitops.OutcomeIgnored, nil
				}
				if _, _, err := s.Accept(b.Context(), d); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// finishAll ends all of the environment's updates; one of a thousand fails.
func finishAll(b *testing.B, s queue.Queue, environment string) {
	leases, err := s.Claim(b.Context(), "one", []string{environment}, time.Hour)
	if err != nil || len(leases) != 1 {
		b.Fatal(leases, err)
	}
	for {
		taken, err := s.Take(b.Context(), leases[0], queue.TakeOptions{Limit: 500})
		if err != nil {
			b.Fatal(err)
		}
		if len(taken) == 0 {
			return
		}
		var r queue.Report
		for i, u := range taken {
			t := committed(u)
			if i == 0 && u.Sequence%2 == 0 {
				t = failed(u)
			}
			r.Transitions = append(r.Transitions, t)
		}
		if _, err := s.Report(b.Context(), leases[0], r); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkLists(b *testing.B, s queue.Queue) {
	page := queue.Page{Limit: 100}
	for _, f := range []queue.DeliveryFilter{
		{}, {Source: "github"}, {Source: "rare"}, {Source: "none"}, {Outcome: gitops.OutcomeAccepted}, {Outcome: gitops.OutcomeIgnored},
		{Outcome: gitops.OutcomeRejected}, {Source: "rare", Outcome: gitops.OutcomeRejected},
	} {
		b.Run(fmt.Sprintf("Deliveries/%s,%s", f.Source, f.Outcome), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := s.Deliveries(b.Context(), f, page); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, environment := range []string{"", "env-1", "none"} {
		for _, app := range []string{"", "app-1", "rare", "none"} {
			for _, state := range []gitops.State{"", gitops.Pending, gitops.Committed, gitops.Failed, gitops.Superseded} {
				f := queue.UpdateFilter{Environment: environment, App: app, State: state}
				b.Run(fmt.Sprintf("Updates/%s,%s,%s", environment, app, state), func(b *testing.B) {
					for b.Loop() {
						if _, _, err := s.Updates(b.Context(), f, page); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
	b.Run("Changes", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Changes(b.Context(), "", page.Limit); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Backlogs", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Backlogs(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchmarkDelivery is the nth delivery, for one of 200 apps in 4 environments.
func benchmarkDelivery(n int) gitops.Delivery {
	return gitops.Delivery{
		Source: "github", ID: rand.Text(), ReceivedAt: time.Now(), Actor: "octocat", Outcome: gitops.OutcomeAccepted, Body: []byte("{}"),
		Updates: []gitops.Update{{
			Environment: fmt.Sprintf("env-%d", n%4), App: fmt.Sprintf("app-%d", n%200),
			Repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app", Tag: "main-1a2b3c4",
		}},
	}
}
