package poll

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops/policy"
	"github.com/tallyman-dev/tallyman/server/lease"
)

// How often one host is asked. Nobody says what ECR takes of DescribeImages; it is shared
// with whatever else asks the same account and region.
const (
	everyECR   = time.Second / 2
	everyOther = time.Second / 5
)

// paceOf is the least time between two requests for an image's host.
func paceOf(image string) time.Duration {
	if _, isECR := policy.ParseECR(image); isECR {
		return everyECR
	}
	return everyOther
}

// pace is the time between the requests to one host, of which one is under way at most.
type pace struct {
	every time.Duration
	next  time.Time // not before
}

// wait returns when the next request may be sent, or ctx has ended.
func (p *pace) wait(ctx context.Context) error {
	if d := time.Until(p.next); d > 0 {
		lease.Pause(ctx, d)
	}
	return ctx.Err()
}

// sent notes that a request was sent.
func (p *pace) sent() { p.next = time.Now().Add(p.every) }
