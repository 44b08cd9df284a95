package follow

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// gitsAtOnce is how many requests of git are under way at a time: each reads a repository,
// which has its own bounds.
const gitsAtOnce = 4

// gitWait is until git is asked again that did not answer.
const gitWait = 5 * time.Second

// answer is what a request came to. Its take is called by the leader, when all of the answer
// is there.
type answer struct {
	instance *instance // nil of git
	place    *place    // nil of a list, and of git
	what     ask
	err      error
	take     func(now time.Time)
}

// start has a request made, and hands in what it came to.
func (l *leader) start(i *instance, p *place, what ask, make func(ctx context.Context) (take func(now time.Time), err error)) {
	l.asking.Go(func() {
		take, err := make(l.asks)
		select {
		case l.answers <- answer{i, p, what, err, take}:
		case <-l.asks.Done():
		}
	})
}

// takeAll takes the answers that are there.
func (l *leader) takeAll() {
	for {
		select {
		case a := <-l.answers:
			l.take(a)
		default:
			return
		}
	}
}

// take takes one. What it means for whom it is about is its own to know.
func (l *leader) take(a answer) {
	if a.instance != nil {
		a.instance.ended(a.what, l.Now(), a.err, a.place != nil && a.err != nil && a.place.isAlone())
	}
	a.take(l.Now())
}

// askDue begins the requests that are due, and returns how long none will be.
func (l *leader) askDue() (wait time.Duration) {
	wait = lookEvery
	if l.lease.Left() <= 0 || l.asks.Err() != nil {
		return wait // another may ask now
	}
	wait = l.revertDue()
	for _, i := range l.instances {
		wait = min(wait, l.askInstance(i))
	}
	now := l.Now()
	for _, f := range l.inOrder {
		for _, p := range f.places {
			if what, due, ok := p.next(); ok && what == askContaining && l.gits < gitsAtOnce && !due.After(now) {
				l.askGit(p)
			}
		}
		if f.stood.IsZero() && f.how.By != "" {
			if left := f.deadline.Sub(now.Round(0).Add(l.lease.Ahead())); left > 0 || !now.Before(f.lookBy) { // else it waits for its look
				wait = min(wait, max(left, rest))
			}
		}
	}
	return wait
}

// askInstance begins the requests of an instance that are due. A look that has begun comes
// first, and of the others who has waited longest.
func (l *leader) askInstance(i *instance) (wait time.Duration) {
	for {
		now := l.Now()
		p, what, due := l.nextOf(i)
		if listDue, ok := i.nextList(); ok && (p == nil || !listDue.After(due)) {
			p, what, due = nil, askList, listDue
		}
		if what == "" {
			return lookEvery
		}
		at, ok := i.pace.at(what == askRefresh, i.failed != nil)
		if !ok {
			return lookEvery // until an answer comes
		}
		if at.Before(due) {
			at = due
		}
		if at.After(now) {
			return at.Sub(now)
		}
		i.pace.begin(now, what == askRefresh)
		if p == nil {
			l.askList(i)
		} else {
			l.askPlace(p, what)
		}
	}
}

// nextOf is the next request of an instance, but for a list.
func (l *leader) nextOf(i *instance) (next *place, what ask, due time.Time) {
	begun := 0
	now := l.Now()
	better := func(p *place, at time.Time) bool {
		if next == nil {
			return true
		}
		if (p.look != nil) != (next.look != nil) && !at.After(now) {
			return p.look != nil
		}
		return at.Before(due)
	}
	var looks []*place
	for _, f := range l.inOrder {
		for _, p := range f.places {
			if p.instance != i {
				continue
			}
			if p.look != nil || p.asking {
				begun++
			}
			if w, _, ok := p.next(); ok && w != askContaining {
				looks = append(looks, p)
			}
		}
	}
	for _, p := range looks {
		w, at, _ := p.next()
		if p.look == nil && begun >= begunLooks || w == askRefresh && i.pace.refreshing >= refreshes {
			continue
		}
		if better(p, at) {
			next, what, due = p, w, at
		}
	}
	return next, what, due
}

// askList has the Applications listed.
func (l *leader) askList(i *instance) {
	i.listing = true
	began := l.Now()
	l.start(i, nil, askList, func(ctx context.Context) (func(time.Time), error) {
		err := i.List(ctx)
		return func(now time.Time) { l.learnt(i, began, now, err) }, err
	})
}

// learnt takes a list. What could be listed counts, though something else could not.
func (l *leader) learnt(i *instance, began, now time.Time, err error) {
	i.learnt(began, now, err)
	for _, f := range l.inOrder {
		if f.how.By == ByArgoCD {
			f.found(i, now)
		}
	}
}

// askPlace asks an instance about an Application.
func (l *leader) askPlace(p *place, what ask) {
	if cause := p.began(what, l.Now()); cause != "" {
		l.Recorder.Refreshed(p.instance.Name, cause)
	}
	i, ref := p.instance, p.ref
	l.start(i, p, what, func(ctx context.Context) (func(time.Time), error) {
		var set func(now time.Time)
		var err error
		switch what {
		case askTree:
			var tree *rollout.Tree
			tree, err = i.Tree(ctx, ref)
			set = func(time.Time) { p.look.Tree = tree }
		case askManaged:
			var managed []rollout.Managed
			managed, err = i.Managed(ctx, ref)
			set = func(time.Time) { p.look.Managed = append([]rollout.Managed{}, managed...) }
		case askWindows:
			var windows *rollout.Windows
			windows, err = i.Windows(ctx, ref)
			set = func(time.Time) { p.look.Windows = windows }
		default:
			var a *rollout.Application
			a, err = i.Application(ctx, ref, what == askRefresh)
			set = func(now time.Time) { p.begin(a, now) }
		}
		return func(now time.Time) { p.answered(what, now, set, err) }, err
	})
}

// askGit asks what a revision has of an update.
func (l *leader) askGit(p *place) {
	p.asking = true
	l.gits++
	u, revision := p.of.update, p.lacks.Containing[0]
	l.start(nil, nil, askContaining, func(ctx context.Context) (func(time.Time), error) {
		c, err := l.Git.Containment(ctx, u, revision)
		return func(now time.Time) {
			l.gits--
			p.contained(revision, c, now, err)
		}, err
	})
}
