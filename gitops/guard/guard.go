// Package guard stands before everything that parses what the manifest repository
// holds: files, and what the git server sends. It keeps one object that no reader can
// stand from ending the process for ever.
//
// Memory: whoever parses first takes what that may need out of one budget, and waits as
// long as others have it. So a hundred reads of the largest file are one after the other.
//
// Poison: before an object is parsed for the first time by this process, that is noted
// in the store. What was noted when a process died is a suspect. It is parsed again with
// nothing beside it, so that a second death is its own; then it is set aside: it is not
// parsed any more until the branch has something else in its place, or a person clears
// it. Everything else goes on. What the git server sends of the branch's tip is tried
// again by itself after a while, since without it nothing can be written.
//
// Small files are not noted: see [noteworthy].
package guard

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tallyman-dev/tallyman/gitops"
)

// noteworthy is the cost from which on an object is noted. What a file may take is
// bounded by its size and its nodes, as they are counted before it is parsed
// (values.Size), its depth by values, too, and so its stack: a file below this cannot
// fill the memory of a process that has several times as much for parsing. A store's write
// for each file of a branch would cost more than it saves: real files have a few
// thousand bytes. What fetches bring is always noted.
const noteworthy = 8 << 20

// known is how many objects are remembered that this process has parsed.
const known = 20_000

// Store is what the guard asks of the queue's store; see queue.Parsing.
type Store interface {
	BeginParsing(ctx context.Context, holder string, objects []gitops.ParsedObject, deaths int) (suspects []gitops.Suspect, err error)
	EndParsing(ctx context.Context, holder string, objects []string) error
	Suspects(ctx context.Context) ([]gitops.Suspect, error)
}

// Guard is one process's. Safe for concurrent use.
type Guard struct {
	memory *semaphore.Weighted
	all    int64
	logger *slog.Logger

	mu       sync.Mutex
	store    Store // nil: nothing is noted
	holder   string
	parsed   map[string]bool           // objects that this process has parsed
	noted    map[string]int            // objects that are being parsed, and by how many
	suspects map[string]gitops.Suspect // of files at the tip and packs, by kind and path, as they were seen last
	ended    []string                  // objects whose notes are to be taken away
	ending   bool                      // a goroutine does that
	done     sync.WaitGroup            // for that
}

// New makes a guard of so many bytes for all that is parsed at a time. It notes nothing
// until it has a store.
func New(memory int64, logger *slog.Logger) *Guard {
	return &Guard{
		memory: semaphore.NewWeighted(memory), all: memory, logger: logger,
		parsed: make(map[string]bool), noted: make(map[string]int), suspects: make(map[string]gitops.Suspect),
	}
}

// Use gives the guard the store, and the name of this process there.
func (g *Guard) Use(ctx context.Context, s Store, holder string) error {
	suspects, err := s.Suspects(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.store, g.holder = s, holder
	for _, suspect := range suspects {
		g.remember(suspect)
		if suspect.SetAside() {
			g.logger.Warn("object set aside: it was being parsed when the process died", slog.String("kind", string(suspect.Kind)),
				slog.String("path", suspect.Path), slog.String("object", suspect.Object), slog.Int("deaths", suspect.Deaths))
		}
	}
	return nil
}

// Close takes the last notes away, so that they are no deaths. Nothing is parsed any
// more.
func (g *Guard) Close() {
	g.done.Wait()
	g.endAll() // what the store did not take before
	g.mu.Lock()
	defer g.mu.Unlock()
	g.store = nil
}

// Enter is called before an object is parsed, with the bytes that this may take; leave
// is called when nothing of it is held any more. When the memory is not to be had now it
// waits, or without wait returns no leave and no error: whoever holds memory of the
// guard must not wait for more.
//
// The error is [gitops.Rejected] for what is set aside, and otherwise that of the store.
func (g *Guard) Enter(ctx context.Context, o gitops.ParsedObject, cost int64, wait bool) (leave func(), err error) {
	g.forgetOthers(o)
	if !g.needsNote(o, cost) {
		return g.take(ctx, min(max(cost, 1), g.all), wait)
	}
	release, err := g.take(ctx, min(max(cost, 1), g.all), wait)
	if release == nil {
		return nil, err
	}
	suspect, err := g.begin(ctx, o, 1)
	switch {
	case err != nil:
		release()
		return nil, err
	case suspect == nil:
		return func() { g.end(o.Object); release() }, nil
	}
	release()
	if !suspect.SetAside() {
		return g.enterAlone(ctx, o, gitops.SetAsideAfter, wait)
	}
	if at := suspect.RetryAt(); at.IsZero() || time.Now().Before(at) {
		return nil, setAside(*suspect)
	}
	return g.enterAlone(ctx, o, suspect.Deaths+1, wait)
}

// enterAlone waits until nothing else is parsed, and parses a suspect of fewer deaths.
// What it parsed is no suspect any more before anything else is.
func (g *Guard) enterAlone(ctx context.Context, o gitops.ParsedObject, deaths int, wait bool) (func(), error) {
	leave, err := g.take(ctx, g.all, wait)
	if leave == nil {
		return nil, err
	}
	suspect, err := g.begin(ctx, o, deaths)
	if err == nil && suspect != nil {
		err = setAside(*suspect)
	}
	if err != nil {
		leave()
		return nil, err
	}
	g.logger.InfoContext(ctx, "suspect parsed alone", slog.String("kind", string(o.Kind)), slog.String("path", o.Path), slog.String("object", o.Object))
	return func() {
		g.endNow(o.Object)
		leave()
	}, nil
}

// setAside is the reason why an object is not parsed.
func setAside(s gitops.Suspect) error {
	what, way := "the file", "write the file anew"
	if s.Kind == gitops.ParsedPack {
		what, way = "what the git server sends of the branch", "wait until it is tried again at "+s.RetryAt().Format(time.RFC3339)+", push another commit"
	}
	return gitops.Errorf(gitops.Rejected, "%s %s is set aside: tallyman died %d times while it read it (object %s, last at %s). Either %s, or run: tallyman clear %s",
		what, s.Path, s.Deaths, s.Object, s.At.Format(time.RFC3339), way, s.Object)
}

// take takes memory.
func (g *Guard) take(ctx context.Context, bytes int64, wait bool) (func(), error) {
	if !g.memory.TryAcquire(bytes) {
		if !wait {
			return nil, nil
		}
		if err := g.memory.Acquire(ctx, bytes); err != nil {
			return nil, gitops.Errorf(gitops.Unavailable, "too much is being read at once").WithCause(err)
		}
	}
	return sync.OnceFunc(func() { g.memory.Release(bytes) }), nil
}
