package server

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// answeringForge answers every call with one error.
type answeringForge struct{ err error }

func (f answeringForge) Pulls(context.Context, string) ([]proposals.Pull, error) { return nil, f.err }
func (f answeringForge) Open(context.Context) ([]proposals.Pull, bool, error) {
	return nil, false, f.err
}
func (f answeringForge) Get(context.Context, int) (proposals.Pull, error) {
	return proposals.Pull{}, f.err
}
func (f answeringForge) Create(context.Context, string, proposals.Text) (proposals.Pull, error) {
	return proposals.Pull{}, f.err
}
func (f answeringForge) Edit(context.Context, int, proposals.Text) error           { return f.err }
func (f answeringForge) Close(context.Context, int) error                          { return f.err }
func (f answeringForge) Comment(context.Context, int, string) error                { return f.err }
func (f answeringForge) Arm(context.Context, proposals.Pull, proposals.Text) error { return f.err }
func (f answeringForge) Disarm(context.Context, proposals.Pull) error              { return f.err }
func (f answeringForge) Rules(context.Context, string) (proposals.Rules, error) {
	return proposals.Rules{}, f.err
}

// callAll makes each call of a forge once, and returns how many of them returned the error.
func callAll(ctx context.Context, f proposals.Forge, want error) (same int) {
	_, pulls := f.Pulls(ctx, "b")
	_, _, open := f.Open(ctx)
	_, get := f.Get(ctx, 1)
	_, create := f.Create(ctx, "b", proposals.Text{})
	_, rules := f.Rules(ctx, "b")
	for _, err := range []error{pulls, open, get, create, rules, f.Edit(ctx, 1, proposals.Text{}), f.Close(ctx, 1), f.Comment(ctx, 1, ""),
		f.Arm(ctx, proposals.Pull{}, proposals.Text{}), f.Disarm(ctx, proposals.Pull{})} {
		if errors.Is(err, want) {
			same++
		}
	}
	return same
}

// Every call of a forge is counted by its answer, and answered as the forge answers. What
// nobody waits for any more says nothing of the forge.
func TestForgeRequestsAreCounted(t *testing.T) {
	const calls = 10
	over, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx     context.Context
		err     error
		outcome string
	}{
		"an answer":            {t.Context(), nil, "ok"},
		"there is one":         {t.Context(), fmt.Errorf("create: %w", proposals.ErrExists), "refused"},
		"no commits":           {t.Context(), proposals.ErrNoCommits, "refused"},
		"moved":                {t.Context(), proposals.ErrHeadMoved, "refused"},
		"not now":              {t.Context(), proposals.ErrNotNow, "refused"},
		"too many":             {t.Context(), gitops.Errorf(gitops.RateLimited, "slow down"), "rate_limited"},
		"no permission":        {t.Context(), gitops.Errorf(gitops.Forbidden, "Pull requests: write is missing"), "forbidden"},
		"no repository":        {t.Context(), gitops.Errorf(gitops.NotFound, "no such repository"), "not_found"},
		"away":                 {t.Context(), gitops.Errorf(gitops.Unavailable, "502"), "unavailable"},
		"something else":       {t.Context(), errors.New("not JSON"), "failed"},
		"the process stops":    {over, gitops.Errorf(gitops.Unavailable, "context canceled"), ""},
		"the call is given up": {t.Context(), gitops.Errorf(gitops.Unavailable, "given up").WithCause(context.Canceled), ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newProposalMetrics(prometheus.NewRegistry())
			registry := prometheus.NewRegistry()
			registry.MustRegister(m.requests)
			if same := callAll(c.ctx, m.count(answeringForge{c.err}, "shop"), c.err); same != calls {
				t.Errorf("%d calls returned what the forge did", same)
			}
			want := map[string]float64{}
			if c.outcome != "" {
				want[`tallyman_forge_requests_total{outcome="`+c.outcome+`",repository="shop"}`] = calls
			}
			if diff := cmp.Diff(want, gather(t, &Server{metrics: &metrics{registry: registry}})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// results are what a lane is told of its pull requests.
type results struct {
	lane.Proposals
	of []gitops.ProposalResult
}

func (r results) Results(string) []gitops.ProposalResult { return r.of }

// A pull request counts once it has ended, by the state of its update; not while it is open,
// and not an update that never had one.
func TestEndedProposalsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newProposalMetrics(registry)
	m.know("prod")
	opened := gitops.Proposal{Number: 7, OpenedAt: time.UnixMilli(1)}
	over := opened
	over.EndedAt = time.UnixMilli(2)
	does := func(a gitops.Action) *gitops.Transition { return &gitops.Transition{Action: a} }
	all := []gitops.ProposalResult{
		{Transition: does(gitops.ActionPropose), Proposal: &opened}, {Proposal: &opened}, {Blocked: &gitops.Block{}}, {Transition: does(gitops.ActionConfirm)},
		{Transition: does(gitops.ActionCommit), Proposal: &over}, {Transition: does(gitops.ActionCommit), Proposal: &over},
		{Transition: does(gitops.ActionClose), Proposal: &over}, {Transition: does(gitops.ActionCancel), Proposal: &over}, {Transition: does(gitops.ActionConfirm), Proposal: &over},
	}
	if got := m.countEnds(results{of: all}).Results("prod"); len(got) != len(all) {
		t.Errorf("the lane gets %d results", len(got))
	}
	want := map[string]float64{}
	for outcome, n := range map[string]float64{"committed": 2, "closed": 1, "cancelled": 1, "unchanged": 1, "superseded": 0, "failed": 0} {
		want[`tallyman_proposals_ended_total{environment="prod",outcome="`+outcome+`"}`] = n
	}
	if diff := cmp.Diff(want, gather(t, &Server{metrics: &metrics{registry: registry}})); diff != "" {
		t.Error(diff)
	}
}
