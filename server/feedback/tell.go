package feedback

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	// settle is how long an update is pending before that is told: most are written sooner, and
	// then one status is enough.
	settle = 10 * time.Second
	// looksAtOnce bounds what is read of the store before the feed is looked at again.
	looksAtOnce = 100
)

// call is one call of GitHub.
type call struct {
	write bool
	make  func(ctx context.Context) error
	// lost says that it is unknown whether the call was done. Nil where that makes no difference.
	lost func()
}

// tellNext makes the call that is due first, if one is, and returns the time until the next. Its
// error is the store's.
func (l *leader) tellNext(ctx context.Context) (wait time.Duration, err error) {
	if at := l.pace.at(false); at.After(l.Now()) {
		return at.Sub(l.Now()), nil
	}
	wait, looks := lookEvery, 0
	waits := make(map[gitops.Place]bool) // an earlier update of the app does
	for _, e := range slices.Clone(l.backlog.entries) {
		t, err := l.look(ctx, e, waits[e.place])
		if err != nil {
			return 0, err
		}
		if t.asked {
			looks++
		}
		switch {
		case t.call != nil && l.pace.at(t.call.write).After(l.Now()):
			return min(wait, l.pace.at(t.call.write).Sub(l.Now())), nil
		case t.call != nil:
			return 0, l.do(ctx, t)
		case t.later.After(l.Now()):
			waits[e.place] = true
			wait = min(wait, t.later.Sub(l.Now()))
		}
		if looks == looksAtOnce {
			return 0, nil
		}
	}
	return wait, nil
}

// telling is an entry with what is known of it.
type telling struct {
	*entry
	u      gitops.Update
	source Source
	shared bool
	*repository
	call  *call     // what is to be done next; nil for nothing now
	later time.Time // nothing before
	asked bool      // the store was
}

// look finds out what an entry asks for now, unless it waits for an earlier one of its app.
// An entry that asks for nothing any more is removed.
func (l *leader) look(ctx context.Context, e *entry, waits bool) (t telling, err error) {
	t.entry = e
	site := l.Site()
	if t.source, t.shared = site.Source(e.place.Environment, e.place.App); t.source.Repository == "" {
		t.source = l.toldBefore(e.update)
	}
	if t.source.Repository == "" { // by another configuration
		l.backlog.remove(e)
		return t, nil
	}
	if e.of != t.source { // another, by the configuration: what was found in the one before is not in it
		e.inSource = inSource{of: t.source}
	}
	t.repository = l.repository(t.source)
	if l.Now().Sub(e.last) > maxAge {
		t.asked = true
		return t, l.leave(ctx, t, TooOld, "it changed more than a day before GitHub could be told")
	}
	if t.until.After(l.Now()) {
		t.later = t.until
		t.asked, err = l.noteRefusal(ctx, t)
		return t, err
	}
	if waits || e.due.After(l.Now()) {
		t.later = e.due
		return t, nil
	}
	t.asked = true
	return t, l.lookAt(ctx, &t, site)
}

// lookAt is look for what may be told now.
func (l *leader) lookAt(ctx context.Context, t *telling, site Site) (err error) {
	e := t.entry
	t.u, err = l.Store.Update(ctx, e.update)
	if gitops.CodeOf(err) == gitops.NotFound { // pruned
		l.backlog.remove(e)
		return nil
	}
	if err != nil {
		return err
	}
	if settled := t.u.AcceptedAt.Add(settle); t.u.State == gitops.Pending && settled.After(l.Now()) {
		e.due, t.later = settled, settled
		return nil
	}
	head, err := l.Store.Head(ctx, e.place.Environment, e.place.App)
	if err != nil {
		return err
	}
	want, worth := wanted(t.u, head, site.Followed(t.u.Environment, t.u.App), site.CommitURL(t.u))
	d := t.made[e.update]
	switch {
	case e.refused != "":
		return l.leave(ctx, *t, Refused, e.refused)
	case t.made == nil || len(t.made) > maxMade:
		t.call = l.list(*t)
	case d == nil && !worth && !t.mayLack(t.u):
		l.backlog.remove(e)
	case d == nil:
		return l.lookForCommit(ctx, t, worth)
	case !d.known:
		t.call = l.askStatus(*t, d)
	case told(d.last, want):
		return l.done(ctx, *t, d)
	default:
		t.call = l.setStatus(*t, d, want)
	}
	return nil
}

// lookForCommit finds out what an update asks for that has no Deployment as far as is known.
func (l *leader) lookForCommit(ctx context.Context, t *telling, worth bool) error {
	if !t.began {
		t.candidates, t.began = candidates(t.u), true
	}
	switch {
	case t.revision == "" && len(t.candidates) > 0:
		t.call = l.findCommit(*t)
	case t.revision == "" && worth:
		return l.leave(ctx, *t, NoCommit, noCommit(t.u, t.source.Repository))
	case t.revision == "":
		l.backlog.remove(t.entry)
	case t.mayLack(t.u) && !t.searched:
		t.call = l.search(*t)
	case worth:
		t.call = l.deploy(*t)
	default:
		l.backlog.remove(t.entry)
	}
	return nil
}

// noCommit says why an update's commit is not known.
func noCommit(u gitops.Update, source string) string {
	all := candidates(u)
	asked := make([]string, len(all))
	for i, c := range all {
		asked[i] = c.ref
	}
	return fmt.Sprintf("GitHub knows no commit, or several, of %s that the image was built from: it was asked for %s. Name it in the order, as client_payload.sha or as revision",
		source, strings.Join(asked, ", "))
}

// do makes a call. Its error is the store's.
func (l *leader) do(ctx context.Context, t telling) error {
	if t.call.write {
		// It is kept before it is made: replicas that die one after another keep the pace, too.
		l.pace.write(l.Now())
		if err := l.save(ctx); err != nil {
			return err
		}
	}
	if l.lease.Left() <= callTime { // the store was slow: the lease is asked for first
		return nil
	}
	calling, cancel := context.WithTimeout(ctx, callTime)
	err := t.call.make(calling)
	cancel()
	l.pace.call(l.Now())
	code := gitops.CodeOf(err)
	if ctx.Err() != nil {
		return nil // the end of the work is no failure
	}
	l.finish(t.repository, t.source.Repository, *t.call, err)
	switch {
	case err == nil && t.call.write:
		l.Recorder.Written()
	case code == gitops.Rejected:
		t.refused = gitops.PublicOf(err)
	case err != nil && t.call.lost != nil:
		t.call.lost()
	}
	return nil
}

// leave ends an entry of which no more is told.
func (l *leader) leave(ctx context.Context, t telling, why Left, reason string) error {
	if err := l.note(ctx, t, gitops.Feedback{Repository: t.source.Repository, Reason: reason}); err != nil {
		return err
	}
	l.backlog.remove(t.entry)
	l.Recorder.LeftOut(why)
	l.Logger.Info("no deployment of the update", slog.String("update", t.update), slog.String("repository", t.source.Repository), slog.String("reason", reason))
	return nil
}

// done ends an entry whose Deployment says what it is to say.
func (l *leader) done(ctx context.Context, t telling, d *deployment) error {
	if !d.noted {
		err := l.note(ctx, t, gitops.Feedback{Repository: t.source.Repository, Environment: environmentName(t.u, t.shared), Deployment: d.id, URL: l.github(t).Page(t.source.Repository)})
		if err != nil {
			return err
		}
		d.noted = true
	}
	l.backlog.remove(t.entry)
	return nil
}

// noteRefusal notes that the entry's repository refuses, once.
func (l *leader) noteRefusal(ctx context.Context, t telling) (asked bool, err error) {
	if !t.refuses || t.noted == t.failing {
		return false, nil
	}
	err = l.note(ctx, t, gitops.Feedback{Repository: t.source.Repository, Reason: t.failing + ". tallyman retries for a day"})
	if err == nil {
		t.noted = t.failing
	}
	return true, err
}

func (l *leader) note(ctx context.Context, t telling, f gitops.Feedback) error {
	return queue.NoteFeedback(ctx, l.Store, t.place, t.update, t.accepted, f)
}
