-- take_turn makes one change wait for the other, on all replicas: it is called before
-- anything that decides is read, and lasts until the transaction has ended. So numbers
-- follow the order of the commits, and nothing can appear before what was read. It is
-- the first lock of whoever takes several. The key is the schema's own, by the oid of
-- its counter.
CREATE FUNCTION take_turn() RETURNS void LANGUAGE sql AS
	$$ SELECT pg_advisory_xact_lock(x'74616c6c'::integer, ('counter'::regclass::oid::bigint - 2147483648)::integer) $$;

-- next_numbers takes the turn and so many numbers: those after the one that it
-- returns.
CREATE FUNCTION next_numbers(many bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	base bigint;
BEGIN
	PERFORM take_turn();
	SELECT last_value INTO base FROM counter;
	PERFORM setval('counter', base + many);
	RETURN base;
END $$;

-- The tallies follow every statement that brings or changes updates. Final updates
-- count as nothing, so deleting them changes no tally.
CREATE FUNCTION tally_updates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		PERFORM tally(array_agg(n.environment), array_agg(n.counts_as), array_agg(n.more)) FROM (
			SELECT environment, counts_as, count(*) AS more FROM new_updates GROUP BY environment, counts_as) AS n;
	ELSE
		PERFORM tally(array_agg(c.environment), array_agg(c.counts_as), array_agg(c.more)) FROM (
			SELECT environment, counts_as, count(*) AS more FROM new_updates GROUP BY environment, counts_as
			UNION ALL SELECT environment, counts_as, -count(*) FROM old_updates GROUP BY environment, counts_as) AS c;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER updates_added AFTER INSERT ON updates REFERENCING NEW TABLE AS new_updates
	FOR EACH STATEMENT EXECUTE FUNCTION tally_updates();
CREATE TRIGGER updates_changed AFTER UPDATE ON updates REFERENCING OLD TABLE AS old_updates NEW TABLE AS new_updates
	FOR EACH STATEMENT EXECUTE FUNCTION tally_updates();

-- tally writes new tallies. An environment whose first updates count as nothing gets
-- one of 0, so that it is known to have had updates.
CREATE FUNCTION tally(environments text[], counts text[], more bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	current bigint;
BEGIN
	SELECT last_value INTO current FROM counter;
	WITH change AS (
		SELECT c.environment, coalesce(c.counts_as, '') AS counts_as, coalesce(sum(c.more) FILTER (WHERE c.counts_as IS NOT NULL), 0) AS more
		FROM unnest(environments, counts, more) AS c (environment, counts_as, more) GROUP BY 1, 2
	), newest AS (
		SELECT c.environment, c.counts_as, t.number, coalesce(t.total, 0) + c.more AS total FROM change c LEFT JOIN LATERAL (
			SELECT number, total FROM tallies WHERE environment = c.environment AND counts_as = c.counts_as ORDER BY number DESC LIMIT 1
		) AS t ON true WHERE c.more <> 0 OR t.number IS NULL
	), replaced AS (
		DELETE FROM tallies t USING newest n
		WHERE t.environment = n.environment AND t.counts_as = n.counts_as AND t.number = n.number AND n.number < current
	)
	INSERT INTO tallies (environment, counts_as, number, total) SELECT environment, counts_as, current, total FROM newest
	ON CONFLICT (environment, counts_as, number) DO UPDATE SET total = excluded.total;
END $$;
