package follow

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// storePause is how long a store that does not answer is left alone.
const storePause = 2 * time.Second

// leader is a follower that has the lease. All of it is of one goroutine, but for the
// requests, which hand in their answers.
type leader struct {
	*Follower
	lease     queue.Lease
	ends      time.Time // of the lease, by this process's clock: the store's may be another
	begun     bool      // the checkpoint and the open rollouts were read
	cursor    string    // of the last change that was read
	saved     string
	savedAt   time.Time
	open      map[string]*followed // by the update's id
	byApp     map[gitops.Place][]*followed
	site      Site
	instances []*instance
	readAgain time.Time // the store is asked for nothing before
	reportAt  time.Time // nothing is recorded before
	failing   string    // why the store did not answer; "" when it did

	answers chan answer
	asking  sync.WaitGroup
	gits    int                // requests of git under way
	stop    context.CancelFunc // ends the requests
	asks    context.Context    // theirs
}

func newLeader(f *Follower, held queue.Lease, asked time.Time) *leader {
	l := &leader{Follower: f, lease: held, ends: asked.Add(leaseTime), open: make(map[string]*followed), byApp: make(map[gitops.Place][]*followed), answers: make(chan answer)}
	l.asks, l.stop = context.WithCancel(context.Background())
	return l
}

// step does what is due. It returns how long nothing is due, at most, and is not ok when the
// lease is another's.
func (l *leader) step(ctx context.Context) (wait time.Duration, ok bool) {
	l.takeAll()
	l.configure()
	kept, err := l.store(ctx)
	if !kept {
		return 0, false
	}
	wait = min(lookEvery, max(l.reportAt.Sub(l.Now()), 0))
	if wait == 0 {
		wait = lookEvery
	}
	if err != nil {
		wait = storePause
	}
	l.record()
	return min(wait, l.askDue()), true
}

// store does what the store is asked for. It is not kept when the lease is another's. Argo CD
// is asked all the same while the store does not answer: what is found out is recorded then.
func (l *leader) store(ctx context.Context) (kept bool, err error) {
	if l.Now().Before(l.readAgain) {
		return true, nil
	}
	kept, err = l.keepLease(ctx)
	if kept && err == nil {
		err = l.read(ctx)
	}
	if kept && err == nil && !l.Now().Before(l.reportAt) {
		kept, err = l.report(ctx)
	}
	if kept && err == nil && l.Now().Sub(l.savedAt) >= saveEvery {
		err = l.save(ctx)
	}
	l.storeFailed(ctx, err)
	return kept, err
}

// keepLease extends the lease when half of it is over. Without an error it is not ok when
// another has it; with one it is not known, and nothing can be recorded.
func (l *leader) keepLease(ctx context.Context) (ok bool, err error) {
	if l.left() > leaseTime/2 {
		return true, nil
	}
	asked := l.Now()
	kept, err := l.Store.Extend(ctx, []queue.Lease{l.lease}, leaseTime)
	switch {
	case err != nil:
		return true, err
	case len(kept) == 0:
		l.lost()
		return false, nil
	}
	l.lease, l.ends = kept[0], asked.Add(leaseTime)
	return true, nil
}

func (l *leader) lost() { l.Logger.Warn("another replica may follow now: the lease was lost") }

// left is how long the lease lasts. A clock may be set back, and the one that is not stands
// still while the machine sleeps: what counts is the one by which less is left.
func (l *leader) left() time.Duration {
	now := l.Now()
	return min(l.ends.Sub(now), l.ends.Round(0).Sub(now.Round(0)))
}

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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = l.save(ctx)                         // else it is read again
	_ = l.Store.Release(ctx, l.lease, true) // else it runs out
	l.Recorder.Open(nil)
}

// configure takes over what is in force now.
func (l *leader) configure() {
	site := l.Site()
	if site == l.site {
		return
	}
	l.site = site
	l.useInstances(site.Instances())
	for _, f := range l.open {
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
	for _, f := range l.open {
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
		f.deadline = f.update.FinishedAt.Add(how.Timeout)
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
		if !i.listed.IsZero() {
			f.found(i, l.Now())
		}
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
	for _, f := range l.open {
		all[Standing{f.update.Environment, f.state}]++
	}
	l.Recorder.Open(all)
	away := make(map[string]bool)
	for _, i := range l.instances {
		away[i.Name] = away[i.Name] || i.trouble(l.Now()) != "" || i.hung >= hungMost
	}
	for name, is := range away {
		l.Recorder.Away(name, is)
	}
}
