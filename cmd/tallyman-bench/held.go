package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue/sqlite"
)

// held is an update in an environment in which very many others are held, beside
// one in which none is.
type held struct {
	Size   string  `json:"size"`
	Held   int     `json:"held"`
	AskMS  float64 `json:"heldAfterMS"` // from the start until the lane had held all of them
	WithMS float64 `json:"withMS"`      // median of an update of another app, until it is on the branch
	NoneMS float64 `json:"noneMS"`      // the same where nothing is held
}

const (
	heldRuns = 15
	free     = 10 // apps of which nothing is held
	// tooOld is how long ago the updates were accepted that a lane does not write
	// without asking a person.
	tooOld = 8 * 24 * time.Hour
)

// measureHeld prepares a store whose updates are all too old to be written, has a
// tallyman hold them, and then makes updates of other apps in the same environment.
func (b *bench) measureHeld(ctx context.Context, size string) (err error) {
	if b.options.held == 0 {
		return nil
	}
	b.say("%d held updates in one environment of %s", b.options.held, size)
	shape := shapes[size]
	full := filepath.Join(b.stores, "held.db")
	if err := prepareOld(ctx, full, shape, b.options.held); err != nil {
		return err
	}
	found := held{Size: size, Held: b.options.held}
	var tallymen [2]*tallyman
	for i, store := range []string{"sqlite://" + full, ""} {
		repository, err := b.repository(size)
		if err != nil {
			return err
		}
		t, err := b.start(ctx, setup{shape: shape, repository: repository, store: store})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, t.kill()) }()
		tallymen[i] = t
	}
	if found.AskMS, err = awaitHeld(ctx, tallymen[0], b.options.held); err != nil {
		return err
	}
	var took [2][]float64
	for run := range heldRuns + 1 {
		for i, t := range tallymen {
			one, err := b.oneUpdateOf(ctx, t, gitserver.App(shape.Apps-1-run%free))
			if err != nil {
				return err
			}
			if run > 0 { // the first warms up
				took[i] = append(took[i], one)
			}
		}
	}
	found.WithMS, found.NoneMS = median(took[0]), median(took[1])
	b.report.Held = &found
	for _, t := range tallymen {
		err = errors.Join(err, t.stop())
	}
	return err
}

// prepareOld makes a store of so many updates that were accepted long ago, in the
// first environment of the shape, of all its apps but for a few.
func prepareOld(ctx context.Context, path string, shape gitserver.Shape, n int) (err error) {
	store, err := sqlite.Open(ctx, path, sqlite.Options{Now: func() time.Time { return time.Now().Add(-tooOld) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for made := 0; made < n; {
		d := gitops.Delivery{Source: "github", ID: fmt.Sprintf("held-%d", made), Outcome: gitops.OutcomeAccepted, Body: []byte("{}")}
		for app := 0; app < shape.Apps-free && made < n; app++ {
			d.Updates = append(d.Updates, gitops.Update{Environment: shape.Environments[0], App: gitserver.App(app), Tag: fmt.Sprintf("main-%07x", made)})
			made++
		}
		if _, _, err := store.Accept(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// awaitHeld waits until the lane has held all of them, and says how long after the
// start that was.
func awaitHeld(ctx context.Context, t *tallyman, n int) (ms float64, err error) {
	for {
		body, _, err := t.readStatus(ctx)
		if err != nil {
			return 0, err
		}
		var status struct {
			Environments []struct {
				Lane struct {
					Ready int            `json:"ready"`
					Held  map[string]int `json:"held"`
				} `json:"lane"`
			} `json:"environments"`
		}
		if err := json.Unmarshal(body, &status); err != nil {
			return 0, err
		}
		if lane := status.Environments[0].Lane; lane.Ready == 0 && lane.Held["stale"] == n {
			return milliseconds(time.Since(t.began)), nil
		}
		if time.Since(t.began) > 2*time.Minute {
			return 0, fmt.Errorf("the lane did not hold %d updates in two minutes: %w", n, t.complaint())
		}
		select {
		case <-time.After(statusEvery):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// oneUpdateOf makes an update of the app in the first environment, and says how long
// it took until git had moved the branch.
func (b *bench) oneUpdateOf(ctx context.Context, t *tallyman, app string) (ms float64, err error) {
	if err := b.origin.reset(ctx); err != nil {
		return 0, err
	}
	to, err := dial(t.public)
	if err != nil {
		return 0, err
	}
	defer to.conn.Close()
	u := b.events.of(app, t.shape.Environments[0])
	began := time.Now()
	if err := to.send(u.event); err != nil {
		return 0, err
	}
	pushed, err := b.origin.next(ctx)
	if err != nil {
		return 0, errors.Join(err, t.complaint())
	}
	return milliseconds(pushed.ended.Sub(began)), t.awaitCommitted(ctx, 1)
}
