-- alive reports whether the process is there that holds the session's advisory lock.
-- Whoever can share the lock is alone with it. Keys are random and never used again.
CREATE FUNCTION alive(session bigint) RETURNS boolean LANGUAGE sql AS
	$$ SELECT NOT pg_try_advisory_xact_lock_shared(session) $$;

-- claimable reports whether the claimer may have the lease. A holder whose session is
-- not known keeps it until it runs out.
CREATE FUNCTION claimable(l lanes, claimer text, now_at timestamptz) RETURNS boolean LANGUAGE sql AS $$
	SELECT l.lease <> 'held' OR l.holder = claimer OR l.expires_at <= now_at OR l.session IS NOT NULL AND NOT alive(l.session)
$$;

-- claim answers with the leases that the claimer gets. A claim that gets none writes
-- nothing, locks no row and does not take the turn: replicas with nothing to do claim
-- about once a second.
--
-- It takes the turn before it reads the newest update: an update that was accepted
-- after that, and before the claim is committed, could be taken and pushed by the last
-- holder, and would not be marked.
CREATE FUNCTION claim(at timestamptz, claimer text, names text[], ttl interval, claimer_session bigint)
RETURNS TABLE (name text, token bigint, expires_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	wanted text[];
	now_at timestamptz;
BEGIN
	SELECT array_agg(DISTINCT n) INTO wanted FROM unnest(names) AS n
		WHERE NOT EXISTS (SELECT FROM lanes l WHERE l.name = n AND NOT claimable(l, claimer, coalesce(at, clock_timestamp())));
	IF wanted IS NULL THEN
		RETURN;
	END IF;
	PERFORM take_turn();
	INSERT INTO lanes (name) SELECT n FROM unnest(wanted) AS n ON CONFLICT DO NOTHING;
	PERFORM FROM lanes l WHERE l.name = ANY (wanted) ORDER BY l.name FOR UPDATE;
	now_at := coalesce(at, clock_timestamp());
	RETURN QUERY
	UPDATE lanes l SET token = l.token + 1, holder = claimer, lease = 'held', expires_at = now_at + ttl, session = claimer_session,
		-- Sequences only rise, so this does, and what an earlier claim marked stays marked.
		maybe_pushed_through = CASE l.lease WHEN 'free' THEN l.maybe_pushed_through ELSE greatest(l.maybe_pushed_through, newest_open(l.name)) END
	WHERE l.name = ANY (wanted) AND claimable(l, claimer, now_at)
	RETURNING l.name, l.token, l.expires_at;
END $$;

-- newest_open is the newest open update of the environment; null without one.
CREATE FUNCTION newest_open(lane text) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT max(last.sequence) FROM states s CROSS JOIN LATERAL (
		SELECT u.sequence FROM updates u WHERE u.environment = lane AND u.state = s.name ORDER BY u.sequence + 0 DESC LIMIT 1
	) AS last WHERE NOT s.final
$$;

-- extend answers with the place in the call of each lease that is still its holder's.
CREATE FUNCTION extend(at timestamptz, names text[], tokens bigint[], holders text[], ttl interval, holder_session bigint)
RETURNS TABLE (place bigint, expires_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	now_at timestamptz;
BEGIN
	PERFORM FROM lanes l WHERE l.name = ANY (names) ORDER BY l.name FOR UPDATE; -- in one order, as claim does
	now_at := coalesce(at, clock_timestamp());
	RETURN QUERY
	UPDATE lanes l SET expires_at = now_at + ttl, session = holder_session
	FROM unnest(names, tokens, holders) WITH ORDINALITY AS given (name, token, holder, place)
	WHERE l.name = given.name AND l.token = given.token AND l.holder = given.holder AND l.lease = 'held'
	RETURNING given.place, l.expires_at;
END $$;

-- rebind gives the leases of a session that broke, and the notes of what is parsed, to
-- the one that its process has instead.
CREATE FUNCTION rebind(broken bigint, instead bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM lanes l WHERE l.session = broken ORDER BY l.name FOR UPDATE;
	UPDATE lanes l SET session = instead WHERE l.session = broken;
	UPDATE parsing p SET session = instead WHERE p.session = broken;
END $$;

CREATE FUNCTION release(lane text, lease_token bigint, lease_holder text, clean boolean) RETURNS void LANGUAGE sql AS $$
	UPDATE lanes SET lease = CASE WHEN clean THEN 'free' ELSE 'lost' END, session = NULL
	WHERE name = lane AND token = lease_token AND holder = lease_holder AND lease = 'held'
$$;

-- fence fails with TM001 unless the lease is still its holder's, and keeps it so until
-- the transaction has ended. The token alone would do, but for a standby that took over
-- without the last claims: there the same token is given again.
CREATE FUNCTION fence(lane text, lease_token bigint, lease_holder text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM lanes WHERE name = lane AND token = lease_token AND holder = lease_holder AND lease = 'held' FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the lease is lost' USING ERRCODE = 'TM001';
	END IF;
END $$;

-- mark_restored says that the tables were brought back from a backup: what is in them may
-- have been pushed since that was made, whatever the lanes say, and is looked for on the
-- branch before it is written; so is what failed and is retried. Ids of holds that it does
-- not know are not given again: queue.RestoredSkip. Every poll begins with a first scan:
-- queue.PollCheckpoint.
CREATE FUNCTION mark_restored() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM take_turn();
	INSERT INTO lanes (name) SELECT e FROM environments('') AS e ON CONFLICT DO NOTHING;
	UPDATE lanes SET maybe_pushed_through = greatest(maybe_pushed_through, (SELECT coalesce(max(sequence), 0) FROM updates));
	UPDATE holds_state SET last = last + 100000;
	UPDATE checkpoints SET value = '' WHERE starts_with(name, 'poll/');
END $$;

-- notice_restore does so where the tables are not where they were when the store was
-- opened last, and reports whether. A dump that is restored has another counter. A server
-- that was taken back in time, or took over from another, writes another timeline; not
-- every service says which.
CREATE FUNCTION notice_restore() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	known   text;
	current text := (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || 'counter'::regclass::oid;
BEGIN
	BEGIN
		current := current || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8);
	EXCEPTION WHEN OTHERS THEN
		current := current || '/';
	END;
	SELECT identity INTO known FROM location;
	IF known IS DISTINCT FROM current THEN
		DELETE FROM location;
		INSERT INTO location (identity) VALUES (current);
	END IF;
	IF known <> current THEN
		PERFORM mark_restored();
		RETURN true;
	END IF;
	RETURN false;
END $$;
