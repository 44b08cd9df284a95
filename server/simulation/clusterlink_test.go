package simulation

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
	"github.com/tallyman-dev/tallyman/server/follow"
)

// How a replica follows what was written into the cluster, wired as package server wires it.

// follow follows until the replica stops.
func (r *replica) follow() {
	follow.New(follow.Config{
		Site: func() follow.Site { return followSite{r} }, Git: argoLink{r}, Store: followLink{r.store}, Recorder: uncounted{}, Logger: silent,
		Holder: r.name, Now: func() time.Time { return r.now().UTC() },
	}).Run(r.life)
}

// followSite is what is in force: it never changes.
type followSite struct{ *replica }

// rolloutTimeout is longer than any schedule, and than clocks differ.
const rolloutTimeout = 6 * time.Hour

// Followed implements follow.Site.
func (s followSite) Followed(environment, app string) (follow.Followed, bool) {
	if !s.clusters.followed[environment] {
		return follow.Followed{}, true
	}
	return follow.Followed{By: follow.ByArgoCD, Timeout: rolloutTimeout, File: rollout.Manifest{Repository: manifestsURL, Branch: "main", File: filesOf(environment, app)[0]}}, true
}

// Instances implements follow.Site.
func (s followSite) Instances() []follow.Instance {
	return []follow.Instance{{Name: argoAddress, Argo: argoLink(s)}}
}

func (uncounted) Ended(_ gitops.Update, r gitops.Rollout) {
	met.meet("a rollout was " + string(r.State))
}
func (uncounted) Open(map[follow.Standing]int)   {}
func (uncounted) Refreshed(string, follow.Cause) { met.meet("Argo CD was asked to look at git") }
func (uncounted) Away(string, bool)              {}

// argoLink is one replica's way to Argo CD, and to git for what a revision has.
type argoLink struct{ *replica }

// call makes one call, which takes time and may fail.
func call[T any](ctx context.Context, l argoLink, name string, faults float64, work func() (T, error)) (T, error) {
	var none T
	away := gitops.Errorf(gitops.Unavailable, "%s does not answer", argoAddress)
	away.RetryAfter = time.Second
	if ctx.Err() != nil || l.isDead() {
		return none, away
	}
	turn := l.chance.turn(l.name+"/argo "+name, 20*time.Millisecond)
	l.gate(turn.detail)
	if !l.wait(ctx, turn.out) || l.isDead() || l.networkCut.Load() || turn.fault < faults {
		l.gate(turn.detail)
		return none, away
	}
	answer, err := work()
	l.tell("%s: argo %s: %v", l.name, name, err)
	back := l.wait(ctx, turn.back)
	l.gate(turn.detail)
	if !back || l.isDead() {
		return none, away
	}
	return answer, err
}

// ask is call for Argo CD itself, which has outages.
func askArgo[T any](ctx context.Context, l argoLink, name string, work func() (T, error)) (T, error) {
	return call(ctx, l, name, l.networkFaults(), func() (none T, err error) {
		if err := l.cluster.refuses(); err != nil {
			met.meet("Argo CD refused a call: " + string(err.Code))
			return none, err
		}
		return work()
	})
}

// List implements follow.Argo.
func (l argoLink) List(ctx context.Context) error {
	_, err := askArgo(ctx, l, "list", func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// Find implements follow.Argo.
func (l argoLink) Find(file rollout.Manifest, _ string) follow.Found {
	for of, d := range l.cluster.apps {
		if filesOf(of.environment, of.app)[0] == file.File {
			return follow.Found{All: []follow.Ref{{Project: "shop", Namespace: "argocd", Name: d.name()}}}
		}
	}
	return follow.Found{}
}

func (l argoLink) application(name string) (of release) {
	for of, d := range l.cluster.apps {
		if d.name() == name {
			return of
		}
	}
	panic("an Application that was never listed: " + name)
}

// Application implements follow.Argo.
func (l argoLink) Application(ctx context.Context, ref follow.Ref, refresh bool) (*rollout.Application, error) {
	name := ref.Name
	if refresh {
		name += " refresh"
	}
	if refresh && l.cluster.isDeaf() {
		l.wait(ctx, 10*time.Second)
		return nil, gitops.Errorf(gitops.Unavailable, "Argo CD has not compared").WithCause(follow.ErrNotCompared)
	}
	return askArgo(ctx, l, name, func() (a *rollout.Application, err error) {
		l.cluster.see(l.application(ref.Name), func(d *deployed) {
			if refresh && d.phase != "Running" && l.chance.of("refresh swallowed").IntN(4) > 0 {
				l.cluster.compare(d, time.Now())
			}
			a = d.body()
		})
		return a, nil
	})
}

// Tree implements follow.Argo.
func (l argoLink) Tree(ctx context.Context, ref follow.Ref) (*rollout.Tree, error) {
	return askArgo(ctx, l, ref.Name+" tree", func() (tree *rollout.Tree, err error) {
		l.cluster.see(l.application(ref.Name), func(d *deployed) { tree = d.tree() })
		return tree, nil
	})
}

// Managed implements follow.Argo.
func (l argoLink) Managed(ctx context.Context, ref follow.Ref) ([]rollout.Managed, error) {
	return askArgo(ctx, l, ref.Name+" managed", func() ([]rollout.Managed, error) { return nil, nil })
}

// Windows implements follow.Argo.
func (l argoLink) Windows(ctx context.Context, ref follow.Ref) (*rollout.Windows, error) {
	return askArgo(ctx, l, ref.Name+" windows", func() (*rollout.Windows, error) { return &rollout.Windows{CanSync: true}, nil })
}

// Page implements follow.Argo.
func (argoLink) Page(follow.Ref) string { return "" }

// Containment implements follow.Git.
func (l argoLink) Containment(ctx context.Context, u gitops.Update, revision string) (rollout.Containment, error) {
	return call(ctx, l, "containment "+u.ID, l.networkFaults(), func() (rollout.Containment, error) {
		return l.origin.containment(u, revision), nil
	})
}

// argoAway has Argo CD answer nothing, or refuse, for a while.
func (w *world) argoAway(r *rand.Rand) {
	x := argoOutage{code: one(r, gitops.Unavailable, gitops.RateLimited, gitops.Unauthorized), deaf: r.IntN(4) == 0}
	x.until = time.Now().Add(one(r, between(r, time.Second, 20*time.Second), between(r, 20*time.Second, 2*time.Minute)))
	w.tell("Argo CD is %s until %s", x.code, x.until)
	w.cluster.mu.Lock()
	defer w.cluster.mu.Unlock()
	w.cluster.outage = x
}

func (c *cluster) recover() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outage = argoOutage{}
}

// refuses is what Argo CD answers during an outage, else nil.
func (c *cluster) refuses() *gitops.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.outage; !x.deaf && time.Now().Before(x.until) {
		err := gitops.Errorf(x.code, "Argo CD answers %s", x.code)
		err.RetryAfter = time.Second
		return err
	}
	return nil
}

// isDeaf reports whether it carries no refresh out.
func (c *cluster) isDeaf() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outage.deaf && time.Now().Before(c.outage.until)
}

// containment is what a revision has of an update.
func (o *origin) containment(u gitops.Update, revision string) rollout.Containment {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ours := plumbing.NewHash(revision), plumbing.NewHash(u.Commit)
	if o.all[at] == nil {
		return rollout.NotARevision
	}
	reaches := func(from, to hash) bool { return slices.Contains(o.all.history(from, nil), to) }
	has := o.check.tags(at)[release{u.Environment, u.App}] == u.Tag
	switch {
	case u.Commit == "" && has:
		return rollout.Contained
	case u.Commit == "":
		return rollout.OtherTag
	case reaches(at, ours) && has:
		return rollout.Contained
	case reaches(at, ours):
		return rollout.OtherTag
	case o.all[ours] != nil && reaches(ours, at):
		return rollout.Before
	}
	return rollout.Elsewhere
}

// followLink is the store as a replica's follower knows it. Each of its calls has a sequence of
// its own: others of the replica make the same at the same moments.
type followLink struct{ *storeLink }

func asFollower[T any](ctx context.Context, l followLink, name string, work func() (T, error)) (T, error) {
	if ctx.Err() != nil || l.isDead() {
		var none T
		return none, errStoreAway
	}
	return over(ctx, l.storeLink, name+" by the follower", work)
}

func (l followLink) Claim(ctx context.Context, holder string, names []string, ttl time.Duration) ([]queue.Lease, error) {
	return asFollower(ctx, l, "Claim", func() ([]queue.Lease, error) { return l.store.Claim(context.Background(), holder, names, ttl) })
}

func (l followLink) Extend(ctx context.Context, leases []queue.Lease, ttl time.Duration) ([]queue.Lease, error) {
	return asFollower(ctx, l, "Extend", func() ([]queue.Lease, error) { return l.store.Extend(context.Background(), leases, ttl) })
}

func (l followLink) Release(ctx context.Context, lease queue.Lease, clean bool) error {
	_, err := asFollower(ctx, l, "Release", func() (struct{}, error) { return struct{}{}, l.store.Release(context.Background(), lease, clean) })
	return err
}

func (l followLink) Checkpoint(ctx context.Context, name string) (string, error) {
	return asFollower(ctx, l, "Checkpoint", func() (string, error) { return l.store.Checkpoint(context.Background(), name) })
}

// SetCheckpoint tells the checker from when on what is written is followed.
func (l followLink) SetCheckpoint(ctx context.Context, name, value string) error {
	_, err := asFollower(ctx, l, "SetCheckpoint", func() (struct{}, error) {
		err := l.store.SetCheckpoint(context.Background(), name, value)
		if err == nil {
			l.check.follows()
		}
		return struct{}{}, err
	})
	return err
}

func (l followLink) Update(ctx context.Context, id string) (gitops.Update, error) {
	return asFollower(ctx, l, "Update", func() (gitops.Update, error) { return l.store.Update(context.Background(), id) })
}

func (l followLink) Head(ctx context.Context, environment, app string) (gitops.Head, error) {
	return asFollower(ctx, l, "Head", func() (gitops.Head, error) { return l.store.Head(context.Background(), environment, app) })
}

func (l followLink) Changes(ctx context.Context, after string, limit int) ([]queue.Change, error) {
	return asFollower(ctx, l, "Changes", func() ([]queue.Change, error) { return l.store.Changes(context.Background(), after, limit) })
}

func (l followLink) Latest(ctx context.Context) (string, error) {
	return asFollower(ctx, l, "Latest", func() (string, error) { return l.store.Latest(context.Background()) })
}

// Changed gives no hint: the feed is looked at from time to time.
func (l followLink) Changed() <-chan struct{} { return nil }

func (l followLink) OpenRollouts(ctx context.Context) ([]gitops.Update, error) {
	return asFollower(ctx, l, "OpenRollouts", func() ([]gitops.Update, error) { return l.store.OpenRollouts(context.Background()) })
}

func (l followLink) ReportRollouts(ctx context.Context, lease queue.Lease, reports []queue.RolloutReport) ([]gitops.Rollout, error) {
	return asFollower(ctx, l, "ReportRollouts", func() ([]gitops.Rollout, error) {
		kept, err := l.store.ReportRollouts(context.Background(), lease, reports)
		if err == nil {
			l.check.rolled(l.name, reports, kept)
		}
		return kept, err
	})
}
