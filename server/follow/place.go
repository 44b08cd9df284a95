package follow

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// waits are between looks at an Application, from the last news on; the last is for all that
// follow.
var waits = []time.Duration{time.Second, time.Second, 2 * time.Second, 2 * time.Second, 5 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second}

// refreshWaits are before refreshes: the first counts from the push, the others from the one
// before. A refresh that is set during a comparison is swallowed with it, and so asked again.
var refreshWaits = []time.Duration{2 * time.Second, 3 * time.Second, 6 * time.Second, 12 * time.Second, 30 * time.Second}

// staleAfter is how old a comparison may be before Argo CD is asked for another, whatever it
// says: it compares every 3 minutes by itself, unless its controller is down.
const staleAfter = 4 * time.Minute

// failedWait is until an Application is asked for again that could not be looked at.
const failedWait = 10 * time.Second

// place is an Application that an update is followed in. All of it is pure; [leader] asks.
type place struct {
	of       *followed
	instance *instance
	ref      Ref

	asking bool // a request is under way
	due    time.Time
	looks  int // since the last news

	refreshes  int       // that were asked for
	refreshDue time.Time // of the next, while the commit is not there

	look    *rollout.Look // that lacks something
	lacks   rollout.Wants
	memory  rollout.Memory
	verdict rollout.Verdict // of the last whole look; the zero value before
	bad     time.Time       // since when it was degraded, by the same look
	missing int             // looks in a row that found no Application
	missed  time.Time       // of the first of them
	makes   bool            // other Applications, besides what else it has
	other   bool            // it does not read the file, as its whole body shows: it is not asked again

	failures int       // looks in a row that failed, of it alone
	unread   int       // looks in a row that failed as if it were the instance's trouble
	unreadAt time.Time // of the last
	alone    bool      // they are of it alone
	failed   string    // why the last did
	compared time.Time // when Argo CD last did; zero when it does not say
	fresh    time.Time // since when that is known, by this process's clock
}

// newPlace is one that is looked at at once.
func newPlace(f *followed, i *instance, ref Ref, now time.Time) *place {
	refresh := now.Add(refreshWaits[0])
	if pushed := f.update.FinishedAt.Add(refreshWaits[0]); pushed.Before(refresh) { // the store's clock may be ahead
		refresh = pushed
	}
	return &place{of: f, instance: i, ref: ref, due: now, refreshDue: refresh}
}

// ask is a request.
type ask string

const (
	askList        ask = "list"
	askApplication ask = "application"
	askRefresh     ask = "refresh"
	askTree        ask = "tree"
	askManaged     ask = "managed"
	askWindows     ask = "windows"
	askContaining  ask = "containing" // of git
)

// next is the next request and when it is due, unless one is under way.
func (p *place) next() (what ask, due time.Time, ok bool) {
	switch {
	case p.asking || p.other || p.of.over():
		return "", due, false
	case p.look != nil:
		return p.lacking(), p.due, true
	case p.verdict.Wants.Refresh && !p.refreshDue.After(p.due):
		return askRefresh, p.refreshDue, true
	}
	return askApplication, p.due, true
}

// lacking is what the look lacks first.
func (p *place) lacking() ask {
	switch {
	case len(p.lacks.Containing) > 0:
		return askContaining
	case p.lacks.Tree:
		return askTree
	case p.lacks.Managed:
		return askManaged
	}
	return askWindows
}

// lookOld is how long a look may take before it is made again: what Argo CD said is old by then.
const lookOld = time.Minute

// judge judges the look, as of when it began. One that lacks nothing any more is over.
func (p *place) judge(now time.Time) {
	if now.Sub(p.look.Now) > lookOld {
		p.drop(now)
		return
	}
	p.look.Containing = p.of.containing
	var verdict rollout.Verdict
	verdict, p.memory = rollout.Judge(p.of.subject(), *p.look, p.memory)
	if p.lacks = p.stillLacks(verdict); lacksAny(p.lacks) {
		p.due = now
		return
	}
	if !verdict.State.Final() && !verdict.State.Stands() && now.Sub(p.fresh) >= min(staleAfter, p.of.how.Timeout/3) {
		verdict.Wants.Refresh = true // does its controller run at all?
	}
	news := verdict.State != p.verdict.State || verdict.Revision != p.verdict.Revision || p.memory.DegradedSince != p.bad
	p.bad = p.memory.DegradedSince
	p.verdict, p.look, p.failures, p.unread, p.alone = verdict, nil, 0, 0, false
	p.other = p.makes && verdict.Without // what deploys the update is to come of it
	p.later(now, news)
}

// stillLacks is what the look can be given that it wants and has not.
func (p *place) stillLacks(v rollout.Verdict) (lacks rollout.Wants) {
	if v.State.Final() {
		return lacks
	}
	wants := v.Wants
	for _, revision := range wants.Containing {
		if _, known := p.of.containing[revision]; !known {
			lacks.Containing = append(lacks.Containing, revision)
		}
	}
	lacks.Tree = wants.Tree && p.look.Tree == nil
	lacks.Managed = wants.Managed && p.look.Managed == nil
	lacks.Windows = wants.Windows && p.look.Windows == nil
	return lacks
}

func lacksAny(w rollout.Wants) bool { return len(w.Containing) > 0 || w.Tree || w.Managed || w.Windows }

// later sets when it is looked at next.
func (p *place) later(now time.Time, news bool) {
	if news {
		p.looks = 0
	}
	p.due = now.Add(waits[min(p.looks, len(waits)-1)])
	p.looks++
}

// began notes that a request has begun.
func (p *place) began(what ask, now time.Time) (cause Cause) {
	p.asking = true
	if what != askRefresh {
		return ""
	}
	cause = NextRefresh
	if p.refreshes == 0 {
		cause = FirstRefresh
	}
	p.refreshes++
	p.refreshDue = now.Add(refreshWaits[min(p.refreshes, len(refreshWaits)-1)])
	return cause
}

// drop ends a look that could not be brought to its end.
func (p *place) drop(due time.Time) { p.look, p.lacks, p.due = nil, rollout.Wants{}, due }

// standing is where the update stands in the Application. The state is "" before the first
// look.
func (p *place) standing(now time.Time) gitops.RolloutPlace {
	at := gitops.RolloutPlace{Name: p.ref.String(), URL: p.instance.Page(p.ref), State: p.verdict.State, Reason: p.verdict.Reason}
	switch why := p.instance.trouble(now); {
	case at.State.Final():
	case why != "":
		at.State, at.Reason = gitops.RolloutUnknown, why
	case p.failures >= failuresMost:
		at.State, at.Reason = gitops.RolloutUnknown, p.failed
	case p.of.gitTrouble != "":
		at.State, at.Reason = gitops.RolloutUnknown, p.of.gitTrouble
	case p.hangs():
		at.State, at.Reason = gitops.RolloutUnknown, p.notCompared()
	}
	return at
}

// unreadMost is how many looks may fail before an instance that answers of others is taken to be
// well.
const unreadMost = 3

// isAlone reports whether a failure is of this Application: the instance has answered of others
// between two. It is until it can be read.
func (p *place) isAlone() bool {
	p.alone = p.alone || p.unread >= unreadMost && p.instance.answered.After(p.unreadAt)
	return p.alone
}

// hangs reports whether it waits for a comparison that Argo CD does not make.
func (p *place) hangs() bool { return p.verdict.Wants.Refresh && p.instance.hung >= hungMost }
