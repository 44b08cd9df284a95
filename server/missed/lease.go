package missed

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/server/lease"
)

// extend keeps the lease of a sweep. Its error says that another replica has it, or that the
// store does not answer.
func extend(ctx context.Context, held *lease.Lease) error {
	ok, err := held.Keep(ctx)
	if err == nil && !ok {
		err = gitops.Errorf(gitops.Conflict, "another replica took the check for missed deliveries over")
	}
	return err
}
