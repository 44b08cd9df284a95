-- report records what happened to a lane's updates: see queue.Lanes.Report. Transitions,
-- blocks and proposals are lists of objects, and an outage is null or an object. It answers
-- with what it superseded.
CREATE FUNCTION report(at timestamptz, lane text, lease_token bigint, lease_holder text, transition_args jsonb, block_args jsonb, proposal_args jsonb,
	outage jsonb)
RETURNS SETOF update_records LANGUAGE plpgsql AS $$
DECLARE
	now_at     timestamptz;
	reported   text[];
	round      integer := 1;
	written    text[] := '{}'; -- apps
	proposed   bigint[] := '{}';
	applied    record;
	superseded bigint[];
BEGIN
	PERFORM take_turn();
	PERFORM fence(lane, lease_token, lease_holder);
	SELECT coalesce(array_agg(t.update), '{}') INTO reported FROM jsonb_to_recordset(transition_args) AS t (update text);
	PERFORM in_lane(lane, reported || coalesce((SELECT array_agg(b.update) FROM jsonb_to_recordset(block_args || proposal_args) AS b (update text)), '{}'));
	now_at := coalesce(at, clock_timestamp());
	IF proposal_args <> '[]' THEN
		PERFORM keep_proposals(proposal_args);
	END IF;
	-- Updates change together, but one that has several transitions does so in rounds.
	LOOP
		SELECT * INTO applied FROM apply_transitions(transition_args, round, now_at);
		EXIT WHEN applied.given = 0;
		written := written || applied.raised;
		proposed := proposed || applied.proposed;
		round := round + 1;
	END LOOP;
	superseded := supersede(lane, written, proposed, now_at);
	PERFORM block(block_args, now_at);
	UPDATE lanes SET
		last_progress = CASE WHEN cardinality(reported) > 0 THEN now_at ELSE last_progress END,
		last_success = CASE WHEN cardinality(written) > 0 THEN now_at ELSE last_success END,
		outage_since = CASE WHEN outage IS NOT NULL THEN coalesce(outage_since, now_at) END,
		outage_code = coalesce(outage->>'code', ''), outage_reason = coalesce(outage->>'reason', ''),
		outage_retry_at = (outage->>'retry_at')::timestamptz, outage_repository = coalesce(outage->>'repository', '')
	WHERE name = lane;
	RETURN QUERY SELECT r.* FROM unnest(superseded) WITH ORDINALITY AS s (sequence, place)
		CROSS JOIN LATERAL (SELECT * FROM update_records WHERE sequence = s.sequence LIMIT 1) AS r ORDER BY s.place;
END $$;

-- apply_transitions applies the transition of each update that is its nth in the list,
-- as the table transitions allows, and raises the heads of the apps that were written.
-- It returns those, what was proposed, and how many updates have so many transitions.
CREATE FUNCTION apply_transitions(args jsonb, nth integer, now_at timestamptz, OUT given integer, OUT raised text[], OUT proposed bigint[]) LANGUAGE plpgsql AS $$
DECLARE
	made   steps[];
	seen   bigint[];
BEGIN
	WITH listed AS (
		SELECT a.value, a.place, row_number() OVER (PARTITION BY a.value->>'update' ORDER BY a.place) AS nth
		FROM jsonb_array_elements(args) WITH ORDINALITY AS a (value, place)
	), asked AS (
		SELECT l.place, t.* FROM listed l CROSS JOIN LATERAL jsonb_to_record(l.value)
			AS t (update text, action text, code text, reason text, commit text, actor text, found jsonb)
		WHERE l.nth = apply_transitions.nth
	), changed AS (
		UPDATE updates u SET state = t.to_state, blocked_by = '[]', ready_at = NULL, code = a.code, reason = a.reason, commit_id = a.commit,
			attempts = u.attempts + 1, finished_at = CASE WHEN s.final THEN now_at END,
			cancel_actor = CASE WHEN NOT s.final THEN u.cancel_actor END, cancel_reason = CASE WHEN NOT s.final THEN u.cancel_reason END,
			found_digest = coalesce(a.found->>'digest', u.found_digest), found_at = coalesce((a.found->>'at')::timestamptz, u.found_at),
			found_named = coalesce((a.found->>'named')::boolean, u.found_named)
		FROM asked a, transitions t, states s
		WHERE u.id = a.update AND t.from_state = u.state AND t.action = a.action AND s.name = t.to_state
		RETURNING a.place, a.actor, u.*, a.found->>'digest' IS NOT NULL AS seen, s.written AND t.from_state <> 'superseded' AS raises -- as gitops.Raises
	), heads_raised AS (
		INSERT INTO heads AS h (environment, app, written, written_id, written_tag, written_version)
		SELECT DISTINCT ON (c.app) c.environment, c.app, c.sequence, c.id, c.tag, c.version FROM changed c WHERE c.raises ORDER BY c.app, c.sequence DESC
		ON CONFLICT (environment, app) DO UPDATE SET written = excluded.written, written_id = excluded.written_id,
			written_tag = excluded.written_tag, written_version = excluded.written_version
		WHERE h.written < excluded.written
	)
	SELECT (SELECT count(*) FROM asked),
		array_agg((NULL, c.sequence, now_at, NULL, 1, c.state, c.code, c.reason, c.commit_id, NULL, c.actor, '')::steps ORDER BY c.place),
		coalesce(array_agg(c.app) FILTER (WHERE c.raises), '{}'), coalesce(array_agg(c.sequence) FILTER (WHERE c.state = 'proposed'), '{}'),
		array_agg(c.sequence ORDER BY c.place) FILTER (WHERE c.seen)
	INTO given, made, raised, proposed, seen FROM changed c;
	IF made IS NOT NULL THEN
		PERFORM record_steps(made);
	END IF;
	IF seen IS NOT NULL THEN
		PERFORM record_found(seen, now_at);
	END IF;
END $$;

-- keep_proposals puts what is known of pull requests in the place of what was; of an update
-- that is there twice the last.
CREATE FUNCTION keep_proposals(args jsonb) RETURNS void LANGUAGE sql AS $$
	UPDATE updates u SET proposal = p.proposal, opened_at = p.opened_at FROM (
		SELECT DISTINCT ON (a.value->>'update') a.value->>'update' AS id, a.value->'proposal' AS proposal, (a.value->>'opened_at')::timestamptz AS opened_at
		FROM jsonb_array_elements(args) WITH ORDINALITY AS a (value, place) ORDER BY a.value->>'update', a.place DESC
	) AS p WHERE u.id = p.id
$$;

-- superseding are the updates that supersede what is older of their apps: what the heads of
-- those that were written say, and the newest of each app that was proposed.
CREATE FUNCTION superseding(lane text, written text[], proposed bigint[]) RETURNS TABLE (app text, sequence bigint, named text) LANGUAGE sql STABLE AS $$
	SELECT h.app, h.written, h.written_tag || ' (update ' || h.written_id || ') was accepted later and is on the branch'
	FROM (SELECT DISTINCT unnest(written) AS app) AS given CROSS JOIN LATERAL (SELECT * FROM heads WHERE environment = lane AND app = given.app LIMIT 1) AS h
	UNION ALL
	(SELECT DISTINCT ON (u.app) u.app, u.sequence, u.tag || ' (update ' || u.id || ') was accepted later and is proposed'
	FROM unnest(proposed) AS p CROSS JOIN LATERAL (SELECT * FROM updates WHERE sequence = p LIMIT 1) AS u ORDER BY u.app, u.sequence DESC)
$$;

-- supersede ends every open update that is older than a superseding one of its app. It
-- returns their sequences.
CREATE FUNCTION supersede(lane text, written text[], proposed bigint[], now_at timestamptz) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	made  steps[];
	ended bigint[];
BEGIN
	IF written = '{}' AND proposed = '{}' THEN
		RETURN NULL;
	END IF;
	WITH older AS (
		SELECT DISTINCT ON (u.sequence) u.sequence, s.named AS reason
		FROM superseding(lane, written, proposed) AS s CROSS JOIN LATERAL open_before(s.sequence, lane, s.app) AS u ORDER BY u.sequence, s.sequence DESC
	), changed AS (
		UPDATE updates u SET state = t.to_state, blocked_by = '[]', ready_at = NULL, code = '', reason = o.reason, commit_id = '',
			finished_at = now_at, cancel_actor = NULL, cancel_reason = NULL
		FROM older o, transitions t
		WHERE u.sequence = o.sequence AND t.from_state = u.state AND t.action = 'supersede'
		RETURNING u.*
	)
	SELECT array_agg((NULL, c.sequence, now_at, NULL, 0, c.state, '', c.reason, '', NULL, '', '')::steps ORDER BY c.sequence), array_agg(c.sequence ORDER BY c.sequence)
	INTO made, ended FROM changed c;
	IF made IS NOT NULL THEN
		PERFORM record_steps(made);
	END IF;
	RETURN ended;
END $$;

-- block puts blocks in the place of what blocked updates before; of an update that is
-- there twice the last ones. Those that were judged by an older revision of the holds have
-- lifted by now. An image's may say since when (gitops.Block.SinceOr).
CREATE FUNCTION block(args jsonb, now_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	made steps[];
BEGIN
	WITH asked AS (
		SELECT DISTINCT ON (a.value->>'update') a.place, a.value->>'update' AS update, a.value->'blocks' AS blocks,
			EXISTS (SELECT FROM jsonb_array_elements(a.value->'revisions') AS r, holds_state s WHERE r.value::bigint <> s.revision) AS over
		FROM jsonb_array_elements(args) WITH ORDINALITY AS a (value, place) ORDER BY a.value->>'update', a.place DESC
	), judged AS (
		SELECT a.place, u.sequence, n.* FROM asked a
		CROSS JOIN LATERAL (SELECT * FROM updates WHERE id = a.update LIMIT 1) AS u CROSS JOIN LATERAL (
			SELECT coalesce(jsonb_agg(b.value || jsonb_build_object('since', coalesce(
					CASE WHEN b.value->>'kind' = 'image' AND (b.value->>'since')::timestamptz > '0001-01-01T00:00:00Z' AND (b.value->>'since')::timestamptz <= now_at THEN b.value->'since' END,
					CASE WHEN same_blocks(u.blocked_by, a.blocks) THEN u.blocked_by->(b.place::integer - 1)->'since' END, to_jsonb(now_at)))
					|| CASE WHEN a.over THEN jsonb_build_object('until', now_at) ELSE '{}' END ORDER BY b.place), '[]') AS blocks,
				max(CASE WHEN a.over THEN now_at ELSE coalesce((b.value->>'until')::timestamptz, 'infinity') END) AS ready_at,
				coalesce(string_agg(b.value->>'reason', '; ' ORDER BY b.place), '') AS reason
			FROM jsonb_array_elements(a.blocks) WITH ORDINALITY AS b (value, place)
		) AS n WHERE u.state = 'pending'
	), changed AS (
		UPDATE updates u SET blocked_by = j.blocks, ready_at = j.ready_at, attempts = u.attempts + 1
		FROM judged j WHERE u.sequence = j.sequence
		RETURNING j.place, u.sequence, j.reason, nullif(j.ready_at, 'infinity') AS ready_at, u.state
	)
	SELECT array_agg((NULL, c.sequence, now_at, NULL, 1, c.state, '', c.reason, '', c.ready_at, '', '')::steps ORDER BY c.place) INTO made FROM changed c;
	IF made IS NOT NULL THEN
		PERFORM record_steps(made);
	END IF;
END $$;

-- same_blocks reports whether two lists have the same kinds and reasons.
CREATE FUNCTION same_blocks(a jsonb, b jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_path_query_array(a, '$[*].kind') = jsonb_path_query_array(b, '$[*].kind')
		AND jsonb_path_query_array(a, '$[*].reason') = jsonb_path_query_array(b, '$[*].reason')
$$;
