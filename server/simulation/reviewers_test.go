package simulation

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/proposals"
)

// What people do about pull requests and their branches.

// review has a person do one of that, now or right before the next call of a replica.
func (w *world) review(r *rand.Rand) {
	number, act := r.IntN(1<<20), w.drawReview(r)
	do := func() {
		f := w.forgeHost
		f.lock()
		if w.origin.tip.IsZero() || len(f.all) == 0 {
			f.unlock()
			return
		}
		p := f.all[number%len(f.all)]
		if open := f.allOpen(); len(open) > 0 && number%5 > 0 {
			p = f.numbered(open[number%len(open)].Number)
		}
		act(p)
		f.unlock()
		w.hintOfForge(number)
	}
	if r.IntN(3) > 0 {
		do()
		return
	}
	w.forgeHost.lock()
	defer w.forgeHost.unlock()
	w.forgeHost.ambush = do
}

// hintOfForge brings most of the forge's events, to those who hear of them.
func (w *world) hintOfForge(n int) {
	if n%3 == 0 {
		return
	}
	for _, r := range w.replicas() {
		if turn := w.chance.turn("hint/"+r.name, time.Second); !r.isDead() && turn.fault < 0.7 {
			time.AfterFunc(w.chance.alone(turn.out), func() { r.proposed.Rooms.Look(w.proposing.environment) })
		}
	}
}

// drawReview draws what is done to a pull request. The origin's lock is held when it is.
func (w *world) drawReview(r *rand.Rand) func(p *pullRequest) {
	kind, method, onto := r.IntN(22), one(r, "merge", "squash", "squash", "rebase", "queue"), fmt.Sprintf("main-%07x", r.IntN(30))
	if w.proposing.environment == "prod" {
		onto = inventVersion(r, r.IntN(30))
	}
	another := r.IntN(2) == 0
	return func(p *pullRequest) {
		f, o := w.forgeHost, w.origin
		open := p.State == proposals.PullOpen
		head, there := o.topics[p.Branch]
		switch {
		case kind < 6 && open:
			w.mergeBy(p, method)
		case kind < 9 && open:
			f.approve(p)
		case kind < 12 && open:
			f.end(p, proposals.PullClosed, "ann")
		case kind < 14 && there && !p.Queued:
			w.pushOnto(p.Branch, head, onto, another, "pushes onto")
		case kind == 14 && there && !p.Queued: // what is there is thrown away
			w.pushOnto(p.Branch, o.tip, onto, another, "forces")
		case kind == 15 && there && !p.Queued:
			w.tell("a person deletes %s", p.Branch)
			met.meet("a person deleted a topic branch")
			o.moveTopic(p.Branch, hash{}, "ann")
		case kind == 16 && there && !p.Queued && !w.check.isTopic(head): // a person's commit is taken off
			w.tell("a person takes a commit off %s", p.Branch)
			o.moveTopic(p.Branch, o.all[head].parents[0], "ann")
		case kind < 19 && p.State == proposals.PullClosed && there && hash(p.Head) == head && f.openOf(p.Branch) == nil && !o.reaches(head):
			w.tell("a person opens %s again", p.URL)
			met.meet("a person opened a pull request again")
			p.State, p.reopened, p.EndedBy, p.ByUs, p.EndedAt = proposals.PullOpen, true, "", false, time.Time{}
			f.changes++
		case kind == 19 && open:
			p.Text.Title, p.Text.Body, p.rewritten = "a better title", "and a better text\n", true
			f.changes++
		case kind == 20 && open && p.Armed:
			p.Armed = false
			f.changes++
		}
	}
}

// mergeBy has a person merge a pull request, where the forge allows it.
func (w *world) mergeBy(p *pullRequest, method string) bool {
	f := w.forgeHost
	switch {
	case p.Queued || f.conflicts(p):
		return false
	case w.proposing.rules.Strict && f.behind(p):
		return false
	case w.proposing.rules.Queue || method == "queue":
		p.ready = true
		f.enqueue(p)
		return true
	}
	p.ready = true
	f.merge(p, method, "ann", f.squashText(p))
	return true
}

// pushOnto puts a person's commit onto a topic branch, or in the place of what it has: with
// another tag, or with another file.
func (w *world) pushOnto(branch string, upon hash, tag string, another bool, what string) {
	o := w.origin
	tree := o.all.with(o.all[upon].tree, "NOTES.md", fmt.Appendf(nil, "of %s at %s\n", branch, time.Now()))
	if of := releaseOf(branch); !another {
		path := fileOf(of.environment, of.app)
		if blob, ok := o.all.files(tree)[path]; ok {
			if content, _, err := (lineEditor{}).Apply(bytes.Clone(o.all[blob].data), vars(tag)); err == nil {
				tree = o.all.with(tree, path, content)
			}
		}
	}
	to := o.all.commit(tree, "fix: by hand", time.Now(), upon)
	w.tell("a person %s %s: %s", what, branch, to.String()[:7])
	met.meet("a person " + what + " a topic branch")
	o.moveTopic(branch, to, "ann")
}

// orderClosed has automation order a tag again whose pull request a person has closed.
func (w *world) orderClosed(r *rand.Rand) {
	u, any := w.check.anyDenied(r)
	if !any {
		return
	}
	id := fmt.Sprintf("closed-%d", len(w.sent))
	d := order(id, id, ourRepository, []string{u.Environment}, []string{u.App}, u.Tag)
	w.sent = append(w.sent, d)
	w.send(r, d)
}

// forgeAway has the forge answer nothing for a while.
func (w *world) forgeAway(r *rand.Rand) {
	f := w.forgeHost
	f.lock()
	defer f.unlock()
	f.away = time.Now().Add(between(r, time.Second, 90*time.Second))
	w.tell("the forge is away until %s", f.away)
}

// recover ends the forge's outage, and what people were about to do.
func (f *pulls) recover() {
	f.lock()
	defer f.unlock()
	f.away, f.ambush = time.Time{}, nil
}

// conclude has people end what is open once every update has ended or is proposed by an
// open pull request that agrees with it: they merge or close it, and delete what they have put on
// branches.
func (w *world) conclude() {
	if w.proposing.environment == "" {
		return
	}
	f, o, r := w.forgeHost, w.origin, w.chance.of("conclusion")
	if waits := w.check.disagreement(); waits != "" {
		if w.disagreed++; w.disagreed != longestDisagreement {
			return
		}
		w.check.violated("everything has healed, and %s", waits)
	}
	w.disagreed = 0
	f.lock()
	defer f.unlock()
	acted := false
	for _, p := range f.all {
		if p.State != proposals.PullOpen || p.Queued {
			continue
		}
		acted = true
		if r.IntN(3) == 0 || !w.mergeBy(p, one(r, "merge", "squash", "rebase")) {
			f.end(p, proposals.PullClosed, "ann")
		}
	}
	for _, branch := range slices.Sorted(maps.Keys(o.topics)) {
		if p := f.openOf(branch); p == nil && !w.check.isTopic(o.topics[branch]) {
			acted = true
			w.tell("a person deletes %s", branch)
			o.moveTopic(branch, hash{}, "ann")
		}
	}
	if acted {
		w.hintOfForge(r.IntN(3))
	}
}

// longestDisagreement is how often in a row pull requests may be found not to agree, every two
// seconds: what is blocked is tried again after a quarter of an hour at most.
const longestDisagreement = 1000
