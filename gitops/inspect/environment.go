package inspect

import (
	"maps"
	"slices"
)

// environment is what the room knows of an environment's updates.
type environment struct {
	waiters map[string]*waiter // by update
	freed   map[string]bool    // updates for Freed to return
	changed chan struct{}
}

func (r *Room) environment(name string) *environment {
	e := r.environments[name]
	if e == nil {
		e = &environment{waiters: make(map[string]*waiter), freed: make(map[string]bool), changed: make(chan struct{}, 1)}
		r.environments[name] = e
	}
	return e
}

// signal says that something became known.
func (e *environment) signal() {
	select {
	case e.changed <- struct{}{}:
	default: // it is to be told already
	}
}

// Changed implements lane.Images.
func (r *Room) Changed(environment string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.environment(environment).changed
}

// Freed implements lane.Images.
func (r *Room) Freed(environment string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, now := r.environment(environment), r.Now()
	ids := slices.Sorted(maps.Keys(e.freed))
	clear(e.freed)
	for _, id := range ids {
		r.expectQuestion(e.waiters[id], now)
	}
	return ids
}

// Forget implements lane.Images.
func (r *Room) Forget(environment string, ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, now := r.environment(environment), r.Now()
	for _, id := range ids {
		r.forget(e.waiters[id], now)
	}
}

// Leave implements lane.Images.
func (r *Room) Leave(environment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	for _, w := range r.environment(environment).waiters {
		r.forget(w, now)
	}
}
