package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
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

	// From sending an event until its push reaches the git server: alone, and with a
	// status asked at the same moment that must look at the branch.
	AloneMS     float64 `json:"aloneMS"` // median
	WithMS      float64 `json:"withMS"`  // median
	AloneMostMS float64 `json:"aloneMostMS"`
	WithMostMS  float64 `json:"withMostMS"`
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
	alone, with, err := b.pushDelays(ctx, t)
	if err != nil {
		return err
	}
	found.AloneMS, found.AloneMostMS = median(alone), percentile(alone, 100)
	found.WithMS, found.WithMostMS = median(with), percentile(with, 100)
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

// pushDelays makes single updates, in turn alone and with a status asked at the same
// moment, and returns how long each took to reach the git server.
func (b *bench) pushDelays(ctx context.Context, t *tallyman) (alone, with []float64, err error) {
	const rounds = 8
	for range rounds {
		one, err := b.pushDelay(ctx, t, func() error { return nil })
		if err != nil {
			return nil, nil, err
		}
		alone = append(alone, one)
		select { // until what status last said is too old
		case <-time.After(statusAge):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		two, err := b.pushDelay(ctx, t, func() error {
			_, _, err := t.readStatus(ctx)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		with = append(with, two)
	}
	return alone, with, nil
}

// pushDelay makes one update beside something else.
func (b *bench) pushDelay(ctx context.Context, t *tallyman, beside func() error) (float64, error) {
	if err := b.origin.reset(ctx); err != nil {
		return 0, err
	}
	one := b.events.next(t.shape, 1)
	to, err := dial(t.public)
	if err != nil {
		return 0, err
	}
	defer to.conn.Close()
	other := make(chan error, 1)
	began := time.Now()
	go func() { other <- beside() }()
	err = to.send(one[0])
	if err := errors.Join(err, <-other); err != nil {
		return 0, fmt.Errorf("an update beside a status: %w", err)
	}
	pushed, err := b.origin.next(ctx)
	if err != nil {
		return 0, err
	}
	return milliseconds(pushed.began.Sub(began)), t.awaitCommitted(ctx, 1)
}
