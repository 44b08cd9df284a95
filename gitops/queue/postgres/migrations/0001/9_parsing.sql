-- What processes are parsing.
CREATE TABLE parsing (
	object  text NOT NULL,
	holder  text NOT NULL,
	kind    text NOT NULL,
	path    text NOT NULL,
	at      timestamptz NOT NULL,
	session bigint, -- the advisory lock's key by which the process is known to be there; null: not known
	PRIMARY KEY (object, holder)
);

-- What was being parsed when a process died.
CREATE TABLE suspects (
	object text PRIMARY KEY,
	kind   text NOT NULL,
	path   text NOT NULL,
	holder text NOT NULL, -- the last process
	at     timestamptz NOT NULL,
	deaths integer NOT NULL
);

-- count_deaths makes suspects of what dead processes were parsing. Of a process whose
-- session is not known it is never known that it died: its notes go after a day. The
-- rows are locked in one order, so that replicas that count at once wait and do not
-- meet crosswise; the second finds nothing.
CREATE FUNCTION count_deaths() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	dead record;
BEGIN
	FOR dead IN SELECT p.* FROM parsing p WHERE p.session IS NOT NULL AND NOT alive(p.session) ORDER BY p.object COLLATE "C", p.holder COLLATE "C" FOR UPDATE LOOP
		DELETE FROM parsing p WHERE p.object = dead.object AND p.holder = dead.holder;
		INSERT INTO suspects AS s (object, kind, path, holder, at, deaths) VALUES (dead.object, dead.kind, dead.path, dead.holder, dead.at, 1)
		ON CONFLICT (object) DO UPDATE SET kind = dead.kind, path = dead.path, holder = dead.holder, at = dead.at, deaths = s.deaths + 1;
	END LOOP;
	DELETE FROM parsing p WHERE p.session IS NULL AND p.at < clock_timestamp() - interval '1 day';
END $$;

-- begin_parsing notes the objects, and answers with those that it does not note: suspects
-- of so many deaths or more.
CREATE FUNCTION begin_parsing(now_at timestamptz, by_holder text, by_session bigint, objects text[], kinds text[], paths text[], enough integer)
RETURNS SETOF suspects LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count_deaths();
	INSERT INTO parsing AS p (object, holder, kind, path, at, session)
	SELECT DISTINCT ON (o.object) o.object, by_holder, o.kind, o.path, coalesce(now_at, clock_timestamp()), by_session FROM unnest(objects, kinds, paths) AS o (object, kind, path)
	WHERE NOT EXISTS (SELECT FROM suspects s WHERE s.object = o.object AND s.deaths >= enough) ORDER BY o.object
	ON CONFLICT (object, holder) DO UPDATE SET kind = excluded.kind, path = excluded.path, at = excluded.at, session = excluded.session;
	RETURN QUERY SELECT s.* FROM unnest(objects) WITH ORDINALITY AS o (object, place) JOIN suspects s ON s.object = o.object
		WHERE s.deaths >= enough ORDER BY o.place;
END $$;

CREATE FUNCTION end_parsing(by_holder text, objects text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM parsing p WHERE p.object = ANY (objects) AND p.holder = by_holder ORDER BY p.object FOR UPDATE;
	DELETE FROM parsing p WHERE p.object = ANY (objects) AND p.holder = by_holder;
	PERFORM FROM suspects s WHERE s.object = ANY (objects) ORDER BY s.object FOR UPDATE;
	DELETE FROM suspects s WHERE s.object = ANY (objects);
END $$;

CREATE FUNCTION all_suspects() RETURNS SETOF suspects LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count_deaths();
	RETURN QUERY SELECT s.* FROM suspects s ORDER BY s.kind COLLATE "C", s.path COLLATE "C", s.object COLLATE "C";
END $$;
