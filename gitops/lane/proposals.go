package lane

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Proposals opens the pull requests of updates and follows them until they end. It keeps
// nothing: what it is to know it is told by a lane, or finds on the branches and at the forge.
// So whatever a process that died had begun is found, and done once. Safe for concurrent use;
// no call waits for a forge or a git server.
type Proposals interface {
	// Want says what is wanted of the proposals of apps, for each the last of its wishes, and begins
	// to work on what is not so. The wishes of other apps stay.
	Want(environment string, wishes []gitops.ProposalWish)

	// Results returns what is known of the environment's wishes since it was asked last,
	// for each update in order. A result that ends an update ends its wish.
	Results(environment string) []gitops.ProposalResult

	// Away is why the proposals of the environment's wishes stand still, where a forge or a git
	// server is away; nil while they do not.
	Away(environment string) *queue.Outage

	// Changed returns a channel that receives after there are results, or Away has changed.
	Changed(environment string) <-chan struct{}

	// Look is a hint that something may have happened at the forge or on a branch.
	Look(environment string)

	// Leave forgets all of the environment's wishes: another process works its lane. What is
	// under way ends as soon as it can.
	Leave(environment string)
}
