package follow

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/lease"
)

// storePause is how long a store that does not answer is left alone.
const storePause = 2 * time.Second

// leader is a follower that has the lease. All of it is of one goroutine, but for the
// requests, which hand in their answers.
type leader struct {
	*Follower
	lease     *lease.Lease
	begun     bool   // the checkpoint and the open rollouts were read
	cursor    string // of the last change that was read
	saved     string
	savedAt   time.Time
	open      map[string]*followed // by the update's id
	inOrder   []*followed          // these, as they were begun
	byApp     map[gitops.Place][]*followed
	site      Site
	instances []*instance
	readAgain time.Time // the store is asked for nothing before
	reportAt  time.Time // nothing is recorded before
	reverts   []*revert // in the order of the feed
	failing   string    // why the store did not answer; "" when it did

	answers chan answer
	asking  sync.WaitGroup
	gits    int                // requests of git under way
	stop    context.CancelFunc // ends the requests
	asks    context.Context    // theirs
}

func newLeader(f *Follower, held *lease.Lease) *leader {
	l := &leader{Follower: f, lease: held, open: make(map[string]*followed), byApp: make(map[gitops.Place][]*followed), answers: make(chan answer)}
	l.asks, l.stop = context.WithCancel(context.Background())
	return l
}

// step does what is due. It returns how long nothing is due, at most, and is not ok when the
// lease is another's.
func (l *leader) step(ctx context.Context) (wait time.Duration, ok bool) {
	l.takeAll()
	l.configure()
	if !l.store(ctx) {
		return 0, false
	}
	wait = lookEvery
	for _, next := range []time.Time{l.reportAt, l.readAgain} {
		if d := next.Sub(l.Now()); d > 0 {
			wait = min(wait, d)
		}
	}
	l.record()
	return min(wait, l.askDue()), true
}

// store does what the store is asked for. It is not kept when the lease is another's. Argo CD
// is asked all the same while the store does not answer: what is found out is recorded then.
func (l *leader) store(ctx context.Context) (kept bool) {
	if l.Now().Before(l.readAgain) {
		return true
	}
	kept, err := l.lease.Keep(ctx)
	switch {
	case err != nil:
		l.storeFailed(ctx, err)
		return true
	case !kept:
		l.lost()
		return false
	}
	err = l.read(ctx)
	if err == nil && !l.Now().Before(l.reportAt) {
		kept, err = l.report(ctx)
	}
	if kept && err == nil && l.Now().Sub(l.savedAt) >= saveEvery {
		err = l.save(ctx)
	}
	l.storeFailed(ctx, err)
	return kept
}

func (l *leader) lost() { l.Logger.Warn("another replica may follow now: the lease was lost") }

// storeFailed leaves a store alone that does not answer, and logs its error once, as long as
// it says the same.
func (l *leader) storeFailed(ctx context.Context, err error) {
	if err == nil {
		l.failing, l.readAgain = "", time.Time{}
		return
	}
	l.readAgain = l.Now().Add(storePause)
	if ctx.Err() == nil && err.Error() != l.failing {
		l.failing = err.Error()
		l.Logger.Warn("store does not answer the follower, retrying", slog.String("error", err.Error()))
	}
}

// end gives the lease back, whatever has ended by then.
func (l *leader) end(ctx context.Context) {
	l.stop()
	l.asking.Wait()
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = l.save(saving) // else it is read again
	l.lease.Release(ctx)
	l.Recorder.Open(nil)
	for _, i := range l.instances {
		l.Recorder.Away(i.Name, false)
	}
}

// configure takes over what is in force now.
func (l *leader) configure() {
	site := l.Site()
	if site == l.site {
		return
	}
	l.site = site
	l.useInstances(site.Instances())
	for _, f := range slices.Clone(l.inOrder) { // some end
		l.follow(f)
	}
}

// useInstances keeps what is known of the instances that stay.
func (l *leader) useInstances(all []Instance) {
	before := l.instances
	l.instances = nil
	for _, now := range all {
		at := slices.IndexFunc(before, func(i *instance) bool { return i.Argo == now.Argo })
		if at < 0 {
			l.instances = append(l.instances, &instance{Instance: now})
			continue
		}
		l.instances = append(l.instances, before[at])
	}
	for _, f := range l.inOrder {
		f.places = slices.DeleteFunc(f.places, func(p *place) bool { return !slices.Contains(l.instances, p.instance) })
	}
}

// follow takes over how an update is followed now.
func (l *leader) follow(f *followed) {
	how, known := l.site.Followed(f.update.Environment, f.update.App)
	switch {
	case !known:
		return
	case how.By == "" && f.kept.State == "":
		l.remove(f) // it was never begun
		return
	case how.By == "":
		f.left = "the rollouts of " + f.update.App + " in " + f.update.Environment + " are not followed any more"
		return
	}
	if f.how.By == how.By && f.how.File == how.File && f.how.Application == how.Application {
		f.how.Timeout = how.Timeout // of what is yet to come: the deadline is set
		return
	}
	if f.how.By == "" && f.kept.State == "" {
		f.deadline, f.within = f.update.FinishedAt.Add(how.Timeout), how.Timeout
	}
	f.how, f.places = how, nil
	l.find(f)
}

// find looks for the Applications of an update in the lists that there are.
func (l *leader) find(f *followed) {
	if f.how.By != ByArgoCD {
		return
	}
	for _, i := range l.instances {
		f.found(i, l.Now())
	}
	if len(f.readers()) == 0 {
		for _, i := range l.instances {
			i.listWant = true
		}
	}
}

// record tells the metrics where everything stands.
func (l *leader) record() {
	all := make(map[Standing]int)
	for _, f := range l.inOrder {
		all[Standing{f.update.Environment, f.state}]++
	}
	l.Recorder.Open(all)
	away := make(map[string]bool)
	for _, i := range l.instances {
		away[i.Name] = away[i.Name] || i.trouble(l.Now()) != ""
	}
	for _, f := range l.inOrder {
		for _, p := range f.places {
			away[p.instance.Name] = away[p.instance.Name] || p.hangs()
		}
	}
	for name, is := range away {
		l.Recorder.Away(name, is)
	}
}
