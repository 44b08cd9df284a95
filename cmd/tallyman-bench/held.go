package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/gitops/queue"
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
	// heldApps is how many apps one hold names.
	heldApps = 100
	// badMarks is how many tags of the others are marked as bad: with the freezes there are
	// nearly as many holds as there may be, and each update is judged by 900 of them.
	badMarks = 9_000
	placing  = 500 // holds in one transaction
)

// measureHeld prepares a store whose updates a freeze holds, has a tallyman find that out,
// and then makes updates of other apps in the same environment.
func (b *bench) measureHeld(ctx context.Context, size string) (err error) {
	if b.options.held == 0 {
		return nil
	}
	b.say("%d held updates in one environment of %s", b.options.held, size)
	shape := shapes[size]
	full := filepath.Join(b.stores, "held.db")
	if err := prepareHeld(ctx, full, shape, b.options.held, time.Now().Add(time.Hour)); err != nil {
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

// prepareHeld makes a store of so many updates in the first environment of the shape, of
// all its apps but for a few, and freezes these apps until a time. Of the others some tags
// are bad.
func prepareHeld(ctx context.Context, path string, shape gitserver.Shape, n int, until time.Time) (err error) {
	store, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	environment := shape.Environments[0]
	var apps []string
	for app := range shape.Apps - free {
		apps = append(apps, gitserver.App(app))
	}
	hold := gitops.Hold{Environments: []string{environment}, Principal: "token:bench", Actor: "token:bench", Reason: "the bench measures it"}
	var holds []gitops.Hold
	for some := range slices.Chunk(apps, heldApps) {
		hold.Kind, hold.Apps, hold.Until = gitops.HoldFreeze, some, until
		holds = append(holds, hold)
	}
	for mark := range badMarks {
		hold.Kind, hold.Apps, hold.Until = gitops.HoldBad, []string{gitserver.App(shape.Apps - 1 - mark%free)}, time.Time{}
		hold.Tag = fmt.Sprintf("main-bad%07x", mark)
		holds = append(holds, hold)
	}
	for some := range slices.Chunk(holds, placing) {
		if _, err := store.Place(ctx, queue.Placement{Holds: some}); err != nil {
			return err
		}
	}
	for made := 0; made < n; {
		d := gitops.Delivery{Source: "github", ID: fmt.Sprintf("held-%d", made), Outcome: gitops.OutcomeAccepted, Body: []byte("{}")}
		for _, app := range apps[:min(len(apps), n-made)] {
			d.Updates = append(d.Updates, gitops.Update{Environment: environment, App: app, Tag: fmt.Sprintf("main-%07x", made)})
			made++
		}
		if _, _, err := store.Accept(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// awaitHeld waits until the lane of the first environment has held all of them, and says
// how long after the start that was.
func awaitHeld(ctx context.Context, t *tallyman, n int) (ms float64, err error) {
	err = awaitLanes(ctx, t, func(lanes []laneState) bool { return lanes[0].Ready == 0 && lanes[0].Held["freeze"] == n })
	return milliseconds(time.Since(t.began)), err
}

// laneState is what status says of a lane.
type laneState struct {
	Ready int            `json:"ready"`
	Held  map[string]int `json:"held"`
}

// awaitLanes asks for status until the lanes are so.
func awaitLanes(ctx context.Context, t *tallyman, so func([]laneState) bool) error {
	for began := time.Now(); ; {
		body, _, err := t.readStatus(ctx)
		if err != nil {
			return err
		}
		var status struct {
			Environments []struct {
				Lane laneState `json:"lane"`
			} `json:"environments"`
		}
		if err := json.Unmarshal(body, &status); err != nil {
			return err
		}
		var lanes []laneState
		for _, e := range status.Environments {
			lanes = append(lanes, e.Lane)
		}
		if so(lanes) {
			return nil
		}
		if time.Since(began) > 2*time.Minute {
			return errors.Join(fmt.Errorf("the lanes stand at %+v after two minutes", lanes), t.complaint())
		}
		select {
		case <-time.After(statusEvery):
		case <-ctx.Done():
			return ctx.Err()
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
