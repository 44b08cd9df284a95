package server

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/githubapp"
	"github.com/tallyman-dev/tallyman/server/missed"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
)

// sweeps have what GitHub could not deliver fetched, as each App that there is: once for
// each App, however many repositories it is for.
type sweeps struct {
	ctx     context.Context
	metrics *missedMetrics // nil before there was an App

	running sync.WaitGroup
	stop    map[string]context.CancelFunc // by App
}

// startSweeps has what GitHub could not deliver fetched, where there is an App to
// ask as.
func (s *Server) startSweeps() {
	ctx, cancel := context.WithCancel(context.Background())
	s.sweeps = &sweeps{ctx: ctx, stop: make(map[string]context.CancelFunc)}
	s.onStop("missed deliveries", func(context.Context) error {
		cancel()
		s.sweeps.running.Wait()
		return nil
	})
	s.sweep(s.current())
}

// sweep begins to sweep as Apps that a configuration has and the one before had not, and
// ends to as others.
func (s *Server) sweep(g *generation) {
	apps := make(map[string]bool)
	for _, r := range g.repositories {
		if r.app != nil {
			apps[r.app.Key()] = true
		}
	}
	for key, stop := range s.sweeps.stop {
		if !apps[key] {
			stop()
			delete(s.sweeps.stop, key)
		}
	}
	for key := range apps {
		if s.sweeps.stop[key] != nil {
			continue
		}
		if s.sweeps.metrics == nil {
			s.sweeps.metrics = newMissedMetrics(s.metrics.registry)
		}
		sweeper := missed.New(missed.Config{
			App: sweptApp{s, key}, Job: "job/missed/" + key, GitHub: s.githubNow, Store: s.store,
			Recorder: s.sweeps.metrics, Logger: s.logger, Holder: newHolder(), Now: now,
		})
		ctx, stop := context.WithCancel(s.sweeps.ctx)
		s.sweeps.stop[key] = stop
		s.sweeps.running.Go(func() { sweeper.Run(ctx) })
	}
}

// sweptApp is an App as whichever repository has it now.
type sweptApp struct {
	server *Server
	key    string
}

// as calls the App, which is not closed meanwhile.
func (a sweptApp) as(call func(app *githubapp.App) error) error {
	for _, r := range a.server.current().sorted() {
		if r.app != nil && r.app.Key() == a.key && r.lanes.Keep() {
			defer r.lanes.Release()
			return call(r.app)
		}
	}
	return gitops.Errorf(gitops.Unavailable, "the GitHub App is configured no longer")
}

// Deliveries implements missed.App.
func (a sweptApp) Deliveries(ctx context.Context, cursor string) (page []githubapp.Delivery, next string, err error) {
	err = a.as(func(app *githubapp.App) (err error) { page, next, err = app.Deliveries(ctx, cursor); return err })
	return page, next, err
}

// DeliveryRequest implements missed.App.
func (a sweptApp) DeliveryRequest(ctx context.Context, id int64) (r githubapp.DeliveryRequest, err error) {
	err = a.as(func(app *githubapp.App) (err error) { r, err = app.DeliveryRequest(ctx, id); return err })
	return r, err
}

// Redeliver implements missed.App.
func (a sweptApp) Redeliver(ctx context.Context, id int64) error {
	return a.as(func(app *githubapp.App) error { return app.Redeliver(ctx, id) })
}

// githubNow is what takes GitHub's webhooks in now; not ok while none are configured.
func (s *Server) githubNow() (to missed.Destination, ok bool) {
	g := s.current()
	receiver, ok := g.receivers["/webhooks/github"].(*github.Receiver)
	return missed.Destination{Receiver: receiver, Intake: g.intake}, ok
}

// missedMetrics is a missed.Recorder.
type missedMetrics struct {
	deliveries *prometheus.CounterVec
	last       prometheus.Gauge
}

func newMissedMetrics(registry *prometheus.Registry) *missedMetrics {
	m := &missedMetrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_missed_deliveries_total", Help: "Deliveries that GitHub could not deliver, by outcome.",
		}, []string{"outcome"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tallyman_missed_last_sweep_timestamp_seconds", Help: "When all of GitHub's deliveries were last accounted for, as Unix time; 0 before the first.",
		}),
	}
	for _, outcome := range missed.Outcomes() {
		m.deliveries.WithLabelValues(string(outcome))
	}
	registry.MustRegister(m.deliveries, m.last)
	return m
}

// Missed implements missed.Recorder.
func (m *missedMetrics) Missed(outcome missed.Outcome) {
	m.deliveries.WithLabelValues(string(outcome)).Inc()
}

// Swept implements missed.Recorder.
func (m *missedMetrics) Swept(at time.Time) { m.last.Set(float64(at.UnixMilli()) / 1000) }
