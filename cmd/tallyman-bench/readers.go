package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// readers is what it costs to read the status, and what that costs the updates.
type readers struct {
	Size    string  `json:"size"`
	FirstMS float64 `json:"firstMS"` // the first status after the start: every file is read
	Bytes   int     `json:"bytes"`   // of an answer
	Updates int     `json:"updates"` // on the branch while status was asked
	Asked   int     `json:"asked"`   // how often that was
	P50MS   float64 `json:"p50MS"`
	P99MS   float64 `json:"p99MS"`
	MaxMS   float64 `json:"maxMS"`

	// From sending an event until its push reaches the git server, by a tallyman that
	// waits for no disk: alone, and with a status asked at the same moment that must
	// look at the branch.
	Pairs int      `json:"pairs"` // so many of each, in turn
	Alone arrivals `json:"alone"`
	With  arrivals `json:"with"`
}

// arrivals is how long pushes took to reach the git server.
type arrivals struct {
	P50MS float64 `json:"p50MS"`
	P90MS float64 `json:"p90MS"`
	MaxMS float64 `json:"maxMS"`
}

func arrivalsOf(ms []float64) arrivals {
	return arrivals{median(ms), percentile(ms, 90), percentile(ms, 100)}
}

const (
	statusEvery  = 100 * time.Millisecond // as several dashboards together ask
	statusWindow = 20                     // updates under way together while status is asked
	// statusAge is how old a status may be: one that is asked later looks at the branch.
	statusAge = 3 * time.Second
)

// measureReaders asks one tallyman for its status while it writes.
func (b *bench) measureReaders(ctx context.Context, size string, t *tallyman) error {
	if b.options.readers == 0 {
		return nil
	}
	b.say("%s: %d updates while status is asked", size, b.options.readers)
	body, first, err := t.readStatus(ctx)
	if err != nil {
		return err
	}
	found := readers{Size: size, FirstMS: milliseconds(first), Bytes: len(body), Updates: b.options.readers}
	latencies, err := b.statusWhileWriting(ctx, t)
	if err != nil {
		return err
	}
	found.Asked = len(latencies)
	found.P50MS, found.P99MS = milliseconds(percentile(latencies, 50)), milliseconds(percentile(latencies, 99))
	found.MaxMS = milliseconds(percentile(latencies, 100))
	if err := b.pushesBesideReaders(ctx, size, &found); err != nil {
		return err
	}
	b.report.Readers = append(b.report.Readers, found)
	return nil
}

// statusWhileWriting has updates made until there were enough, and returns how long
// each status took meanwhile.
func (b *bench) statusWhileWriting(ctx context.Context, t *tallyman) (latencies []time.Duration, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	var reading sync.WaitGroup
	var problem error
	reading.Go(func() {
		tick := time.NewTicker(statusEvery)
		defer tick.Stop()
		for {
			_, took, err := t.readStatus(ctx)
			if err != nil {
				problem = err
				return
			}
			latencies = append(latencies, took)
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	for made := 0; made < b.options.readers && err == nil; made += statusWindow {
		some := b.events.next(t.shape, statusWindow)
		if _, err = volley(ctx, t.public, len(some), some, time.Minute); err == nil {
			err = t.awaitCommitted(ctx, len(some))
		}
	}
	close(done)
	reading.Wait()
	return latencies, errors.Join(err, problem)
}

// pushesBesideReaders makes single updates in pairs, one alone and one with a status
// asked at the same moment. It has a tallyman of its own, whose queue is where the
// repositories are, in memory: an fsync of a shared disk takes 1 ms or 500, no reader
// takes part in it, and it would decide how late the latest push is.
func (b *bench) pushesBesideReaders(ctx context.Context, size string, found *readers) (err error) {
	repository, err := b.repository(size)
	if err != nil {
		return err
	}
	t, err := b.start(ctx, setup{shape: shapes[size], repository: repository, store: "sqlite://" + filepath.Join(b.repositories, size+"-readers.db")})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, t.kill())
	}()
	var alone, with []float64
	for n := range 2*b.options.pairs + 1 {
		// Which of a pair is the first changes from pair to pair.
		beside := n%4 == 1 || n%4 == 2
		took, err := b.pushDelay(ctx, t, beside)
		switch {
		case err != nil:
			return err
		case n == 0: // it has the branch to read first
		case beside:
			with = append(with, took)
		default:
			alone = append(alone, took)
		}
	}
	found.Pairs, found.Alone, found.With = b.options.pairs, arrivalsOf(alone), arrivalsOf(with)
	return nil
}

// pushDelay makes one update after a pause, alone or beside a status, and returns how
// long it took to reach the git server. After the pause what status last said is too old.
func (b *bench) pushDelay(ctx context.Context, t *tallyman, beside bool) (float64, error) {
	select {
	case <-time.After(statusAge):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := b.origin.reset(ctx); err != nil {
		return 0, err
	}
	one := b.events.next(t.shape, 1)
	to, err := dial(t.public)
	if err != nil {
		return 0, err
	}
	defer to.conn.Close()
	var reading sync.WaitGroup
	var problem error
	began := time.Now()
	if beside {
		reading.Go(func() { _, _, problem = t.readStatus(ctx) })
	}
	err = to.send(one[0])
	reading.Wait()
	if err := errors.Join(err, problem); err != nil {
		return 0, fmt.Errorf("an update beside a status: %w", err)
	}
	pushed, err := b.origin.next(ctx)
	if err != nil {
		return 0, err
	}
	if asked := b.git.Counts().Requests[gitserver.FetchRefs] > 0; beside && !asked {
		return 0, errors.New("the status did not look at the branch")
	}
	return milliseconds(pushed.began.Sub(began)), t.awaitCommitted(ctx, 1)
}
