package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/manifest/gitserver"
	"github.com/tallyman-dev/tallyman/server/argocd/argocdtest"
)

// rollouts is what it costs to follow updates into a cluster, and how soon very many are known
// to run. Argo CD has an Application of each app in each environment, hears of no push, and
// has pods that are ready after 2 s; a receiver is told, and images are looked at.
type rollouts struct {
	Size         string  `json:"size"`
	Applications int     `json:"applications"`
	PlainMS      float64 `json:"plainMS"`    // median of one update that is not followed, until it is on the branch
	FollowedMS   float64 `json:"followedMS"` // ... that is, and told
	MoreMS       float64 `json:"moreMS"`     // median difference of two that were made one after the other
	AtOnce       int     `json:"atOnce"`     // updates
	HealthyMS    float64 `json:"healthyMS"`  // from the last commit of these until all are known to run
	MostIn10s    int     `json:"mostIn10s"`  // requests that came within any 10 s: they come in bursts of a second's
	MostAtOnce   int     `json:"mostRefreshes"`
	Requests     int     `json:"requests"`
	Told         int     `json:"told"`
	RestMiB      float64 `json:"restMiB"` // resident before the burst
	PeakMiB      float64 `json:"peakMiB"`
}

// followRuns is how often one update is timed.
const followRuns = 15

// place is the argocdtest.TB of a bench.
type place struct {
	mu       sync.Mutex
	cleanups []func()
	problems []error
}

func (p *place) Helper()          {}
func (p *place) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }
func (p *place) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, fmt.Errorf(format, args...))
}

func (p *place) close() error {
	for _, f := range p.cleanups {
		f()
	}
	return errors.Join(p.problems...)
}

// deployed are the tags that a branch has, as Argo CD finds them.
type deployed struct {
	mu       sync.Mutex
	revision string
	tags     map[string]string // by file
}

func (d *deployed) at(file string) (revision, tag string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if tag = d.tags[file]; tag == "" {
		tag = "main-0000000"
	}
	return d.revision, tag
}

// measureRollouts runs two tallymen: one whose updates are followed and told, and one whose
// are not.
func (b *bench) measureRollouts(ctx context.Context, size string) (err error) {
	if b.options.rollouts == 0 {
		return nil
	}
	stage := &place{}
	defer func() { err = errors.Join(err, stage.close()) }()
	var told atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	defer receiver.Close()
	registry, err := startImageHost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, registry.close()) }()
	shape := shapes[size]
	argo := argocdtest.New(stage, nil)
	var both [2]*tallyman
	for i := range both {
		repository, err := b.repository(size)
		if err != nil {
			return err
		}
		s := setup{shape: shape, repository: repository, registry: registry.host}
		if i == 1 {
			s.argo, s.argoToken, s.receiver = argo.Listen(), argo.Token("bench"), receiver.URL
		}
		t, err := b.start(ctx, s)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, t.kill()) }()
		both[i] = t
	}
	git := &deployed{tags: make(map[string]string)}
	if err := git.pushed(both[1].repository, nil); err != nil {
		return err
	}
	deploy(argo, both[1], registry.host, git)
	found := rollouts{Size: size, Applications: shape.Apps * len(shape.Environments), AtOnce: min(b.options.rollouts, shape.Apps)}
	b.say("%d updates of %s that are followed, and as many that are not", followRuns, size)
	if err := b.followedBeside(ctx, both, &found); err != nil {
		return err
	}
	b.say("%d updates at once that are followed", found.AtOnce)
	found.RestMiB = both[1].residentMiB()
	if err := b.followedAtOnce(ctx, both[1], argo, git, &found); err != nil {
		return err
	}
	found.PeakMiB, found.Told = both[1].peakMiB(), int(told.Load())
	b.report.Rollouts = &found
	return errors.Join(both[0].stop(), both[1].stop())
}

// deploy has an Application of each app in each environment be there.
func deploy(argo *argocdtest.Server, t *tallyman, registry string, git *deployed) {
	for n := range t.shape.Apps {
		for _, environment := range t.shape.Environments {
			app := gitserver.App(n)
			file := gitserver.ValuesFile(app, environment)
			revision, tag := git.at(file)
			argo.Add(argocdtest.App{
				Project: "bench", Name: app + "-" + environment, Image: registry + "/" + app, Revision: revision, Tag: tag,
				Git:       func() (string, string) { return git.at(file) },
				Sources:   []argocdtest.Source{{RepoURL: t.repository.URL, TargetRevision: "main", Path: path.Dir(file), ValueFiles: []string{path.Base(file)}}},
				Behaviour: argocdtest.Behaviour{WebhookLost: true},
			})
		}
	}
}

// pushed notes the branch's tip, and tags that it has now.
func (d *deployed) pushed(r *gitserver.Repository, tags map[string]string) error {
	tip, err := r.Git("rev-parse", "main")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revision = strings.TrimSpace(tip)
	maps.Copy(d.tags, tags)
	return err
}

// followedBeside makes the same update with each tallyman in turn. Argo CD does not learn of
// them: their rollouts stay open.
func (b *bench) followedBeside(ctx context.Context, both [2]*tallyman, found *rollouts) error {
	var took [2][]float64
	var more []float64
	for run := range followRuns + 1 {
		for i, t := range both {
			one, err := b.oneUpdateOf(ctx, t, gitserver.App(t.shape.Apps-1-run))
			if err != nil {
				return err
			}
			if run > 0 { // the first warms up
				took[i] = append(took[i], one)
			}
		}
		if run > 0 {
			more = append(more, took[1][run-1]-took[0][run-1])
		}
	}
	found.PlainMS, found.FollowedMS, found.MoreMS = median(took[0]), median(took[1]), median(more)
	return nil
}

// followedAtOnce sends a burst, and waits until all of it is known to run.
func (b *bench) followedAtOnce(ctx context.Context, t *tallyman, argo *argocdtest.Server, git *deployed, found *rollouts) error {
	const tag = "main-f00000000001" // no other update has it
	var sent []event
	tags := make(map[string]string)
	for n := range found.AtOnce {
		app, environment := gitserver.App(n), t.shape.Environments[1]
		sent = append(sent, b.events.named(app, environment, tag).event)
		tags[gitserver.ValuesFile(app, environment)] = tag
	}
	before := len(argo.Requests())
	if _, err := volley(ctx, t.public, burstConnections, sent, time.Minute); err != nil {
		return err
	}
	if err := t.awaitCommitted(ctx, len(sent)); err != nil {
		return err
	}
	began := time.Now()
	if err := git.pushed(t.repository, tags); err != nil {
		return err
	}
	healthy := fmt.Sprintf(`tallyman_rollouts_total{environment=%q,outcome="healthy"}`, t.shape.Environments[1])
	for {
		series, err := t.series(ctx)
		if err != nil {
			return err
		}
		if int(series[healthy]) == found.AtOnce {
			break
		}
		select {
		case <-time.After(500 * time.Millisecond): // another process: there is nothing to wait on
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Since(began) > 15*time.Minute {
			return errors.Join(fmt.Errorf("%v of %d rollouts are healthy after 15 minutes", series[healthy], found.AtOnce), t.complaint())
		}
	}
	found.HealthyMS, found.MostAtOnce = milliseconds(time.Since(began)), argo.MostRefreshes()
	requests := argo.Requests()[before:]
	found.Requests, found.MostIn10s = len(requests), mostWithin(requests, 10*time.Second)
	return nil
}

// mostWithin is how many of the requests, the oldest first, came within any such time.
func mostWithin(requests []argocdtest.Request, d time.Duration) (most int) {
	first := 0
	for i, r := range requests {
		for r.At.Sub(requests[first].At) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
