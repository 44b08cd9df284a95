-- update_records are updates as the program reads them.
CREATE VIEW update_records AS
	SELECT u.sequence, u.id, d.source AS delivery_source, d.id AS delivery_id, d.actor, u.environment, u.app, u.repository, u.tag, u.only_up, u.digest,
		u.state, u.blocked_by, u.code, u.reason, u.commit_id, u.attempts, u.accepted_at, u.finished_at, u.retried_at,
		u.cancel_actor, u.cancel_reason, d.recovered OR d.decided_at IS NOT NULL AS recovered,
		CASE WHEN d.event_time < least(coalesce(d.decided_at, d.received_at), u.accepted_at) THEN d.event_time END AS event_time,
		u.finished_at IS NULL AND u.sequence <= coalesce(l.maybe_pushed_through, 0) AS maybe_pushed,
		clock_timestamp() AS read_at, u.rule, u.terms, d.principal, u.ready_at, u.was_held,
		u.found_digest, u.found_at, u.found_named, u.revision, u.proposal, u.rollout, u.rolling
	FROM updates u JOIN deliveries d ON d.number = u.sequence / 65536 LEFT JOIN lanes l ON l.name = u.environment;

-- The limits and offsets below that change nothing keep the planner from turning a
-- search for each row into a join of whole tables. What it knows of the tables is often
-- that of a minute ago, when they were small or empty.

-- lifted are the updates of the lane whose blocks have all lifted since they were reported.
CREATE FUNCTION lifted(lane text, now_at timestamptz) RETURNS TABLE (sequence bigint, app text, was_held boolean) LANGUAGE sql STABLE AS $$
	(SELECT u.sequence, u.app, u.was_held FROM updates u WHERE u.environment = lane AND u.ready_at <= now_at)
$$;

-- ready are the sequences of the first updates of the lane that are ready.
CREATE FUNCTION ready(lane text, now_at timestamptz, most integer) RETURNS TABLE (sequence bigint) LANGUAGE sql STABLE AS $$
	(SELECT u.sequence FROM updates u WHERE u.environment = lane AND u.is_ready ORDER BY u.sequence + 0 LIMIT most)
	UNION ALL
	SELECT l.sequence FROM lifted(lane, now_at) AS l
	ORDER BY 1 LIMIT most
$$;

-- open_before are the open updates of an app that have smaller sequences.
CREATE FUNCTION open_before(bound bigint, lane text, name text) RETURNS TABLE (sequence bigint, id text) LANGUAGE sql STABLE AS $$
	SELECT u.sequence, u.id FROM states s CROSS JOIN LATERAL (
		SELECT o.sequence, o.id FROM updates o
		WHERE o.environment = lane AND o.app = open_before.name AND o.state = s.name AND o.sequence + 0 < bound OFFSET 0
	) AS u WHERE NOT s.final
$$;

-- in_hand are the ready updates of the lane from which take chooses, with the first of
-- those that were never blocked. Of those that were held only the newest ready one of
-- its app is among them, with newest_held. All that have lifted are looked at, and of the
-- others the newest of each of their apps.
CREATE FUNCTION in_hand(lane text, now_at timestamptz, most integer, newest_held boolean) RETURNS TABLE (sequence bigint, app text) LANGUAGE sql STABLE AS $$
	WITH marked AS (
		SELECT l.*, max(l.sequence) OVER (PARTITION BY l.app COLLATE "C") AS newest FROM lifted(lane, now_at) AS l
	)
	(SELECT u.sequence, u.app FROM updates u WHERE u.environment = lane AND u.is_ready ORDER BY u.sequence + 0 LIMIT most)
	UNION ALL
	(SELECT l.sequence, l.app FROM (SELECT * FROM marked WHERE NOT newest_held OR NOT was_held OR sequence = newest ORDER BY sequence OFFSET 0) AS l
		WHERE NOT newest_held OR NOT l.was_held OR (
			SELECT u.sequence FROM updates u WHERE u.environment = lane AND u.app = l.app AND u.is_ready AND u.sequence + 0 > l.sequence
			ORDER BY u.sequence + 0 LIMIT 1) IS NULL
		LIMIT most)
$$;

-- take answers with what the lane's holder should work on: see queue.Lanes.Take. It
-- writes nothing and locks nothing. The lease is looked at last: if it is still good
-- then, so is what was read, since a claim reads under the turn which updates it marks.
CREATE FUNCTION take(at timestamptz, lane text, lease_token bigint, lease_holder text, most integer, newest_only boolean, newest_held boolean,
	unresolved text[], except_apps text[])
RETURNS SETOF update_records LANGUAGE plpgsql AS $$
DECLARE
	now_at timestamptz := coalesce(at, clock_timestamp());
BEGIN
	RETURN QUERY
	WITH ready AS (
		SELECT h.sequence, h.app FROM in_hand(lane, now_at, CASE WHEN NOT newest_only AND cardinality(except_apps) = 0 THEN most END, newest_held) AS h
		WHERE cardinality(except_apps) = 0 OR h.app NOT IN (SELECT unnest(except_apps))
	), to_write AS (
		SELECT max(h.sequence) AS sequence, h.app FROM ready h GROUP BY h.app, CASE WHEN NOT newest_only THEN h.sequence END ORDER BY 1 LIMIT most
	), meant AS (
		SELECT w.sequence, w.app FROM to_write w
		UNION (SELECT u.sequence, u.app FROM updates u WHERE u.environment = lane AND u.cancel_actor IS NOT NULL ORDER BY u.sequence LIMIT most)
	), beside AS (
		SELECT u.sequence FROM (SELECT DISTINCT m.app FROM meant m) AS apps
		CROSS JOIN LATERAL open_before((SELECT l.maybe_pushed_through + 1 FROM lanes l WHERE l.name = lane), lane, apps.app) AS u
		UNION SELECT u.sequence FROM unnest(unresolved) AS i CROSS JOIN LATERAL (SELECT * FROM updates WHERE id = i LIMIT 1) AS u
			WHERE u.environment = lane AND u.finished_at IS NULL AND u.app IN (SELECT m.app FROM meant m)
	)
	SELECT r.* FROM (SELECT m.sequence FROM meant m UNION SELECT b.sequence FROM beside b) AS taken
	CROSS JOIN LATERAL (SELECT * FROM update_records WHERE sequence = taken.sequence LIMIT 1) AS r ORDER BY r.sequence;
	IF NOT EXISTS (SELECT FROM lanes l WHERE l.name = lane AND l.token = lease_token AND l.holder = lease_holder AND l.lease = 'held') THEN
		RAISE EXCEPTION 'the lease is lost' USING ERRCODE = 'TM001';
	END IF;
END $$;

-- record_steps adds a step to each of some updates, in their order, and gives them
-- their numbers; the caller has the turn. A report that says the same as the one before
-- is counted in the step of that one.
CREATE FUNCTION record_steps(made steps[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	base bigint;
BEGIN
	base := next_numbers(cardinality(made));
	WITH given AS (
		SELECT m.*, latest.number AS same FROM unnest(made) WITH ORDINALITY
			AS m (number, sequence, at, until, attempts, state, code, reason, commit_id, retry_at, actor, rollout, place)
		LEFT JOIN LATERAL (SELECT s.* FROM steps s WHERE s.sequence = m.sequence ORDER BY s.number + 0 DESC LIMIT 1) AS latest
			ON m.attempts > 0 AND latest.attempts > 0
			AND (latest.state, latest.code, latest.reason, latest.commit_id, latest.actor) = (m.state, m.code, m.reason, m.commit_id, m.actor)
	), counted AS (
		UPDATE steps s SET attempts = s.attempts + g.attempts, until = g.at, retry_at = g.retry_at FROM given g WHERE s.number = g.same
	)
	INSERT INTO steps (number, sequence, at, until, attempts, state, code, reason, commit_id, retry_at, actor, rollout)
	SELECT base + g.place, g.sequence, g.at, NULL, g.attempts, g.state, g.code, g.reason, g.commit_id, g.retry_at, g.actor, g.rollout
	FROM given g WHERE g.same IS NULL;
END $$;

-- in_lane fails with TM002, and the id for its message, unless all ids are updates of
-- the lane.
CREATE FUNCTION in_lane(lane text, ids text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	missing text;
BEGIN
	SELECT i INTO missing FROM unnest(ids) AS i
		WHERE NOT EXISTS (SELECT FROM updates u WHERE u.id = i AND u.environment = lane) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION '%', missing USING ERRCODE = 'TM002';
	END IF;
END $$;

-- oldest_ready is when the first pending update was accepted that nothing blocks.
CREATE FUNCTION oldest_ready(lane text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT u.accepted_at FROM updates u WHERE u.environment = lane AND u.is_ready ORDER BY u.sequence + 0 LIMIT 1
$$;

-- oldest_proposed is when the first pull request was opened of what is proposed, or its
-- update accepted where that was not reported.
CREATE FUNCTION oldest_proposed(lane text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT coalesce(u.opened_at, u.accepted_at) FROM updates u WHERE u.environment = lane AND u.counts_as = 'proposed'
	ORDER BY coalesce(u.opened_at, u.accepted_at) LIMIT 1
$$;

-- closed_before is the closed update of a tag that decides about what automation asks for:
-- see queue.Lanes.Take. It is an object, and null for none.
CREATE FUNCTION closed_before(lane text, name text, its_tag text, retried timestamptz) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('update', c.id, 'by', coalesce(c.proposal->>'endedBy', ''), 'url', coalesce(c.proposal->>'url', ''), 'at', c.finished_at)
	FROM updates c WHERE c.environment = lane AND c.app = name AND c.tag = its_tag AND c.state = 'closed'
		AND c.sequence + 0 > coalesce((SELECT h.written FROM heads h WHERE h.environment = lane AND h.app = name), 0) AND c.finished_at > coalesce(retried, '-infinity')
	ORDER BY c.proposal IS NULL, c.sequence DESC LIMIT 1
$$;

-- environments are those that have ever had an update, or the one that is named.
CREATE FUNCTION environments(named text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
	WITH RECURSIVE all_of_them AS (
		SELECT CASE named WHEN '' THEN (SELECT min(environment) FROM tallies) ELSE named END AS environment
		UNION ALL
		SELECT (SELECT min(t.environment) FROM tallies t WHERE t.environment > a.environment) FROM all_of_them a
		WHERE a.environment IS NOT NULL AND named = ''
	)
	SELECT environment FROM all_of_them WHERE environment IS NOT NULL
$$;
