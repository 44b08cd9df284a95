-- report_rollouts records where updates stand in the cluster: see queue.Rollouts, and
-- queue.NextRollout for the rule. Reports are a list of objects: update, rollout as it is kept
-- but for since, and whether that is rolling. A lane that is null is the zero lease's, which is
-- not asked for. It fails with TM002, and the id for its message, where there is no such update;
-- nothing is recorded then. It answers in the order of the reports, and says which are a step.
CREATE FUNCTION report_rollouts(at timestamptz, lane text, lease_token bigint, lease_holder text, reports jsonb)
RETURNS TABLE (kept jsonb, is_step boolean) LANGUAGE plpgsql AS $$
DECLARE
	now_at  timestamptz;
	missing text;
	round   integer := 1;
	given   integer;
	stands  jsonb := '{}'; -- by the place of the report
	steps   integer[] := '{}';
	applied record;
BEGIN
	PERFORM take_turn();
	IF lane IS NOT NULL THEN
		PERFORM fence(lane, lease_token, lease_holder);
	END IF;
	now_at := coalesce(at, clock_timestamp());
	-- Updates change together, but one that is reported several times does so in rounds.
	LOOP
		SELECT * INTO applied FROM apply_rollouts(reports, round, now_at);
		EXIT WHEN applied.given = 0;
		stands := stands || applied.stands;
		steps := steps || applied.stepped;
		round := round + 1;
	END LOOP;
	SELECT r.value->>'update' INTO missing FROM jsonb_array_elements(reports) WITH ORDINALITY AS r (value, place)
		WHERE NOT stands ? r.place::text ORDER BY r.place LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION '%', missing USING ERRCODE = 'TM002'; -- or it was pruned meanwhile
	END IF;
	RETURN QUERY SELECT stands->(p::text), p = ANY (steps) FROM generate_series(1, jsonb_array_length(reports)) AS p ORDER BY p;
END $$;

-- apply_rollouts records the report of each update that is its nth in the list, and raises the
-- heads of the apps that run. It returns how many updates have so many reports, what stands by
-- then of those that there are, by the places of the reports, and the places of those that are
-- a step.
CREATE FUNCTION apply_rollouts(reports jsonb, nth integer, now_at timestamptz, OUT given integer, OUT stands jsonb, OUT stepped integer[]) LANGUAGE plpgsql AS $$
DECLARE
	made steps[];
BEGIN
	WITH listed AS (
		SELECT r.value, r.place::integer, row_number() OVER (PARTITION BY r.value->>'update' ORDER BY r.place) AS nth
		FROM jsonb_array_elements(reports) WITH ORDINALITY AS r (value, place)
	), asked AS (
		SELECT l.place, t.* FROM listed l CROSS JOIN LATERAL jsonb_to_record(l.value) AS t (update text, rollout jsonb, rolling boolean)
		WHERE l.nth = apply_rollouts.nth
	), judged AS (
		SELECT a.place, a.rolling, u.sequence, u.state, u.rollout AS before,
			(u.rollout IS NULL OR u.rolling) AND EXISTS (SELECT FROM states s WHERE s.name = u.state AND s.written) AS may,
			a.rollout || jsonb_build_object('since', CASE WHEN a.rollout->>'state' = u.rollout->>'state' THEN u.rollout->'since' ELSE to_jsonb(now_at) END) AS next
		FROM asked a CROSS JOIN LATERAL (SELECT * FROM updates WHERE id = a.update LIMIT 1 FOR UPDATE) AS u
	), changed AS (
		UPDATE updates u SET rollout = j.next, rolling = j.rolling
		FROM judged j WHERE u.sequence = j.sequence AND j.may AND j.next IS DISTINCT FROM j.before
		RETURNING j.place, u.*, (j.before->>'state', coalesce(j.before->>'reason', '')) IS DISTINCT FROM (j.next->>'state', coalesce(j.next->>'reason', '')) AS is_step
	), heads_raised AS (
		INSERT INTO heads AS h (environment, app, healthy, healthy_id, healthy_tag)
		SELECT DISTINCT ON (c.environment, c.app) c.environment, c.app, c.sequence, c.id, c.tag
		FROM changed c WHERE c.rollout->>'state' = 'healthy' ORDER BY c.environment, c.app, c.sequence DESC
		ON CONFLICT (environment, app) DO UPDATE SET healthy = excluded.healthy, healthy_id = excluded.healthy_id, healthy_tag = excluded.healthy_tag
		WHERE h.healthy < excluded.healthy
	)
	SELECT (SELECT count(*) FROM asked),
		(SELECT coalesce(jsonb_object_agg(j.place, CASE WHEN j.may THEN j.next ELSE coalesce(j.before, '{}') END), '{}') FROM judged j),
		coalesce(array_agg(c.place) FILTER (WHERE c.is_step), '{}'),
		array_agg((NULL, c.sequence, now_at, NULL, 0, c.state, '', coalesce(c.rollout->>'reason', ''), '', NULL, '', c.rollout->>'state')::steps ORDER BY c.place)
			FILTER (WHERE c.is_step)
	INTO given, stands, stepped, made FROM changed c;
	IF made IS NOT NULL THEN
		PERFORM record_steps(made);
	END IF;
END $$;
