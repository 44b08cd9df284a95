package lane_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/lane"
)

// fakeImages says of images what a test says; of others, that they are there.
type fakeImages struct {
	mu       sync.Mutex
	known    map[string]gitops.Inspection // by app and tag
	asking   func(u gitops.Update)        // before each answer; nil for nothing
	asked    []gitops.Update              // as they were
	waits    map[string]bool              // ids that were told to wait
	freed    []string
	forgot   []string // app and tag
	left     int
	names    map[string]string // app and tag by id
	changed  chan struct{}
	hideFree bool // Freed does not return what is freed
}

func newImages() *fakeImages {
	return &fakeImages{known: map[string]gitops.Inspection{}, waits: map[string]bool{}, names: map[string]string{}, changed: make(chan struct{}, 1)}
}

// inspecting runs a script with a replica whose images are inspected.
func inspecting(t *testing.T, c lane.Config, script func(t *testing.T, s *site, images *fakeImages)) {
	t.Helper()
	inBubble(t, func(t *testing.T, s *site) {
		images := newImages()
		c.Images = images
		s.Replica = s.with(c)
		script(t, s, images)
	})
}

// startWaiting has the first update of api wait for its image, which the registry has not.
func (s *site) startWaiting(images *fakeImages) {
	images.is(waiting(time.Time{}), "api 1")
	s.accept("api 1")
	s.Start()
	synctest.Wait()
}

var looking = gitops.Inspection{Looking: true}

// waiting is an image that is not there, until a time; the zero time is for as long as it takes.
func waiting(until time.Time) gitops.Inspection {
	return gitops.Inspection{Waits: &gitops.Block{Kind: gitops.BlockImage, Reason: "the registry has no such image", Until: until}}
}

func failing() gitops.Inspection {
	return gitops.Inspection{Fails: gitops.Errorf(gitops.Rejected, "the image is for another platform")}
}

func found(tag string) *gitops.Found { return &gitops.Found{Digest: "sha256:" + tag} }

// is says what is known of images from now on, and tells the lane.
func (i *fakeImages) is(now gitops.Inspection, names ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, name := range names {
		i.known[name] = now
		for id, of := range i.names {
			if of == name && i.waits[id] && now.Waits == nil && !i.hideFree {
				delete(i.waits, id)
				i.freed = append(i.freed, id)
			}
		}
	}
	i.change()
}

// change tells the lane that something is known. The lock is held.
func (i *fakeImages) change() {
	select {
	case i.changed <- struct{}{}:
	default:
	}
}

// there says that images are there.
func (i *fakeImages) there(names ...string) {
	i.is(gitops.Inspection{Present: true}, names...)
}

func (i *fakeImages) Inspect(updates []gitops.Update) []gitops.Inspection {
	var all []gitops.Inspection
	for _, u := range updates {
		if i.asking != nil {
			i.asking(u)
		}
		i.mu.Lock()
		name := u.App + " " + u.Tag
		i.asked, i.names[u.ID] = append(i.asked, u), name
		known, ok := i.known[name]
		if !ok || known.Present {
			known = gitops.Inspection{Present: true, Found: found(u.Tag)}
		}
		i.waits[u.ID] = known.Waits != nil
		all = append(all, known)
		i.mu.Unlock()
	}
	return all
}

func (i *fakeImages) Changed(string) <-chan struct{} { return i.changed }

func (i *fakeImages) Freed(string) (freed []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	freed, i.freed = i.freed, nil
	return freed
}

func (i *fakeImages) Forget(_ string, ids []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, id := range ids {
		delete(i.waits, id)
		i.forgot = append(i.forgot, i.names[id])
	}
}

func (i *fakeImages) Leave(string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.waits)
	i.freed = nil
	i.left++
}

// inspected returns what was asked for since it was last called.
func (i *fakeImages) inspected() (names []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, u := range i.asked {
		names = append(names, u.App+" "+u.Tag)
	}
	i.asked = nil
	return names
}

func (q *fakeQueue) Rejudge(ctx context.Context, kind gitops.BlockKind, environments []string) error {
	if kind != gitops.BlockImage { // a test's own
		return q.Model.Rejudge(ctx, kind, environments)
	}
	return q.call(ctx, "Rejudge", func() error { return q.Model.Rejudge(ctx, kind, environments) })
}

// hasForgotten reports whether nothing waits for an image any more.
func (i *fakeImages) hasForgotten(name string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Contains(i.forgot, name)
}

// numbered are updates of an app: "api 1", "api 2".
func numbered(app string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%d 1", app, i+1))
	}
	return names
}
