package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// images is what it costs to look at images before they are written, beside the same
// without.
type images struct {
	Size         string  `json:"size"`
	PlainMS      float64 `json:"plainMS"`      // median of one update that looks at no image
	LookedMS     float64 `json:"lookedMS"`     // ... that does
	MoreMS       float64 `json:"moreMS"`       // median difference of two that were made one after the other
	BesideMS     float64 `json:"besideMS"`     // median of one while another app's image is not there
	Burst        int     `json:"burst"`        // updates
	Images       int     `json:"images"`       // of them
	Looks        int     `json:"looks"`        // at images, for the burst
	BurstMS      float64 `json:"burstMS"`      // from the first request to the last commit on origin
	PlainBurstMS float64 `json:"plainBurstMS"` // the same without looks
	Late         int     `json:"late"`         // images that were not there for some time
	AppearsMS    float64 `json:"appearsMS"`    // median, from when one of them was there to its commit on origin
}

// lateFor is how long an image that is late is not there.
const lateFor = 8 * time.Second

// measureImages runs three tallymen: one that looks at no image, one that does, and one that
// waits for an image meanwhile.
func (b *bench) measureImages(ctx context.Context, size string) (err error) {
	if b.options.images == 0 {
		return nil
	}
	b.say("%d updates of %s with and without a look at their images", b.options.images, size)
	r, err := startImageHost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	var tallymen [3]*tallyman
	for i, host := range []string{"", r.host, r.host} {
		repository, err := b.repository(size)
		if err != nil {
			return err
		}
		t, err := b.start(ctx, setup{shape: shapes[size], repository: repository, registry: host})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, t.kill()) }()
		tallymen[i] = t
	}
	found := images{Size: size}
	if err := b.lookedAt(ctx, r, tallymen, &found); err != nil {
		return err
	}
	found.Images = min(b.options.burstImages, shapes[size].Apps)
	found.Burst = found.Images * len(shapes[size].Environments)
	b.say("bursts of %d updates of %d images, without looks and with", found.Burst, found.Images)
	if found.PlainBurstMS, err = b.burstOfImages(ctx, tallymen[0], found.Images); err != nil {
		return err
	}
	r.counted()
	if found.BurstMS, err = b.burstOfImages(ctx, tallymen[1], found.Images); err != nil {
		return err
	}
	found.Looks = r.counted()
	if err := b.lateImages(ctx, r, tallymen[1], &found); err != nil {
		return err
	}
	b.report.Images = &found
	for _, t := range tallymen {
		err = errors.Join(err, t.stop())
	}
	return err
}

// lookedAt makes the same update with each tallyman in turn, while the last one waits for
// another app's image.
func (b *bench) lookedAt(ctx context.Context, r *imageHost, tallymen [3]*tallyman, found *images) error {
	waits := tallymen[2]
	push, err := b.orderLate(ctx, r, waits, gitserver.App(0))
	if err != nil {
		return err
	}
	var took [3][]float64
	var more []float64
	for run := range b.options.images + 1 {
		app := gitserver.App(1 + run%(waits.shape.Apps-1))
		for i, t := range tallymen {
			one, err := b.oneUpdateOf(ctx, t, app)
			if err != nil {
				return err
			}
			if run > 0 { // the first warms up
				took[i] = append(took[i], one)
			}
		}
		if run > 0 {
			more = append(more, took[1][run-1]-took[0][run-1])
		}
	}
	found.PlainMS, found.LookedMS, found.BesideMS, found.MoreMS = median(took[0]), median(took[1]), median(took[2]), median(more)
	push()
	return waits.awaitCommitted(ctx, 1)
}

// orderLate orders an image that is not there, and returns when it was looked for twice.
func (b *bench) orderLate(ctx context.Context, r *imageHost, t *tallyman, app string) (push func(), err error) {
	u := b.events.of(app, t.shape.Environments[0])
	image := app + ":" + u.tag
	push = r.delay(image)
	if _, err := volley(ctx, t.public, 1, []event{u.event}, time.Minute); err != nil {
		return nil, err
	}
	return push, r.awaitLooks(ctx, image, 2)
}

// burstOfImages sends a burst in which each image goes to every environment, and says how
// long it took until all of it was on origin.
func (b *bench) burstOfImages(ctx context.Context, t *tallyman, images int) (ms float64, err error) {
	var sent []event
	for image := range images {
		tag := fmt.Sprintf("main-e%011x", image) // no other update has it
		for _, environment := range t.shape.Environments {
			sent = append(sent, b.events.named(gitserver.App(image), environment, tag).event)
		}
	}
	before, err := t.repository.Git("rev-parse", "main")
	if err != nil {
		return 0, err
	}
	if err := b.origin.reset(ctx); err != nil {
		return 0, err
	}
	a, err := volley(ctx, t.public, burstConnections, sent, time.Minute)
	if err != nil {
		return 0, err
	}
	if err := t.awaitCommitted(ctx, len(sent)); err != nil {
		return 0, err
	}
	pushes := b.origin.seen()
	if len(pushes) == 0 {
		return 0, errors.New("nothing was pushed")
	}
	return milliseconds(pushes[len(pushes)-1].ended.Sub(a.began)), onceEach(t.repository, before, sent)
}

// lateImages measures how soon an image is written that was not there when it was ordered.
func (b *bench) lateImages(ctx context.Context, r *imageHost, t *tallyman, found *images) error {
	var took []float64
	for n := range b.options.late {
		b.say("an image that is not there for %s", lateFor)
		push, err := b.orderLate(ctx, r, t, gitserver.App(n))
		if err != nil {
			return err
		}
		// Looks come once a second: it appears at another moment between two each time.
		select {
		case <-time.After(lateFor + time.Duration(n)*time.Second/time.Duration(b.options.late)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := b.origin.reset(ctx); err != nil {
			return err
		}
		appeared := time.Now()
		push()
		pushed, err := b.origin.next(ctx)
		if err != nil {
			return errors.Join(err, t.complaint())
		}
		took = append(took, milliseconds(pushed.ended.Sub(appeared)))
		if err := t.awaitCommitted(ctx, 1); err != nil {
			return err
		}
	}
	found.Late, found.AppearsMS = len(took), median(took)
	return nil
}
