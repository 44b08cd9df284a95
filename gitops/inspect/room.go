// Package inspect is the room between the queue and the lanes: it finds out whether the
// images of updates are in their registries before they are written. It asks in the
// background, and says what it knows at once. All is kept in memory: a process that dies
// loses nothing, since the next one asks again.
//
// A tag is asked for once, by a look, for all updates that want to know the same of it. A
// look is placed in a queue of its host, which bounds how much a registry is asked, and
// rests while the registry is away. What a look brought is judged for each update by
// package image.
package inspect

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Registry asks registries. Safe for concurrent use.
type Registry interface {
	// Look asks a registry for a tag. That it is not there is no error: see
	// [image.Answer]. An error is a [gitops.Error], whose code says whose it is:
	// RateLimited, with RetryAfter where the registry says, and Unavailable are the
	// host's; Unauthorized and Forbidden are the repository's, and the host's where it
	// answers nothing else; all others are this image's.
	Look(ctx context.Context, q image.Question) (image.Answer, error)
	// Host is the host that would be asked about a repository: what backs off together. It
	// does not block.
	Host(repository string) string
}

// Seen knows which images were seen before; see queue.Images.
type Seen interface {
	SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error)
}

// Recorder counts.
type Recorder interface {
	// Inspected is called once for each verdict of an update that is final. It does not
	// block.
	Inspected(environment string, outcome image.Outcome)
}

// Config is what a room needs. Registry and Rules are called with the room locked: they
// must not block, and not call it.
type Config struct {
	Registry func() Registry // the one in force
	Seen     Seen
	// Rules are the environment's; false where its images are not inspected.
	Rules    func(environment string) (image.Rules, bool)
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time
}

// Room inspects the images of updates. It implements lane.Images. Safe for concurrent use.
type Room struct {
	Config
	ctx  context.Context // of all that is asked; ends with Close
	stop context.CancelFunc
	work sync.WaitGroup // what is asked

	mu           sync.Mutex // guards the rest, and all that it leads to
	environments map[string]*environment
	looks        map[image.Question]*look
	hosts        map[string]*host
	unread       map[string][]unread // by repository: answers whose seen images are to be read
	unreadOrder  []string            // the repositories of these, in the order in which they are read
	reading      bool                // they are being read
	unused       []unused            // what is to be forgotten, oldest first
	counted      counted
}

// New makes a room. It does nothing until it is asked.
func New(c Config) *Room {
	r := &Room{
		Config: c, environments: make(map[string]*environment), looks: make(map[image.Question]*look), hosts: make(map[string]*host),
		unread: make(map[string][]unread), counted: counted{outcomes: make(map[verdictOf]image.Outcome)},
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Close ends what the room has begun, and waits for that. Nothing is found out afterwards.
func (r *Room) Close() {
	r.mu.Lock()
	r.stop()
	for _, h := range r.hosts {
		h.timer.Stop()
	}
	r.mu.Unlock()
	r.work.Wait()
}

// Inspect implements lane.Images.
func (r *Room) Inspect(updates []gitops.Update) []gitops.Inspection {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	r.forgetUnused(now)
	all := make([]gitops.Inspection, len(updates))
	touched := make(map[*host]bool)
	for i, u := range updates {
		all[i] = r.inspect(u, now, touched)
	}
	for h := range touched {
		r.dispatch(h, now)
	}
	return all
}

// inspect says what is known of an update's image, and wants to know the rest.
func (r *Room) inspect(u gitops.Update, now time.Time, touched map[*host]bool) gitops.Inspection {
	e := r.environment(u.Environment)
	rules, inspected := r.Rules(u.Environment)
	switch {
	case !inspected:
		r.forget(e.waiters[u.ID], now)
		return gitops.Inspection{Present: true}
	case u.Repository == "":
		return gitops.Inspection{Fails: gitops.Errorf(gitops.Rejected, "%s", image.NoRepository(u))}
	}
	w := r.waiterOf(e, rules, u, now)
	v, known := w.verdict(rules, now)
	switch {
	case known && v.Waits == nil:
		r.forget(w, now)
		r.count(u, v.Outcome)
		return gitops.Inspection{Present: v.Found != nil, Found: v.Found, Fails: v.Fails}
	case known:
		w.toldToWait(v.Outcome)
	}
	touched[w.look.host] = true
	r.place(w.look, w.need(now, known), now)
	if known {
		return gitops.Inspection{Waits: v.Waits}
	}
	if away := w.look.away(); away != nil {
		w.toldOf(away)
		return gitops.Inspection{Waits: &gitops.Block{Kind: gitops.BlockImage, Reason: image.Away(u, away.err, away.since, now), Since: away.since.UTC()}}
	}
	w.state = looking
	return gitops.Inspection{Looking: true}
}

// Reconfigured has all that waits judged again: call it when what Registry or Rules return
// has changed. Registries that are away are asked again at once, except those that said
// until when they must not be.
func (r *Room) Reconfigured() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	for _, e := range r.environments {
		for _, w := range e.waiters {
			if w.state == waiting {
				w.free()
			}
		}
		e.signal()
	}
	for _, h := range r.hosts {
		h.retryNow(now)
		r.dispatch(h, now)
	}
}

// Waiting says how many updates of each environment wait for their images.
func (r *Room) Waiting() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]int)
	for name, e := range r.environments {
		all[name] = 0
		for _, w := range e.waiters {
			if w.state == waiting {
				all[name]++
			}
		}
	}
	return all
}

// Unavailable says since when registries do not answer, by host.
func (r *Room) Unavailable() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]time.Time)
	for name, h := range r.hosts {
		if h.out != nil {
			all[name] = h.out.since
		}
	}
	return all
}
