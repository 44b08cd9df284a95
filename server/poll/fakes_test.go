package poll_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue/queuetest"
	"github.com/tallyman-dev/tallyman/server/poll"
)

// registries is a strict fake of registries: it lists what it was given, page by page, one
// request for each, and no two requests of one host at a time.
type registries struct {
	mu     sync.Mutex
	lists  map[string][]poll.Image // by repository
	size   int                     // of a page
	faults map[string][]error      // by repository: what its next requests get, nil for an answer
	asked  []request
	under  map[string]bool // hosts that are being asked
	page   func(repository string, n int)
}

// fail has pages of a size, and the next requests for a repository answered so.
func (r *registries) fail(repository string, size int, answers ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size, r.faults[repository] = size, answers
}

// whenGiven has a function called before each page of the lists that begin from now on; nil
// for none.
func (r *registries) whenGiven(page func(repository string, n int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.page = page
}

type request struct {
	repository string
	at         time.Time
}

func (r *registries) Host(repository string) string {
	host, _, _ := strings.Cut(repository, "/")
	return host
}

func (r *registries) Images(ctx context.Context, repository string, each func(page []poll.Image) error) error {
	host := r.Host(repository)
	r.mu.Lock()
	list, size, given := slices.Clone(r.lists[repository]), r.size, r.page
	if r.under[host] {
		panic("two lists of " + host + " at a time")
	}
	r.under[host] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.under[host] = false
	}()
	for n := 0; ; n++ {
		if err := r.ask(ctx, repository); err != nil {
			return err
		}
		if given != nil {
			given(repository, n)
		}
		page := list[:min(size, len(list))]
		if list = list[len(page):]; len(page) > 0 {
			if err := each(page); err != nil {
				return err
			}
		}
		if len(list) == 0 {
			return nil
		}
	}
}

// ask notes a request, and answers it with a fault if there is one.
func (r *registries) ask(ctx context.Context, repository string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, request{repository, time.Now()})
	if ctx.Err() != nil {
		return gitops.Errorf(gitops.Unavailable, "the request ended").WithCause(ctx.Err())
	}
	if faults := r.faults[repository]; len(faults) > 0 {
		r.faults[repository] = faults[1:]
		return faults[0]
	}
	return nil
}

// requests returns those since the last call, of one repository or of all.
func (r *registries) requests(repository string) (since []request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.asked {
		if repository == "" || q.repository == repository {
			since = append(since, q)
		}
	}
	r.asked = nil
	return since
}

// store is the model, whose calls can fail or lose the answer once.
type store struct {
	*queuetest.Model
	mu     sync.Mutex
	record func() error // before images are recorded; nil does nothing
	last   error        // of questions when an image was scanned last
	looked int          // questions for seen images
	widest int          // tags in one
}

func (s *store) RecordImages(ctx context.Context, seen []gitops.SeenImage) error {
	s.mu.Lock()
	fail := s.record
	s.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return err
		}
	}
	return s.Model.RecordImages(ctx, seen)
}

func (s *store) SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error) {
	s.mu.Lock()
	s.looked++
	s.widest = max(s.widest, len(tags))
	s.mu.Unlock()
	return s.Model.SeenImages(ctx, repository, tags)
}

// questions are how many were asked since the last call, and for how many tags the largest.
func (s *store) questions() (asked, widest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, widest = s.looked, s.widest
	s.looked, s.widest = 0, 0
	return asked, widest
}

// recorder counts what metrics count.
type recorder struct {
	mu sync.Mutex
	counted
}

type counted struct {
	ordered  map[string]int // by environment
	moved    map[string]int
	complete map[string]time.Time // by registry
	every    map[string]time.Duration
	outcomes map[string]int // of the intake
}

// soFar is a copy of what was counted.
func (r *recorder) soFar() counted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return counted{maps.Clone(r.ordered), maps.Clone(r.moved), maps.Clone(r.complete), maps.Clone(r.every), maps.Clone(r.outcomes)}
}

func (r *recorder) Ordered(environment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ordered[environment]++
}

func (r *recorder) Complete(host string, since time.Time, every time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complete[host], r.every[host] = since, every
}

func (r *recorder) Gone(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.complete, host)
}

func (r *recorder) movedTag(environment string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved[environment]++
}

func (r *recorder) Delivery(_, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[outcome]++
}

func (r *recorder) Finished(string, gitops.State, float64) {}
func (r *recorder) NotKept(string, string)                 {}

// fail has the store record no images, for a reason; nil ends that.
func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = func() error { return err }
}

// forget has the store not say when an image was scanned last, for a reason; nil ends that.
func (s *store) forget(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = err
}

func (s *store) Checkpoint(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	err := s.last
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	return s.Model.Checkpoint(ctx, name)
}
