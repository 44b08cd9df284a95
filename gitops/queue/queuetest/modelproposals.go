package queuetest

import (
	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// newest is the one that was accepted later; a may be nil.
func newest(a, b *gitops.Update) *gitops.Update {
	if a == nil || a.Sequence < b.Sequence {
		return b
	}
	return a
}

// keepProposals keeps what is known of pull requests.
func (m *Model) keepProposals(l queue.Lease, known []queue.Proposed) {
	for _, k := range known {
		u, proposal := m.updates[k.Update], queue.KeptProposal(k.Proposal)
		m.change(l, u, func() { u.Proposal = &proposal })
	}
}

// closedBefore is what Take says of a pending update that automation asked for.
func (m *Model) closedBefore(u *gitops.Update) (c *gitops.ClosedBefore) {
	if u.State != gitops.Pending || gitops.IsPerson(u.Principal) {
		return nil
	}
	var decides *gitops.Update
	for _, other := range m.updates {
		same := other.State == gitops.Closed && other.Environment == u.Environment && other.App == u.App && other.Tag == u.Tag
		if !same || other.Sequence <= m.head(u.Environment, u.App).Written || !other.FinishedAt.After(u.RetriedAt) {
			continue
		}
		switch {
		case decides == nil, decides.Proposal == nil && other.Proposal != nil:
			decides = other
		case (decides.Proposal == nil) == (other.Proposal == nil):
			decides = newest(decides, other)
		}
	}
	if decides == nil {
		return nil
	}
	c = &gitops.ClosedBefore{Update: decides.ID, At: decides.FinishedAt}
	if p := decides.Proposal; p != nil {
		c.By, c.URL = p.EndedBy, p.URL
	}
	return c
}
