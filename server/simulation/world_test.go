package simulation

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/manifest"
	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/gitops/values"
	"github.com/tallyman-dev/tallyman/server/webhook"
	"github.com/tallyman-dev/tallyman/server/webhook/ecr"
	"github.com/tallyman-dev/tallyman/server/webhook/github"
)

// What every schedule has in common, made once: none of it changes.
var (
	environments = []string{"dev", "staging", "prod"}
	apps         = []string{"api", "web", "mail"}
	secret       = []byte("a secret that is long enough for everybody")
	filed        = append([]string{newcomer}, apps...) // apps that have a file
	plans        = must(policy.New(policyConfig()))
	orders       = must(github.New(secrets, []string{"update-image"}))
	receivers    = map[string]webhook.Receiver{
		"github":      orders,
		"eventbridge": must(ecr.New(ecr.Config{Auth: ecr.APIKey, Header: "X-Tallyman-Key", Secrets: secrets})),
	}
	realEdit   = must(values.Compile([]values.Target{{Key: ".image.tag"}}))
	beginning  = make(objects) // of every repository
	firstFiles = firstCommit()
)

func secrets() [][]byte { return [][]byte{secret} }

// ghost is an app that is configured and has no file.
const ghost = "ghost"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func policyConfig() policy.Config {
	c := policy.Config{
		Environments: map[string]policy.Environment{
			"dev":     {Tags: policy.TagRule{Match: "main-[0-9a-f]{7}"}},
			"staging": {Tags: policy.TagRule{Match: "main-[0-9a-f]{7}"}},
			"prod":    {Tags: policy.TagRule{Semver: ">=1.0.0"}},
		},
		Apps: map[string]policy.App{},
	}
	for _, app := range append([]string{ghost}, filed...) {
		c.Apps[app] = policy.App{Repository: repositoryOf(app)}
	}
	web := c.Apps["web"]
	web.Tags.Match = `main-.*[02468ace]|v?1\.[0-9]*[02468]\.0` // every other tag: see evenTag
	c.Apps["web"] = web
	return c
}

func fileOf(environment, app string) string {
	return fmt.Sprintf("charts/%s/values-%s.yaml", app, environment)
}

// filesOf lists the files of an app in an environment. In staging there is one for each
// region.
func filesOf(environment, app string) []string {
	files := []string{fileOf(environment, app)}
	if environment == "staging" {
		files = append(files, fmt.Sprintf("regions/us/%s.yaml", app))
	}
	return files
}

// targetFiles lists the files that updates can change.
func targetFiles() (files []string) {
	for _, environment := range environments {
		for _, app := range append([]string{ghost}, filed...) {
			files = append(files, filesOf(environment, app)...)
		}
	}
	return files
}

func valuesOf(environment, app, tag string) []byte {
	return fmt.Appendf(nil, "# %s in %s\nimage:\n  repository: registry.example/%s\n  tag: %q # by the bot\nreplicas: 2\n", app, environment, app, tag)
}

func firstCommit() hash {
	files := map[string]hash{"README.md": beginning.put(3, []byte("Manifests\n"))}
	for _, environment := range environments {
		for _, app := range filed {
			for _, path := range filesOf(environment, app) {
				files[path] = beginning.put(3, valuesOf(environment, app, "none"))
			}
		}
	}
	return beginning.commit(beginning.write(files), "Everything", time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC))
}

// lineEditor stands for the real editor where a schedule shall be cheap.
type lineEditor struct{}

func (lineEditor) Apply(file []byte, v values.Vars) ([]byte, bool, error) {
	before, rest, ok := bytes.Cut(file, []byte(`tag: "`))
	old, after, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed {
		return nil, false, gitops.Errorf(gitops.NotFound, "the key .image.tag is not in the file")
	}
	return slices.Concat(before, []byte(`tag: "`), []byte(v.Tag), []byte(`"`), after), string(old) != v.Tag, nil
}

// world is one schedule's.
type world struct {
	t      testing.TB
	chance *chance
	profile
	editor manifest.Editor

	store      store
	registries *registries
	cluster    *cluster
	origin     *origin
	forgeHost  *pulls
	hub        *hub
	check      *checker

	storeOffset atomic.Int64 // how far the store's clock is from the true time
	jumped      atomic.Int64 // when it last jumped, in Unix nanoseconds
	healed      atomic.Bool  // no call fails any more
	appeared    atomic.Bool  // the newcomer can be found

	places []atomic.Pointer[replica] // a replica that died is there until another takes its place
	born   atomic.Int64
	closed atomic.Int64 // restores for which every replica stays stopped

	senders, background sync.WaitGroup
	sent                []*dispatch
	frozen              frozen
	errands             int // of people
	unheard             int // tags that no event told of
	disagreed           int // how often in a row pull requests did not agree with updates
	told                trace
}

// profile is how bad a schedule is.
type profile struct {
	network, storeFaulty float64 // how many of the calls meet a fault
	length               time.Duration
	count                int // of replicas
	busy                 int // moments at which most of the rest happens at once
	deliveries           int
	events               int           // crashes, pauses and the like
	people               int           // what people do to the branch
	refusals             int           // times at which the git server refuses some pushes for a while
	restores             int           // times at which the store goes back to what it was
	sweeps               bool          // missed deliveries are looked for, and clocks are right
	idle                 time.Duration // for which the writers have been there before all begins
	forgeries            int           // times at which people say that a commit is ours
	decisions            int           // what people decide about updates
	coalesce             string        // the environment that coalesces, if one does
	batch                int           // updates that a lane takes at a time
	limits               manifest.Limits
	squash               string // the environment whose batches become one commit, if one does
	poisons              int    // what people do with files that kill; where it is 0 nothing is guarded
	newcomers            int    // deliveries for the newcomer; where it is 0 that is known from the beginning
	acts                 int    // what people place, lift and order
	reloads              int    // configurations with other freezes
	allAfterHold         string // the environment that writes all that was held, if one does
	overwrites           string // the environment that respects no edits by hand, if there is one
	images               imageProfile
	polling              pollProfile
	proposing            proposalProfile
	clusters             clusterProfile
}

func draw(r *rand.Rand) profile {
	p := profile{
		network: one(r, 0, 0.03, 0.1, 0.3), storeFaulty: one(r, 0, 0.02, 0.1, 0.2),
		length: between(r, 10*time.Second, 2*time.Minute), count: one(r, 1, 2, 3, 3), busy: 1 + r.IntN(6),
		deliveries: 3 + r.IntN(50), events: r.IntN(12), people: r.IntN(12), decisions: r.IntN(6),
		coalesce: one(r, "", "", "", "staging"), squash: one(r, "", "", "", "dev", "staging"),
		batch: one(r, 1, 2, 3, 10, 500), limits: drawLimits(r),
		refusals: one(r, 0, 0, 1, 3), restores: one(r, 0, 0, 0, 0, 1, 2), idle: one(r, 0, 0, 3*time.Hour),
	}
	p.forgeries = one(r, 0, 0, 2, 6)
	if p.sweeps = p.restores > 0 || r.IntN(8) == 0; p.restores > 0 {
		p.limits.Landings = 0 // a failover loses less than a writer remembers
	}
	return p
}

// drawHolds draws what is there of holds.
func (w *world) drawHolds(r *rand.Rand) {
	w.acts, w.reloads = one(r, 0, 0, 6, 15), one(r, 0, 0, 1, 3)
	w.allAfterHold, w.overwrites = one(r, "", "dev", "prod"), one(r, "", "dev", "prod")
	w.frozen.clockChange = one(r, changes...)
}

// drawLimits shrinks what the writer remembers and sends at once, so that what
// happens at a bound happens in a schedule of some minutes.
func drawLimits(r *rand.Rand) manifest.Limits {
	return manifest.Limits{
		PushUpdates: one(r, 1, 2, 5, 0), Attempts: one(r, 2, 0), RejectedPushes: one(r, 2, 8, 0),
		Landings: one(r, 1, 2, 10, 0), UnknownPushes: one(r, 1, 2, 0), History: one(r, 4, 0, 0, 0, 0, 0, 0),
	}
}

// newWorld makes the parts; it must be called in the bubble.
func newWorld(t testing.TB, seed uint64, newStore func(*world) store) *world {
	w := &world{t: t, chance: newChance(seed), editor: lineEditor{}, told: trace{aloud: *seedFlag >= 0}}
	plan := w.chance.of("plan")
	w.profile = draw(plan)
	w.poisons = drawPoisons(w.chance.of("poison"))
	w.newcomers = drawNewcomers(w.chance.of("newcomer"))
	w.drawHolds(w.chance.of("holds"))
	w.images = drawImages(w.chance.of("images"))
	w.polling = drawPolls(w.chance.of("polls"), w.images)
	w.proposing = drawProposals(w.chance.of("proposals"), w.poisons)
	w.clusters = drawClusters(w.chance.of("clusters"))
	w.registries = newRegistries(w)
	w.cluster = newCluster(w)
	w.appeared.Store(w.newcomers == 0)
	if plan.IntN(20) == 0 {
		w.editor = realEdit
	}
	w.forgeHost = &pulls{w: w}
	w.origin = &origin{forge: w.forgeHost, topics: make(map[string]hash), all: maps.Clone(beginning), thin: plan.IntN(5) > 0, says: plan.IntN(2) == 0, filter: plan.IntN(5) > 0}
	w.hub = new(hub)
	w.check = newChecker(w)
	w.origin.check = w.check
	w.store = newStore(w)
	w.origin.move(firstFiles)
	w.check.moved(firstFiles)
	return w
}

func (w *world) target(environment, app string) (to manifest.Target, err error) {
	for _, path := range filesOf(environment, app) {
		to.Files = append(to.Files, manifest.FileEdit{File: path, Editor: w.editor})
	}
	return to, nil
}

func (w *world) networkFaults() float64 { return w.now(w.network) }
func (w *world) storeFaults() float64   { return w.now(w.storeFaulty) }

func (w *world) now(p float64) float64 {
	if w.healed.Load() {
		return 0
	}
	return p
}

// replicas are those that are there now.
func (w *world) replicas() (all []*replica) {
	for i := range w.places {
		all = append(all, w.places[i].Load())
	}
	return all
}

// wake tells the replicas that something was accepted. The one that accepted it
// always hears of it, the others mostly.
func (w *world) wake(by *replica, d gitops.Delivery) {
	for _, u := range d.Updates {
		for _, r := range w.replicas() {
			if r == by || !r.isDead() && w.chance.turn("wake/"+r.name, time.Second).fault < 0.7 {
				r.store.notifier.Wake(u.Environment)
			}
		}
	}
}
