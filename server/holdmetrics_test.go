package server

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// inForce is a store with holds; without a time it is away.
type inForce queue.InForce

func (f inForce) HoldsInForce(context.Context) (queue.InForce, error) {
	if f.At.IsZero() {
		return queue.InForce{}, gitops.Errorf(gitops.Unavailable, "the store is away")
	}
	return queue.InForce(f), nil
}

func holdSeries(t *testing.T, store inForce, freezes *gate.Freezes) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(holdStates{
		store: store, environments: func() []string { return []string{"dev", "prod"} },
		freezes: func() *gate.Freezes { return freezes }, logger: slog.New(slog.DiscardHandler),
	})
	return gather(t, &Server{metrics: &metrics{registry: registry}})
}

// What covers several environments counts in each, what is not configured in none; no app
// is a label. Ages are by the store's clock. Without the store nothing is said.
func TestHoldsAreCounted(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) // a Saturday
	freezes, err := gate.Compile([]gate.FreezeConfig{
		{Field: "freezes[0]", Name: "weekend", Environments: []string{"prod"}, Zone: "UTC", Weekly: []gate.Span{{From: "Fri 16:00", Until: "Mon 08:00"}}},
		{Field: "freezes[1]", Name: "winter", Zone: "UTC", Once: []gate.Span{{From: "2026-11-01", Until: "2026-12-31"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	store := inForce{At: now, Holds: []gitops.Hold{
		{Kind: gitops.HoldStop, Since: now.Add(-time.Hour)},
		{Kind: gitops.HoldStop, Since: now.Add(-2 * time.Hour), Environments: []string{"prod"}},
		{Kind: gitops.HoldPin, Since: now.Add(-time.Minute), Until: now.Add(time.Hour), Environments: []string{"prod"}, Apps: []string{"api"}},
		{Kind: gitops.HoldPin, Since: now.Add(time.Second), Until: now.Add(time.Minute), Environments: []string{"dev"}, Apps: []string{"api"}},
		{Kind: gitops.HoldPin, Since: now, Until: now.Add(2 * time.Hour), Environments: []string{"prod"}, Apps: []string{"web"}},
		{Kind: gitops.HoldBad, Since: now.Add(-3 * time.Hour), Environments: []string{"gone"}, Apps: []string{"api"}, Tag: "1.2.3"},
	}}
	want := map[string]float64{}
	for kind, values := range map[string][4]float64{ // dev: how many, how old; prod: the same
		"pin": {1, 0, 2, 60}, "freeze": {1, 8 * 24 * 3600, 2, 8 * 24 * 3600}, "stop": {1, 3600, 2, 7200}, "bad": {0, 0, 0, 0},
	} {
		for i, environment := range []string{"dev", "prod"} {
			labels := fmt.Sprintf("{environment=%q,kind=%q}", environment, kind)
			want["tallyman_holds"+labels], want["tallyman_hold_oldest_seconds"+labels] = values[2*i], values[2*i+1]
		}
	}
	want[`tallyman_pin_ends_timestamp_seconds{environment="dev"}`] = unixSeconds(now.Add(time.Minute))
	want[`tallyman_pin_ends_timestamp_seconds{environment="prod"}`] = unixSeconds(now.Add(time.Hour))
	if diff := cmp.Diff(want, holdSeries(t, store, freezes)); diff != "" {
		t.Error(diff)
	}
	weekend := holdSeries(t, inForce{At: now.AddDate(0, 2, 0)}, freezes)
	if held, age := weekend[`tallyman_holds{environment="prod",kind="freeze"}`], weekend[`tallyman_hold_oldest_seconds{environment="prod",kind="freeze"}`]; held != 0 || age != 0 {
		t.Errorf("on a Thursday after the winter %v freezes hold since %v s", held, age)
	}
	if diff := cmp.Diff(map[string]float64{}, holdSeries(t, inForce{}, freezes)); diff != "" {
		t.Error(diff)
	}
}

// An order counts by what it passes with a reason; a rollback's own rights are no override.
func TestOrdersThatPassHoldsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newOrderMetrics(registry)
	m.know("prod")
	order := func(terms *gitops.Terms) { m.ordered([]gitops.Update{{Environment: "prod", Terms: terms}}) }
	pin, freeze, stop := gitops.BlockPin, gitops.BlockFreeze, gitops.BlockStop
	order(nil)
	order(&gitops.Terms{Reason: "planned"})
	order(&gitops.Terms{Override: "hotfix", Passes: []gitops.BlockKind{pin, freeze}})
	order(&gitops.Terms{RollsBack: "1.2.3", Passes: []gitops.BlockKind{pin, freeze}})
	order(&gitops.Terms{RollsBack: "1.2.3", Override: "the stop is about this", Passes: []gitops.BlockKind{pin, freeze, stop}})
	want := map[string]float64{
		`tallyman_rollbacks_total{environment="prod"}`:            2,
		`tallyman_overrides_total{environment="prod",kind="pin"}`: 1, `tallyman_overrides_total{environment="prod",kind="freeze"}`: 1,
		`tallyman_overrides_total{environment="prod",kind="stop"}`: 1, `tallyman_overrides_total{environment="prod",kind="bad"}`: 0,
	}
	if diff := cmp.Diff(want, gather(t, &Server{metrics: &metrics{registry: registry}})); diff != "" {
		t.Error(diff)
	}
}

// placing is a store that takes every placement, and says what it led to.
type placing struct {
	queue.Queue
	duplicate bool
	err       error
}

func (p placing) Place(_ context.Context, asked queue.Placement) (queue.Placed, error) {
	return queue.Placed{Order: asked.Order, Duplicate: p.duplicate}, p.err
}

// A rollback counts when it is placed for the first time, and not when it is known or fails.
func TestPlacedOrdersAreCountedOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newOrderMetrics(registry)
	order := &gitops.Delivery{Updates: []gitops.Update{{Environment: "prod", Terms: &gitops.Terms{RollsBack: "1.2.3"}}}}
	for _, store := range []placing{{}, {duplicate: true}, {err: gitops.Errorf(gitops.Unavailable, "the store is away")}} {
		_, _ = countedStore{store, m}.Place(t.Context(), queue.Placement{Order: order})
	}
	_, _ = countedStore{placing{}, m}.Place(t.Context(), queue.Placement{}) // a hold alone
	if diff := cmp.Diff(map[string]float64{`tallyman_rollbacks_total{environment="prod"}`: 1}, gather(t, &Server{metrics: &metrics{registry: registry}})); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkHoldsAtAScrape is what as many holds as there may be cost a scrape, beside
// reading them.
func BenchmarkHoldsAtAScrape(b *testing.B) {
	now := time.Now()
	store := inForce{At: now, Holds: make([]gitops.Hold, queue.MaxHolds)}
	for i := range store.Holds {
		store.Holds[i] = gitops.Hold{Kind: gitops.HoldPin, Since: now, Until: now.Add(time.Hour), Environments: []string{"prod"}, Apps: []string{fmt.Sprint("app-", i)}}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(holdStates{store: store, environments: func() []string { return []string{"prod"} }, freezes: func() *gate.Freezes { return nil }})
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
