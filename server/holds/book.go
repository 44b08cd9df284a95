// Package holds is the book of holds of one process: what people placed in the store, and
// the freezes of the configuration in force. Lanes ask it before they write a batch, and
// writers once more right before each push, as does who opens a pull request or has one merged.
//
// # A stop
//
// A push is entered before its updates are judged, and leaves when it has ended. Whoever
// has placed a hold waits until the pushes have left that were entered before: each of the
// others is judged after the hold was in the store. So nothing that the hold covers is
// pushed by this process after [Book.AwaitQuiet] has returned. Another replica judges its
// next push by the store, too, but what it pushes at that moment this process does not know.
package holds

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/gate"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Store keeps holds; see package queue.
type Store interface {
	queue.Holds
	queue.Checkpoints
	Updates(ctx context.Context, f queue.UpdateFilter, p queue.Page) ([]gitops.Update, string, error)
}

// Rules are what the configuration says of holds.
type Rules struct {
	Freezes *gate.Freezes
	PinFor  time.Duration // how long the pin of a hand edit lasts
}

// Book is the book of one process. Safe for concurrent use.
type Book struct {
	rules func() Rules
	store Store // nil until Use

	latest atomic.Pointer[view]

	mu      sync.Mutex
	pushes  map[*push]bool
	changed chan struct{} // closed when a push has ended, or was not made
}

// New makes a book by the rules in force, which it asks for each time. Before [Book.Use] it
// must not be asked anything.
func New(rules func() Rules) *Book {
	return &Book{rules: rules, pushes: make(map[*push]bool), changed: make(chan struct{})}
}

// Use gives the book its store.
func (b *Book) Use(s Store) { b.store = s }

// mostBlocks is how many blocks of a kind are reported of an update. They are stored with
// it, and with each step of it, and thousands may hold the same one.
const mostBlocks = 5

// Judge implements lane.Holds.
func (b *Book) Judge(ctx context.Context, updates []gitops.Update) ([][]gitops.Block, error) {
	v, err := b.look(ctx)
	if err != nil {
		return nil, err
	}
	freezes, now := b.rules().Freezes, v.now()
	blocks := make([][]gitops.Block, len(updates))
	for i, u := range updates {
		blocks[i] = gate.Longest(gate.Judge(gate.About(u), v.about(u.App), freezes, now), mostBlocks)
		for k := range blocks[i] {
			blocks[i][k].Revision = v.revision
		}
	}
	return blocks, nil
}

// Rejudge implements lane.Holds. A lane's holder remembers in the store by which freezes it
// judges, so that a restart, or another holder, with the same ones finds nothing to do. A
// process that dies before it remembers has them judged once more, which changes nothing.
func (b *Book) Rejudge(ctx context.Context, environment string) error {
	checkpoint, now := "freezes/"+environment, b.rules().Freezes.Fingerprint(environment)
	before, err := b.store.Checkpoint(ctx, checkpoint)
	if err != nil || before == now {
		return err
	}
	if err := b.store.Rejudge(ctx, gitops.BlockFreeze, []string{environment}); err != nil {
		return err
	}
	return b.store.SetCheckpoint(ctx, checkpoint, now)
}
