package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
)

// discovered is a site whose configuration names no app: the branch does.
type discovered struct {
	Apps         int     `json:"apps"`
	Environments int     `json:"environments"`
	ReadyMS      float64 `json:"readyMS"`    // from the start of the process until it takes deliveries
	KnownMS      float64 `json:"knownMS"`    // until every app is known, and can be ordered
	KnownCPUMS   float64 `json:"knownCPUMS"` // of the process until then: what the machine does besides does not count
	FirstMS      float64 `json:"firstMS"`    // until the first commit is on origin; it was ordered when all were known
	NewApps      int     `json:"newApps"`    // that one commit brings
	NewKnownMS   float64 `json:"newKnownMS"` // from a delivery that names one of them, which has the branch looked at, until all are known
	NewCPUMS     float64 `json:"newCPUMS"`
	UpdateMS     float64 `json:"updateMS"`    // one update, end to end, at the median
	AsConfigured float64 `json:"xConfigured"` // by one where each app is a line of the configuration
	PeakMiB      float64 `json:"peakMiB"`     // most ever resident
}

// newAppsAtOnce is how many apps one commit brings.
const newAppsAtOnce = 100

// measureDiscovery has one tallyman find apps, and another one be told of them.
func (b *bench) measureDiscovery(ctx context.Context, _ string) (err error) {
	if b.options.discover == 0 {
		return nil
	}
	shape := gitserver.Shape{Apps: b.options.discover, Environments: shapes[huge].Environments, Commits: 100}
	b.say("%d apps in %d environments that no configuration names", shape.Apps, len(shape.Environments))
	var repositories [2]*gitserver.Repository
	for i, name := range []string{"discovered", "configured"} {
		if repositories[i], err = b.git.CreateRepository(name + ".git"); err == nil {
			err = errors.Join(repositories[i].Generate(shape), addCharts(repositories[i], shape))
		}
		if err != nil {
			return err
		}
	}
	t, err := b.start(ctx, setup{shape: shape, repository: repositories[0], discover: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.kill()) }()
	found := discovered{Apps: shape.Apps, Environments: len(shape.Environments), NewApps: newAppsAtOnce, ReadyMS: milliseconds(t.ready.Sub(t.began))}
	for _, measure := range []func(context.Context, *tallyman, *discovered) error{b.measureFound, b.measureNewApps} {
		if err := measure(ctx, t, &found); err != nil {
			return err
		}
	}
	told, err := b.start(ctx, setup{shape: shape, repository: repositories[1]})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, told.kill()) }()
	if err := b.measureBeside(ctx, t, told, &found); err != nil {
		return err
	}
	found.PeakMiB = t.peakMiB()
	b.report.Discovered = &found
	return errors.Join(t.stop(), told.stop(), repositories[0].Fsck())
}

// measureFound waits until every app is known, and then for a first update.
func (b *bench) measureFound(ctx context.Context, t *tallyman, found *discovered) error {
	at, err := t.awaitApps(ctx, t.shape.Apps)
	if err != nil {
		return err
	}
	found.KnownMS, found.KnownCPUMS = milliseconds(at.Sub(t.began)), milliseconds(t.cpu())
	if err := b.origin.reset(ctx); err != nil {
		return err
	}
	if _, err := volley(ctx, t.public, 1, b.events.next(t.shape, 1), time.Minute); err != nil {
		return err
	}
	landed, err := b.origin.next(ctx)
	if err != nil {
		return errors.Join(err, t.complaint())
	}
	found.FirstMS = milliseconds(landed.ended.Sub(t.began))
	return t.awaitCommitted(ctx, 1)
}

// measureNewApps commits new apps, and orders one of them.
func (b *bench) measureNewApps(ctx context.Context, t *tallyman, found *discovered) error {
	files := make(map[string]string)
	for n := t.shape.Apps; n < t.shape.Apps+newAppsAtOnce; n++ {
		for _, environment := range t.shape.Environments {
			app := gitserver.App(n)
			files[gitserver.ValuesFile(app, environment)] = gitserver.Values(app, environment, "main-0000000")
		}
	}
	if _, err := t.repository.Commit(gitserver.Change{Message: fmt.Sprintf("%d new apps", newAppsAtOnce), Files: files}); err != nil {
		return err
	}
	select { // looks are a second apart at least: so the delivery's is made at once, and is all that is measured
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	sent, cpu := time.Now(), t.cpu()
	first := b.events.of(gitserver.App(t.shape.Apps), t.shape.Environments[0]).event
	if _, err := volley(ctx, t.public, 1, []event{first}, time.Minute); err != nil {
		return err
	}
	at, err := t.awaitApps(ctx, t.shape.Apps+newAppsAtOnce)
	if err != nil {
		return err
	}
	found.NewKnownMS, found.NewCPUMS = milliseconds(at.Sub(sent)), milliseconds(t.cpu()-cpu)
	return t.awaitCommitted(ctx, 1)
}

// measureBeside has both make one update after the other, in turn.
func (b *bench) measureBeside(ctx context.Context, t, told *tallyman, found *discovered) error {
	answered := new(time.Time)
	var took [2][]float64
	for run := range cmp.Or(b.options.runs, 7) + 1 {
		for i, of := range []*tallyman{t, told} {
			s, err := b.one(ctx, newEndToEnd(of, answered), of.shape, answered)
			if err != nil {
				return err
			}
			if run > 0 { // the first warms up
				took[i] = append(took[i], s.wall)
			}
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	found.UpdateMS = took[0][len(took[0])/2]
	found.AsConfigured = found.UpdateMS / took[1][len(took[1])/2]
	return nil
}

// awaitApps waits until so many apps are known, and returns since when.
func (t *tallyman) awaitApps(ctx context.Context, n int) (since time.Time, err error) {
	err = t.await(ctx, func() bool { return t.apps >= n })
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.appsAt, err
}
