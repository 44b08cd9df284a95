package queuetest

import (
	"time"

	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// someProposals are what is known of an update's pull request, now and then, or what was
// known before and is known by now.
func (r *player) someProposals(id string) (known []queue.Proposed) {
	for range max(r.IntN(5)-2, 0) {
		p := r.proposalOf(1 + r.IntN(3))
		p.OpenedAt = p.OpenedAt.Add(-r.seconds(30))
		switch r.IntN(4) {
		case 0:
			p.OpenedAt = time.Time{}
		case 1:
			p = r.ended(p, r.one("", "ann"))
		}
		known = append(known, queue.Proposed{Update: id, Proposal: p})
	}
	return known
}
