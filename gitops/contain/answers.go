package contain

import (
	"sync"

	"github.com/tallyman-dev/tallyman/gitops/edit"
	"github.com/tallyman-dev/tallyman/gitops/git"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// answerKey is a question whose answer does not change: commits do not, and another
// configuration has another path or reader.
type answerKey struct {
	revision, commit git.Hash
	tag, path        string
	reader           edit.TagReader
}

// mostAnswers is how many answers are remembered in each half.
const mostAnswers = 2_000

// answers are what was found, in two halves: when the newer one is full, the older one is
// forgotten. Safe for concurrent use.
type answers struct {
	mu           sync.Mutex
	newer, older map[answerKey]rollout.Containment
}

func newAnswers() *answers { return &answers{newer: make(map[answerKey]rollout.Containment)} }

func (a *answers) get(k answerKey) (rollout.Containment, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found, ok := a.newer[k]; ok {
		return found, true
	}
	found, ok := a.older[k]
	if ok {
		a.add(k, found) // what is asked for stays
	}
	return found, ok
}

func (a *answers) put(k answerKey, found rollout.Containment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(k, found)
}

func (a *answers) add(k answerKey, found rollout.Containment) {
	if len(a.newer) >= mostAnswers {
		a.older, a.newer = a.newer, make(map[answerKey]rollout.Containment)
	}
	a.newer[k] = found
}
