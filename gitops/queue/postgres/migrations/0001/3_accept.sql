-- A version that an update which only goes up may not be lower than: gitops.VersionKey,
-- and the tag with where it is, as in '2.0.0, which is pending (update ID)'.
CREATE TYPE version_floor AS (version text, held_by text);

-- What is known of an app while the updates of a call are judged, one after the other:
-- the newest times of gitops.Head, and the highest version that the call has accepted
-- so far.
CREATE TYPE app_state AS (event timestamptz, receipt timestamptz, order_event timestamptz, order_receipt timestamptz,
	pushed_version text COLLATE "C", pushed_event timestamptz, word timestamptz, accepted_version text COLLATE "C", highest version_floor);

-- An update that is judged. "event" is null where the sender's time says nothing, and
-- "floor" is what the tables hold, for an update that only goes up.
CREATE TYPE arrival AS (id text, environment text, app text, tag text, version text, event timestamptz, receipt timestamptz, accepted timestamptz,
	person boolean, recovered boolean, only_up boolean, floor version_floor);

-- late returns when a newer event of the same app was accepted, and null when this one
-- is not late. It is gitops.Head.Late: a newest time after the receipt was made by a
-- clock that was wrong, and what only goes up is compared with orders, and with pushes
-- of the same or a higher version.
CREATE FUNCTION late(known app_state, a arrival) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
	newest timestamptz;
BEGIN
	IF a.only_up THEN
		newest := greatest(CASE WHEN known.order_event <= a.receipt THEN known.order_event END,
			CASE WHEN known.order_receipt <= a.receipt AND (a.recovered OR known.order_receipt - a.event > interval '1 minute') THEN known.order_receipt END,
			CASE WHEN known.pushed_event <= a.receipt AND (known.pushed_version = '' OR a.version <= known.pushed_version COLLATE "C") THEN known.pushed_event END);
	ELSE
		newest := greatest(CASE WHEN known.event <= a.receipt THEN known.event END,
			CASE WHEN a.recovered AND known.receipt <= a.receipt THEN known.receipt END);
	END IF;
	IF NOT a.person AND known.word <= a.accepted AND known.word - a.event > interval '1 minute' THEN
		newest := greatest(newest, known.word);
	END IF;
	RETURN CASE WHEN date_trunc('second', a.event) < date_trunc('second', newest) THEN newest END;
END $$;

-- higher is the higher of two versions.
CREATE FUNCTION higher(a version_floor, b version_floor) RETURNS version_floor LANGUAGE sql IMMUTABLE AS
	$$ SELECT CASE WHEN b.version > coalesce(a.version, '') COLLATE "C" THEN b ELSE a END $$;

-- is_bad reports whether a tag of an app is marked as bad. Such a mark has no end.
CREATE FUNCTION is_bad(lane text, name text, its_tag text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM holds h WHERE h.kind = 'bad' AND h.apps[1] = name AND h.ends_at = 'infinity' AND h.tag = its_tag
		AND (h.environments = '{}' OR lane = ANY (h.environments)));
END $$;

-- highest_version is the highest among what was last written of an app and its open
-- updates. A tag that is marked as bad counts for nothing: the fix of a version that was
-- rolled back may have a lower one.
CREATE FUNCTION highest_version(lane text, name text) RETURNS version_floor LANGUAGE sql STABLE AS $$
	SELECT higher(
		(SELECT (h.written_version, h.written_tag || ', which is on the branch (update ' || h.written_id || ')')::version_floor
			FROM heads h WHERE h.environment = lane AND h.app = name AND h.written_version <> '' AND NOT is_bad(lane, name, h.written_tag)),
		(SELECT (u.version, u.tag || ', which is ' || u.state || ' (update ' || u.id || ')')::version_floor
			FROM updates u WHERE u.environment = lane AND u.app = name AND u.finished_at IS NULL AND u.version <> '' AND NOT is_bad(lane, name, u.tag)
			ORDER BY u.version DESC LIMIT 1))
$$;

-- lower_than is gitops.LowerThan where a tag is a lower version than the floor, and null
-- where it is not.
CREATE FUNCTION lower_than(floor version_floor, tag text, version text, app text, environment text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT format('%1$s is lower than %2$s: an image that is pushed does not lower the version of %3$s in %4$s. '
		'To go down, order it by name: tallyman update %3$s %1$s --env %4$s', tag, floor.held_by, app, environment) WHERE version <> '' AND version < floor.version COLLATE "C"
$$;

CREATE FUNCTION rfc3339(at timestamptz) RETURNS text LANGUAGE sql STABLE AS
	$$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;

-- late_behind is gitops.Head.LateBehind.
CREATE FUNCTION late_behind(known app_state, a arrival, newest timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	by_word boolean := NOT a.person AND coalesce(newest = known.word, false);
	reason  text := format(CASE WHEN by_word THEN 'a person ordered %s in %s at %s, after this release from %s'
		ELSE 'a release of %s in %s from %s was accepted before this one from %s' END, a.app, a.environment, rfc3339(newest), rfc3339(a.event));
BEGIN
	IF by_word OR a.only_up THEN
		reason := reason || format('. To write %2$s all the same, order it by name: tallyman update %1$s %2$s --env %3$s', a.app, a.tag, a.environment);
	END IF;
	RETURN reason;
END $$;

-- why_superseded is why an update is superseded when it is accepted, and null when it
-- is not.
CREATE FUNCTION why_superseded(known app_state, a arrival) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	newest timestamptz := late(known, a);
BEGIN
	IF newest IS NOT NULL THEN
		RETURN late_behind(known, a, newest);
	ELSIF a.only_up THEN
		RETURN lower_than(higher(a.floor, known.highest), a.tag, a.version, a.app, a.environment);
	END IF;
	RETURN NULL;
END $$;

-- after_arrival is what is known after an update was judged: as gitops.Head.Accept has
-- it, or as gitops.Head.AcceptSuperseded when the update was superseded.
CREATE FUNCTION after_arrival(known app_state, a arrival) RETURNS app_state LANGUAGE plpgsql STABLE AS $$
DECLARE
	superseded boolean := why_superseded(known, a) IS NOT NULL;
BEGIN
	known.accepted_version := greatest(coalesce(known.accepted_version, '') COLLATE "C", a.version);
	IF superseded THEN
		RETURN known;
	END IF;
	IF a.person THEN
		known.word := newer(known.word, a.accepted, a.accepted);
	END IF;
	IF a.only_up AND known.pushed_version IS DISTINCT FROM a.version THEN
		known.pushed_version := a.version;
		known.pushed_event := NULL;
	END IF;
	CASE
		WHEN a.event IS NULL THEN known.receipt := newer(known.receipt, a.receipt, a.receipt);
		ELSE known.event := newer(known.event, a.event, a.receipt);
	END CASE;
	CASE
		WHEN a.only_up AND a.event IS NULL THEN NULL;
		WHEN a.only_up THEN known.pushed_event := newer(known.pushed_event, a.event, a.receipt);
		WHEN a.event IS NULL THEN known.order_receipt := newer(known.order_receipt, a.receipt, a.receipt);
		ELSE known.order_event := newer(known.order_event, a.event, a.receipt);
	END CASE;
	IF a.version <> '' AND NOT is_bad(a.environment, a.app, a.tag) THEN
		known.highest := higher(known.highest, (a.version, a.tag || ', which is pending (update ' || a.id || ')')::version_floor);
	END IF;
	RETURN known;
END $$;

-- newer is the later of two times, where one after now counts as unknown.
CREATE FUNCTION newer(known timestamptz, at timestamptz, now_at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
	$$ SELECT CASE WHEN known IS NULL OR known > now_at OR at > known THEN at ELSE known END $$;

-- after_arrivals is what is known after several updates of an app, in their order; it
-- begins with what its head knows, which is the same for all.
CREATE FUNCTION after_next_arrival(known app_state, of_head app_state, a arrival) RETURNS app_state LANGUAGE sql STABLE AS
	$$ SELECT after_arrival(coalesce(known, of_head), a) $$;
CREATE AGGREGATE after_arrivals(of_head app_state, a arrival) (SFUNC = after_next_arrival, STYPE = app_state);

-- accept takes deliveries in, and their updates, which name their delivery by its
-- place in the call. It answers with a row for each update that is new, and one
-- without a sequence for each new delivery that has none; a delivery that exists has
-- no row, nor has one that would wait where "most_waiting" do. Times are the database's
-- unless "at" gives one. "waits" counts those of the call that would wait, and is 0 for
-- the others; "decided" is true of one that waited. "images" are those that its deliveries
-- say are in a registry, or null: those of the new ones are recorded.
--
-- A receipt that a replica's clock puts ahead of the database's counts as now: else it
-- would make late what really comes later. The call's own rows are joined by hash, since
-- nested loops over them would be quadratic.
CREATE FUNCTION accept(at timestamptz, delivery_args jsonb, update_args jsonb, contents bytea[], most_waiting bigint, images jsonb)
RETURNS TABLE (delivery integer, accepted_at timestamptz, sequence bigint, state text, reason text)
LANGUAGE plpgsql SET enable_hashjoin = on AS $$
#variable_conflict use_column
DECLARE
	base   bigint;
	now_at timestamptz;
BEGIN
	base := next_numbers(cardinality(contents));
	now_at := coalesce(at, clock_timestamp());
	RETURN QUERY
	WITH added AS (
		INSERT INTO deliveries (number, source, id, received_at, event_time, actor, principal, remote, recovered, credential, outcome, field, reason,
			environment, app, config, body_digest, event, decided_at)
		SELECT base + d.place, d.source, d.id, coalesce(d.received_at, now_at),
			CASE WHEN d.outcome = 'waiting' AND d.event_time IS NULL THEN now_at WHEN d.outcome = 'waiting' THEN least(d.event_time, now_at) ELSE d.event_time END, -- queue.WaitingSince
			d.actor, d.principal, d.remote, d.recovered, d.credential, d.outcome, d.field, d.reason, d.environment, d.app, d.config,
			d.body_digest, d.event, CASE WHEN d.decided THEN now_at END
		FROM jsonb_to_recordset(delivery_args) AS d (place integer, source text, id text, received_at timestamptz, event_time timestamptz,
			actor text, principal text, remote text, recovered boolean, credential text, outcome text, field text, reason text,
			environment text, app text, config text, body_digest bytea, key_hash bytea,
			event bytea, decided boolean, waits bigint)
		-- Each is a search in an index: a limit keeps the planner from joining the whole table.
		WHERE (SELECT true FROM memories WHERE hash = d.key_hash LIMIT 1) IS NULL
			AND (d.outcome NOT IN ('accepted', 'waiting') OR d.body_digest IS NULL OR (SELECT true FROM memories WHERE hash = d.body_digest LIMIT 1) IS NULL)
			AND (d.waits = 0 OR d.waits + (SELECT count(*) FROM deliveries WHERE outcome = 'waiting') <= most_waiting)
		ORDER BY d.place
		ON CONFLICT DO NOTHING
		RETURNING number, least(coalesce(decided_at, received_at), now_at) AS receipt, event_time, recovered OR decided_at IS NOT NULL AS recovered,
			starts_with(principal, 'token:') AS person -- gitops.IsPerson
	), kept AS (
		INSERT INTO bodies (delivery, body) SELECT number, contents[number - base] FROM added
	), asked AS (
		SELECT u.*, a.number * 65536 + u.place AS sequence, (u.id, u.environment, u.app, u.tag, u.version,
			CASE WHEN a.event_time < a.receipt THEN a.event_time END, -- an event cannot have happened after its receipt
			a.receipt, now_at, a.person, a.recovered, u.only_up, CASE WHEN u.only_up THEN highest_version(u.environment, u.app) END)::arrival AS arrival
		FROM added a JOIN jsonb_to_recordset(update_args) AS u (delivery integer, place integer, id text, environment text, app text,
			repository text, tag text, version text, only_up boolean, digest text, rule text, revision text, terms jsonb) ON u.delivery = a.number - base
	), in_order AS (
		SELECT a.*, coalesce(after_arrivals(k.known, a.arrival) OVER earlier, k.known) AS known,
			lead(a.sequence) OVER (PARTITION BY a.environment, a.app ORDER BY a.sequence) IS NULL AS last
		FROM asked a LEFT JOIN LATERAL (SELECT * FROM heads WHERE environment = a.environment AND app = a.app LIMIT 1) AS h ON true
		CROSS JOIN LATERAL (SELECT (h.newest_event, h.newest_receipt, h.order_event, h.order_receipt, h.pushed_version, h.pushed_event, h.word, h.accepted_version, NULL)::app_state AS known) AS k
		WINDOW earlier AS (PARTITION BY a.environment, a.app ORDER BY a.sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
	), judged AS (
		SELECT i.*, why_superseded(i.known, i.arrival) AS reason, after_arrival(i.known, i.arrival) AS after FROM in_order i
	), enqueued AS (
		INSERT INTO updates (sequence, id, environment, app, repository, tag, version, only_up, digest, rule, revision, terms, state, reason, accepted_at, finished_at)
		SELECT j.sequence, j.id, j.environment, j.app, j.repository, j.tag, j.version, j.only_up, j.digest, j.rule, j.revision, j.terms,
			CASE WHEN j.reason IS NULL THEN 'pending' ELSE 'superseded' END, coalesce(j.reason, ''),
			now_at, CASE WHEN j.reason IS NOT NULL THEN now_at END
		FROM judged j
		RETURNING sequence, state, reason
	), remembered AS (
		INSERT INTO heads AS h (environment, app, newest_event, newest_receipt, order_event, order_receipt, pushed_version, pushed_event, word, accepted_version)
		SELECT j.environment, j.app, (j.after).event, (j.after).receipt, (j.after).order_event, (j.after).order_receipt,
			coalesce((j.after).pushed_version, ''), (j.after).pushed_event, (j.after).word, (j.after).accepted_version FROM judged j WHERE j.last
		ON CONFLICT (environment, app) DO UPDATE SET newest_event = excluded.newest_event, newest_receipt = excluded.newest_receipt,
			order_event = excluded.order_event, order_receipt = excluded.order_receipt,
			pushed_version = excluded.pushed_version, pushed_event = excluded.pushed_event, word = excluded.word,
			accepted_version = excluded.accepted_version
		WHERE (h.newest_event, h.newest_receipt, h.order_event, h.order_receipt, h.pushed_version, h.pushed_event, h.word, h.accepted_version)
			IS DISTINCT FROM (excluded.newest_event, excluded.newest_receipt, excluded.order_event, excluded.order_receipt, excluded.pushed_version,
				excluded.pushed_event, excluded.word, excluded.accepted_version)
	)
	SELECT (a.number - base)::integer, now_at, e.sequence, e.state, e.reason
	FROM added a LEFT JOIN enqueued e ON e.sequence / 65536 = a.number
	ORDER BY a.number, e.sequence;
	IF images IS NOT NULL THEN
		PERFORM record_images((SELECT jsonb_agg(i.value ORDER BY i.nth) FROM jsonb_array_elements(images) WITH ORDINALITY AS i (value, nth)
			WHERE EXISTS (SELECT FROM deliveries d WHERE d.number = base + (i.value->>'place')::bigint)), now_at);
	END IF;
END $$;

-- settle puts a delivery in the place of the one with its key that waits, as accept takes
-- it in at this moment, and answers as accept does: with no row where none waits. Its body
-- is known only where two stores were mixed: then the one that waits stays.
CREATE FUNCTION settle(at timestamptz, delivery_args jsonb, update_args jsonb, content bytea, images jsonb)
RETURNS TABLE (delivery integer, accepted_at timestamptz, sequence bigint, state text, reason text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	waiting bigint;
BEGIN
	PERFORM take_turn();
	DELETE FROM deliveries d WHERE d.source = delivery_args->0->>'source' AND d.id = delivery_args->0->>'id' AND d.outcome = 'waiting'
		RETURNING d.number INTO waiting;
	IF waiting IS NULL THEN
		RETURN;
	END IF;
	DELETE FROM bodies WHERE delivery = waiting;
	RETURN QUERY SELECT * FROM accept(at, delivery_args, update_args, ARRAY[content], 0, images);
	IF NOT FOUND THEN
		RAISE unique_violation USING MESSAGE = 'the body of the waiting delivery is known';
	END IF;
END $$;
