package argocd

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops/rollout"
)

// flight is a refresh under way, and then its result.
type flight struct {
	done        chan struct{}
	application rollout.Application
	err         error
	abandoned   bool // its caller gave up: it says nothing to the others
}

// refresh has one request serve all who want the same Application refreshed while it is
// under way. Their copies share slices: callers must not change them.
func (c *Client) refresh(ctx context.Context, ref Ref) (rollout.Application, error) {
	for {
		c.mu.Lock()
		f := c.flights[ref]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			c.flights[ref] = f
			c.mu.Unlock()
			c.fly(ctx, ref, f)
			return f.application, f.err
		}
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return rollout.Application{}, c.stopped(request{what: "Application " + ref.String()}, ctx.Err())
		}
		if !f.abandoned {
			return f.application, f.err
		}
	}
}

// fly makes the request of a flight.
func (c *Client) fly(ctx context.Context, ref Ref, f *flight) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, ref)
		close(f.done)
	}()
	f.application, f.err = c.application(ctx, ref, true)
	f.abandoned = ctx.Err() != nil
}
