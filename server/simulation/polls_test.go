package simulation

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/poll"
	"github.com/tallyman-dev/tallyman/server/webhook"
)

// How a replica polls registries, wired as package server wires it, and what they list.

// polled is the environment that polls, in the schedules in which one does.
const polled = "prod"

// pollProfile is what is there of polls in a schedule.
type pollProfile struct {
	every  time.Duration // where it is 0 nothing is polled
	pushes int           // tags that no event tells of
	dated  bool          // lists have digests and the times of pushes
	page   int           // tags on a page
	patchy float64       // how many of the lists are old, or cut short
}

// drawPolls draws that of a schedule. Only where images are inspected can registries be polled.
func drawPolls(r *rand.Rand, images imageProfile) (p pollProfile) {
	if _, inspected := images.inspected[polled]; !inspected || r.IntN(4) == 0 {
		return p
	}
	return pollProfile{
		every: one(r, 3*time.Second, 10*time.Second, time.Minute), pushes: 1 + r.IntN(12), dated: r.IntN(2) == 0,
		page: 1 + r.IntN(8), patchy: one(r, 0, 0.2, 0.6),
	}
}

// polls reports whether registries are polled.
func (p profile) polls() bool { return p.polling.every > 0 }

// sites are what the replica polls by, before it knows the newcomer and since.
func (r *replica) sites() (before, since *poll.Site) {
	rules, _ := r.inspects(polled)
	site := poll.Site{
		Policy: plansBefore, Intake: pollIntake{r}, Registry: registryLink{r},
		Environments: map[string]poll.Environment{polled: {Every: r.polling.every, RefusesMoved: !rules.AllowMoved}},
	}
	known := site
	known.Policy = plans
	return &site, &known
}

// poll polls until the replica stops.
func (r *replica) poll() {
	before, since := r.sites()
	poll.New(poll.Config{
		Site: func() *poll.Site {
			if r.knows.Load() {
				return since
			}
			return before
		},
		Store: pollLink{r.store}, Recorder: uncounted{}, Logger: silent, Holder: r.name,
		Now: func() time.Time { return r.now().UTC() }, Jitter: r.jitter,
	}).Run(r.life)
}

func (uncounted) Ordered(string)                            {}
func (uncounted) Complete(string, time.Time, time.Duration) {}
func (uncounted) Gone(string)                               {}

// pollIntake is the replica's intake as its poll knows it.
type pollIntake struct{ *replica }

// Accept implements poll.Intake. The checker is told what the poll has decided.
func (in pollIntake) Accept(ctx context.Context, from webhook.Inbound) (gitops.Delivery, bool, error) {
	if from.Store == nil {
		in.check.pollOrders(in.name, from.Event)
	} else {
		met.meet("a poll had a moved tag refused")
	}
	return in.intake.Accept(ctx, from)
}

// pushUnheard has an image be there that no event tells of.
func (w *world) pushUnheard(r *rand.Rand) {
	w.unheard++
	app := one(r, filed...)
	name := inventVersion(r, one(r, len(w.sent)+r.IntN(6), 60+2*w.unheard))
	if w.registries.pushNew(app, name) {
		w.tell("%s:%s is pushed, and no event tells of it", app, name)
		w.check.pushedUnheard(app, name)
	}
}

// pushNew pushes a tag that was not asked for until now; false where it was.
func (g *registries) pushNew(app, name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := repositoryOf(app) + ":" + name
	if g.tags[key] != nil {
		return false
	}
	g.tags[key] = &tag{repository: repositoryOf(app), name: name}
	g.tags[key].move(time.Now())
	return true
}

// Images implements poll.Registry.
func (l registryLink) Images(ctx context.Context, repository string, each func(page []poll.Image) error) error {
	if ctx.Err() != nil || l.isDead() {
		return gitops.Errorf(gitops.Unavailable, "the request ended")
	}
	host, _, _ := strings.Cut(repository, "/")
	l.check.lists(l.name, repository)
	var list []poll.Image
	for from := 0; from == 0 || from < len(list); from += l.polling.page {
		page, err := visit(ctx, l, host, "list "+repository, func() ([]poll.Image, error) {
			if from == 0 {
				list = l.registries.list(repository)
			}
			return list[from:min(from+l.polling.page, len(list))], nil
		})
		if err != nil {
			met.meet("a poll's list failed")
			return err
		}
		if err := each(page); err != nil {
			return err
		}
	}
	l.check.listed(l.name, repository)
	return nil
}

// list is what a registry says that a repository has. Until everything heals it may say what
// was there some time ago, or leave out some of it.
func (g *registries) list(repository string) (list []poll.Image) {
	at, left := time.Now(), 0.0
	r := g.w.chance.fresh(fmt.Sprint("list ", repository, at.UnixNano()))
	if r.Float64() < g.w.now(g.w.polling.patchy) {
		met.meet("a poll's list was old or cut short")
		at, left = at.Add(-one(r, 0, between(r, time.Second, 40*time.Second))), one(r, 0.2, 1)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(g.tags)) {
		t := g.tags[key]
		stands := t.standing(at)
		if t.repository != repository || stands.digest == "" || r.Float64() < left {
			continue
		}
		image := poll.Image{Tag: t.name}
		if g.w.polling.dated {
			image.Digest, image.PushedAt = stands.digest, stands.from.UTC().Truncate(time.Second)
		}
		list = append(list, image)
	}
	return list
}
