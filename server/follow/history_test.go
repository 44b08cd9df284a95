package follow_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// history is commits on the branch, and a follow.Git.
type history struct {
	mu      sync.Mutex
	commits []map[string]string // tags by app, of each
	err     error
	asked   int
	slow    time.Duration
	behind  bool // it names no commit that it is asked for
}

func newHistory() *history { return &history{commits: []map[string]string{{}}} }

func hash(n int) string { return fmt.Sprintf("%040x", n+0xabc0000) }

// commit commits a tag of an app, and returns the commit's name.
func (h *history) commit(app, tag string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	tags := map[string]string{app: tag}
	for other, is := range h.commits[len(h.commits)-1] {
		if other != app {
			tags[other] = is
		}
	}
	h.commits = append(h.commits, tags)
	return hash(len(h.commits) - 1)
}

// tip is the newest commit, and the tag of an app there.
func (h *history) tip(app string) (n int, tag string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = len(h.commits) - 1
	return n, h.commits[n][app]
}

// fail has all questions fail from now on; nil for not any more.
func (h *history) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// hide has the server be behind, or not any more.
func (h *history) hide(behind bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behind = behind
}

func (h *history) Containment(_ context.Context, u gitops.Update, revision string) (rollout.Containment, error) {
	h.mu.Lock()
	slow := h.slow
	h.mu.Unlock()
	time.Sleep(slow)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	if h.err != nil {
		return "", h.err
	}
	at, of := -1, -1
	for n := range h.commits {
		if hash(n) == revision {
			at = n
		}
		if hash(n) == u.Commit {
			of = n
		}
	}
	switch {
	case at < 0, h.behind:
		return rollout.NotARevision, nil
	case at < of:
		return rollout.Before, nil
	case h.commits[at][u.App] != u.Tag:
		return rollout.OtherTag, nil
	}
	return rollout.Contained, nil
}
