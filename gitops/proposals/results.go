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
	terms   map[string]int // how often an environment was left
}

func newBoard() *board {
	return &board{results: map[string][]gitops.ProposalResult{}, changed: map[string]chan struct{}{}, terms: map[string]int{}}
}

// term returns the current term of an environment. What is posted for a term that has ended is
// dropped: another process may have the lane by now.
func (b *board) term(environment string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.terms[environment]
}

// leave ends an environment's term.
func (b *board) leave(environment string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.terms[environment]++
	delete(b.results, environment)
}

// post adds results of a term. One that says only what a pull request is like, or only what blocks an
// update, takes the place of the last one of its update that was alike and that was not
// asked for.
func (b *board) post(environment string, term int, results []gitops.ProposalResult) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if term != b.terms[environment] {
		return
	}
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
