package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// person is who else writes the branch.
const person = "Ann <ann@example.com>"

// writer is one tallyman under contention, and what it was sent.
type writer struct {
	*tallyman
	events []event
}

// measureContention lets two tallymen, each with a queue of its own, and a
// person with C git write one branch, each as fast as it can: whoever has
// finished begins again.
func (b *bench) measureContention(ctx context.Context, size string) (err error) {
	if b.options.contend == 0 {
		return nil
	}
	repository, err := b.repository(size)
	if err != nil {
		return err
	}
	before, err := repository.Git("rev-parse", "main")
	if err != nil {
		return err
	}
	var writers [2]writer
	for i := range writers {
		t, err := b.start(ctx, setup{shape: shapes[size], repository: repository})
		if err != nil {
			return err
		}
		defer t.kill()
		writers[i].tallyman = t
	}
	b.say("two tallymen and a person write one branch for %s", b.options.contend)
	end := time.Now().Add(b.options.contend)
	var all sync.WaitGroup
	var problems [3]error
	var events sync.Mutex
	for i := range writers {
		all.Go(func() { problems[i] = b.keepWriting(ctx, &writers[i], end, &events) })
	}
	var persons, rejected int
	all.Go(func() { persons, rejected, problems[2] = b.personWrites(ctx, repository, end) })
	all.Wait()
	if err := errors.Join(problems[:]...); err != nil {
		return err
	}
	found := contention{Size: size, Seconds: b.options.contend.Seconds(), PersonCommits: persons, PersonRejected: rejected}
	var sent []event
	for _, w := range writers {
		metrics, err := w.metrics(ctx)
		if err != nil {
			return err
		}
		found.Pushes += int(metrics["tallyman_push_seconds_count"])
		found.Conflicts += int(metrics["tallyman_push_conflicts_total"])
		if err := w.stop(); err != nil {
			return err
		}
		sent = append(sent, w.events...)
	}
	found.Updates = len(sent)
	b.report.Contention = &found
	return errors.Join(onceEach(repository, before, sent), repository.Fsck())
}

// keepWriting sends one delivery for each environment, waits until all of them
// are on origin, and begins again.
func (b *bench) keepWriting(ctx context.Context, w *writer, end time.Time, making *sync.Mutex) error {
	for time.Now().Before(end) {
		making.Lock()
		some := b.events.next(w.shape, len(w.shape.Environments))
		making.Unlock()
		w.events = append(w.events, some...)
		if _, err := volley(ctx, w.public, len(some), some, time.Minute); err != nil {
			return err
		}
		if err := w.awaitCommitted(ctx, len(some)); err != nil {
			return err
		}
	}
	return nil
}

// personWrites commits and pushes as people do, and when somebody was faster
// rebases and pushes again.
func (b *bench) personWrites(ctx context.Context, origin *gitserver.Repository, end time.Time) (commits, rejected int, err error) {
	c := &client{dir: filepath.Join(b.repositories, "person"), url: origin.URL}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return 0, 0, err
	}
	const clone = `git clone --quiet --depth 1 "$URL" work && git -C work config user.name Ann && git -C work config user.email ann@example.com`
	if err := c.run(ctx, update{}, "sh", "-c", clone); err != nil {
		return 0, 0, err
	}
	for time.Now().Before(end) {
		text := fmt.Sprintf("Note %d\n", commits)
		if err := os.WriteFile(filepath.Join(c.dir, "work", "NOTES.md"), []byte(text), 0o600); err != nil {
			return commits, rejected, err
		}
		if err := c.run(ctx, update{}, "sh", "-c", `cd work && git add NOTES.md && git commit --quiet --author "`+person+`" --message "Take a note"`); err != nil {
			return commits, rejected, err
		}
		for c.run(ctx, update{}, "git", "-C", "work", "push", "--quiet") != nil {
			rejected++
			if err := c.run(ctx, update{}, "git", "-C", "work", "pull", "--quiet", "--rebase"); err != nil {
				return commits, rejected, err
			}
		}
		commits++
	}
	return commits, rejected, nil
}
