package sqlite

import (
	"encoding/json"
	"errors"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

const (
	someClosed = `SELECT 1 FROM updates INDEXED BY updates_closed WHERE environment = ? AND state = 'closed' LIMIT 1`
	// closedOf are those of a tag, after what was written and after a person's retry.
	closedOf = `SELECT id, proposal, finished_at FROM updates INDEXED BY updates_closed
		WHERE environment = ? AND app = ? AND tag = ? AND state = 'closed' AND sequence > ? AND finished_at > ? ORDER BY sequence DESC`
)

// proposalArgs are the columns of what is known of a pull request: NULL for nothing.
func proposalArgs(p *gitops.Proposal) (text, openedAt any, err error) {
	if p == nil {
		return nil, nil, nil
	}
	kept := queue.KeptProposal(*p)
	b, err := json.Marshal(kept)
	return string(b), stored(kept.OpenedAt), err
}

func parseProposal(text string) (p *gitops.Proposal, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &p)
	}
	return p, err
}

// keepProposals puts what is known of pull requests in the place of what was.
func (p *reporting) keepProposals(known []queue.Proposed) error {
	const keep = `UPDATE updates SET proposal = ?, opened_at = ? WHERE sequence = ?`
	for _, k := range known {
		u := p.updates[k.Update]
		proposal := queue.KeptProposal(k.Proposal)
		u.Proposal = &proposal
		text, openedAt, err := proposalArgs(u.Proposal)
		if err != nil {
			return err
		}
		if err := p.exec(keep, text, openedAt, u.Sequence); err != nil {
			return err
		}
		p.updates[u.ID] = u
	}
	return nil
}

// findClosed finds out whether the environment has a closed update. Mostly it has none, and
// no tag need be asked for.
func (t *taking) findClosed() (err error) {
	t.closed, err = t.c.one(t.ctx, someClosed, []any{t.environment}, func(row) {})
	return err
}

// closedBefore is the closed update of the same tag that decides about what automation asks
// for: the newest that had a proposal, or else the newest; nil for none.
func (t *taking) closedBefore(u gitops.Update, head gitops.Head) (c *gitops.ClosedBefore, err error) {
	if !t.closed || u.State != gitops.Pending || gitops.IsPerson(u.Principal) {
		return nil, nil
	}
	args := []any{t.environment, u.App, u.Tag, head.Written, u.RetriedAt.UnixMicro()}
	err = t.c.query(t.ctx, closedOf, args, func(r row) error {
		if c == nil {
			c = &gitops.ClosedBefore{Update: r.id(0), At: r.time(2)}
		}
		p, err := parseProposal(r.text(1))
		if p != nil {
			c = &gitops.ClosedBefore{Update: r.id(0), At: r.time(2), By: p.EndedBy, URL: p.URL}
			err = errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return c, err
}
