package lane_test

import (
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
)

// fakeHolds holds what a test says.
type fakeHolds struct {
	mu       sync.Mutex
	by       map[string]gitops.Block // of what is held, by app, or by app and tag
	err      error                   // of what is asked next
	judging  func()                  // before each answer; nil for nothing
	edited   func(e gitops.HandEdit) // places a pin; nil for one that has ended
	editErr  func() error            // of HandEdited; nil for none
	edits    []string                // commits that it was told of
	rejudged int
}

func newHolds() *fakeHolds { return &fakeHolds{by: make(map[string]gitops.Block)} }

// hold holds an app, or a tag of it, until a time; the zero time is until free.
func (h *fakeHolds) hold(what string, kind gitops.BlockKind, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.by[what] = gitops.Block{Kind: kind, Reason: "ann holds " + what, Since: time.Now(), Until: until}
}

func (h *fakeHolds) free(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.by, what)
}

func (h *fakeHolds) failWith(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *fakeHolds) Judge(_ context.Context, updates []gitops.Update) ([][]gitops.Block, error) {
	if h.judging != nil {
		h.judging()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, h.err
	}
	held := make([][]gitops.Block, len(updates))
	for i, u := range updates {
		for _, what := range []string{u.App, u.App + " " + u.Tag} {
			if by, ok := h.by[what]; ok && (by.Until.IsZero() || time.Now().Before(by.Until)) {
				held[i] = append(held[i], by)
			}
		}
	}
	return held, nil
}

func (h *fakeHolds) HandEdited(_ context.Context, _ gitops.Update, e gitops.HandEdit) error {
	h.mu.Lock()
	h.edits = append(h.edits, e.Commit)
	h.mu.Unlock()
	if h.editErr != nil {
		if err := h.editErr(); err != nil {
			return err
		}
	}
	if h.edited != nil {
		h.edited(e)
	}
	return nil
}

func (h *fakeHolds) Rejudge(context.Context, string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	h.rejudged++
	return nil
}

func (h *fakeHolds) counts() (rejudged int, edits []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rejudged, h.edits
}
