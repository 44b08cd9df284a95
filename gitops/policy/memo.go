package policy

import (
	"sync"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Memo remembers what was found out of tag rules, from one [New] to the next: thousands of
// apps may have rules of their own, and a configuration differs from the one before in a
// few. What the last few did not ask for is forgotten. Safe for concurrent use; its zero
// value is ready.
type Memo struct {
	mu    sync.Mutex
	turn  int
	rules map[TagRule]*remembered[compiledRule]
	pairs map[[2]TagRule]*remembered[pair]
}

type remembered[T any] struct {
	what T
	turn int // of the last question
}

type compiledRule struct {
	rule     rule
	warnings []*gitops.Error
	err      error
}

// remembersFor is how many turns nobody asks for something before it is forgotten.
const remembersFor = 3

// begin begins a turn.
func (m *Memo) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	forget(m.rules, m.turn)
	forget(m.pairs, m.turn)
}

func forget[K comparable, T any](from map[K]*remembered[T], turn int) {
	for key, r := range from {
		if r.turn < turn-remembersFor {
			delete(from, key)
		}
	}
}

// recall answers a question, with what was found out before if it was asked before. What
// finds it out takes its time, and nobody else waits for it.
func recall[K comparable, T any](m *Memo, from *map[K]*remembered[T], key K, find func() T) T {
	m.mu.Lock()
	r, ok := (*from)[key]
	if ok {
		r.turn = m.turn
	}
	m.mu.Unlock()
	if ok {
		return r.what
	}
	r = &remembered[T]{what: find()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if *from == nil {
		*from = make(map[K]*remembered[T])
	}
	r.turn = m.turn
	(*from)[key] = r
	return r.what
}

// compile compiles the rule that stands in a field.
func (m *Memo) compile(field string, source TagRule) (rule, []*gitops.Error, error) {
	if source == (TagRule{}) {
		return rule{}, nil, nil
	}
	c := recall(m, &m.rules, source, func() (c compiledRule) {
		c.rule, c.warnings, c.err = compileRule(source)
		return c
	})
	var warnings []*gitops.Error
	for _, w := range c.warnings {
		below := *w
		below.Field = field + "." + w.Field
		warnings = append(warnings, &below)
	}
	return c.rule, warnings, gitops.PrefixField(field, c.err)
}

// pair compares an environment's rule with an app's.
func (m *Memo) pair(env, own rule) pair {
	return recall(m, &m.pairs, [2]TagRule{env.source, own.source}, func() pair { return comparePair(env, own) })
}
