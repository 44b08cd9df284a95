package sqlite

import (
	"context"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// Report implements [queue.Lanes].
func (s *Store) Report(ctx context.Context, l queue.Lease, r queue.Report) (superseded []gitops.Update, err error) {
	err = s.writer.run(ctx, &request{updates: 1 + len(r.Transitions) + len(r.Blocks) + len(r.Proposals), work: func(tx *tx) error {
		if err := checkLease(context.Background(), tx.connection, l); err != nil {
			return err
		}
		p := reporting{tx: tx, environment: l.Name, updates: make(map[string]gitops.Update), written: make(map[string]bool), proposed: make(map[string]gitops.Update)}
		if err := p.read(r); err != nil {
			return err
		}
		err := p.record(r)
		superseded = p.superseded
		return err
	}})
	if err != nil {
		return nil, err
	}
	return superseded, nil
}

// reporting is one Report under way.
type reporting struct {
	*tx
	environment string
	updates     map[string]gitops.Update // what the report names, as it has left them so far
	written     map[string]bool          // apps of which it says that something is on the branch
	proposed    map[string]gitops.Update // the newest one of each app that it proposed, by app
	superseded  []gitops.Update
}

// read reads all that the report names, so that it fails before it has changed
// anything.
func (p *reporting) read(r queue.Report) error {
	var ids []string
	for _, t := range r.Transitions {
		ids = append(ids, t.Update)
	}
	for _, b := range r.Blocks {
		ids = append(ids, b.Update)
	}
	for _, known := range r.Proposals {
		ids = append(ids, known.Update)
	}
	sequences, err := sequencesOf(context.Background(), p.connection, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		u, err := readSequence(context.Background(), p.connection, sequences[id], asStored) // 0 is none's
		if err != nil {
			return err
		}
		if u.ID != id || u.Environment != p.environment {
			return gitops.Errorf(gitops.NotFound, "there is no update %s in the lane of %s", id, p.environment)
		}
		p.updates[id] = u
	}
	return nil
}

func (p *reporting) record(r queue.Report) error {
	if err := p.keepProposals(r.Proposals); err != nil {
		return err
	}
	for _, t := range r.Transitions {
		if err := p.transition(t); err != nil {
			return err
		}
	}
	if err := p.supersede(); err != nil {
		return err
	}
	for _, b := range r.Blocks {
		if err := p.block(b); err != nil {
			return err
		}
	}
	return p.lane(r)
}

// transition applies what the table allows.
func (p *reporting) transition(t gitops.Transition) error {
	u := p.updates[t.Update]
	to, ok := gitops.Next(u.State, t.Action)
	if !ok {
		return nil
	}
	after := p.moved(u, to)
	after.Code, after.Reason, after.Commit = t.Code, t.Reason, t.Commit
	after.Attempts++
	if t.Found != nil {
		after.Found = &gitops.Found{Digest: t.Found.Digest, At: rounded(t.Found.At), Named: t.Found.Named}
		seen := gitops.SeenImage{Repository: u.Repository, Tag: u.Tag, Digest: t.Found.Digest, By: u.Delivery, Named: t.Found.Named}
		if err := p.recordImage(seen); err != nil {
			return err
		}
	}
	if gitops.Raises(u.State, to) {
		p.written[u.App] = true
		p.setHead(p.head(u.Environment, u.App).Write(after))
	}
	if to == gitops.Proposed && u.Sequence > p.proposed[u.App].Sequence {
		p.proposed[u.App] = after
	}
	p.updates[u.ID] = after
	step := gitops.Step{Attempts: 1, State: to, Code: t.Code, Reason: t.Reason, Commit: t.Commit, Actor: t.Actor}
	return p.save(u, after, step)
}

// block puts the blocks in the place of what blocked a pending update before.
func (p *reporting) block(b queue.Blocked) error {
	u := p.updates[b.Update]
	if u.State != gitops.Pending {
		return nil
	}
	after := u
	after.BlockedBy = slices.Clone(b.BlockedBy)
	after.Attempts++
	same := slices.EqualFunc(u.BlockedBy, b.BlockedBy, func(x, y gitops.Block) bool { return x.Kind == y.Kind && x.Reason == y.Reason })
	now, err := revision(context.Background(), p.connection)
	if err != nil {
		return err
	}
	over := gitops.JudgedBefore(b.BlockedBy, now)
	var reasons []string
	for i := range after.BlockedBy {
		block, since := &after.BlockedBy[i], rounded(p.now)
		if same {
			since = u.BlockedBy[i].Since
		}
		block.Since, block.Until = rounded(block.SinceOr(since, p.now)), rounded(block.Until)
		if block.Revision = 0; over {
			block.Until = rounded(p.now)
		}
		reasons = append(reasons, block.Reason)
	}
	if len(blocking(after.BlockedBy, p.now)) == 0 {
		p.woken[p.environment] = true
	}
	p.updates[u.ID] = after
	until, _ := gitops.BlockedUntil(after.BlockedBy)
	return p.save(u, after, gitops.Step{Attempts: 1, State: u.State, Reason: strings.Join(reasons, "; "), RetryAt: until})
}

// lane records what the report says of the lane as a whole.
func (p *reporting) lane(r queue.Report) error {
	const progress = `UPDATE lanes SET last_progress = ?1, last_success = iif(?2, ?1, last_success) WHERE environment = ?3`
	const outage = `INSERT INTO lanes (environment, outage_since, outage_retry_at, outage_code, outage_reason, outage_repository) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET outage_since = ifnull(outage_since, excluded.outage_since), outage_retry_at = excluded.outage_retry_at,
		outage_code = excluded.outage_code, outage_reason = excluded.outage_reason, outage_repository = excluded.outage_repository`
	const over = `UPDATE lanes SET outage_since = NULL, outage_retry_at = NULL, outage_code = '', outage_reason = '', outage_repository = ''
		WHERE environment = ? AND outage_since IS NOT NULL`
	if len(r.Transitions) > 0 {
		if err := p.exec(progress, p.now.UnixMicro(), len(p.written) > 0, p.environment); err != nil {
			return err
		}
	}
	if o := r.Outage; o != nil {
		return p.exec(outage, p.environment, p.now.UnixMicro(), stored(o.RetryAt), string(o.Code), o.Reason, o.Repository)
	}
	_, err := p.change(over, p.environment)
	return err
}
