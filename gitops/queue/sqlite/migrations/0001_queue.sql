-- Times are microseconds since 1970 in UTC; NULL is the zero time.

-- A new delivery's number is one above the highest that is there, so numbers
-- follow acceptance.
CREATE TABLE deliveries (
	number      INTEGER PRIMARY KEY,
	source      TEXT NOT NULL,
	id          TEXT NOT NULL,
	received_at INTEGER NOT NULL,
	event_time  INTEGER,
	actor       TEXT NOT NULL,
	outcome     TEXT NOT NULL,
	field       TEXT NOT NULL,
	reason      TEXT NOT NULL,
	UNIQUE (source, id)
) STRICT;

-- Apart from the deliveries, so that reading many of those reads no bodies.
CREATE TABLE bodies (
	delivery INTEGER PRIMARY KEY REFERENCES deliveries (number) ON DELETE CASCADE,
	body     BLOB NOT NULL
) STRICT;

-- An update's sequence is its delivery's number times 65536, plus its place in
-- the delivery: so the updates of a delivery lie together, in their order, and
-- neither they nor the way back to the delivery need an index.
CREATE TABLE updates (
	sequence    INTEGER PRIMARY KEY,
	id          TEXT NOT NULL UNIQUE,
	environment TEXT NOT NULL,
	app         TEXT NOT NULL,
	repository  TEXT NOT NULL,
	tag         TEXT NOT NULL,
	digest      TEXT NOT NULL,
	state       TEXT NOT NULL,
	code        TEXT NOT NULL DEFAULT '',
	reason      TEXT NOT NULL,
	object      TEXT NOT NULL DEFAULT '', -- the commit's name; COMMIT is a keyword
	attempts    INTEGER NOT NULL DEFAULT 0,
	accepted_at INTEGER NOT NULL,
	settled_at  INTEGER
) STRICT;

-- The lanes' backlogs in acceptance order: an index ends with the row's number,
-- which is the sequence. What has ended costs it nothing.
CREATE INDEX updates_pending ON updates (environment) WHERE state = 'pending';

-- The newest event time that was accepted for each app: what decides whether an
-- event comes too late. It outlives the updates it was taken from.
CREATE TABLE releases (
	environment TEXT NOT NULL,
	app         TEXT NOT NULL,
	newest      INTEGER NOT NULL,
	PRIMARY KEY (environment, app)
) STRICT, WITHOUT ROWID;

CREATE TABLE lanes (
	environment TEXT PRIMARY KEY,
	used        INTEGER NOT NULL DEFAULT 0,      -- 1 once it has had an update
	token       INTEGER NOT NULL DEFAULT 0,      -- of the latest claim
	holder      TEXT NOT NULL DEFAULT '',        -- of the latest claim
	lease       TEXT NOT NULL DEFAULT 'free',    -- free: ended clean; held; lost: ended, and nobody vouched for what it pushed
	through     INTEGER NOT NULL DEFAULT 0       -- pending updates up to this sequence may have been pushed by an earlier holder
) STRICT, WITHOUT ROWID;

-- What Ping writes.
CREATE TABLE pings (
	number INTEGER PRIMARY KEY,
	at     INTEGER NOT NULL
) STRICT;
