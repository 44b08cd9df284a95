-- What a head knows of events: gitops.Head.NewestEvent and NewestReceipt.
CREATE TYPE newest_times AS (event timestamptz, receipt timestamptz);

-- late returns when a newer event of the same app was accepted, and null when this one
-- is not late. It is gitops.Head.Late: "event" is null where the sender's time says
-- nothing, and a newest time after the receipt was made by a clock that was wrong.
CREATE FUNCTION late(known newest_times, event timestamptz, receipt timestamptz, recovered boolean)
RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
	newest timestamptz := greatest(CASE WHEN known.event <= receipt THEN known.event END,
		CASE WHEN recovered AND known.receipt <= receipt THEN known.receipt END);
BEGIN
	RETURN CASE WHEN date_trunc('second', event) < date_trunc('second', newest) THEN newest END;
END $$;

-- after_event is what is known after an event: gitops.Head.Accept, or the same as
-- before when the event is late.
CREATE FUNCTION after_event(known newest_times, event timestamptz, receipt timestamptz, recovered boolean)
RETURNS newest_times LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF event IS NULL THEN
		known.receipt := newer(known.receipt, receipt, receipt);
	ELSIF late(known, event, receipt, recovered) IS NULL THEN
		known.event := newer(known.event, event, receipt);
	END IF;
	RETURN known;
END $$;

-- newer is the later of two times, where one after now counts as unknown.
CREATE FUNCTION newer(known timestamptz, at timestamptz, now_at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
	$$ SELECT CASE WHEN known IS NULL OR known > now_at OR at > known THEN at ELSE known END $$;

-- after_events is what is known after several events of an app, in their order; it
-- begins with what its head knows, which is the same for all.
CREATE FUNCTION after_next_event(known newest_times, of_head newest_times, event timestamptz, receipt timestamptz, recovered boolean)
RETURNS newest_times LANGUAGE sql STABLE AS
	$$ SELECT after_event(coalesce(known, of_head), event, receipt, recovered) $$;
CREATE AGGREGATE after_events(of_head newest_times, event timestamptz, receipt timestamptz, recovered boolean) (
	SFUNC = after_next_event, STYPE = newest_times);

CREATE FUNCTION rfc3339(at timestamptz) RETURNS text LANGUAGE sql STABLE AS
	$$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') $$;

-- accept takes deliveries in, and their updates, which name their delivery by its
-- place in the call. It answers with a row for each update that is new, and one
-- without a sequence for each new delivery that has none; a delivery that exists has
-- no row. Times are the database's unless "at" gives one.
--
-- A receipt that a replica's clock puts ahead of the database's counts as now: else it
-- would make late what really comes later. The call's own rows are joined by hash, since
-- nested loops over them would be quadratic.
CREATE FUNCTION accept(at timestamptz, delivery_args jsonb, update_args jsonb, contents bytea[])
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
			config, body_digest)
		SELECT base + d.place, d.source, d.id, coalesce(d.received_at, now_at), d.event_time,
			d.actor, d.principal, d.remote, d.recovered, d.credential, d.outcome, d.field, d.reason, d.config, d.body_digest
		FROM jsonb_to_recordset(delivery_args) AS d (place integer, source text, id text, received_at timestamptz, event_time timestamptz,
			actor text, principal text, remote text, recovered boolean, credential text, outcome text, field text, reason text,
			config text, body_digest bytea, key_hash bytea)
		-- Each is a search in an index: a limit keeps the planner from joining the whole table.
		WHERE (SELECT true FROM memories WHERE hash = d.key_hash LIMIT 1) IS NULL
			AND (d.outcome <> 'accepted' OR d.body_digest IS NULL OR (SELECT true FROM memories WHERE hash = d.body_digest LIMIT 1) IS NULL)
		ORDER BY d.place
		ON CONFLICT DO NOTHING
		RETURNING number, least(received_at, now_at) AS receipt, event_time, recovered
	), kept AS (
		INSERT INTO bodies (delivery, body) SELECT number, contents[number - base] FROM added
	), asked AS (
		SELECT u.*, a.number * 65536 + u.place AS sequence, a.receipt, a.recovered,
			CASE WHEN a.event_time < a.receipt THEN a.event_time END AS event -- an event cannot have happened after its receipt
		FROM added a JOIN jsonb_to_recordset(update_args) AS u (delivery integer, place integer, id text, environment text, app text,
			repository text, tag text, digest text, rule text) ON u.delivery = a.number - base
	), in_order AS (
		SELECT a.*, coalesce(after_events(k.known, a.event, a.receipt, a.recovered) OVER earlier, k.known) AS known,
			lead(a.sequence) OVER (PARTITION BY a.environment, a.app ORDER BY a.sequence) IS NULL AS last
		FROM asked a LEFT JOIN LATERAL (SELECT * FROM heads WHERE environment = a.environment AND app = a.app LIMIT 1) AS h ON true
		CROSS JOIN LATERAL (SELECT (h.newest_event, h.newest_receipt)::newest_times AS known) AS k
		WINDOW earlier AS (PARTITION BY a.environment, a.app ORDER BY a.sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
	), judged AS (
		SELECT i.*, late(i.known, i.event, i.receipt, i.recovered) AS late_for, after_event(i.known, i.event, i.receipt, i.recovered) AS after FROM in_order i
	), enqueued AS (
		INSERT INTO updates (sequence, id, environment, app, repository, tag, digest, rule, state, reason, accepted_at, finished_at)
		SELECT j.sequence, j.id, j.environment, j.app, j.repository, j.tag, j.digest, j.rule,
			CASE WHEN j.late_for IS NULL THEN 'pending' ELSE 'superseded' END,
			CASE WHEN j.late_for IS NULL THEN '' ELSE format('a release of %s in %s from %s was accepted before this one from %s',
				j.app, j.environment, rfc3339(j.late_for), rfc3339(j.event)) END,
			now_at, CASE WHEN j.late_for IS NOT NULL THEN now_at END
		FROM judged j
		RETURNING sequence, state, reason
	), remembered AS (
		INSERT INTO heads AS h (environment, app, newest_event, newest_receipt)
		SELECT j.environment, j.app, (j.after).event, (j.after).receipt FROM judged j WHERE j.last
		ON CONFLICT (environment, app) DO UPDATE SET newest_event = excluded.newest_event, newest_receipt = excluded.newest_receipt
		WHERE (h.newest_event, h.newest_receipt) IS DISTINCT FROM (excluded.newest_event, excluded.newest_receipt)
	)
	SELECT (a.number - base)::integer, now_at, e.sequence, e.state, e.reason
	FROM added a LEFT JOIN enqueued e ON e.sequence / 65536 = a.number
	ORDER BY a.number, e.sequence;
END $$;
