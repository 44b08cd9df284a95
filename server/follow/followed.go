package follow

import (
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// rediscover is how long an Application is looked for that is not found: one that an
// ApplicationSet makes of the commit comes after it.
const rediscover = time.Minute

// lookWithin is how long a replica that begins may take for its first look, before the deadline
// counts without one: hundreds that are open take minutes.
const lookWithin = 5 * time.Minute

// mostRevisions bounds what is remembered of revisions from look to look, of one update.
const mostRevisions = 8

// followed is an update whose rollout is followed. All of it is pure; [leader] asks. It takes
// some 3 KB, with one Application.
type followed struct {
	update gitops.Update // without what following needs not
	how    Followed
	kept   gitops.Rollout // as the store has it; no state before it has one

	places     []*place
	expected   []gitops.RolloutPlace // where it or the healthy one before was, by the record: an instance may not be listed yet
	missed     time.Time             // since when no Application is found; zero while one is, or nothing was listed
	near       string                // what came close
	containing map[string]rollout.Containment
	gitTrouble string // why git could not be asked; "" when it could

	newer string // what took its place; "" while nothing has
	left  string // why it is followed no longer; "" while it is

	deadline time.Time           // by the store's clock
	within   time.Duration       // what it was set by
	state    gitops.RolloutState // when it was last told where it stands
	stood    time.Time           // since when the deadline stands still, by the store's clock; zero while it runs
	lookBy   time.Time           // until then it is not timed out without a look; zero before this process has told where it stands
}

// newFollowed is one that begins, or that has begun before.
func newFollowed(u gitops.Update, how Followed) *followed {
	f := &followed{how: how, within: how.Timeout, deadline: u.FinishedAt.Add(how.Timeout), containing: make(map[string]rollout.Containment)}
	if r := u.Rollout; r != nil {
		f.resume(*r)
	}
	if how.By == ByReports { // whose reports leave the deadline as it was
		f.deadline = u.FinishedAt.Add(how.Timeout + stoodIn(u.Steps))
	}
	u.Steps, u.BlockedBy, u.Rollout, u.Proposal, u.Reason, u.Decisions, u.Feedback = nil, nil, nil, nil, "", nil, nil
	f.update = u
	return f
}

// resume goes on from a record.
func (f *followed) resume(r gitops.Rollout) {
	f.kept, f.state, f.expected = r, r.State, r.Places
	if !r.Deadline.IsZero() {
		f.deadline = r.Deadline
	}
	if r.State.Stands() {
		f.stood = r.Since
	}
}

// stoodIn is how long the deadline stood still by what was recorded, but for the state that
// it has now.
func stoodIn(steps []gitops.Step) (total time.Duration) {
	var before gitops.Step
	for _, s := range steps {
		if s.Rollout == "" {
			continue
		}
		if before.Rollout.Stands() && s.Rollout != before.Rollout {
			total += s.At.Sub(before.At)
		}
		if s.Rollout != before.Rollout {
			before = s
		}
	}
	return total
}

// over reports whether nothing is to be asked of it any more.
func (f *followed) over() bool { return f.newer != "" || f.left != "" || f.kept.State.Final() }

// subject is what is judged.
func (f *followed) subject() rollout.Subject {
	u := f.update
	return rollout.Subject{Commit: u.Commit, Image: u.Repository, Tag: u.Tag, Digest: u.ImageDigest(), Since: u.FinishedAt}
}

// forget forgets what revisions have of it where that may change, or where it is much: what the
// repository does not have now it may have later, and a branch that was forced back may be put
// right.
func (f *followed) forget() {
	if len(f.containing) > mostRevisions {
		clear(f.containing)
	}
	for revision, c := range f.containing {
		if c == rollout.NotARevision || c == rollout.Elsewhere {
			delete(f.containing, revision)
		}
	}
}

// takeNewer notes an update of the app that was written.
func (f *followed) takeNewer(sequence int64, tag, id string) {
	if f.newer == "" && sequence > f.update.Sequence && tag != f.update.Tag {
		f.newer = fmt.Sprintf("%s was written after it (update %s)", tag, id)
	}
}

// stand is where it stands now. The store's clock is that far ahead of this process's: the
// deadline and the record go by the store's.
func (f *followed) stand(now time.Time, ahead time.Duration, instances []*instance) gitops.Rollout {
	r, looked := f.verdict(now, instances)
	stored := now.Round(0).Add(ahead)
	if r.State != f.state {
		if !f.stood.IsZero() {
			f.deadline, f.stood = f.deadline.Add(max(0, stored.Sub(f.stood.Round(0)))), time.Time{}
		}
		if r.State.Stands() {
			f.stood = stored
		}
		f.state = r.State
	}
	if f.lookBy.IsZero() {
		f.lookBy = now.Add(lookWithin)
	}
	r.Deadline = f.deadline
	switch {
	case f.how.By == "", r.State.Final(), r.State.Stands(), stored.Before(f.deadline.Round(0)):
		return r
	case !looked && now.Before(f.lookBy): // it may run long since: no replica looked for a while
		return r
	}
	r.Reason = fmt.Sprintf("did not run within %s: %s", spell(f.within), f.whyLate(r))
	r.State, f.state = gitops.RolloutTimedOut, gitops.RolloutTimedOut
	return r
}

// whyLate is what it stood at when its time was over.
func (f *followed) whyLate(r gitops.Rollout) string {
	if r.Reason == "" {
		return "it is " + string(r.State)
	}
	return "it is " + string(r.State) + ", " + r.Reason
}

// verdict is where it stands but for the deadline, and whether that is by a look of this
// process, or needs none.
func (f *followed) verdict(now time.Time, instances []*instance) (r gitops.Rollout, looked bool) {
	r = gitops.Rollout{State: gitops.RolloutWaiting, Revision: f.kept.Revision, Places: f.kept.Places}
	if f.how.By == ByArgoCD {
		r.By = string(ByArgoCD)
	}
	switch {
	case f.newer != "":
		r.State, r.Reason = gitops.RolloutSuperseded, f.newer
		return r, true
	case f.left != "":
		r.State, r.Reason = gitops.RolloutGone, f.left
		return r, true
	case f.how.By != ByArgoCD: // or it is not known yet how
		r.By = f.kept.By
		return f.before(r), true
	case len(f.readers()) == 0:
		r.State, r.Reason = f.nowhere(now, instances)
	default:
		r = f.combined(r, now, instances)
	}
	if r.State == "" { // it was not looked at yet by this process: another may have
		return f.before(r), false
	}
	return r, len(f.readers()) > 0
}

// before is where it stood by the record, as far as nothing else is known.
func (f *followed) before(r gitops.Rollout) gitops.Rollout {
	r.State, r.Reason = f.kept.State, f.kept.Reason
	if r.State == "" {
		r.State = gitops.RolloutWaiting
	}
	return r
}

// nowhere is where it stands while no Application is found. The state is "" while none was
// looked for.
func (f *followed) nowhere(now time.Time, instances []*instance) (state gitops.RolloutState, reason string) {
	pending := len(instances) == 0
	for _, i := range instances {
		switch why := i.unseen(now); {
		case why != "":
			return gitops.RolloutUnknown, why
		case i.listed.IsZero():
			pending = true
		}
	}
	if pending {
		return "", ""
	}
	if f.missed.IsZero() {
		f.missed = now
	}
	for _, i := range instances {
		if i.listed.Before(f.missed.Add(rediscover)) {
			i.listWant = true
			return gitops.RolloutWaiting, "looked for again: " + f.unread()
		}
	}
	return gitops.RolloutUnmapped, f.unread()
}

// unread says that no Application is known to read its file, and what came close.
func (f *followed) unread() (reason string) {
	reason = fmt.Sprintf("no Application reads %s on %s of %s", f.how.File.File, f.how.File.Branch, f.how.File.Repository)
	if f.how.Application != "" {
		reason = fmt.Sprintf("there is no Application %s", f.how.Application)
	}
	if f.near != "" {
		reason += ": " + f.near
	}
	return reason
}

// found takes the Applications that read its file by an instance's last list.
func (f *followed) found(i *instance, now time.Time) {
	found := i.Find(f.how.File, f.how.Application)
	if found.Near != "" {
		f.near = found.Near
	}
	for _, ref := range found.All {
		if f.at(i, ref) == nil {
			f.places = append(f.places, newPlace(f, i, ref, now))
			f.missed = time.Time{}
		}
	}
}

// readers are the places that read its file, as far as is known.
func (f *followed) readers() (all []*place) {
	for _, p := range f.places {
		if !p.other {
			all = append(all, p)
		}
	}
	return all
}

// at is the place of an Application; nil where it has none.
func (f *followed) at(i *instance, ref Ref) *place {
	for _, p := range f.places {
		if p.instance == i && p.ref == ref {
			return p
		}
	}
	return nil
}

// spell is a duration without what is 0.
func spell(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if len(text) > len(zero) && text[len(text)-len(zero):] == zero {
			text = text[:len(text)-len(zero)+1]
		}
	}
	return text
}
