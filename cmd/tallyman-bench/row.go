package main

import (
	"context"
	"errors"
	"time"
)

const (
	rowLine   = 1_000 // updates between two looks at the process
	rowRepack = 5_000 // updates between two repacks of origin, which a host does, too
)

// measureRow makes very many updates with one tallyman and watches what it
// keeps.
func (b *bench) measureRow(ctx context.Context, size string) (err error) {
	if b.options.row == 0 {
		return nil
	}
	repository, err := b.repository(size)
	if err != nil {
		return err
	}
	if err := b.origin.reset(ctx); err != nil {
		return err
	}
	t, err := b.start(ctx, setup{shape: shapes[size], repository: repository})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, t.kill())
	}()
	before, err := repository.Git("rev-parse", "main")
	if err != nil {
		return err
	}
	b.say("in a row: %d updates of %s", b.options.row, size)
	began, pushes := time.Now(), 0
	var sent []event
	for len(sent) < b.options.row {
		window := b.events.next(t.shape, min(b.options.rowWindow, b.options.row-len(sent)))
		if _, err := volley(ctx, t.public, 8, window, time.Minute); err != nil {
			return err
		}
		if err := t.awaitCommitted(ctx, len(window)); err != nil {
			return err
		}
		was := len(sent)
		for _, e := range window {
			sent = append(sent, event{id: e.id})
		}
		if was/rowLine != len(sent)/rowLine || len(sent) == b.options.row {
			pushes = len(b.origin.seen())
			if err := b.rowLook(ctx, t, len(sent), pushes, time.Since(began)); err != nil {
				return err
			}
			name := "heap-last"
			if len(b.report.Row) == 1 {
				name = "heap-first"
			}
			if err := b.profile(ctx, t, "heap", name); err != nil {
				return err
			}
		}
		if was/rowRepack != len(sent)/rowRepack {
			if _, err := repository.Git("repack", "--geometric=2", "-dq"); err != nil {
				return err
			}
		}
	}
	if err := t.stop(); err != nil {
		return err
	}
	return errors.Join(onceEach(repository, before, sent), repository.Fsck())
}

// rowLook records one line of the updates in a row, and says it.
func (b *bench) rowLook(ctx context.Context, t *tallyman, updates, pushes int, took time.Duration) error {
	metrics, err := t.metrics(ctx)
	if err != nil {
		return err
	}
	s := rowPoint{
		Updates: updates, Seconds: took.Seconds(), Pushes: pushes, ResidentMiB: t.residentMiB(), PeakMiB: t.peakMiB(),
		Goroutines: int(metrics["go_goroutines"]), Connections: b.git.Counts().Connections,
	}
	b.report.Row = append(b.report.Row, s)
	b.say("in a row: %6d updates, %5.0f s, %6d pushes, resident %.1f MiB (peak %.1f), %d goroutines, %d connections opened to origin",
		s.Updates, s.Seconds, s.Pushes, s.ResidentMiB, s.PeakMiB, s.Goroutines, s.Connections)
	return nil
}
