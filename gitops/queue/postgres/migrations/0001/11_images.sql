-- Which images were seen (gitops.SeenImage). Nothing prunes them. A tag has one row, and one
-- more for each digest that a person named for it although it had another.
CREATE TABLE images (
	repository text COLLATE "C" NOT NULL,
	tag        text COLLATE "C" NOT NULL,
	place      integer NOT NULL, -- among the tag's, from 0
	digest     text NOT NULL,    -- '' while only the tag is known
	seen_at    timestamptz NOT NULL,
	source     text NOT NULL,    -- of the delivery that brought it; '' for none, as delivery
	delivery   text NOT NULL,
	named      boolean NOT NULL,
	PRIMARY KEY (repository, tag, place)
);

-- record_images keeps images: see queue.Images.RecordImages. They are a list of objects.
-- The caller has the turn.
CREATE FUNCTION record_images(given jsonb, now_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO images AS known (repository, tag, place, digest, seen_at, source, delivery, named)
	SELECT DISTINCT ON (i.repository, i.tag) i.repository, i.tag, 0, i.digest, now_at, i.source, i.delivery, i.named
	FROM jsonb_array_elements(given) WITH ORDINALITY AS g (value, nth)
	CROSS JOIN LATERAL jsonb_to_record(g.value) AS i (repository text, tag text, digest text, source text, delivery text, named boolean)
	ORDER BY i.repository, i.tag, i.digest = '', g.nth
	ON CONFLICT (repository, tag, place) DO UPDATE SET digest = excluded.digest, seen_at = excluded.seen_at, source = excluded.source,
		delivery = excluded.delivery, named = excluded.named
	WHERE known.digest = '' AND excluded.digest <> '';
	IF given @> '[{"named": true}]' THEN
		INSERT INTO images (repository, tag, place, digest, seen_at, source, delivery, named)
		SELECT n.repository, n.tag, known.last + row_number() OVER (PARTITION BY n.repository, n.tag ORDER BY n.nth), n.digest, now_at, n.source, n.delivery, true
		FROM (
			SELECT DISTINCT ON (i.repository, i.tag, i.digest) i.*, g.nth FROM jsonb_array_elements(given) WITH ORDINALITY AS g (value, nth)
			CROSS JOIN LATERAL jsonb_to_record(g.value) AS i (repository text, tag text, digest text, source text, delivery text, named boolean)
			WHERE i.named AND i.digest <> '' ORDER BY i.repository, i.tag, i.digest, g.nth
		) AS n CROSS JOIN LATERAL (
			SELECT max(k.place) AS last, bool_or(k.digest = n.digest) AS here FROM images k WHERE k.repository = n.repository AND k.tag = n.tag
		) AS known WHERE NOT known.here;
	END IF;
END $$;

-- record_found records the images that were found of updates, in their order.
CREATE FUNCTION record_found(sequences bigint[], now_at timestamptz) RETURNS void LANGUAGE sql AS $$
	SELECT record_images(jsonb_agg(jsonb_build_object('repository', u.repository, 'tag', u.tag, 'digest', u.found_digest, 'named', u.found_named,
		'source', d.source, 'delivery', d.id) ORDER BY s.place), now_at)
	FROM unnest(sequences) WITH ORDINALITY AS s (sequence, place) CROSS JOIN LATERAL (SELECT * FROM updates WHERE sequence = s.sequence LIMIT 1) AS u
	CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE number = s.sequence / 65536 LIMIT 1) AS d
$$;

-- see_images records images without an update: see queue.Images.RecordImages.
CREATE FUNCTION see_images(at timestamptz, given jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM take_turn();
	PERFORM record_images(given, coalesce(at, clock_timestamp()));
END $$;
