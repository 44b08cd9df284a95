package missed

import (
	"context"
	"time"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// sweepLease is the lease of one sweep.
type sweepLease struct {
	Store
	lease    queue.Lease
	extended time.Time
	now      func() time.Time
}

// extend keeps the lease, when half of it is over. Its error says that another
// replica has it.
func (h *sweepLease) extend(ctx context.Context) error {
	if h.now().Sub(h.extended) < leaseTime/2 {
		return nil
	}
	kept, err := h.Extend(ctx, []queue.Lease{h.lease}, leaseTime)
	if err == nil && len(kept) == 0 {
		err = gitops.Errorf(gitops.Conflict, "another replica took the check for missed deliveries over")
	}
	h.extended = h.now()
	return err
}

// release gives the lease back, whatever has ended by then.
func (h *sweepLease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = h.Release(ctx, h.lease, true) // else it runs out
}
