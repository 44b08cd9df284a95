package proposals

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/git"
)

// stepsAtOnce is how many steps of one app are made before others have their turn.
const stepsAtOnce = 12

// advanceOne makes the next steps of the first app that is due, up to a write to the forge. It
// returns false when none is.
func (r *Room) advanceOne(ctx context.Context, now time.Time) bool {
	if r.heads.Base.IsZero() {
		return false
	}
	var first *app
	for _, a := range r.apps {
		if !r.mayGoOn(a, now) {
			continue
		}
		if !a.due && !a.retryAt.IsZero() && !now.Before(a.retryAt) {
			a.due = true
			if now.Sub(r.looked) >= lookEvery { // what it waits for may be there by now
				r.lookAt = now
			}
		}
		if a.due && (first == nil || a.bySequence(first) < 0) {
			first = a
		}
	}
	switch {
	case first == nil:
		return false
	case r.lookDue(now):
		return true
	}
	first.due, first.retryAt, first.parked, first.pending = false, time.Time{}, false, nil
	for range stepsAtOnce {
		if !r.advance(ctx, first) || ctx.Err() != nil {
			return true
		}
	}
	first.due = true
	return true
}

// advance makes the next step of an app that is not a write to the forge, and reports whether
// there may be another at once.
func (r *Room) advance(ctx context.Context, a *app) bool {
	now := r.config.Now()
	if err := CheckBranch(a.of.environment, a.of.app); err != nil {
		r.cannotName(ctx, a, err, now)
		return false
	}
	if !r.observe(ctx, a, now) {
		return false
	}
	st := next(a.seen, a.wish)
	switch {
	case st.do == rest:
		return false
	case st.do == wait:
		a.retryAt = now.Add(st.after)
		return false
	case st.do == forget:
		a.wish.forget(st.older.ID)
		return true
	case st.do == report:
		r.report(ctx, a, st)
		return !st.ends
	case !st.do.asksForge() && now.Before(r.git.until):
		a.retryAt = r.git.until
		return false
	case st.do == a.stuck && now.Before(a.stuckFor):
		a.retryAt = a.stuckFor
		return false
	case st.do.asksForge() && !r.forge.since.IsZero():
		a.parked = true
		return false
	case st.do.writesForge():
		a.pending = &st
		return false
	}
	return r.makeStep(ctx, a, st, r.request) == nil
}

// makeStep makes a step by a request, unless something has come to hold its update. What failed
// is taken up when it returns. Leave can stop the request.
func (r *Room) makeStep(ctx context.Context, a *app, st step, request func(ctx context.Context, a *app, st step) error) error {
	err := r.do(ctx, a.of.environment, func(ctx context.Context) error {
		return r.pass(ctx, a, st, func(ctx context.Context) error { return request(ctx, a, st) })
	})
	if err != nil {
		r.failed(ctx, a, st, err)
		return err
	}
	a.unstickAfter(st.do)
	return nil
}

// observe brings what was observed of an app to the last look.
func (r *Room) observe(ctx context.Context, a *app, now time.Time) bool {
	s := &a.seen
	s.now, s.away = now, r.forgeIsMute(a, now)
	if !s.found {
		if p, listed := r.listed[a.of.branch()]; listed {
			a.take(&p, false)
			a.due = false
		}
	}
	if a.at != r.heads.Base {
		if err := r.observeGit(ctx, a); err != nil {
			r.failed(ctx, a, step{do: rest}, err)
			return false
		}
	}
	if s.head != zero {
		s.gone, s.left = time.Time{}, 0
	} else if s.gone.IsZero() {
		s.gone = now
	}
	r.followGate(ctx, a)
	a.wish.env = r.config.Environment(a.of.environment)
	a.wish.links = links{
		compare: r.config.CompareURL(a.wish.Update, s.base.Tag),
		places:  r.config.Places(a.of.environment, a.of.app),
	}
	return true
}

// observeGit observes the branches. Of an app that left the configuration it is not known what
// the base branch has, and what is open of it is closed all the same; it is observed each time,
// since it may come back.
func (r *Room) observeGit(ctx context.Context, a *app) error {
	return r.do(ctx, a.of.environment, func(ctx context.Context) (err error) {
		s := &a.seen
		s.head, s.inWay, s.topic = r.heads.Topics[a.of.branch()], r.blocking(a.of), Topic{}
		s.base, err = r.config.Branches.Base(ctx, a.of.environment, a.of.app)
		left := gitops.CodeOf(err) == gitops.NotFound && a.wish.Close != ""
		if err != nil && !left {
			return err
		}
		if s.head != zero {
			if s.topic, err = r.config.Branches.Topic(ctx, a.of.environment, a.of.app, s.head); err != nil {
				return err
			}
		}
		if !left {
			a.at = r.heads.Base
		}
		return nil
	})
}

// request makes a request that changes nothing, or a change in git.
func (r *Room) request(ctx context.Context, a *app, st step) error {
	s, of := &a.seen, a.of
	switch st.do {
	case askOrigin:
		o, err := r.config.Branches.Origin(ctx, of.environment, of.app)
		if err != nil && (isOutage(err) || gitops.CodeOf(err) == gitops.Conflict || ctx.Err() != nil) {
			return err
		}
		s.origin = &o // what cannot be told is not found
	case askLanded:
		return s.askLanded(ctx, r.config.Branches, st.pull)
	case askBuild:
		b, err := r.config.Branches.Build(ctx, a.wish.Update, a.wish.Expected)
		if err != nil {
			return err
		}
		r.builtFor(a)
		s.built = &b
	case push:
		return r.push(ctx, a)
	case remove:
		switch err := r.config.Branches.Delete(ctx, of.branch(), s.head); {
		case gitops.CodeOf(err) == gitops.Rejected: // it does no harm
			s.stays = s.head
			return nil
		case err != nil:
			return err
		}
		r.wentTo(a, zero, Topic{})
	default:
		return r.askForge(ctx, a, st)
	}
	return nil
}

// builtFor forgets the commit that was built for another app: only what was built last can be
// pushed.
func (r *Room) builtFor(a *app) {
	if last := r.builder; last != nil && last != a && last.seen.built != nil && last.seen.built.Commit != zero {
		last.seen.built = nil
	}
	r.builder = a
}

// askLanded asks what the base branch reaches.
func (s *seen) askLanded(ctx context.Context, b Branches, p *Pull) error {
	l := landing{}
	type question struct {
		is     *bool
		commit git.Hash
	}
	asked := []question{{&l.topic, s.head}}
	if p != nil {
		l.number = p.Number
		asked = append(asked, question{&l.commit, p.Landed}, question{&l.head, p.Head})
	}
	for _, q := range asked {
		if q.commit == zero {
			continue
		}
		reached, err := b.Contains(ctx, q.commit)
		if err != nil {
			return err
		}
		*q.is = reached
	}
	s.landed = &l
	return nil
}

// push moves the topic branch to what was built last. Where it fails, the branch is asked where
// it is.
func (r *Room) push(ctx context.Context, a *app) error {
	s := &a.seen
	b := *s.built
	if err := r.config.Branches.Push(ctx, a.of.branch(), s.head, b); err != nil {
		s.built, s.unsure = nil, s.pull != nil
		return err
	}
	u := a.wish.Update
	r.wentTo(a, b.Commit, Topic{Ours: true, Updates: []string{u.ID}, Tag: u.Tag, Subject: b.Subject, Trailers: b.Trailers, Files: b.Files})
	s.fresh, s.current, s.forced = false, false, false
	return nil
}

// wentTo says where a topic branch is after tallyman moved it.
func (r *Room) wentTo(a *app, to git.Hash, t Topic) {
	a.seen.head, a.seen.topic = to, t
	if delete(r.heads.Topics, a.of.branch()); to != zero {
		r.heads.Topics[a.of.branch()] = to
	}
}

// askForge asks the forge for a pull request or its rules.
func (r *Room) askForge(ctx context.Context, a *app, st step) error {
	switch st.do {
	case askFind:
		all, err := r.config.Forge.Pulls(ctx, a.of.branch())
		if err != nil {
			return err
		}
		a.take(newest(all), false)
	case askGet:
		p, err := r.config.Forge.Get(ctx, a.seen.pull.Number)
		if err != nil && gitops.CodeOf(err) == gitops.NotFound {
			a.seen.found, a.seen.unsure = false, false // it is looked for by its branch
		}
		if err != nil {
			return err
		}
		delete(r.listed, a.of.branch())
		a.take(&p, true)
		a.asked = r.config.Now()
	case askPast:
		p, err := r.config.Forge.Get(ctx, st.older.Proposal.Number)
		if err != nil && gitops.CodeOf(err) == gitops.NotFound {
			a.wish.forget(st.older.ID)
			p, err = Pull{Number: st.older.Proposal.Number, State: PullClosed, ByUs: true}, nil // nothing is told of it
		}
		if err != nil {
			return err
		}
		a.seen.past, a.seen.pastAt = &p, r.config.Now()
	case askRules:
		if r.rulesAt.IsZero() || r.config.Now().Sub(r.rulesAt) > rulesFor {
			rules, err := r.config.Forge.Rules(ctx, a.of.branch())
			if err != nil && (isOutage(err) || ctx.Err() != nil) {
				return err
			}
			if r.rules, r.rulesAt = rules, r.config.Now(); err != nil {
				r.config.Logger.WarnContext(ctx, "rules of the base branch not read, going on as without them", "error", err.Error())
			}
		}
		a.seen.rules = new(r.rules)
	}
	a.due = false
	return nil
}

// rulesFor is how long rules count that were read.
const rulesFor = 15 * time.Minute
