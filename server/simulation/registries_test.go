package simulation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
)

// Two registries, and what is in them.

// hosts are the registries. Mail's images are in the second one.
const (
	firstHost  = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	secondHost = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
)

func hostOf(app string) string {
	if app == "mail" {
		return secondHost
	}
	return firstHost
}

func repositoryOf(app string) string { return hostOf(app) + "/" + app }

// registries are those of a schedule.
type registries struct {
	w *world

	mu      sync.Mutex
	tags    map[string]*tag    // by repository and tag
	outages map[string]refusal // by host
}

// tag is what a tag names: one image after the other, from a time on each.
type tag struct {
	repository, name string
	images           []standing
	hidden           bool // only a GET finds it, and no HEAD
}

type standing struct {
	from   time.Time
	digest string
}

// refusal is how a host answers for a while.
type refusal struct {
	code  gitops.Code
	retry time.Duration // it says when to come again
	hangs bool
	until time.Time
}

func newRegistries(w *world) *registries {
	return &registries{w: w, tags: make(map[string]*tag), outages: make(map[string]refusal)}
}

// at is the digest that a tag names at a time; "" while it names none.
func (t *tag) at(now time.Time) (digest string) { return t.standing(now).digest }

// standing is what a tag names at a time, and since when.
func (t *tag) standing(now time.Time) (found standing) {
	for _, s := range t.images {
		if !s.from.After(now) {
			found = s
		}
	}
	return found
}

// move has the tag name another image from a time on.
func (t *tag) move(from time.Time) {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Appendf(nil, "%s:%s %d", t.repository, t.name, len(t.images))))
	t.images = append(t.images, standing{from, digest})
}

// of returns a tag. One that was not pushed is drawn when it is first asked for: it is
// there, late, or never comes. The lock is held.
func (g *registries) of(repository, name string) *tag {
	key := repository + ":" + name
	t, ok := g.tags[key]
	if ok {
		return t
	}
	t = &tag{repository: repository, name: name}
	g.tags[key] = t
	r := g.w.chance.fresh("image " + key)
	switch kind := r.IntN(12); {
	case kind < 7:
		t.move(time.Now())
	case kind < 10:
		t.move(time.Now().Add(between(r, 0, 100*time.Second)))
	case kind == 10:
		t.move(time.Now())
		t.hidden = true
	}
	return t
}

// push has an image be there, or be there soon, and says which one an event is to tell of.
// A tag that is pushed again names another image now and then.
func (g *registries) push(r *rand.Rand, app, name string) (digest string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := repositoryOf(app) + ":" + name
	t := g.tags[key]
	if t == nil {
		t = &tag{repository: repositoryOf(app), name: name}
		g.tags[key] = t
	}
	if n := len(t.images); n == 0 || r.IntN(3) == 0 {
		t.move(time.Now().Add(one(r, 0, 0, 0, between(r, 0, 20*time.Second))))
	}
	return t.images[len(t.images)-1].digest
}

// now is the digest that a tag names now; "" where it names none.
func (g *registries) now(app, name string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.of(repositoryOf(app), name).at(time.Now())
}

// moveOne has a tag name another image, of which no event tells.
func (w *world) moveOne(r *rand.Rand) {
	w.registries.mu.Lock()
	defer w.registries.mu.Unlock()
	keys := slices.Sorted(maps.Keys(w.registries.tags))
	if len(keys) == 0 {
		return
	}
	t := w.registries.tags[one(r, keys...)]
	if len(t.images) == 0 {
		return
	}
	w.tell("%s:%s names another image", t.repository, t.name)
	t.move(time.Now())
}

// refuse has a host answer nothing, or refuse, for a while.
func (w *world) refuse(r *rand.Rand) {
	host := one(r, firstHost, firstHost, secondHost)
	x := refusal{code: one(r, gitops.Unavailable, gitops.RateLimited, gitops.Forbidden, gitops.Unauthorized), hangs: r.IntN(5) == 0}
	if x.code == gitops.RateLimited {
		x.retry = between(r, time.Second, 30*time.Second).Truncate(time.Second)
	}
	x.until = time.Now().Add(one(r, between(r, time.Second, 20*time.Second), between(r, 20*time.Second, 2*time.Minute)))
	w.tell("%s is %s until %s", host, x.code, x.until)
	w.registries.mu.Lock()
	defer w.registries.mu.Unlock()
	w.registries.outages[host] = x
}

// recover ends every outage.
func (g *registries) recover() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.outages)
}

// registryLink is one replica's way to the registries.
type registryLink struct{ *replica }

func (registryLink) Host(repository string) string {
	host, _, _ := strings.Cut(repository, "/")
	return host
}

// Look implements inspect.Registry. The checker is told of what was answered when it was.
func (l registryLink) Look(ctx context.Context, q image.Question) (image.Answer, error) {
	return visit(ctx, l, l.Host(q.Repository), "look "+q.Repository+":"+q.Tag, func() (image.Answer, error) {
		l.registries.mu.Lock()
		defer l.registries.mu.Unlock()
		t := l.registries.of(q.Repository, q.Tag)
		a := image.Answer{Presence: image.Absent}
		if digest := t.at(time.Now()); digest != "" && (!t.hidden || q.Thorough) {
			a = image.Answer{Presence: image.Present, Digest: digest}
		}
		l.check.looked(l.name, q, a)
		return a, nil
	})
}

// visit makes one call to a host, which takes time and may fail.
func visit[T any](ctx context.Context, l registryLink, host, call string, work func() (T, error)) (T, error) {
	var none T
	turn := l.chance.turn(l.name+"/"+call, 20*time.Millisecond)
	l.gate(turn.detail)
	away := gitops.Errorf(gitops.Unavailable, "registry %s does not answer", host)
	if !l.wait(ctx, turn.out) || l.isDead() || l.networkCut.Load() {
		l.gate(turn.detail)
		return none, away
	}
	if err := l.registries.refuses(host); err != nil {
		if code := gitops.CodeOf(err); code != gitops.Internal {
			met.meet("a registry refused a look: " + string(code))
		} else {
			met.meet("a registry hung")
			l.wait(ctx, 10*time.Second)
			err = away
		}
		l.gate(turn.detail)
		return none, err
	}
	if turn.fault < l.networkFaults() {
		l.gate(turn.detail)
		return none, away
	}
	answer, err := work()
	l.tell("%s: %s: %+v, %v", l.name, call, answer, err)
	back := l.wait(ctx, turn.back)
	l.gate(turn.detail)
	if !back || l.isDead() {
		return none, away
	}
	return answer, err
}

// refuses is what a host answers during an outage, else nil. Internal stands
// for no answer at all.
func (g *registries) refuses(host string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	x, ok := g.outages[host]
	switch {
	case !ok || !time.Now().Before(x.until):
		return nil
	case x.hangs:
		return gitops.Errorf(gitops.Internal, "no answer")
	}
	err := gitops.Errorf(x.code, "registry %s answers %s", host, x.code)
	err.RetryAfter = x.retry
	return err
}
