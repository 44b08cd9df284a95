package main

import (
	"context"
	"errors"
	"time"
)

const (
	soakLine   = 1_000 // updates between two looks at the process
	soakRepack = 5_000 // updates between two repacks of origin, which a host does, too
)

// measureSoak makes very many updates with one tallyman and watches what it
// keeps.
func (b *bench) measureSoak(ctx context.Context, size string) (err error) {
	if b.options.soak == 0 {
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
	b.say("soak: %d updates of %s", b.options.soak, size)
	began, pushes := time.Now(), 0
	var sent []event
	for len(sent) < b.options.soak {
		window := b.events.next(t.shape, min(b.options.soakWindow, b.options.soak-len(sent)))
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
		if was/soakLine != len(sent)/soakLine || len(sent) == b.options.soak {
			pushes = len(b.origin.seen())
			if err := b.soakLook(ctx, t, len(sent), pushes, time.Since(began)); err != nil {
				return err
			}
			name := "heap-last"
			if len(b.report.Soak) == 1 {
				name = "heap-first"
			}
			if err := b.profile(ctx, t, "heap", name); err != nil {
				return err
			}
		}
		if was/soakRepack != len(sent)/soakRepack {
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

// soakLook records one line of the soak, and says it.
func (b *bench) soakLook(ctx context.Context, t *tallyman, updates, pushes int, took time.Duration) error {
	metrics, err := t.metrics(ctx)
	if err != nil {
		return err
	}
	s := soakPoint{
		Updates: updates, Seconds: took.Seconds(), Pushes: pushes, ResidentMiB: t.residentMiB(), PeakMiB: t.peakMiB(),
		Goroutines: int(metrics["go_goroutines"]), Connections: b.git.Counts().Connections,
	}
	b.report.Soak = append(b.report.Soak, s)
	b.say("soak: %6d updates, %5.0f s, %6d pushes, resident %.1f MiB (peak %.1f), %d goroutines, %d connections opened to origin",
		s.Updates, s.Seconds, s.Pushes, s.ResidentMiB, s.PeakMiB, s.Goroutines, s.Connections)
	return nil
}
