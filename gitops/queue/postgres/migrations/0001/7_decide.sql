-- decide applies a person's decision: see queue.Decisions. It answers with the state
-- that it found and why the decision was refused: 'table', 'ready', 'lower', or the id
-- of a later update; with the reason where that is 'lower'; and with no row when there is
-- no such update. A dry one changes nothing. The entry is what the audit's has beside what is known here: see
-- add_audit.
CREATE FUNCTION decide(at timestamptz, which text, decision text, who text, why text, entry jsonb, dry boolean)
RETURNS TABLE (environment text, app text, state text, refusal text, reason text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	subject updates;
	next    states;
	now_at  timestamptz;
	refused text;
	became  text; -- null: nothing changed
	lower   text;
BEGIN
	IF NOT dry THEN
		PERFORM take_turn();
	END IF;
	SELECT u.* INTO subject FROM updates u WHERE u.id = which;
	IF subject.id IS NULL THEN
		RETURN;
	END IF;
	now_at := coalesce(at, clock_timestamp());
	SELECT s.* INTO next FROM transitions t JOIN states s ON s.name = t.to_state WHERE t.from_state = subject.state AND t.action = decision;
	IF next.name IS NULL THEN
		refused := 'table';
	ELSIF decision = 'retry' THEN
		refused := CASE WHEN subject.finished_at IS NOT NULL THEN newer_update(subject.environment, subject.app, subject.sequence)
			WHEN subject.ready_at IS NULL OR subject.ready_at <= now_at THEN 'ready' END;
	END IF;
	IF refused IS NULL AND decision = 'retry' AND subject.finished_at IS NOT NULL AND subject.only_up THEN
		lower := lower_than(highest_version(subject.environment, subject.app), subject.tag, subject.version, subject.app, subject.environment);
		refused := CASE WHEN lower IS NOT NULL THEN 'lower' END;
	END IF;
	IF dry THEN
		NULL;
	ELSIF refused IS NULL AND decision <> 'cancel' THEN
		UPDATE updates u SET state = next.name, blocked_by = '[]', ready_at = NULL, code = '', commit_id = '',
			reason = CASE WHEN next.final THEN why ELSE '' END, finished_at = CASE WHEN next.final THEN now_at END,
			cancel_actor = CASE WHEN NOT next.final THEN cancel_actor END, cancel_reason = CASE WHEN NOT next.final THEN cancel_reason END,
			retried_at = CASE WHEN decision = 'retry' THEN now_at ELSE retried_at END
		WHERE u.sequence = subject.sequence;
		IF NOT FOUND THEN
			RETURN; -- it was pruned meanwhile
		END IF;
		PERFORM record_steps(ARRAY[(NULL, subject.sequence, now_at, NULL, 0, next.name, '', why, '', NULL, who, '')::steps]);
		became := next.name;
	ELSIF refused IS NULL AND subject.cancel_actor IS NULL THEN
		UPDATE updates u SET cancel_actor = who, cancel_reason = why WHERE u.sequence = subject.sequence;
		PERFORM record_steps(ARRAY[(NULL, subject.sequence, now_at, NULL, 0, subject.state, '', why, '', NULL, who, '')::steps]);
		became := 'cancellation requested';
	END IF;
	IF became IS NOT NULL THEN
		PERFORM add_audit(now_at, jsonb_build_array(entry || jsonb_build_object('environment', subject.environment, 'app', subject.app,
			'delivery', (SELECT d.source || '/' || d.id FROM deliveries d WHERE d.number = subject.sequence / 65536),
			'before', subject.state, 'after', became)));
	END IF;
	RETURN QUERY SELECT subject.environment, subject.app, subject.state, refused, lower;
END $$;

-- newest_update is the newest update of an app that is written or open.
CREATE FUNCTION newest_update(lane text, name text) RETURNS TABLE (sequence bigint, id text) LANGUAGE sql STABLE AS $$
	(SELECT h.written, h.written_id FROM heads h WHERE h.environment = lane AND h.app = newest_update.name)
	UNION ALL
	(SELECT u.* FROM states s CROSS JOIN LATERAL (
		SELECT o.sequence, o.id FROM updates o WHERE o.environment = lane AND o.app = newest_update.name AND o.state = s.name
		ORDER BY o.sequence + 0 DESC LIMIT 1
	) AS u WHERE NOT s.final)
	ORDER BY 1 DESC LIMIT 1
$$;

-- newer_update is the id of the newest update of an app after a sequence that is
-- written or open; null without one.
CREATE FUNCTION newer_update(lane text, name text, after bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT n.id FROM newest_update(lane, name) AS n WHERE n.sequence > after
$$;

-- prune deletes those of the deliveries whose updates have all been final since before
-- a time, with all that belongs to them, and returns how many. It does not take the turn,
-- so accepts do not wait for it. Instead it locks the updates, so that none becomes
-- pending meanwhile; what somebody else has locked is left for the next time.
-- The audit keeps its orders, and memories what must not count again, unless the
-- delivery was rejected or is older than "remembered".
CREATE FUNCTION prune(numbers bigint[], before timestamptz, remembered timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	gone    bigint[];
	locked  bigint[];
	deleted integer;
BEGIN
	-- A limit that is no limit keeps the planner from looking through the whole table.
	SELECT array_agg(l.sequence) INTO locked FROM unnest(numbers) AS n CROSS JOIN LATERAL (
		SELECT u.sequence FROM updates u WHERE u.sequence BETWEEN n * 65536 AND n * 65536 + 65535 AND u.finished_at < before
		ORDER BY u.sequence LIMIT 65536 FOR UPDATE SKIP LOCKED) AS l;
	SELECT array_agg(n) INTO gone FROM unnest(numbers) AS n
		LEFT JOIN (SELECT l / 65536 AS number, count(*) AS updates FROM unnest(locked) AS l GROUP BY 1) AS held ON held.number = n
		WHERE coalesce(held.updates, 0) = (SELECT count(*) FROM updates u WHERE u.sequence BETWEEN n * 65536 AND n * 65536 + 65535);
	SELECT array_agg(l) INTO locked FROM unnest(locked) AS l WHERE l / 65536 = ANY (gone);
	INSERT INTO audit SELECT o.* FROM unnest(locked) AS l CROSS JOIN LATERAL (SELECT * FROM orders WHERE sequence = l LIMIT 1) AS o;
	INSERT INTO memories (hash, delivery, received_at) SELECT m.hash, m.delivery, d.received_at
		FROM unnest(gone) AS n CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE number = n LIMIT 1) AS d CROSS JOIN LATERAL (VALUES
			(sha256(convert_to(d.source, 'UTF8') || '\x00'::bytea || convert_to(d.id, 'UTF8')), ''),
			(CASE WHEN d.outcome = 'accepted' THEN d.body_digest END, d.source || '/' || d.id)) AS m (hash, delivery)
		WHERE m.hash IS NOT NULL AND d.outcome = 'accepted' AND d.received_at >= remembered ON CONFLICT DO NOTHING;
	DELETE FROM steps WHERE sequence = ANY (locked);
	DELETE FROM updates WHERE sequence = ANY (locked);
	DELETE FROM bodies WHERE delivery = ANY (gone);
	DELETE FROM deliveries WHERE number = ANY (gone);
	GET DIAGNOSTICS deleted = ROW_COUNT; -- another replica may have been first
	RETURN deleted;
END $$;
