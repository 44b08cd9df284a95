package proposals

import (
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
)

// board is where rooms put what lanes ask for.
type board struct {
	mu      sync.Mutex
	results map[string][]gitops.ProposalResult
	changed map[string]chan struct{}
}

func newBoard() *board {
	return &board{results: map[string][]gitops.ProposalResult{}, changed: map[string]chan struct{}{}}
}

// post adds results. One that says only what a pull request is like, or only what blocks an
// update, takes the place of the last one of its update that was alike and that nobody has
// asked for.
func (b *board) post(environment string, results []gitops.ProposalResult) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range results {
		b.results[environment] = add(b.results[environment], r)
	}
	select {
	case b.channel(environment) <- struct{}{}:
	default: // a hint is there already
	}
}

func add(list []gitops.ProposalResult, r gitops.ProposalResult) []gitops.ProposalResult {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Update == r.Update {
			if passing(list[i]) && passing(r) && (list[i].Blocked == nil) == (r.Blocked == nil) {
				list[i] = r
				return list
			}
			break
		}
	}
	return append(list, r)
}

// passing reports whether a later result of its kind says all that this one does.
func passing(r gitops.ProposalResult) bool { return r.Transition == nil && r.HandEdit == nil }

func (b *board) take(environment string) []gitops.ProposalResult {
	b.mu.Lock()
	defer b.mu.Unlock()
	results := b.results[environment]
	delete(b.results, environment)
	return results
}

// wait returns the channel of an environment.
func (b *board) wait(environment string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.channel(environment)
}

// channel is the environment's. The caller holds mu.
func (b *board) channel(environment string) chan struct{} {
	if b.changed[environment] == nil {
		b.changed[environment] = make(chan struct{}, 1)
	}
	return b.changed[environment]
}
