package routing

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/gitops"
)

// share is the tasks of one write that go to one repository, and their result.
type share struct {
	to     *Repository
	tasks  []gitops.WriteTask
	result gitops.WriteResult
	err    error // nil: what is not in the result is not on the branch
}

// divide gives each repository its tasks, in their order. Of an app that is not configured
// any more nobody knows where an update may have been pushed: each repository gets it.
func (r Routes) divide(tasks []gitops.WriteTask) (shares []*share) {
	byName := make(map[string]*share)
	add := func(name string, task gitops.WriteTask) {
		if byName[name] == nil {
			byName[name] = &share{to: r.Repositories[name]}
		}
		byName[name].tasks = append(byName[name].tasks, task)
	}
	for _, task := range tasks {
		name, ok := r.Of(task.Update.Environment, task.Update.App)
		if ok && r.Repositories[name] != nil {
			add(name, task)
			continue
		}
		for name := range r.Repositories {
			add(name, task)
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b *share) int { return cmp.Compare(a.to.name, b.to.name) })
}

// writeShares writes to several repositories at once. It waits for each until its patience
// ends. A write that it does not wait for any more goes out no more unless it is in a push.
func (r *Router) writeShares(ctx context.Context, shares []*share) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ended := make([]chan struct{}, len(shares))
	results := make([]share, len(shares)) // each belongs to its goroutine until that has ended
	for i, s := range shares {
		ended[i] = make(chan struct{})
		results[i] = *s
		if results[i].err = s.to.away(); results[i].err != nil || !s.to.Keep() {
			close(ended[i])
			continue
		}
		go func() {
			defer s.to.Release()
			defer close(ended[i])
			results[i].write(ctx)
		}()
	}
	for i, s := range shares {
		select {
		case <-ended[i]:
			*s = results[i]
			continue
		default:
		}
		select {
		case <-ended[i]:
			*s = results[i]
		case <-patient.Done():
			s.err = s.to.giveUp(ctx)
		}
	}
}

// write writes one share and tells its repository how that went.
func (s *share) write(ctx context.Context) {
	s.result, s.err = s.to.writer.Write(ctx, s.tasks)
	switch {
	case s.err == nil:
		s.to.succeeded()
	case ctx.Err() == nil: // else the caller gave up, which is not its fault
		s.to.failed(s.err)
	}
}
