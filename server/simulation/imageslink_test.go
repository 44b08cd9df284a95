package simulation

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/image"
	"github.com/tallyman-dev/tallyman/gitops/inspect"
	"github.com/tallyman-dev/tallyman/gitops/queue/postgres"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// How a replica inspects images, wired as package server wires it.

// imageProfile is what is there of images in a schedule.
type imageProfile struct {
	inspected map[string]image.Rules // by environment
	outages   int                    // times at which a registry does not answer
	moves     int                    // tags that come to name another image
}

func drawImages(r *rand.Rand) (p imageProfile) {
	of := one(r, nil, nil, []string{"prod"}, []string{"dev", "prod"}, environments)
	if of == nil {
		return p
	}
	p.inspected = make(map[string]image.Rules)
	for _, environment := range of {
		p.inspected[environment] = image.Rules{Wait: one(r, 10*time.Second, time.Minute, 5*time.Minute), AllowMoved: r.IntN(5) == 0}
	}
	p.outages, p.moves = r.IntN(5), one(r, 0, 0, 3, 10)
	return p
}

// inspects are the rules of an environment; false where its images are not inspected.
func (w *world) inspects(environment string) (image.Rules, bool) {
	rules, ok := w.images.inspected[environment]
	return rules, ok
}

// newRoom is the replica's, nil where no image is inspected.
func (r *replica) newRoom() *roomLink {
	if len(r.images.inspected) == 0 {
		return nil
	}
	return &roomLink{inspect.New(inspect.Config{
		Registry: func() inspect.Registry { return registryLink{r} }, Seen: r.store, Rules: r.inspects,
		Recorder: uncounted{}, Logger: silent, Now: r.now,
	}), r}
}

// roomLink is the room as a replica's lanes know it. They hear of changes where they hear
// of updates, at moments that were drawn: of two channels that have something select takes
// any.
type roomLink struct {
	*inspect.Room
	of *replica
}

func (l roomLink) Changed(environment string) <-chan struct{} { return l.of.store.Wake(environment) }

// relay tells one lane until the process is gone.
func (l roomLink) relay(environment string) {
	pauses := l.of.chance.of(l.of.name + "/changed " + environment)
	for {
		select {
		case <-l.Room.Changed(environment):
		case <-l.of.dead:
			return
		}
		if !l.of.wait(context.Background(), between(pauses, time.Microsecond, time.Millisecond)) {
			return
		}
		l.of.store.notifier.Wake(environment)
	}
}

// refuseMoved has events refused that say that a tag has moved.
func (r *replica) refuseMoved() {
	if len(r.images.inspected) == 0 {
		return
	}
	r.intake.Moved = &webhook.MovedTags{
		SeenImages: r.store.SeenImages,
		Refuses: func(environment string) bool {
			rules, inspected := r.inspects(environment)
			return inspected && !rules.AllowMoved
		},
		Refused: func(string) { met.meet("an event of a moved tag was refused") },
	}
}

func (uncounted) Inspected(string, image.Outcome) {}

// SeenImages is asked by the room for one repository after the other, and by whoever
// accepts an event.
func (l *storeLink) SeenImages(ctx context.Context, repository string, tags []string) ([]gitops.SeenImage, error) {
	return over(ctx, l, "SeenImages of "+repository+callerOf(ctx), func() ([]gitops.SeenImage, error) {
		seen, err := l.store.SeenImages(context.Background(), repository, tags)
		if err == nil {
			l.check.remembers(repository, tags, seen)
		}
		return seen, err
	})
}

func (p *process) SeenImages(_ context.Context, repository string, tags []string) ([]gitops.SeenImage, error) {
	return ask(p, "SeenImages", func(ctx context.Context, s *postgres.Store) ([]gitops.SeenImage, error) {
		return s.SeenImages(ctx, repository, tags)
	}, nil)
}
