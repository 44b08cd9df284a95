package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// burstConnections is how many connections a burst comes over.
const burstConnections = 32

// measureBursts sends many deliveries at once to the tallyman that is running,
// and waits until all of them are on origin.
func (b *bench) measureBursts(ctx context.Context, size string, t *tallyman) error {
	for _, n := range b.options.bursts {
		b.say("%s: a burst of %d deliveries", size, n)
		found, err := b.burst(ctx, t, n)
		if err != nil {
			return fmt.Errorf("a burst of %d: %w", n, err)
		}
		found.Size = size
		b.report.Bursts = append(b.report.Bursts, found)
	}
	return nil
}

func (b *bench) burst(ctx context.Context, t *tallyman, n int) (found burst, err error) {
	events := b.events.next(t.shape, n)
	before, err := t.repository.Git("rev-parse", "main")
	if err != nil {
		return found, err
	}
	if err := b.origin.reset(ctx); err != nil {
		return found, err
	}
	cpu := t.cpu()
	a, err := volley(ctx, t.public, burstConnections, events, time.Minute)
	if err != nil {
		return found, err
	}
	if err := t.awaitCommitted(ctx, n); err != nil {
		return found, err
	}
	pushes := b.origin.seen()
	if len(pushes) == 0 {
		return found, errors.New("nothing was pushed")
	}
	took := pushes[len(pushes)-1].ended.Sub(a.began)
	return burst{
		Deliveries: n, AcceptedMS: milliseconds(a.ended.Sub(a.began)), OnOriginMS: milliseconds(took),
		PerSecond: float64(n) / took.Seconds(), Pushes: len(pushes), CPUPerUpdateMS: milliseconds(t.cpu()-cpu) / float64(n),
	}, onceEach(t.repository, before, events)
}

// onceEach checks that the branch has exactly one commit for each delivery since
// before, and no other but those of people.
func onceEach(r *gitserver.Repository, before string, events []event) error {
	commits, err := r.Log("main", before)
	if err != nil {
		return err
	}
	landed := make(map[string]int)
	for _, c := range commits {
		if len(c.Updates) == 0 && c.Author == person {
			continue
		}
		_, rest, _ := strings.Cut(c.Message, "\nTallyman-Delivery: github/")
		id, _, _ := strings.Cut(rest, "\n")
		landed[id]++
	}
	for _, e := range events {
		if landed[e.id] != 1 {
			return fmt.Errorf("delivery %s is on the branch %d times", e.id, landed[e.id])
		}
	}
	if len(landed) != len(events) {
		return fmt.Errorf("%d deliveries became commits of %d", len(events), len(landed))
	}
	return nil
}
