package holds

import (
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
)

// push is one that is being judged or is under way.
type push struct {
	updates []gitops.Update
	begun   bool // nothing held any of them
}

// Gate is asked right before each push of some updates. It returns those of them that
// something holds by now. Where there are such, nothing is pushed by this answer: the push is
// made without them, and asked about again. Otherwise done is to be called when the push has
// ended, however that was. After an error nothing may be pushed.
func (b *Book) Gate(ctx context.Context, updates []gitops.Update) (held []gitops.Held, done func(), err error) {
	p := &push{updates: updates}
	b.enter(p)
	blocks, err := b.Judge(ctx, updates)
	for i, by := range blocks {
		if len(by) > 0 {
			held = append(held, gitops.Held{Update: updates[i].ID, BlockedBy: by})
		}
	}
	if err != nil || len(held) > 0 {
		b.leave(p)
		return held, nil, err
	}
	b.begin(p)
	return nil, sync.OnceFunc(func() { b.leave(p) }), nil
}

func (b *Book) enter(p *push) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pushes[p] = true
}

func (b *Book) begin(p *push) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.begun = true
}

func (b *Book) leave(p *push) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pushes, p)
	close(b.changed) // whoever waits for pushes looks again
	b.changed = make(chan struct{})
}

// longestWait bounds how long [Book.AwaitQuiet] waits: a git server may take minutes for a
// push.
const longestWait = 10 * time.Second

// AwaitQuiet waits until the pushes have ended that this process had begun before the hold
// was placed, and that have an update that it holds. It returns the ids of these updates,
// which may be on the branch, and since when there is no such push, by the store's clock;
// the zero time when there still is one after 10 s, or when ctx has ended.
func (b *Book) AwaitQuiet(ctx context.Context, hold gitops.Hold) (underWay []string, quietSince time.Time) {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	begun := b.begun()
	for {
		underWay, quiet, changed := b.heldOf(begun, hold)
		if quiet {
			return underWay, b.now()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return underWay, time.Time{}
		}
	}
}

func (b *Book) begun() (pushes []*push) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.pushes {
		pushes = append(pushes, p)
	}
	return pushes
}

// heldOf returns those updates of the pushes that the hold is about and that were pushed all
// the same, and whether none of them is under way any more.
func (b *Book) heldOf(pushes []*push, hold gitops.Hold) (ids []string, quiet bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	quiet = true
	for _, p := range pushes {
		for _, u := range p.updates {
			if !holdsUpdate(hold, u) {
				continue
			}
			quiet = quiet && !b.pushes[p]
			if p.begun {
				ids = append(ids, u.ID)
			}
		}
	}
	return ids, quiet, b.changed
}

func holdsUpdate(h gitops.Hold, u gitops.Update) bool {
	return len(gate.Judge(gate.About(u), []gitops.Hold{h}, nil, h.Since)) > 0
}

// now is the store's clock, as far as it is known.
func (b *Book) now() time.Time {
	if v := b.latest.Load(); v != nil {
		return v.now()
	}
	return time.Now().UTC()
}
