-- What people hold updates by (gitops.Hold).
CREATE TABLE holds (
	id           bigint PRIMARY KEY, -- gitops.HoldID
	number       bigint NOT NULL,    -- the counter's: placing it is a change
	kind         text NOT NULL,
	environments text[] NOT NULL,    -- empty means all, as in apps
	apps         text[] NOT NULL,
	tag          text NOT NULL,
	principal    text NOT NULL,
	actor        text NOT NULL,
	reason       text NOT NULL,
	rule         text NOT NULL,
	since        timestamptz NOT NULL,
	until        timestamptz,
	ends_at      timestamptz,  -- until, or infinity; null once it was lifted
	request      text NOT NULL -- queue.Placement.Request
);
CREATE INDEX holds_changes ON holds (number);
CREATE INDEX holds_ends ON holds (ends_at);
CREATE INDEX holds_apps ON holds (kind, (apps[1]), ends_at); -- a pin and a bad mark have one
CREATE INDEX holds_requests ON holds (request) WHERE request <> '';

-- Who ended holds before their time (gitops.Lift).
CREATE TABLE lifts (
	hold      bigint PRIMARY KEY REFERENCES holds ON DELETE CASCADE,
	number    bigint NOT NULL UNIQUE, -- the counter's
	at        timestamptz NOT NULL,
	principal text NOT NULL,
	actor     text NOT NULL,
	reason    text NOT NULL
);
CREATE INDEX lifts_times ON lifts (at);

-- The numbers that were given last. It is a row and no sequence, because a revision must
-- not be seen before what it is of. Holds are few, and so are its dead versions.
CREATE TABLE holds_state (last bigint NOT NULL, revision bigint NOT NULL);
INSERT INTO holds_state VALUES (0, 0);

-- hold_json is a hold as gitops.Hold has it in JSON.
CREATE FUNCTION hold_json(h holds) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('id', 'h' || h.id, 'kind', h.kind, 'environments', nullif(h.environments, '{}'), 'apps', nullif(h.apps, '{}'),
		'tag', h.tag, 'principal', h.principal, 'actor', h.actor, 'reason', h.reason, 'rule', h.rule, 'since', h.since, 'until', h.until,
		'lifted', (SELECT jsonb_build_object('at', l.at, 'principal', l.principal, 'actor', l.actor, 'reason', l.reason) FROM lifts l WHERE l.hold = h.id)))
$$;

-- holds_json are the holds of the ids, in their order.
CREATE FUNCTION holds_json(ids bigint[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT coalesce(jsonb_agg(hold_json(h) ORDER BY i.place), '[]') FROM unnest(ids) WITH ORDINALITY AS i (id, place)
	CROSS JOIN LATERAL (SELECT * FROM holds WHERE id = i.id LIMIT 1) AS h
$$;

-- few_names lists the first names, or says "every" for none: few of package queue.
CREATE FUNCTION few_names(names text[], every text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN cardinality(names) = 0 THEN every WHEN cardinality(names) > 10 THEN format('%s and %s more', array_to_string(names[:10], ', '), cardinality(names) - 10)
		ELSE array_to_string(names, ', ') END
$$;

-- hold_line says what a hold is: holdLine of package queue.
CREATE FUNCTION hold_line(h holds) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT h.kind || ' h' || h.id || CASE h.tag WHEN '' THEN '' ELSE ' at ' || h.tag END || ' of ' || few_names(h.apps, 'all apps')
		|| ' in ' || few_names(h.environments, 'all environments') || coalesce(' until ' || rfc3339(h.until), '')
$$;

-- audit_hold adds an entry of the audit for each environment of a hold: entriesOf of
-- package queue.
CREATE FUNCTION audit_hold(h holds, entry jsonb, now_at timestamptz) RETURNS void LANGUAGE sql AS $$
	SELECT add_audit(now_at, jsonb_agg(entry || jsonb_build_object('right', CASE h.kind WHEN 'stop' THEN 'stop' ELSE 'hold' END, 'environment', e.name,
			'app', CASE WHEN e.name <> '' AND cardinality(h.apps) = 1 THEN h.apps[1] ELSE '' END) ORDER BY e.place))
	FROM unnest(CASE cardinality(h.environments) WHEN 0 THEN ARRAY[''] ELSE h.environments END) WITH ORDINALITY AS e (name, place)
$$;

-- What a hold may hold: empty names mean all, and so does the tag ''.
CREATE TYPE hold_scope AS (kind text, environments text[], apps text[], tag text);

-- held_by are the updates that are not ready and have a block of a scope's kind, which may
-- be 'image'.
CREATE FUNCTION held_by(s hold_scope, now_at timestamptz) RETURNS TABLE (sequence bigint) LANGUAGE sql STABLE AS $$
	SELECT u.sequence FROM unnest(CASE cardinality(s.environments) WHEN 0 THEN ARRAY(SELECT environments('')) ELSE s.environments END) AS lane
	CROSS JOIN LATERAL (
		SELECT o.sequence, o.tag, o.blocked_by FROM updates o WHERE s.kind <> 'image' AND cardinality(s.apps) = 0 AND o.environment = lane AND o.was_held AND o.ready_at > now_at
		UNION ALL
		SELECT o.sequence, o.tag, o.blocked_by FROM updates o WHERE s.kind = 'image' AND o.environment = lane AND o.counts_as = 'image' AND o.ready_at > now_at
		UNION ALL
		SELECT o.* FROM unnest(s.apps) AS name CROSS JOIN LATERAL (
			SELECT o.sequence, o.tag, o.blocked_by FROM updates o WHERE o.environment = lane AND o.app = name AND o.was_held AND o.ready_at > now_at OFFSET 0) AS o
	) AS u WHERE (s.tag = '' OR u.tag = s.tag) AND u.blocked_by @> jsonb_build_array(jsonb_build_object('kind', s.kind))
$$;

-- ended_block is gitops.Block.Ended.
CREATE FUNCTION ended_block(b jsonb, now_at timestamptz) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT b || jsonb_build_object('until', CASE WHEN b->>'kind' = 'image' AND NOT b ? 'until' THEN to_timestamp(0) ELSE now_at END)
$$;

-- make_ready makes ready what the scopes may hold, as if its blocks had an end that has
-- come, and says how many updates that are and in which lanes. A dry one only counts. The
-- caller has the turn.
CREATE FUNCTION make_ready(scopes hold_scope[], now_at timestamptz, dry boolean, OUT updates bigint, OUT lanes text[]) LANGUAGE sql AS $$
	WITH held AS MATERIALIZED (
		SELECT DISTINCT h.sequence FROM unnest(scopes) AS s CROSS JOIN LATERAL held_by(s, now_at) AS h
	), ready AS (
		UPDATE updates u SET ready_at = now_at, blocked_by = CASE jsonb_array_length(u.blocked_by)
			WHEN 1 THEN jsonb_build_array(ended_block(u.blocked_by->0, now_at))
			ELSE (SELECT jsonb_agg(ended_block(b.value, now_at) ORDER BY b.place) FROM jsonb_array_elements(u.blocked_by) WITH ORDINALITY AS b (value, place))
			END
		FROM held WHERE NOT dry AND u.sequence = held.sequence RETURNING u.environment
	)
	SELECT (SELECT count(*) FROM held), (SELECT coalesce(array_agg(DISTINCT environment), '{}') FROM ready)
$$;

-- end_holds lifts those of the holds that are in force, with their entries in the audit,
-- and makes ready what they may have blocked. The caller has the turn.
CREATE FUNCTION end_holds(ids bigint[], who text, by_actor text, why text, entry jsonb, now_at timestamptz, dry boolean, OUT ended bigint[], OUT updates bigint, OUT lanes text[])
LANGUAGE plpgsql AS $$
DECLARE
	base bigint;
	held holds;
BEGIN
	SELECT coalesce(array_agg(h.id ORDER BY h.id), '{}') INTO ended FROM holds h WHERE h.id = ANY (ids) AND h.ends_at > now_at;
	SELECT m.updates, m.lanes INTO updates, lanes FROM make_ready(ARRAY(SELECT (h.kind, h.environments, h.apps, CASE h.kind WHEN 'bad' THEN h.tag ELSE '' END)::hold_scope
		FROM holds h WHERE h.id = ANY (ended)), now_at, dry) AS m;
	IF dry OR ended = '{}' THEN
		RETURN;
	END IF;
	base := next_numbers(cardinality(ended));
	INSERT INTO lifts (hold, number, at, principal, actor, reason)
		SELECT e.id, base + e.place, now_at, who, by_actor, why FROM unnest(ended) WITH ORDINALITY AS e (id, place);
	UPDATE holds SET ends_at = NULL WHERE id = ANY (ended);
	FOR held IN SELECT h.* FROM holds h WHERE h.id = ANY (ended) ORDER BY h.id LOOP
		PERFORM audit_hold(held, entry || jsonb_build_object('act', 'lift', 'principal', who, 'actor', by_actor, 'reason', why,
			'before', hold_line(held), 'after', 'lifted'), now_at);
	END LOOP;
END $$;

-- raise_revision gives the holds a revision for each of so many changes. It is by the
-- clock, so that a server that lost the last ones gives none of them to something else.
CREATE FUNCTION raise_revision(many bigint, now_at timestamptz) RETURNS void LANGUAGE sql AS $$
	UPDATE holds_state SET revision = greatest(revision + 1, (extract(epoch FROM now_at) * 1000000)::bigint) + many - 1 WHERE many > 0
$$;

-- lift ends holds: see queue.Holds.Lift. It fails with TM003, and the id for its message,
-- where there is none of an id.
CREATE FUNCTION lift(at timestamptz, ids bigint[], who text, by_actor text, why text, entry jsonb, dry boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	missing bigint;
	done    record;
BEGIN
	IF NOT dry THEN
		PERFORM take_turn();
	END IF;
	SELECT i INTO missing FROM unnest(ids) AS i WHERE NOT EXISTS (SELECT FROM holds h WHERE h.id = i) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'h%', missing USING ERRCODE = 'TM003';
	END IF;
	SELECT * INTO done FROM end_holds(ids, who, by_actor, why, entry, coalesce(at, clock_timestamp()), dry);
	IF NOT dry THEN
		PERFORM raise_revision(cardinality(done.ended), coalesce(at, clock_timestamp()));
	END IF;
	RETURN jsonb_build_object('holds', holds_json(ARRAY(SELECT DISTINCT i FROM unnest(ids) AS i ORDER BY 1)), 'updates', done.updates, 'lanes', done.lanes);
END $$;

-- rejudge makes ready what blocks of a kind hold: see queue.Holds.Rejudge. It answers with
-- the lanes.
CREATE FUNCTION rejudge(at timestamptz, kind text, lanes text[]) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
	PERFORM take_turn();
	RETURN (SELECT m.lanes FROM make_ready(ARRAY[(kind, lanes, '{}', '')::hold_scope], coalesce(at, clock_timestamp()), false) AS m);
END $$;

-- place_hold stores one hold under its id, and lifts those that it replaces
-- (gitops.Hold.Replaces). The entry is what those of the audit have beside the hold. The
-- caller has the turn, and raises the revision.
CREATE FUNCTION place_hold(placed bigint, given jsonb, request text, entry jsonb, now_at timestamptz, OUT replaced bigint[], OUT lanes text[]) LANGUAGE plpgsql AS $$
DECLARE
	h      holds := jsonb_populate_record(NULL::holds, given);
	before text;
BEGIN
	SELECT coalesce(array_agg(o.id ORDER BY o.id), '{}'), coalesce(string_agg(hold_line(o), '; ' ORDER BY o.id), '') INTO replaced, before
	FROM holds o WHERE h.kind IN ('pin', 'bad') AND o.ends_at > now_at AND o.kind = h.kind AND o.apps[1] = h.apps[1] AND (h.kind = 'pin' OR o.tag = h.tag)
		AND o.environments @> h.environments AND o.environments <@ h.environments AND o.apps @> h.apps AND o.apps <@ h.apps;
	h.number := next_numbers(1) + 1;
	IF replaced <> '{}' THEN
		SELECT e.lanes INTO lanes FROM end_holds(replaced, h.principal, h.actor, 'replaced by h' || placed, entry || jsonb_build_object('rule', h.rule), now_at, false) AS e;
	END IF;
	h.id := placed;
	h.since := now_at;
	h.ends_at := coalesce(h.until, 'infinity');
	h.request := request;
	INSERT INTO holds SELECT h.*;
	PERFORM audit_hold(h, entry || jsonb_build_object('act', 'hold', 'principal', h.principal, 'actor', h.actor, 'rule', h.rule, 'reason', h.reason,
		'before', before, 'after', hold_line(h)), now_at);
END $$;

-- place stores holds with an order: see queue.Holds.Place. The delivery is one as accept
-- takes it, or null. It fails with TM004 when the request is known, with TM005, and the
-- head for its message, when the head says that something else was written than was
-- expected, and with TM006 when too many hold.
CREATE FUNCTION place(at timestamptz, given jsonb, request text, delivery_args jsonb, update_args jsonb, content bytea, most_waiting bigint, images jsonb,
	expected text, entry jsonb, entries jsonb, most bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	now_at   timestamptz;
	one      record;
	last_id  bigint;
	placed   bigint[];
	replaced bigint[] := '{}';
	lanes    text[] := '{}';
	accepted jsonb;
	head     jsonb;
BEGIN
	PERFORM take_turn();
	now_at := coalesce(at, clock_timestamp());
	IF delivery_args IS NULL AND EXISTS (SELECT FROM holds h WHERE place.request <> '' AND h.request = place.request) THEN
		RAISE EXCEPTION 'the request is known' USING ERRCODE = 'TM004';
	END IF;
	UPDATE holds_state SET last = last + jsonb_array_length(given) RETURNING last - jsonb_array_length(given) INTO last_id;
	placed := ARRAY(SELECT last_id + n FROM generate_series(1, jsonb_array_length(given)) AS n);
	FOR one IN SELECT p.* FROM jsonb_array_elements(given) WITH ORDINALITY AS g (value, place)
		CROSS JOIN LATERAL place_hold(last_id + g.place, g.value, request, entry, now_at) AS p ORDER BY g.place LOOP
		replaced := replaced || one.replaced;
		lanes := lanes || one.lanes;
	END LOOP;
	PERFORM raise_revision(cardinality(placed), now_at);
	IF delivery_args IS NOT NULL THEN
		SELECT jsonb_agg(to_jsonb(a)) INTO accepted FROM accept(at, delivery_args, update_args, ARRAY[content], most_waiting, images) AS a;
		IF accepted IS NULL THEN
			RAISE EXCEPTION 'the request is known' USING ERRCODE = 'TM004';
		END IF;
	END IF;
	SELECT coalesce((SELECT to_jsonb(h) FROM heads h WHERE h.environment = update_args->0->>'environment' AND h.app = update_args->0->>'app'), '{}') INTO head;
	IF expected <> '' AND coalesce(head->>'written_id', '') <> expected THEN
		RAISE EXCEPTION '%', head USING ERRCODE = 'TM005';
	END IF;
	IF (SELECT count(*) FROM holds h WHERE h.ends_at > now_at) > most AND placed <> '{}' THEN
		RAISE EXCEPTION 'too many holds' USING ERRCODE = 'TM006';
	END IF;
	IF jsonb_array_length(entries) > 0 THEN
		PERFORM add_audit(now_at, entries);
	END IF;
	RETURN jsonb_build_object('holds', holds_json(placed), 'replaced', holds_json(replaced), 'lanes', lanes, 'accepted', accepted);
END $$;

-- prune_holds forgets at most so many holds that ended before a time, and says how many.
CREATE FUNCTION prune_holds(before timestamptz, most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	gone integer;
BEGIN
	DELETE FROM holds WHERE id = ANY (ARRAY((SELECT l.hold FROM lifts l WHERE l.at < before ORDER BY l.at LIMIT most)
		UNION ALL (SELECT h.id FROM holds h WHERE h.ends_at < before ORDER BY h.ends_at LIMIT most) LIMIT most));
	GET DIAGNOSTICS gone = ROW_COUNT;
	RETURN gone;
END $$;
