package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/inspect"
)

var digestA, digestB = "sha256:" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("b", 64)

// asked is one question that the registry was asked.
type asked struct {
	image.Question
	at time.Time
}

// registry answers for all hosts. An image is there when it has a digest. It holds the room
// to its bounds.
type registry struct {
	t *testing.T

	mu        sync.Mutex
	images    map[string]image.Answer      // by "repository:tag"
	fails     func(q image.Question) error // nil for nothing
	takes     time.Duration                // each look
	asked     []asked                      // in order
	underWay  map[string]int               // by host
	notBefore map[string]time.Time         // by host
	told      map[string]time.Time         // when it said so, by host
	most      map[string]int               // the most of it
	answers   map[string][]image.Answer    // that it gave, by "repository:tag"
}

func (r *registry) Host(repository string) string {
	host, _ := image.Split(repository)
	return host
}

func (r *registry) Look(ctx context.Context, q image.Question) (image.Answer, error) {
	host := r.Host(q.Repository)
	r.mu.Lock()
	began := time.Now()
	r.asked = append(r.asked, asked{q, began})
	if began.Before(r.notBefore[host]) && began.After(r.told[host]) {
		r.t.Errorf("%s was asked %s before it allowed to be", host, r.notBefore[host].Sub(began))
	}
	r.underWay[host]++
	r.most[host] = max(r.most[host], r.underWay[host])
	takes, fails := r.takes, r.fails
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.underWay[host]--
		r.mu.Unlock()
	}()
	if takes > 0 { // a timer that is due at once crashes Go's race detector in a bubble
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return image.Answer{}, ctx.Err()
		}
	}
	if fails != nil {
		if err := fails(q); err != nil {
			r.rest(host, err)
			return image.Answer{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := q.Repository + ":" + q.Tag
	a, ok := r.images[name]
	if !ok {
		a.Presence = image.Absent
	}
	a.At = began
	r.answers[name] = append(r.answers[name], a)
	return a, nil
}

// rest has a host fail a test in which it is asked earlier than it said.
func (r *registry) rest(host string, err error) {
	var e *gitops.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told[host] = time.Now() // what is asked at that moment may not know it yet
		r.notBefore[host] = r.told[host].Add(min(e.RetryAfter, time.Hour))
	}
}

// change changes the registry while it is asked.
func (r *registry) change(what func(*registry)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what(r)
}

func (r *registry) push(name, digest string) {
	r.change(func(r *registry) { r.images[name] = image.Answer{Presence: image.Present, Digest: digest} })
}

// failing has the registry fail what the function says; nil for nothing.
func (r *registry) failing(fails func(q image.Question) error) {
	r.change(func(r *registry) { r.fails = fails })
}

// questions are what was asked by now, in order.
func (r *registry) questions() []asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// times are when a question was asked whose repository and tag begin so, in seconds since a
// time.
func (r *registry) times(since time.Time, prefix string) (at []float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.asked {
		if strings.HasPrefix(a.Repository+":"+a.Tag, prefix) {
			at = append(at, a.at.Sub(since).Seconds())
		}
	}
	return at
}

// store knows what was seen.
type store struct {
	mu    sync.Mutex
	seen  []gitops.SeenImage
	down  bool
	takes time.Duration // each read
	reads []string      // repositories
}

func (s *store) SeenImages(_ context.Context, repository string, tags []string) ([]gitops.SeenImage, error) {
	if s.takes > 0 {
		<-time.After(s.takes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, repository)
	if s.down {
		return nil, gitops.Errorf(gitops.Unavailable, "the store is down")
	}
	var found []gitops.SeenImage
	for _, i := range s.seen {
		if i.Repository == repository && slices.Contains(tags, i.Tag) {
			found = append(found, i)
		}
	}
	return found, nil
}

func (s *store) record(seen ...gitops.SeenImage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, seen...)
}

func (s *store) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// site is a room with what it asks, in a bubble.
type site struct {
	*inspect.Room
	t        *testing.T
	registry *registry
	store    *store
	began    time.Time
	mu       sync.Mutex
	rules    map[string]image.Rules
	counted  []string
}

// Inspected implements inspect.Recorder.
func (s *site) Inspected(environment string, o image.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = append(s.counted, environment+" "+string(o))
}

func (s *site) setRules(environment string, r *image.Rules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rules, environment)
	if r != nil {
		s.rules[environment] = *r
	}
}

// inBubble plays a test on a fake clock. Its environments dev and prod inspect images.
func inBubble(t *testing.T, play func(t *testing.T, s *site)) {
	synctest.Test(t, func(t *testing.T) {
		rules := image.Rules{Wait: 5 * time.Minute}
		s := &site{
			t: t, store: &store{}, began: time.Now(), rules: map[string]image.Rules{"dev": rules, "prod": rules},
			registry: &registry{t: t, images: make(map[string]image.Answer), underWay: make(map[string]int), most: make(map[string]int), answers: make(map[string][]image.Answer), notBefore: make(map[string]time.Time), told: make(map[string]time.Time)},
		}
		s.Room = inspect.New(inspect.Config{
			Registry: func() inspect.Registry { return s.registry }, Seen: s.store, Recorder: s,
			Rules: func(environment string) (image.Rules, bool) {
				s.mu.Lock()
				defer s.mu.Unlock()
				r, ok := s.rules[environment]
				return r, ok
			},
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
		})
		defer s.Close()
		play(t, s)
	})
}

// update is one of environment dev that was accepted now, of an image "ghcr.io/acme/api:v1".
func (s *site) update(id, name string) gitops.Update {
	repository, tag := name[:strings.LastIndex(name, ":")], name[strings.LastIndex(name, ":")+1:]
	return gitops.Update{ID: id, Environment: "dev", App: "api", Repository: repository, Tag: tag, Principal: "dispatch:1", AcceptedAt: time.Now().UTC()}
}

// ask is what the room says of an update at once, in a word.
func (s *site) ask(u gitops.Update) string {
	s.t.Helper()
	return s.word(s.Inspect([]gitops.Update{u})[0])
}

// answer is what it says when it has looked.
func (s *site) answer(u gitops.Update) string {
	s.t.Helper()
	equal(s.t, "at first", "looking", s.ask(u))
	synctest.Wait()
	if !received(s.Changed(u.Environment)) {
		s.t.Error("nothing tells that it has looked")
	}
	return s.ask(u)
}

func (s *site) word(i gitops.Inspection) string {
	s.t.Helper()
	switch {
	case i.Looking:
		return "looking"
	case i.Present && i.Found == nil:
		return "not inspected"
	case i.Present:
		return "present " + i.Found.Digest[7:8]
	case i.Fails != nil:
		return "fails " + string(i.Fails.Code)
	case i.Waits.Until.IsZero():
		return "waits for the registry"
	}
	if i.Waits.Kind != gitops.BlockImage || !i.Waits.Until.After(time.Now()) {
		s.t.Errorf("it waits by %+v", i.Waits)
	}
	return fmt.Sprintf("waits from %s to %s", i.Waits.Since.Sub(s.began), i.Waits.Until.Sub(s.began))
}

func received(from <-chan struct{}) bool {
	select {
	case <-from:
		return true
	default:
		return false
	}
}

// elapse has time go on, and what it brings about happen.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want +got\n%s", what, diff)
	}
}
