package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// freed is what a freeze held, once it ends.
type freed struct {
	Size    string  `json:"size"`
	Held    int     `json:"held"`
	Apps    int     `json:"apps"`
	WroteMS float64 `json:"wroteMS"` // from the freeze's end until the newest of each app is on the branch
	EndedMS float64 `json:"endedMS"` // ... until all of them have ended
	Pushes  int     `json:"pushes"`
}

// freezeFor is how long the freeze lasts whose end is measured: the start of a tallyman,
// and its finding out what is held, must come before.
const freezeFor = 30 * time.Second

// measureFreed prepares a store whose updates a freeze holds, and measures what happens at
// its end: of each app the newest is written, and all others are superseded.
func (b *bench) measureFreed(ctx context.Context, size string) (err error) {
	if b.options.freed == 0 {
		return nil
	}
	b.say("the end of a freeze that held %d updates in one environment of %s", b.options.freed, size)
	shape := shapes[size]
	repository, err := b.repository(size) // before the freeze begins: to build one takes as long as it lasts
	if err != nil {
		return err
	}
	full := filepath.Join(b.stores, "freed.db")
	ends := time.Now().Add(freezeFor)
	if err := prepareHeld(ctx, full, shape, b.options.freed, ends); err != nil {
		return err
	}
	t, err := b.start(ctx, setup{shape: shape, repository: repository, store: "sqlite://" + full})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.kill()) }()
	if _, err := awaitHeld(ctx, t, b.options.freed); err != nil {
		return err
	}
	if err := b.origin.reset(ctx); err != nil {
		return err
	}
	if late := time.Since(ends); late > 0 || len(b.origin.seen()) > 0 {
		return fmt.Errorf("the freeze ended %s before all of its updates were held", late)
	}
	if err := t.await(ctx, func() bool { return t.finished >= b.options.freed }); err != nil {
		return err
	}
	ended := time.Now()
	pushes := b.origin.seen()
	found := freed{Size: size, Held: b.options.freed, Apps: min(shape.Apps-free, b.options.freed), EndedMS: milliseconds(ended.Sub(ends)), Pushes: len(pushes)}
	t.mu.Lock()
	committed := t.committed[shape.Environments[0]]
	t.mu.Unlock()
	if committed != found.Apps || len(pushes) == 0 {
		return errors.Join(fmt.Errorf("%d updates of %d apps were committed", committed, found.Apps), t.complaint())
	}
	found.WroteMS = milliseconds(pushes[len(pushes)-1].ended.Sub(ends))
	b.report.Freed = &found
	return t.stop()
}
