package server

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// countedForge counts what a forge is asked for. What ends because no caller waits for it any
// more is not counted: it says nothing of the forge.
type countedForge struct {
	forge    proposals.Forge
	requests *prometheus.CounterVec // by outcome
}

// count counts the answer to one call.
func (m proposalMetrics) count(forge proposals.Forge, repository string) proposals.Forge {
	return countedForge{forge, m.requests.MustCurryWith(prometheus.Labels{"repository": repository})}
}

func (f countedForge) count(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		f.requests.WithLabelValues(forgeOutcome(err)).Inc()
	}
	return err
}

// Pulls implements proposals.Forge.
func (f countedForge) Pulls(ctx context.Context, branch string) ([]proposals.Pull, error) {
	found, err := f.forge.Pulls(ctx, branch)
	return found, f.count(ctx, err)
}

// Open implements proposals.Forge.
func (f countedForge) Open(ctx context.Context) ([]proposals.Pull, bool, error) {
	open, changed, err := f.forge.Open(ctx)
	return open, changed, f.count(ctx, err)
}

// Get implements proposals.Forge.
func (f countedForge) Get(ctx context.Context, number int) (proposals.Pull, error) {
	found, err := f.forge.Get(ctx, number)
	return found, f.count(ctx, err)
}

// Create implements proposals.Forge.
func (f countedForge) Create(ctx context.Context, branch string, t proposals.Text) (proposals.Pull, error) {
	made, err := f.forge.Create(ctx, branch, t)
	return made, f.count(ctx, err)
}

// Edit implements proposals.Forge.
func (f countedForge) Edit(ctx context.Context, number int, t proposals.Text) error {
	return f.count(ctx, f.forge.Edit(ctx, number, t))
}

// Close implements proposals.Forge.
func (f countedForge) Close(ctx context.Context, number int) error {
	return f.count(ctx, f.forge.Close(ctx, number))
}

// Comment implements proposals.Forge.
func (f countedForge) Comment(ctx context.Context, number int, text string) error {
	return f.count(ctx, f.forge.Comment(ctx, number, text))
}

// Arm implements proposals.Forge.
func (f countedForge) Arm(ctx context.Context, p proposals.Pull, t proposals.Text) error {
	return f.count(ctx, f.forge.Arm(ctx, p, t))
}

// Disarm implements proposals.Forge.
func (f countedForge) Disarm(ctx context.Context, p proposals.Pull) error {
	return f.count(ctx, f.forge.Disarm(ctx, p))
}

// Rules implements proposals.Forge.
func (f countedForge) Rules(ctx context.Context, topic string) (proposals.Rules, error) {
	rules, err := f.forge.Rules(ctx, topic)
	return rules, f.count(ctx, err)
}
