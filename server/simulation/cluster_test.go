package simulation

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// The cluster, and the Argo CD that applies what the branch says. It does so step by step, as a
// real one was recorded: for a moment it is Synced and Healthy with what was there before, then
// it runs an operation, then it is Healthy and OutOfSync, and only at last both with what is new.

// clusterProfile is what is there of clusters in a schedule.
type clusterProfile struct {
	followed map[string]bool // environments
	outages  int             // times at which Argo CD does not answer
	webhooks float64         // how many of the pushes it hears of
	broken   float64         // how many of the tags do not run
	refused  float64         // how many of them cannot be applied
}

func drawClusters(r *rand.Rand) (p clusterProfile) {
	of := one(r, nil, nil, []string{"dev"}, []string{"dev", "prod"}, environments)
	if of == nil {
		return p
	}
	p.followed = make(map[string]bool)
	for _, environment := range of {
		p.followed[environment] = true
	}
	p.outages, p.webhooks = r.IntN(4), one(r, 0, 0.5, 1)
	p.broken, p.refused = one(r, 0, 0.1, 0.4), one(r, 0, 0.1)
	return p
}

// environments are those that are followed.
func (p clusterProfile) environments() []string { return slices.Sorted(maps.Keys(p.followed)) }

// cluster is that of a schedule. Its Applications are there from the beginning.
type cluster struct {
	w *world

	mu     sync.Mutex
	apps   map[release]*deployed
	order  []release
	outage argoOutage
}

// argoOutage is how Argo CD answers for a while.
type argoOutage struct {
	until time.Time
	code  gitops.Code
	deaf  bool // it takes refreshes and carries none out
}

// deployed is one Application. It is moved on when somebody looks, to what it is by then.
type deployed struct {
	release
	compared, applying hash
	reconciled         time.Time
	sync, health       string
	phase, message     string
	finished           time.Time
	applied            string // the tag of the last sync that succeeded
	appliedAt          hash
	due                []moment
	looks              int // comparisons
	runs               []ran
}

// moment is a change that comes by itself.
type moment struct {
	at   time.Time
	what func()
}

// ran is what the pods are from a time on. A tag that does not run is none.
type ran struct {
	from time.Time
	tag  string
}

const (
	pollEvery   = 3 * time.Minute // that Argo CD looks at git without a hint
	tagAtFirst  = "none"          // of every file
	argoAddress = "https://argocd.example"
)

func newCluster(w *world) *cluster {
	c := &cluster{w: w, apps: make(map[release]*deployed)}
	for _, environment := range w.clusters.environments() {
		for _, app := range filed {
			c.order = append(c.order, release{environment, app})
			c.apps[release{environment, app}] = &deployed{
				release: release{environment, app}, compared: firstFiles, reconciled: time.Now(), sync: "Synced", health: "Healthy",
				applied: tagAtFirst, appliedAt: firstFiles, runs: []ran{{time.Now(), tagAtFirst}},
			}
		}
	}
	return c
}

// moved tells Argo CD of a push, or does not. The origin's lock is held.
func (c *cluster) moved(tip hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.w.chance.fresh(fmt.Sprint("webhook ", tip, time.Now().UnixNano()))
	if r.Float64() >= c.w.clusters.webhooks {
		return
	}
	at := time.Now().Add(between(r, 0, 300*time.Millisecond))
	for _, of := range c.order {
		d := c.apps[of]
		d.due = append(d.due, moment{at, func() { c.compare(d, at) }})
	}
}

// advance moves an Application on. The lock is held.
func (c *cluster) advance(d *deployed) {
	for {
		c.idle(d)
		next, at := -1, d.reconciled.Add(pollEvery)
		for n, m := range d.due {
			if m.at.Before(at) {
				next, at = n, m.at
			}
		}
		if at.After(time.Now()) {
			return
		}
		what := func() { c.compare(d, at) }
		if next >= 0 {
			what = d.due[next].what
			d.due = append(d.due[:next:next], d.due[next+1:]...)
		}
		what()
	}
}

// idle passes over the looks at git that would show nothing new.
func (c *cluster) idle(d *deployed) {
	until := time.Now()
	for _, m := range d.due {
		if m.at.Before(until) {
			until = m.at
		}
	}
	for _, s := range c.w.origin.stood {
		if s.at.After(d.reconciled) && s.at.Before(until) {
			until = s.at
		}
	}
	if looks := until.Sub(d.reconciled) / pollEvery; looks > 0 && c.tipAt(d.reconciled) == d.compared {
		d.reconciled = d.reconciled.Add(looks * pollEvery)
	}
}

// compare has it looked at git at a time. What it sees and what follows comes step by step.
func (c *cluster) compare(d *deployed, at time.Time) {
	r := c.w.chance.fresh(fmt.Sprint("argo ", d.environment, d.app, d.looks))
	d.looks++
	if d.phase == "Running" { // it is looked at again when that has ended
		again := at.Add(between(r, 100*time.Millisecond, 2*time.Second))
		d.due = append(d.due, moment{again, func() { c.compare(d, again) }})
		d.reconciled = at
		return
	}
	tip := c.tipAt(at)
	if tip.IsZero() {
		d.reconciled = at
		return
	}
	tag := c.w.check.tags(tip)[d.release]
	d.reconciled = at
	step := func(after time.Duration, what func()) {
		at = at.Add(between(r, after/2, after*2))
		d.due = append(d.due, moment{at, what})
	}
	if tag == d.applied || tag == "" {
		d.compared, d.sync = tip, "Synced"
		return
	}
	d.compared, d.sync = tip, "OutOfSync"
	refused, broken := c.fate(d.release, tag)
	step(50*time.Millisecond, func() { d.phase, d.applying = "Running", tip })
	if refused {
		step(200*time.Millisecond, func() { d.phase, d.finished, d.message = "Failed", time.Now(), "the API server refuses it" })
		return
	}
	step(200*time.Millisecond, func() {
		d.phase, d.finished, d.message = "Succeeded", at, "successfully synced"
		d.applied, d.appliedAt = tag, tip
	})
	ready := at
	step(150*time.Millisecond, func() { d.sync, d.health, d.reconciled = "Synced", "Progressing", ready.Add(time.Second) })
	if r.IntN(4) == 0 { // its health flaps
		flaps := func(health string) func() {
			return func() {
				if d.applied == tag { // and nothing else by now, whose health it is
					d.health = health
				}
			}
		}
		step(300*time.Millisecond, flaps("Degraded"))
		at = at.Add(between(r, time.Second, 15*time.Second))
		d.due = append(d.due, moment{at, flaps("Progressing")})
	}
	runs := at.Add(between(r, time.Second, 20*time.Second))
	d.due = append(d.due, moment{runs, func() {
		if d.applied != tag {
			return // something else was applied meanwhile
		}
		if broken {
			d.health = "Degraded"
			return
		}
		d.health = "Healthy"
		d.runs = append(d.runs, ran{runs, tag})
	}})
}

// fate says whether a tag cannot be applied, or does not run.
func (c *cluster) fate(of release, tag string) (refused, broken bool) {
	r := c.w.chance.fresh(fmt.Sprint("fate ", of, tag))
	return r.Float64() < c.w.clusters.refused, r.Float64() < c.w.clusters.broken
}

// tipAt is where the branch was at a time.
func (c *cluster) tipAt(at time.Time) (tip hash) {
	for _, s := range c.w.origin.stood {
		if !s.at.After(at) {
			tip = s.tip
		}
	}
	return tip
}

// see has an Application as it stands now.
func (c *cluster) see(of release, use func(d *deployed)) {
	c.w.origin.mu.Lock()
	defer c.w.origin.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.apps[of]
	c.advance(d)
	use(d)
}

// ranSince reports whether the tag ran at some time since.
func (c *cluster) ranSince(of release, tag string, since time.Time) (ran bool) {
	c.see(of, func(d *deployed) { ran = d.ranSince(tag, since) })
	return ran
}

func (d *deployed) ranSince(tag string, since time.Time) bool {
	for n, x := range d.runs {
		if x.tag == tag && (n == len(d.runs)-1 || d.runs[n+1].from.After(since)) {
			return true
		}
	}
	return false
}

// automated has Argo CD sync by itself.
var automated = must(syncPolicy())

func syncPolicy() (p *rollout.SyncPolicy, err error) {
	return p, json.Unmarshal([]byte(`{"automated": {"selfHeal": true}}`), &p)
}

// body is what Argo CD says of an Application.
func (d *deployed) body() *rollout.Application {
	a := &rollout.Application{Metadata: rollout.Metadata{Name: d.name(), Namespace: "argocd"}}
	a.Spec.Project = "shop"
	a.Spec.Source = &rollout.Source{RepoURL: manifestsURL, TargetRevision: "main"}
	a.Spec.SyncPolicy = automated
	a.Status.Sync = rollout.Comparison{Status: d.sync, Revision: d.compared.String()}
	a.Status.Health.Status = d.health
	reconciled := d.reconciled
	a.Status.ReconciledAt = &reconciled
	if d.phase == "" {
		return a
	}
	state := &rollout.OperationState{Phase: d.phase, Message: d.message}
	state.Operation.Sync = &rollout.SyncOperation{Revision: d.applying.String()}
	if d.phase != "Running" {
		finished := d.finished
		state.FinishedAt, state.SyncResult = &finished, &rollout.SyncResult{Revision: d.applying.String()}
	}
	a.Status.OperationState = state
	return a
}

func (d *deployed) name() string { return d.app + "-" + d.environment }

// tree is what runs: pods of the new tag are there before they are ready, beside the old.
func (d *deployed) tree() *rollout.Tree {
	node := func(tag, health string) rollout.Node {
		return rollout.Node{Version: "v1", Kind: "Pod", Name: d.name() + "-" + tag, UID: tag, Images: []string{repositoryOf(d.app) + ":" + tag}, Health: &rollout.Health{Status: health}}
	}
	running := d.runs[len(d.runs)-1].tag
	nodes := []rollout.Node{node(running, "Healthy")}
	if d.applied != running {
		nodes = append(nodes, node(d.applied, "Progressing"))
	}
	return &rollout.Tree{Nodes: nodes}
}
