// Package routing brings each update to the manifest repository that its files are in.
//
// # A repository that is away
//
// Where the files of an environment are in one repository, its outage is the lane's, which
// backs off. Where they are in several, the updates of the one that cannot be written have
// an unknown result, and its apps are away until it can be. It is tried again beside the
// lanes, by a handshake, so that no lane waits for it meanwhile; one that takes too long to
// answer counts as away, too.
//
// # A reload
//
// A repository is used by the configurations that name it, and by each write under way. It
// is closed when nobody uses it any more. An update whose files move to another repository
// is written there: what may have been pushed to the one before is in its history, and
// changed a file that the app does not have any more. A writer that is made anew for a
// branch looks in its history for what an earlier one may have pushed.
package routing

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// patience is how long a lane waits for one of several repositories. It is longer than
// a push takes that nothing is wrong with.
const patience = 10 * time.Second

// mostReason bounds what is said of several repositories that are away.
const mostReason = 2_000

// Routes say where updates go under one configuration.
type Routes struct {
	Repositories map[string]*Repository // all of the configuration, by name
	// Of is the name of the repository of an app in an environment; not ok for one that is
	// not configured.
	Of func(environment, app string) (name string, ok bool)
	// Apps are the apps in an environment, by repository. It is not asked where there is
	// one repository.
	Apps func(environment string) map[string][]string
}

// Router is a lane.Writer over the repositories of the configuration in force. Safe for
// concurrent use.
type Router struct {
	current func() Routes

	mu      sync.Mutex
	live    map[*Repository]bool // not closed
	closing sync.WaitGroup
}

// New makes a router that has no repositories yet. The function returns the routes of the
// configuration in force.
func New(current func() Routes) *Router {
	return &Router{current: current, live: make(map[*Repository]bool)}
}

// Write implements lane.Writer.
func (r *Router) Write(ctx context.Context, tasks []gitops.WriteTask) (gitops.WriteResult, error) {
	if len(tasks) == 0 {
		return gitops.WriteResult{}, nil
	}
	routes := r.hold()
	defer routes.release()
	shares := routes.divide(tasks)
	if len(shares) == 1 && len(routes.Repositories) == 1 {
		return shares[0].to.writer.Write(ctx, tasks)
	}
	if len(shares) == 1 && len(routes.Apps(tasks[0].Update.Environment)) <= 1 {
		result, err := shares[0].to.writer.Write(ctx, tasks)
		if err == nil {
			shares[0].to.succeeded()
		}
		return result, err
	}
	r.writeShares(ctx, shares)
	return merge(tasks, shares), nil
}

// hold returns the routes in force, whose repositories are not closed before they are
// released.
func (r *Router) hold() Routes {
	for {
		routes := r.current()
		var held []*Repository
		for _, repository := range routes.Repositories {
			if repository.Keep() {
				held = append(held, repository)
			}
		}
		if len(held) == len(routes.Repositories) {
			return routes
		}
		for _, repository := range held { // others are in force by now
			repository.Release()
		}
	}
}

func (r Routes) release() {
	for _, repository := range r.Repositories {
		repository.Release()
	}
}

// Away implements lane.Writer.
func (r *Router) Away(environment string) (apps []string, outage *queue.Outage) {
	routes := r.current()
	if len(routes.Repositories) == 1 {
		return nil, nil
	}
	in := routes.Apps(environment)
	if len(in) <= 1 {
		return nil, nil
	}
	var all []*queue.Outage
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if now := routes.Repositories[name].Outage(); now != nil {
			apps = append(apps, in[name]...)
			all = append(all, now)
		}
	}
	return apps, together(all)
}

// together is one outage of several repositories: whose update waits finds its own there.
func together(all []*queue.Outage) *queue.Outage {
	if len(all) == 0 {
		return nil
	}
	one := *all[0]
	if len(all) == 1 {
		return &one
	}
	var names, reasons []string
	for _, o := range all {
		names, reasons = append(names, o.Repository), append(reasons, o.Repository+": "+o.Reason)
		if o.RetryAt.Before(one.RetryAt) {
			one.RetryAt = o.RetryAt
		}
	}
	one.Repository, one.Reason = queue.JoinNames(names), gitops.Clip(strings.Join(reasons, "; "), mostReason)
	return &one
}

// LastStep implements lane.Writer: that of the repository whose last step is longest ago.
func (r *Router) LastStep() time.Time {
	last := time.Now()
	for _, repository := range r.all() {
		if step := repository.writer.LastStep(); step.Before(last) {
			last = step
		}
	}
	return last
}

// Abort is for a process that must end now: see manifest.Writer.Abort.
func (r *Router) Abort() {
	for _, repository := range r.all() {
		repository.writer.Abort()
	}
}

// Close closes every repository, whoever uses it, and returns when all are closed.
func (r *Router) Close() {
	for _, repository := range r.all() {
		repository.close()
	}
	r.closing.Wait()
}

func (r *Router) all() []*Repository {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.live))
}
