-- What is left of deliveries that were pruned, so that they do not count again: the
-- hash of the key (queue.KeyHash), and of what was accepted the digest of its body.
CREATE TABLE memories (
	hash        bytea PRIMARY KEY, -- 32 bytes
	delivery    text NOT NULL,     -- source/id, of a digest
	received_at timestamptz NOT NULL
);
CREATE INDEX memories_received ON memories (received_at);

-- Who did what. The entries of orders are the updates themselves, with their
-- deliveries, in the view orders: accepting writes nothing for them. What prune forgets
-- of those it moves here, in the same transaction, under the same sequence. Other
-- entries draw a number of their own, as deliveries do, so all have one order.
CREATE TABLE audit (
	sequence    bigint PRIMARY KEY,
	at          timestamptz NOT NULL,
	act         text NOT NULL,
	principal   text NOT NULL,
	actor       text NOT NULL,
	credential  text NOT NULL,
	remote      text NOT NULL,
	asked       text NOT NULL, -- the right
	rule        text NOT NULL,
	environment text NOT NULL,
	app         text NOT NULL,
	update_id   text NOT NULL,
	delivery    text NOT NULL, -- source/id
	reason      text NOT NULL,
	was         text NOT NULL,
	became      text NOT NULL,
	config      text NOT NULL
);
CREATE INDEX audit_environments ON audit (environment, (sequence + 0));
CREATE INDEX audit_apps ON audit (environment, app, (sequence + 0));
CREATE INDEX audit_principals ON audit (principal, (sequence + 0));
CREATE INDEX audit_times ON audit (at);

-- The entries of updates whose deliveries are kept, with the columns of audit.
CREATE VIEW orders AS SELECT u.sequence, u.accepted_at AS at, 'order' AS act, d.principal, d.actor, d.credential, d.remote, 'order' AS asked, u.rule,
	u.environment, u.app, u.id AS update_id, d.source || '/' || d.id AS delivery, coalesce(u.terms->>'reason', '') AS reason, '' AS was,
	CASE u.digest WHEN '' THEN u.tag ELSE u.tag || '@' || u.digest END AS became, d.config
	FROM updates u JOIN deliveries d ON d.number = u.sequence / 65536;

-- The record only grows. prune_audit says, in its transaction, up to when entries go.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$;
CREATE FUNCTION refuse_loss() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.at < nullif(current_setting('tallyman.audit_before', true), '')::timestamptz THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'the audit is append-only';
END $$;
CREATE FUNCTION refuse_lost_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM audit WHERE sequence = OLD.sequence) THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'the audit is append-only';
END $$;
CREATE FUNCTION refuse_lost_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM updates WHERE sequence BETWEEN OLD.number * 65536 AND OLD.number * 65536 + 65535) THEN
		RAISE EXCEPTION 'the audit is append-only';
	END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_loss();
CREATE TRIGGER deliveries_unchanged BEFORE UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER deliveries_kept BEFORE DELETE ON deliveries FOR EACH ROW EXECUTE FUNCTION refuse_lost_delivery();
CREATE TRIGGER deliveries_not_emptied BEFORE TRUNCATE ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER orders_unchanged BEFORE UPDATE OF sequence, id, environment, app, repository, tag, digest, rule, revision, terms, accepted_at ON updates
	FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER orders_not_emptied BEFORE TRUNCATE ON updates FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER orders_kept BEFORE DELETE ON updates FOR EACH ROW EXECUTE FUNCTION refuse_lost_order();

-- add_audit adds entries, in their order.
CREATE FUNCTION add_audit(at timestamptz, entries jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	base bigint;
BEGIN
	base := next_numbers(jsonb_array_length(entries));
	INSERT INTO audit (sequence, at, act, principal, actor, credential, remote, asked, rule, environment, app, update_id, delivery, reason, was, became, config)
	SELECT (base + a.place) * 65536, coalesce(e.at, add_audit.at, clock_timestamp()), e.act, e.principal, e.actor, e.credential, e.remote, e."right", e.rule,
		e.environment, e.app, e.update, e.delivery, e.reason, e.before, e.after, e.config
	FROM jsonb_array_elements(entries) WITH ORDINALITY AS a (value, place) CROSS JOIN LATERAL jsonb_to_record(a.value) AS e (at timestamptz, act text,
		principal text, actor text, credential text, remote text, "right" text, rule text, environment text, app text, update text, delivery text,
		reason text, before text, after text, config text);
END $$;

-- prune_audit forgets at most so many entries from before a time, and so much of what
-- was remembered of deliveries. It returns the larger of the two numbers.
CREATE FUNCTION prune_audit(before timestamptz, most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	entries integer;
	hashes  integer;
BEGIN
	PERFORM set_config('tallyman.audit_before', before::text, true);
	DELETE FROM audit WHERE sequence = ANY (ARRAY(SELECT a.sequence FROM audit a WHERE a.at < before ORDER BY a.at LIMIT most FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS entries = ROW_COUNT;
	DELETE FROM memories WHERE hash = ANY (ARRAY(SELECT m.hash FROM memories m WHERE m.received_at < before ORDER BY m.received_at LIMIT most));
	GET DIAGNOSTICS hashes = ROW_COUNT;
	RETURN greatest(entries, hashes);
END $$;

-- sequence_at is a sequence that all entries from before a time are below, found by
-- halving what there is.
CREATE FUNCTION sequence_at(edge timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	low    bigint := 0; -- numbers
	high   bigint;
	middle bigint;
	began  timestamptz;
BEGIN
	SELECT last_value + 1 INTO high FROM counter;
	WHILE low < high LOOP
		middle := (low + high) / 2;
		SELECT e.at INTO began FROM (
			(SELECT u.sequence, u.accepted_at AS at FROM updates u WHERE u.sequence >= middle * 65536 ORDER BY u.sequence LIMIT 1)
			UNION ALL (SELECT a.sequence, a.at FROM audit a WHERE a.sequence >= middle * 65536 ORDER BY a.sequence LIMIT 1)
		) AS e ORDER BY e.sequence LIMIT 1;
		IF began < edge THEN
			low := middle + 1;
		ELSE
			high := middle;
		END IF;
	END LOOP;
	RETURN low * 65536;
END $$;

-- audit_in are the newest entries below a sequence that are in one of the areas, which
-- are pairs of an environment and an app where '' means all. Areas may overlap, and the
-- limit counts an entry of several once: a page that repeats one would look like the last.
CREATE FUNCTION audit_in(below bigint, most integer, area_environments text[], area_apps text[]) RETURNS TABLE (sequence bigint) LANGUAGE sql STABLE AS $$
	WITH RECURSIVE known AS (
		SELECT (SELECT min(environment) FROM audit) AS environment
		UNION ALL
		SELECT (SELECT min(a.environment) FROM audit a WHERE a.environment > k.environment) FROM known k WHERE k.environment IS NOT NULL
	), area AS (
		SELECT k.environment, a.app FROM unnest(area_environments, area_apps) AS a (environment, app)
		JOIN known k ON k.environment <> '' AND k.environment = CASE a.environment WHEN '' THEN k.environment ELSE a.environment END
	)
	SELECT DISTINCT e.sequence FROM area CROSS JOIN LATERAL (
		(SELECT a.sequence FROM audit a WHERE area.app = '' AND a.environment = area.environment AND a.sequence + 0 < below ORDER BY a.sequence + 0 DESC LIMIT most)
		UNION ALL
		(SELECT a.sequence FROM audit a WHERE area.app <> '' AND a.environment = area.environment AND a.app = area.app AND a.sequence + 0 < below ORDER BY a.sequence + 0 DESC LIMIT most)
	) AS e ORDER BY e.sequence DESC LIMIT most
$$;

-- rejected_in are the numbers of rejected orders that were for an area, in the same way.
CREATE FUNCTION rejected_in(below bigint, most integer, area_environments text[], area_apps text[]) RETURNS TABLE (number bigint) LANGUAGE sql STABLE AS $$
	WITH RECURSIVE known AS (
		SELECT (SELECT min(environment) FROM deliveries WHERE environment <> '') AS environment
		UNION ALL
		SELECT (SELECT min(d.environment) FROM deliveries d WHERE d.environment > k.environment AND d.environment <> '') FROM known k WHERE k.environment IS NOT NULL
	), area AS (
		SELECT k.environment, a.app FROM unnest(area_environments, area_apps) AS a (environment, app)
		JOIN known k ON k.environment = CASE a.environment WHEN '' THEN k.environment ELSE a.environment END
	)
	SELECT DISTINCT e.number FROM area CROSS JOIN LATERAL (
		(SELECT d.number FROM deliveries d WHERE area.app = '' AND d.environment = area.environment AND d.environment <> '' AND d.number + 0 < below
			ORDER BY d.number + 0 DESC LIMIT most)
		UNION ALL
		(SELECT d.number FROM deliveries d WHERE area.app <> '' AND d.environment = area.environment AND d.environment <> '' AND d.app = area.app AND d.number + 0 < below
			ORDER BY d.number + 0 DESC LIMIT most)
	) AS e ORDER BY e.number DESC LIMIT most
$$;

-- updates_in is the same for updates in one of the states.
CREATE FUNCTION updates_in(below bigint, most integer, area_environments text[], area_apps text[], among text[]) RETURNS TABLE (sequence bigint) LANGUAGE sql STABLE AS $$
	SELECT DISTINCT e.sequence FROM unnest(area_environments, area_apps) AS area (environment, app) CROSS JOIN LATERAL environments(area.environment) AS named (environment)
	CROSS JOIN unnest(among) AS s CROSS JOIN LATERAL (
		(SELECT u.sequence FROM updates u WHERE area.app = '' AND u.environment = named.environment AND u.state = s AND u.sequence + 0 < below
			ORDER BY u.sequence + 0 DESC LIMIT most)
		UNION ALL
		(SELECT u.sequence FROM updates u WHERE area.app <> '' AND u.environment = named.environment AND u.app = area.app AND u.state = s AND u.sequence + 0 < below
			ORDER BY u.sequence + 0 DESC LIMIT most)
	) AS e ORDER BY e.sequence DESC LIMIT most
$$;
