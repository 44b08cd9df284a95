package sqlite

import (
	"context"

	"github.com/tallyman-dev/tallyman/gitops"
	"github.com/tallyman-dev/tallyman/gitops/queue"
)

// importing puts entries into the tables of a new file. It keeps nothing of them in
// memory but a few senders, and one delivery's updates: an update is found again by its id, in the file.
type importing struct {
	c        *connection
	delivery int64 // the highest number of a delivery or of the audit that was given
	step     int64
	senders  map[senderKey]int64

	sequences map[string]int64 // of the updates of one delivery, by their ids
}

func (in *importing) add(e queue.Entry) error {
	switch {
	case e.Delivery != nil:
		return in.addDelivery(*e.Delivery)
	case e.Step != nil:
		return in.addStep(*e.Step)
	case e.Head != nil:
		return in.addHead(*e.Head)
	case e.Lane != nil:
		return in.addLane(*e.Lane)
	case e.Checkpoint != nil:
		return in.c.exec(`INSERT INTO checkpoints (name, value) VALUES (?, ?)`, e.Checkpoint.Name, e.Checkpoint.Value)
	case e.UsedToken != nil:
		u := e.UsedToken
		return in.c.exec(`INSERT INTO used_tokens (credential, source, id, until) VALUES (?, ?, ?, ?)`, u.Credential, u.By.Source, u.By.ID, u.Until.UnixMicro())
	case e.Audit != nil:
		in.delivery++
		return in.c.exec(insertAudit, auditArgs(in.delivery*sequencesEach, *e.Audit)...)
	case e.Memory != nil:
		m := e.Memory
		return in.c.exec(`INSERT INTO memories (hash, delivery, received_at) VALUES (?, ?, ?)`, m.Hash, m.Delivery, m.ReceivedAt.UnixMicro())
	case e.ProofKey != nil:
		k := e.ProofKey
		return in.c.exec(`INSERT INTO proof_keys (id, secret, made_at) VALUES (?, ?, ?)`, k.ID, k.Secret[:], k.MadeAt.UnixMicro())
	case e.Suspect != nil:
		s := e.Suspect
		return in.c.exec(`INSERT INTO suspects (object, kind, path, holder, at, deaths) VALUES (?, ?, ?, ?, ?, ?)`,
			s.Object, string(s.Kind), s.Path, s.Holder, s.At.UnixMicro(), s.Deaths)
	case e.Hold != nil:
		return in.addHold(*e.Hold)
	case e.Lift != nil:
		return in.addLift(*e.Lift)
	case e.Image != nil:
		return in.addImage(*e.Image)
	case e.Holds != nil:
		return in.c.exec(`UPDATE hold_numbers SET highest = ?, revision = ?`, e.Holds.Last, e.Holds.Revision)
	}
	return nil
}

func (in *importing) addDelivery(d gitops.Delivery) error {
	in.delivery++
	sender, err := in.sender(senderKey{d.Principal, d.Actor, d.Config})
	if err != nil {
		return err
	}
	if err := in.c.exec(insertDelivery+deliveryValues, deliveryArgs(in.delivery, sender, d)...); err != nil {
		return err
	}
	if d.Body == nil {
		d.Body = []byte{}
	}
	if err := in.c.exec(`INSERT INTO bodies (delivery, body) VALUES (?, ?)`, in.delivery, d.Body); err != nil {
		return err
	}
	for i, u := range d.Updates {
		if err := in.addUpdate(in.delivery*sequencesEach+int64(i), sender, u); err != nil {
			return err
		}
	}
	return nil
}

// sender returns the number of a sender, which is added when it is new.
func (in *importing) sender(k senderKey) (number int64, err error) {
	const add = `INSERT INTO senders (principal, actor, config) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	if number, ok := in.senders[k]; ok {
		return number, nil
	}
	args := []any{k.principal, k.actor, k.config}
	if err := in.c.exec(add, args...); err != nil {
		return 0, err
	}
	_, err = in.c.one(context.Background(), searchSender, args, func(r row) { number = r.number(0) })
	if len(in.senders) == mostSenders {
		clear(in.senders)
	}
	in.senders[k] = number
	return number, err
}

func (in *importing) addUpdate(sequence, sender int64, u gitops.Update) error {
	const add = `INSERT INTO updates (sequence, id, sender, environment, app, repository, tag, version, only_up, digest, rule, revision, terms, state, code, reason,
		object, attempts, accepted_at, finished_at, retried_at, cancel_actor, cancel_reason, blocked_by, blocked_kind, ready_at, found_digest, found_at, found_named,
		proposal, opened_at, rollout, rolling)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	const lane = `INSERT INTO lanes (environment, used) VALUES (?, 1) ON CONFLICT DO NOTHING`
	blocks, err := formatBlocks(u.BlockedBy)
	if err != nil {
		return err
	}
	terms, err := formatTerms(u.Terms)
	if err != nil {
		return err
	}
	var actor, reason any
	if c := u.CancelRequest; c != nil {
		actor, reason = c.Actor, c.Reason
	}
	if err := in.c.exec(lane, u.Environment); err != nil {
		return err
	}
	digest, at, named := foundArgs(u.Found)
	proposal, openedAt, err := proposalArgs(u.Proposal)
	if err != nil {
		return err
	}
	rollout, rolling, err := rolloutArgs(u.Rollout)
	if err != nil {
		return err
	}
	return in.c.exec(add, sequence, packID(u.ID), sender, u.Environment, u.App, u.Repository, u.Tag, gitops.VersionKey(u.Tag), u.OnlyUp, u.Digest,
		u.Rule, u.Revision, terms, string(u.State), string(u.Code), u.Reason, u.Commit, u.Attempts, u.AcceptedAt.UnixMicro(), stored(u.FinishedAt),
		stored(u.RetriedAt), actor, reason, blocks, firstKind(u.BlockedBy), readyAt(u.BlockedBy), digest, at, named, proposal, openedAt, rollout, rolling)
}

// sequenceOf returns the sequence here of an update that was given; 0 for the id "".
func (in *importing) sequenceOf(id string) (sequence int64, err error) {
	if id == "" {
		return 0, nil
	}
	if _, known := in.sequences[id]; !known {
		// All of the delivery's, which may be thousands: the next step is often of one.
		clear(in.sequences)
		err = in.c.query(context.Background(), `SELECT u.id, u.sequence`+withPrefix, []any{prefixIn(id)}, func(r row) error {
			in.sequences[r.id(0)] = r.number(1)
			return nil
		})
	}
	sequence, known := in.sequences[id]
	if err == nil && !known {
		err = gitops.Errorf(gitops.Invalid, "update %s is named, of which no delivery was given", id)
	}
	return sequence, err
}

func (in *importing) addStep(s queue.StepEntry) error {
	const add = `INSERT INTO steps (number, sequence, after_delivery, at, until, attempts, state, code, reason, object, retry_at, actor, rollout)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sequence, err := in.sequenceOf(s.Update)
	if err != nil {
		return err
	}
	in.step++
	return in.c.exec(add, in.step, sequence, in.delivery, s.At.UnixMicro(), stored(s.Until), s.Attempts, string(s.State), string(s.Code), s.Reason, s.Commit,
		stored(s.RetryAt), s.Actor, string(s.Rollout))
}

// addHead adds a head. An environment that has one has had an update, though perhaps
// none that is kept.
func (in *importing) addHead(h queue.HeadEntry) error {
	const lane = `INSERT INTO lanes (environment, used) VALUES (?, 1) ON CONFLICT DO UPDATE SET used = 1`
	after, err := in.sequenceOf(h.After)
	if err != nil {
		return err
	}
	healthyAfter, err := in.sequenceOf(h.HealthyAfter)
	if err != nil {
		return err
	}
	h.Written, h.Healthy = h.WrittenHere(after), h.HealthyHere(healthyAfter)
	if err := in.c.exec(lane, h.Environment); err != nil {
		return err
	}
	return in.c.exec(insertHead, headArgs(h.Head)...)
}

// addLane adds what is known of a lane and of its lease, or of a job's lease alone.
func (in *importing) addLane(l queue.LaneState) error {
	const lane = `INSERT INTO lanes (environment, maybe_pushed_through, last_progress, last_success, outage_since, outage_retry_at, outage_code, outage_reason, outage_repository)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET maybe_pushed_through = excluded.maybe_pushed_through,
		last_progress = excluded.last_progress, last_success = excluded.last_success, outage_since = excluded.outage_since, outage_retry_at = excluded.outage_retry_at,
		outage_code = excluded.outage_code, outage_reason = excluded.outage_reason, outage_repository = excluded.outage_repository`
	const lease = `INSERT INTO leases (name, token, holder, state) VALUES (?, ?, ?, ?)`
	through, err := in.sequenceOf(l.Through)
	if err != nil {
		return err
	}
	var o queue.Outage
	if l.Backlog.Outage != nil {
		o = *l.Backlog.Outage
	}
	isLane := through > 0 || !l.Backlog.LastProgress.IsZero() || !l.Backlog.OutageSince.IsZero()
	if isLane || l.Token == 0 {
		err = in.c.exec(lane, l.Environment, through, stored(l.Backlog.LastProgress), stored(l.Backlog.LastSuccess), stored(l.Backlog.OutageSince), stored(o.RetryAt), string(o.Code), o.Reason, o.Repository)
	}
	if err != nil || l.Token == 0 {
		return err
	}
	state := leaseExpired
	if l.Clean {
		state = leaseReleased
	}
	return in.c.exec(lease, l.Environment, l.Token, l.Holder, state)
}

// counted is how much the tables hold.
func counted(c *connection) (n queue.Counts, err error) {
	const counts = `SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM updates), (SELECT count(*) FROM steps), (SELECT count(*) FROM heads),
		(SELECT count(*) FROM (SELECT environment FROM lanes UNION SELECT name FROM leases)), (SELECT count(*) FROM checkpoints),
		(SELECT count(*) FROM used_tokens), (SELECT count(*) FROM audit), (SELECT count(*) FROM memories), (SELECT count(*) FROM proof_keys), (SELECT count(*) FROM suspects),
		(SELECT count(*) FROM holds), (SELECT count(*) FROM holds WHERE lifted_at IS NOT NULL),
		(SELECT count(*) FROM images)`
	_, err = c.one(context.Background(), counts, nil, func(r row) {
		for i, into := range []*int{&n.Deliveries, &n.Updates, &n.Steps, &n.Heads, &n.Lanes, &n.Checkpoints, &n.UsedTokens, &n.Audit, &n.Memories, &n.ProofKeys, &n.Suspects, &n.Holds, &n.Lifts, &n.Images} {
			*into = int(r.number(i))
		}
	})
	return n, err
}
