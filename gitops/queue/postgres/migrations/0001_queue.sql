-- Every change is one call of a function below: one message to the server and
-- one transaction, so that no lock ever waits for a client that is slow, paused
-- or gone.

-- The one row that every change of deliveries and updates locks first, and holds
-- until it is committed: so numbers follow the order of the commits, on all
-- replicas. A sequence would give numbers in the order in which transactions
-- draw them, and a later number could be seen before an earlier one.
CREATE TABLE counter (
	one    boolean PRIMARY KEY DEFAULT true CHECK (one),
	number bigint NOT NULL
) WITH (fillfactor = 10); -- the row is written again and again: room for its versions on one page
INSERT INTO counter (number) VALUES (0);

CREATE TABLE deliveries (
	number      bigint PRIMARY KEY,
	source      text NOT NULL,
	id          text NOT NULL,
	received_at timestamptz NOT NULL,
	event_time  timestamptz,
	actor       text NOT NULL,
	remote      text NOT NULL,
	credential  text NOT NULL,
	outcome     text NOT NULL,
	field       text NOT NULL,
	reason      text NOT NULL,
	UNIQUE (source, id)
);
CREATE INDEX deliveries_listed ON deliveries (source, outcome, number);

-- Apart from the deliveries, so that reading many of those reads no bodies.
CREATE TABLE bodies (
	delivery bigint PRIMARY KEY,
	body     bytea NOT NULL
);

-- An update's sequence is its delivery's number times 65536, plus its place in
-- the delivery: so the updates of a delivery lie together, in their order, and
-- neither they nor the way back to the delivery need an index.
CREATE TABLE updates (
	sequence    bigint PRIMARY KEY,
	id          text NOT NULL UNIQUE,
	environment text NOT NULL,
	app         text NOT NULL,
	repository  text NOT NULL,
	tag         text NOT NULL,
	digest      text NOT NULL,
	state       text NOT NULL,
	code        text NOT NULL DEFAULT '',
	reason      text NOT NULL,
	object      text NOT NULL DEFAULT '', -- the commit's name
	attempts    integer NOT NULL DEFAULT 0,
	accepted_at timestamptz NOT NULL,
	settled_at  timestamptz
);

-- The lanes' backlogs in acceptance order, and the lists' pages.
CREATE INDEX updates_listed ON updates (environment, state, sequence);
CREATE INDEX updates_app ON updates (environment, app, state, sequence);

-- The newest event time that was accepted for each app: what decides whether an
-- event comes too late. It outlives the updates it was taken from.
CREATE TABLE releases (
	environment text NOT NULL,
	app         text NOT NULL,
	newest      timestamptz NOT NULL,
	PRIMARY KEY (environment, app)
);

-- How many updates wait in each environment that has ever had one, so that nobody
-- who asks counts them. It is written under the counter's lock alone.
CREATE TABLE backlogs (
	environment text PRIMARY KEY,
	pending     bigint NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE lanes (
	environment text PRIMARY KEY,
	token       bigint NOT NULL DEFAULT 0,     -- of the latest claim
	holder      text NOT NULL DEFAULT '',      -- of the latest claim
	lease       text NOT NULL DEFAULT 'free',  -- free: ended clean; held; lost: ended, and nobody vouched for what it pushed
	expires_at  timestamptz,                   -- of the lease, while it is held
	through     bigint NOT NULL DEFAULT 0,     -- pending updates up to this sequence may have been pushed by an earlier holder
	-- What the lane waits for, since its latest success.
	last_success  timestamptz,
	failing_since timestamptz,                 -- null while nothing fails, and so the rest
	retry_at      timestamptz,
	code          text NOT NULL DEFAULT '',
	reason        text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- What happened to updates after they were accepted. Deliveries and steps draw
-- their numbers from the one counter, so they have one order in which everything
-- happened.
CREATE TABLE steps (
	number   bigint PRIMARY KEY,
	sequence bigint NOT NULL, -- the update's
	at       timestamptz NOT NULL,
	until    timestamptz,
	attempts integer NOT NULL,
	state    text NOT NULL,
	code     text NOT NULL,
	reason   text NOT NULL,
	object   text NOT NULL,
	retry_at timestamptz,
	actor    text NOT NULL
);
CREATE INDEX steps_updates ON steps (sequence, number);

CREATE TABLE marks (
	name  text PRIMARY KEY,
	value text NOT NULL
);

-- Credentials that count once, and the delivery that each was used for.
CREATE TABLE spent (
	credential text PRIMARY KEY,
	source     text NOT NULL,
	id         text NOT NULL,
	until      timestamptz NOT NULL
);
CREATE INDEX spent_until ON spent (until);

-- draw locks the counter and takes so many numbers: those after the one that it
-- returns.
CREATE FUNCTION draw(many integer) RETURNS bigint LANGUAGE sql AS
	$$ UPDATE counter SET number = number + many RETURNING number - many $$;

-- accept takes deliveries in, and their updates, which name their delivery by its
-- place in the call. It answers with a row for each update that is new, and one
-- without a sequence for each new delivery that has none; a delivery that is
-- known has no row. Times are the database's unless "at" gives one.
--
-- A receipt that a replica's clock puts ahead of the database's counts as now:
-- else it would make late what really comes later.
CREATE FUNCTION accept(at timestamptz, brought jsonb, meant jsonb, contents bytea[])
RETURNS TABLE (delivery integer, accepted_at timestamptz, sequence bigint, state text, reason text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	base   bigint;
	moment timestamptz;
BEGIN
	base := draw(cardinality(contents));
	moment := coalesce(at, clock_timestamp());
	RETURN QUERY
	WITH added AS (
		INSERT INTO deliveries (number, source, id, received_at, event_time, actor, remote, credential, outcome, field, reason)
		SELECT base + d.place, d.source, d.id, coalesce(d.received_at, moment), d.event_time,
			d.actor, d.remote, d.credential, d.outcome, d.field, d.reason
		FROM jsonb_to_recordset(brought) AS d (place integer, source text, id text, received_at timestamptz, event_time timestamptz,
			actor text, remote text, credential text, outcome text, field text, reason text)
		ORDER BY d.place
		ON CONFLICT DO NOTHING
		RETURNING number, received_at, event_time
	), kept AS (
		INSERT INTO bodies (delivery, body) SELECT number, contents[number - base] FROM added
	), asked AS (
		SELECT a.number * 65536 + u.place AS sequence, u.id, u.environment, u.app, u.repository, u.tag, u.digest,
			coalesce(a.event_time < receipt.at, false) AS past,
			CASE WHEN a.event_time < receipt.at THEN a.event_time ELSE receipt.at END AS happened
		FROM added a
		CROSS JOIN LATERAL (SELECT least(a.received_at, moment) AS at) AS receipt
		JOIN jsonb_to_recordset(meant) AS u (delivery integer, place integer, id text, environment text, app text,
			repository text, tag text, digest text) ON u.delivery = a.number - base
	), judged AS (
		SELECT a.*, greatest(r.newest, max(a.happened) OVER (PARTITION BY a.environment, a.app ORDER BY a.sequence
			ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS newest
		FROM asked a LEFT JOIN releases r ON r.environment = a.environment AND r.app = a.app
	), decided AS (
		SELECT j.*, j.past AND coalesce(date_trunc('second', j.happened) < date_trunc('second', j.newest), false) AS late FROM judged j
	), enqueued AS (
		INSERT INTO updates (sequence, id, environment, app, repository, tag, digest, state, reason, accepted_at, settled_at)
		SELECT d.sequence, d.id, d.environment, d.app, d.repository, d.tag, d.digest,
			CASE WHEN d.late THEN 'superseded' ELSE 'pending' END,
			CASE WHEN d.late THEN format('a release of %s in %s from %s was accepted before this one from %s', d.app, d.environment,
				rfc3339(d.newest), rfc3339(d.happened)) ELSE '' END,
			moment, CASE WHEN d.late THEN moment END
		FROM decided d
		RETURNING sequence, environment, state, reason
	), remembered AS (
		INSERT INTO releases AS r (environment, app, newest)
		SELECT d.environment, d.app, max(d.happened) FROM decided d GROUP BY d.environment, d.app
		ON CONFLICT (environment, app) DO UPDATE SET newest = excluded.newest WHERE r.newest < excluded.newest
	), waiting AS (
		INSERT INTO backlogs AS b (environment, pending)
		SELECT e.environment, count(*) FILTER (WHERE e.state = 'pending') FROM enqueued e GROUP BY e.environment
		ON CONFLICT (environment) DO UPDATE SET pending = b.pending + excluded.pending
	), told AS (
		SELECT pg_notify('tallyman', e.environment)
		FROM (SELECT DISTINCT environment FROM enqueued WHERE state = 'pending' UNION ALL SELECT '') AS e
	)
	SELECT (a.number - base)::integer, moment, e.sequence, e.state, e.reason
	FROM added a LEFT JOIN enqueued e ON e.sequence / 65536 = a.number
	WHERE (SELECT count(*) FROM told) >= 0 -- a query that nobody reads would not be run
	ORDER BY a.number, e.sequence;
END $$;

CREATE FUNCTION rfc3339(at timestamptz) RETURNS text LANGUAGE sql STABLE AS
	$$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;

-- claim answers with the new lease, or with whose lease lasts, and how long yet.
CREATE FUNCTION claim(at timestamptz, lane text, claimer text, ttl interval)
RETURNS TABLE (token bigint, expires_at timestamptz, held_by text, rest interval)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	found  lanes;
	moment timestamptz;
	newest bigint;
BEGIN
	INSERT INTO lanes (environment) VALUES (lane) ON CONFLICT DO NOTHING;
	SELECT * INTO found FROM lanes WHERE environment = lane FOR UPDATE;
	moment := coalesce(at, clock_timestamp());
	IF found.lease = 'held' AND found.holder <> claimer AND found.expires_at > moment THEN
		RETURN QUERY SELECT NULL::bigint, NULL::timestamptz, found.holder, found.expires_at - moment;
		RETURN;
	END IF;
	IF found.lease <> 'free' THEN
		-- Nobody vouched for what the last holder pushed. Sequences only rise, so
		-- through does, and what an earlier claim marked stays marked.
		SELECT max(sequence) INTO newest FROM updates WHERE environment = lane AND state = 'pending';
	END IF;
	RETURN QUERY
		UPDATE lanes SET token = lanes.token + 1, holder = claimer, lease = 'held', expires_at = moment + ttl,
			through = greatest(through, newest)
		WHERE environment = lane
		RETURNING lanes.token, lanes.expires_at, NULL::text, NULL::interval;
END $$;

-- fence locks the lane, and fails with TM001 unless the lease is still its holder's.
-- The token alone would do, but for a standby that took over without having heard
-- of the last claims: there the same token is given again.
CREATE FUNCTION fence(lane text, lease_token bigint, lease_holder text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM lanes WHERE environment = lane AND token = lease_token AND holder = lease_holder AND lease = 'held' FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the lease is lost' USING ERRCODE = 'TM001';
	END IF;
END $$;

-- within fails with TM002, and the id for its message, unless all ids are updates
-- of the lane.
CREATE FUNCTION within(lane text, ids text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	stranger text;
BEGIN
	SELECT i INTO stranger FROM unnest(ids) AS i
		WHERE NOT EXISTS (SELECT FROM updates u WHERE u.id = i AND u.environment = lane) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION '%', stranger USING ERRCODE = 'TM002';
	END IF;
END $$;

-- settle writes each update's end and its step. What ended before keeps its end.
CREATE FUNCTION settle(at timestamptz, lane text, lease_token bigint, lease_holder text, ids text[], states text[], codes text[], reasons text[], objects text[])
RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	base   bigint;
	moment timestamptz;
	many   bigint;
BEGIN
	PERFORM fence(lane, lease_token, lease_holder);
	PERFORM within(lane, ids);
	IF cardinality(ids) = 0 THEN
		RETURN;
	END IF;
	base := draw(cardinality(ids));
	moment := coalesce(settle.at, clock_timestamp());
	WITH given AS (
		SELECT DISTINCT ON (e.id) e.* FROM unnest(ids, states, codes, reasons, objects) WITH ORDINALITY
			AS e (id, state, code, reason, object, place) ORDER BY e.id, e.place
	), ended AS (
		UPDATE updates u SET state = g.state, code = g.code, reason = g.reason, object = g.object,
			settled_at = moment, attempts = u.attempts + 1
		FROM given g WHERE u.id = g.id AND u.state = 'pending'
		RETURNING g.place, u.sequence, u.state, u.code, u.reason, u.object
	)
	INSERT INTO steps (number, sequence, at, attempts, state, code, reason, object, actor)
	SELECT base + e.place, e.sequence, moment, 1, e.state, e.code, e.reason, e.object, '' FROM ended e;
	GET DIAGNOSTICS many = ROW_COUNT;
	UPDATE backlogs SET pending = pending - many WHERE environment = lane;
	UPDATE lanes SET last_success = moment, failing_since = NULL, retry_at = NULL, code = '', reason = '' WHERE environment = lane;
	PERFORM pg_notify('tallyman', '');
END $$;

-- postpone counts an attempt for updates that stay pending. A step that says the
-- same as the one before takes its place, and counts for both.
CREATE FUNCTION postpone(at timestamptz, lane text, lease_token bigint, lease_holder text, ids text[], why_code text, why text, again timestamptz)
RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	base   bigint;
	moment timestamptz;
BEGIN
	PERFORM fence(lane, lease_token, lease_holder);
	PERFORM within(lane, ids);
	base := draw(cardinality(ids));
	moment := coalesce(postpone.at, clock_timestamp());
	WITH given AS (
		SELECT i.id, count(*)::integer AS times, min(i.place) AS place FROM unnest(ids) WITH ORDINALITY AS i (id, place) GROUP BY i.id
	), tried AS (
		UPDATE updates u SET reason = why, attempts = u.attempts + g.times
		FROM given g WHERE u.id = g.id AND u.state = 'pending'
		RETURNING u.sequence, g.times, g.place
	), latest AS (
		SELECT DISTINCT ON (s.sequence) s.* FROM tried t JOIN steps s ON s.sequence = t.sequence ORDER BY s.sequence, s.number DESC
	), counted AS (
		UPDATE steps s SET attempts = s.attempts + t.times, until = moment, retry_at = again
		FROM latest l JOIN tried t ON t.sequence = l.sequence
		WHERE s.number = l.number AND l.state = 'pending' AND l.attempts > 0 AND l.code = why_code AND l.reason = why
		RETURNING s.sequence
	)
	INSERT INTO steps (number, sequence, at, until, attempts, state, code, reason, object, retry_at, actor)
	SELECT base + t.place, t.sequence, moment, CASE WHEN t.times > 1 THEN moment END, t.times, 'pending', why_code, why, '', again, ''
	FROM tried t WHERE NOT EXISTS (SELECT FROM counted c WHERE c.sequence = t.sequence);
	UPDATE lanes SET failing_since = coalesce(failing_since, moment), retry_at = again, code = why_code, reason = why WHERE environment = lane;
	PERFORM pg_notify('tallyman', '');
END $$;

-- again makes a failed update pending. It answers with the state that it found,
-- and with a later update that is in the way; with no row when there is no such
-- update.
CREATE FUNCTION again(at timestamptz, which text, who text)
RETURNS TABLE (environment text, app text, state text, later text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	base    bigint;
	found   updates;
	newer   text;
BEGIN
	base := draw(1);
	SELECT * INTO found FROM updates WHERE id = which;
	IF found.id IS NULL THEN
		RETURN;
	END IF;
	SELECT u.id INTO newer FROM updates u WHERE u.environment = found.environment AND u.app = found.app
		AND u.state IN ('pending', 'committed', 'unchanged') AND u.sequence > found.sequence LIMIT 1;
	IF found.state = 'failed' AND newer IS NULL THEN
		UPDATE updates SET state = 'pending', code = '', reason = '', object = '', settled_at = NULL WHERE sequence = found.sequence;
		INSERT INTO steps (number, sequence, at, attempts, state, code, reason, object, actor)
			VALUES (base + 1, found.sequence, coalesce(again.at, clock_timestamp()), 0, 'pending', '', '', '', who);
		UPDATE backlogs b SET pending = b.pending + 1 WHERE b.environment = found.environment;
		PERFORM pg_notify('tallyman', found.environment);
	END IF;
	RETURN QUERY SELECT found.environment, found.app, found.state, newer;
END $$;

-- forget deletes those of the deliveries whose updates have all ended before a
-- time, with all that belongs to them, and returns how many. It holds the
-- counter's lock, so that nobody makes one pending meanwhile.
CREATE FUNCTION forget(numbers bigint[], before timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	gone         bigint[];
	updates_gone bigint[];
	deleted      integer;
BEGIN
	PERFORM draw(0);
	SELECT array_agg(n) INTO gone FROM unnest(numbers) AS n WHERE NOT EXISTS (
		SELECT FROM updates u WHERE u.sequence BETWEEN n * 65536 AND n * 65536 + 65535 AND (u.settled_at IS NULL OR u.settled_at >= before));
	-- A limit that is no limit keeps the planner from looking through the whole table.
	SELECT array_agg(u.sequence) INTO updates_gone FROM unnest(gone) AS n CROSS JOIN LATERAL (
		SELECT sequence FROM updates WHERE sequence BETWEEN n * 65536 AND n * 65536 + 65535 ORDER BY sequence LIMIT 65536) AS u;
	DELETE FROM steps WHERE sequence = ANY (updates_gone);
	DELETE FROM updates WHERE sequence = ANY (updates_gone);
	DELETE FROM bodies WHERE delivery = ANY (gone);
	DELETE FROM deliveries WHERE number = ANY (gone);
	GET DIAGNOSTICS deleted = ROW_COUNT; -- another replica may have been first
	RETURN deleted;
END $$;
