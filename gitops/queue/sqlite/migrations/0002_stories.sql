-- For whoever asks what happened: lists, steps, and what lanes wait for.

ALTER TABLE deliveries ADD COLUMN remote TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN credential TEXT NOT NULL DEFAULT '';

-- The lists' pages, newest first: an index ends with the row's number. The few
-- sources and outcomes make an insert an append at one of a few places.
CREATE INDEX deliveries_listed ON deliveries (source, outcome);

-- What has ended, so that accepting pays nothing for them; what is pending is
-- found by updates_pending, which has the app for the list that asks for one.
CREATE INDEX updates_ended ON updates (environment, state) WHERE state <> 'pending';
CREATE INDEX updates_ended_app ON updates (app, environment, state) WHERE state <> 'pending';
DROP INDEX updates_pending;
CREATE INDEX updates_pending ON updates (environment, sequence, app) WHERE state = 'pending';

-- What the lane waits for, since its latest success.
ALTER TABLE lanes ADD COLUMN last_success INTEGER;
ALTER TABLE lanes ADD COLUMN failing_since INTEGER; -- NULL while nothing fails
ALTER TABLE lanes ADD COLUMN retry_at INTEGER;
ALTER TABLE lanes ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE lanes ADD COLUMN reason TEXT NOT NULL DEFAULT '';

-- What happened to updates after they were accepted. Numbers follow time, and
-- behind says which delivery was the newest then: so deliveries and steps have
-- one order in which everything happened, and accepting writes nothing for it.
CREATE TABLE steps (
	number   INTEGER PRIMARY KEY,
	sequence INTEGER NOT NULL, -- the update's
	behind   INTEGER NOT NULL, -- a delivery's number
	at       INTEGER NOT NULL,
	until    INTEGER,
	attempts INTEGER NOT NULL,
	state    TEXT NOT NULL,
	code     TEXT NOT NULL,
	reason   TEXT NOT NULL,
	object   TEXT NOT NULL,
	retry_at INTEGER,
	actor    TEXT NOT NULL
) STRICT;
CREATE INDEX steps_updates ON steps (sequence);

-- The highest number that a table's rows had, so that none is given again after
-- its row was pruned.
CREATE TABLE numbers (
	name    TEXT PRIMARY KEY, -- of the table
	highest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Credentials that count once, and the delivery that each was used for.
CREATE TABLE spent (
	credential TEXT PRIMARY KEY,
	source     TEXT NOT NULL,
	id         TEXT NOT NULL,
	until      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_until ON spent (until);
