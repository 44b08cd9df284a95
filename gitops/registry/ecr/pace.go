package ecr

import (
	"context"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/aws"
)

// pace is the time between calls of scans of one registry. ECR's own limit on them is shared
// with whatever else asks it, such as deployments, and is not written down.
type pace struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time // when the next caller may call
}

func (c *Client) paceOf(registry aws.Registry) *pace {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paces[registry] == nil {
		c.paces[registry] = &pace{every: c.config.ScanEvery}
	}
	return c.paces[registry]
}

// wait returns when it is the caller's turn, or its context has ended.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	turn := p.next
	if turn.Before(now) {
		turn = now
	}
	p.next = turn.Add(p.every)
	p.mu.Unlock()

	timer := time.NewTimer(turn.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
