package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres/postgrestest"
	"github.com/tallyman-dev/tallyman/server/api"
)

// storedDeliveries is how many deliveries the API is measured with.
const storedDeliveries = 100_000

// BenchmarkAPI reports how long the server takes to answer over 100,000 stored
// deliveries: the mean, and the slowest of all.
func BenchmarkAPI(b *testing.B) {
	for _, store := range []string{"sqlite", "postgres"} {
		b.Run(store, func(b *testing.B) {
			s := newSite(b)
			if store == "postgres" {
				s.edit("sqlite://"+s.dir+"/tallyman.db", postgrestest.Start(b).Schema(b))
			}
			s.fill()
			r := s.start()
			middle := read[api.DeliveryList](r, "/api/v1/deliveries?limit=200").Next
			for name, path := range map[string]string{
				"deliveries":         "/api/v1/deliveries?limit=200",
				"deliveries, next":   "/api/v1/deliveries?limit=200&cursor=" + url.QueryEscape(middle),
				"deliveries, few":    "/api/v1/deliveries?limit=200&outcome=rejected",
				"deliveries, none":   "/api/v1/deliveries?source=nobody&outcome=rejected",
				"delivery":           "/api/v1/deliveries/github/d50000",
				"delivery by its id": "/api/v1/deliveries/d50000",
				"updates":            "/api/v1/updates?limit=200",
				"updates of an app":  "/api/v1/updates?limit=200&environment=prod&app=api",
				"updates, few":       "/api/v1/updates?limit=200&state=failed",
				"updates, none":      "/api/v1/updates?app=nobody&state=pending",
				"environments":       "/api/v1/environments",
			} {
				b.Run(name, func(b *testing.B) { r.measure(b, path) })
			}
			b.Run("changes", func(b *testing.B) { r.measureChanges(b) })
		})
	}
}

// fill stores deliveries and ends their updates, all but the newest hundred.
func (s *site) fill() {
	s.t.Helper()
	server, err := s.newServer()
	s.must(err)
	defer func() { s.must(server.Stop(s.t.Context())) }()
	store, err := server.newStore(s.t.Context())
	s.must(err)
	defer func() { s.must(store.Close()) }()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 256 {
		all.Go(func() {
			for n := next.Add(1); n <= storedDeliveries; n = next.Add(1) {
				if _, _, err := store.Accept(s.t.Context(), stored(n)); err != nil {
					s.t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, environment := range []string{"dev", "prod"} {
		leases, err := store.Claim(s.t.Context(), "bench", []string{environment}, time.Hour)
		s.must(err)
		for {
			ready, err := store.Take(s.t.Context(), leases[0], queue.TakeOptions{Limit: 500})
			s.must(err)
			if len(ready) <= 100 {
				break
			}
			_, err = store.Report(s.t.Context(), leases[0], queue.Report{Transitions: ends(ready)})
			s.must(err)
		}
		s.must(store.Release(s.t.Context(), leases[0], true))
	}
}

// stored is a delivery: of a hundred, one asks for nothing and one for what cannot
// be.
func stored(n int64) gitops.Delivery {
	d := gitops.Delivery{
		Source: []string{"github", "eventbridge"}[n%2], ID: fmt.Sprintf("d%d", n), ReceivedAt: time.Now().UTC(), Actor: "ann",
		Outcome: gitops.OutcomeAccepted, Body: []byte(order("api", "dev", "main-1a2b3c4")),
	}
	switch n % 100 {
	case 10:
		d.Outcome, d.Reason = gitops.OutcomeIgnored, "the image was pushed without a tag"
	case 20:
		d.Outcome, d.Field, d.Reason = gitops.OutcomeRejected, "client_payload.tag", "prod: tag main-1a2b3c4 does not satisfy semver >=1.0.0"
	default:
		d.Updates = []gitops.Update{{
			Environment: []string{"dev", "prod"}[n/2%2], App: []string{"api", "worker"}[n/4%2], Tag: fmt.Sprintf("main-%07x", n),
		}}
	}
	return d
}

// ends are transitions: of 500 updates, one failed.
func ends(ready []gitops.Update) (ends []gitops.Transition) {
	for i, u := range ready {
		end := gitops.Transition{Update: u.ID, Action: gitops.ActionCommit, Commit: "0123456789abcdef0123456789abcdef01234567"}
		if i == 250 {
			end = gitops.Transition{Update: u.ID, Action: gitops.ActionFail, Code: gitops.NotFound, Reason: "there is no such file"}
		}
		ends = append(ends, end)
	}
	return ends
}

func (r *running) measure(b *testing.B, path string) {
	var took []time.Duration
	for b.Loop() {
		req := r.request(http.MethodGet, path, "")
		req.Header.Set("Authorization", "Bearer "+apiToken)
		began := time.Now()
		answer := r.do(req)
		took = append(took, time.Since(began))
		if answer.StatusCode != 200 && answer.StatusCode != 404 {
			b.Fatalf("answered %s %s", answer.Status, answer.body)
		}
	}
	b.ReportMetric(float64(slices.Max(took).Microseconds())/1000, "max-ms")
}

// measureChanges reads changes as a stream does, all of them and then again.
func (r *running) measureChanges(b *testing.B) {
	after := ""
	for b.Loop() {
		found, err := r.store.Changes(b.Context(), after, 200)
		if err != nil {
			b.Fatal(err)
		}
		if after = ""; len(found) > 0 {
			after = found[len(found)-1].Cursor
		}
	}
}
