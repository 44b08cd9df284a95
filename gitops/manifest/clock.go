package manifest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/git"
)

// stepClock knows when the actor last made a step. Safe for concurrent use.
type stepClock struct {
	idle atomic.Bool
	at   atomic.Pointer[time.Time]
}

func (c *stepClock) step() {
	now := time.Now()
	c.at.Store(&now)
}

func (c *stepClock) last() time.Time {
	at := c.at.Load()
	if at == nil || c.idle.Load() {
		return time.Now()
	}
	return *at
}

// count makes a step of every call to the remote that ends.
func (c *stepClock) count(r git.Remote) git.Remote { return &countedRemote{r, c} }

type countedRemote struct {
	git.Remote
	clock *stepClock
}

func (r *countedRemote) Refs(ctx context.Context, service, branch string) (git.Advertisement, error) {
	defer r.clock.step()
	return r.Remote.Refs(ctx, service, branch)
}

func (r *countedRemote) Fetch(ctx context.Context, w git.FetchRequest, held git.Source) (map[git.Hash]git.Object, error) {
	defer r.clock.step()
	return r.Remote.Fetch(ctx, w, held)
}

func (r *countedRemote) Push(ctx context.Context, u git.PushRequest) error {
	defer r.clock.step()
	return r.Remote.Push(ctx, u)
}
