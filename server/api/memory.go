package api

import (
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// Memory bounds what answers hold. A zero field takes what a small site needs.
type Memory struct {
	Answers int // that are made or written at once, at least 2; default 16
	Page    int // deliveries in one answer, at most 200; default 200
	Changes int // that a stream reads at once, at most 200; default 200
}

// entryBytes is what a delivery or an update takes in an answer, with its texts.
const entryBytes = 1 << 10

// MemoryFor divides memory: for answers, and for streams. One delivery has at most so
// many updates, and a site so many apps in all its environments.
func MemoryFor(answers, streams int64, updates, apps int) Memory {
	delivery := int64(1+updates) * entryBytes
	m := Memory{
		Page:    int(min(max(answers/2/delivery, 1), maxPage)),
		Changes: int(min(max(streams/MaxStreams/delivery, 1), changesAtOnce)),
	}
	largest := max(maxPage*entryBytes, int64(m.Page)*delivery, int64(apps)*appBytes)
	m.Answers = int(max(answers/largest, 2))
	return m
}

// appBytes is what a row of an app takes for a caller that may not read all of them; else
// the rows are shared.
const appBytes = 104

func (m Memory) withDefaults() Memory {
	if m == (Memory{}) {
		return Memory{Answers: 16, Page: maxPage, Changes: changesAtOnce}
	}
	return m
}

// patience is how long a request waits for its turn to be answered.
const patience = 4 * time.Second

// Shared is what the APIs of one process have in common: an API for each configuration
// that still has requests. What bounds memory holds for all of them together.
type Shared struct {
	streams streams
	turns   *turns // of answers; as many as the newest API may have
}

// NewShared makes what no API has yet.
func NewShared() *Shared { return &Shared{turns: newTurns(0)} }

// turns bounds how many answers there are at once: in all, and of one principal half,
// so that nobody who reads slowly keeps the others from theirs. Safe for concurrent use.
type turns struct {
	mu    sync.Mutex
	most  int
	taken int
	of    map[string]int // by principal, without zeros
	freed chan struct{}  // closed and replaced when one ends
}

func newTurns(most int) *turns {
	return &turns{most: most, of: make(map[string]int), freed: make(chan struct{})}
}

// bound says how many there may be from now on.
func (t *turns) bound(most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
}

// take waits for a principal's turn, which lasts until done is called, once. The error's
// code is Unavailable.
func (t *turns) take(ctx context.Context, principal string) (done func(), err error) {
	var late <-chan time.Time
	for {
		t.mu.Lock()
		if t.taken < t.most && t.of[principal] < (t.most+1)/2 {
			t.taken++
			t.of[principal]++
			t.mu.Unlock()
			return func() { t.give(principal) }, nil
		}
		freed := t.freed
		t.mu.Unlock()
		if late == nil {
			late = time.After(patience)
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, gitops.Errorf(gitops.Unavailable, "the client is gone").WithCause(ctx.Err())
		case <-late:
			return nil, gitops.Errorf(gitops.Unavailable, "too many answers are being read at once, and slowly: ask again")
		}
	}
}

func (t *turns) give(principal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	if t.of[principal]--; t.of[principal] == 0 {
		delete(t.of, principal)
	}
	close(t.freed)
	t.freed = make(chan struct{})
}
