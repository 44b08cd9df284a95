-- Times are microseconds since 1970 in UTC; NULL is the zero time.

-- Who sends what, under which configuration: few different ones send all deliveries, so
-- a delivery and its updates have a number for them. By which credential is not among
-- it: that of a job names its run, and no row here is ever deleted.
CREATE TABLE senders (
	number     INTEGER PRIMARY KEY,
	principal  TEXT NOT NULL,
	actor      TEXT NOT NULL,
	config     TEXT NOT NULL,
	UNIQUE (principal, actor, config)
) STRICT;

-- A new delivery's number is one above the highest that was given, so numbers
-- follow acceptance.
CREATE TABLE deliveries (
	number      INTEGER PRIMARY KEY,
	prefix      INTEGER NOT NULL, -- the first 8 bytes of the ids of its updates
	source      TEXT NOT NULL,
	id          TEXT NOT NULL,
	received_at INTEGER NOT NULL,
	event_time  INTEGER,
	sender      INTEGER NOT NULL,
	credential  TEXT NOT NULL,
	remote      TEXT NOT NULL,
	recovered   INTEGER NOT NULL, -- 0 or 1
	outcome     TEXT NOT NULL,
	field       TEXT NOT NULL,
	reason      TEXT NOT NULL,
	environment TEXT NOT NULL,    -- that a rejected or waiting order named; else '', as app
	app         TEXT NOT NULL,
	body_digest BLOB,             -- 32 bytes
	event       BLOB,             -- gitops.EncodeEvent, while it waits
	decided_at  INTEGER,          -- of one that waited
	UNIQUE (prefix, source, id)
) STRICT;

-- The body of what was accepted, or waits, counts once where it has a digest.
CREATE UNIQUE INDEX deliveries_bodies ON deliveries (body_digest) WHERE body_digest IS NOT NULL AND outcome IN ('accepted', 'waiting');

-- A list's pages, newest first: an index ends with the row's number. The few
-- sources and outcomes make an insert an append at one of a few places.
CREATE INDEX deliveries_listed ON deliveries (source, outcome);
CREATE INDEX deliveries_sent ON deliveries (sender) WHERE outcome <> 'accepted'; -- the others by their updates
CREATE INDEX deliveries_in_environment ON deliveries (environment) WHERE environment <> '';
CREATE INDEX deliveries_of_app ON deliveries (environment, app) WHERE environment <> '';
CREATE INDEX deliveries_unaccepted ON deliveries (number) WHERE outcome <> 'accepted';
CREATE INDEX deliveries_waiting ON deliveries (number) WHERE outcome = 'waiting';

-- Apart from the deliveries, so that reading many of those reads no bodies.
CREATE TABLE bodies (
	delivery INTEGER PRIMARY KEY REFERENCES deliveries (number) ON DELETE CASCADE,
	body     BLOB NOT NULL
) STRICT;

-- An update's sequence is its delivery's number times 65536, plus its place in
-- the delivery: so the updates of a delivery lie together, in their order, and
-- neither they nor the way back to the delivery need an index. An update is found by
-- its id among those of the delivery that has the id's first half: an index of ids would
-- be one more page that every accept writes somewhere else.
CREATE TABLE updates (
	sequence      INTEGER PRIMARY KEY,
	id            BLOB NOT NULL,    -- 16 bytes; as text it is a UUID
	sender        INTEGER NOT NULL, -- the delivery's
	environment   TEXT NOT NULL,
	app           TEXT NOT NULL,
	repository    TEXT NOT NULL,
	tag           TEXT NOT NULL,
	version       TEXT NOT NULL,            -- gitops.VersionKey of the tag
	only_up       INTEGER NOT NULL,         -- 0 or 1
	digest        TEXT NOT NULL,
	rule          TEXT NOT NULL,
	revision      TEXT NOT NULL DEFAULT '', -- of the app's own repository; '' when the sender did not say
	terms         TEXT,             -- gitops.Terms as JSON, of a person's order that has some
	state         TEXT NOT NULL,
	code          TEXT NOT NULL DEFAULT '',
	reason        TEXT NOT NULL,
	object        TEXT NOT NULL DEFAULT '', -- the commit's name; COMMIT is a keyword
	attempts      INTEGER NOT NULL DEFAULT 0,
	accepted_at   INTEGER NOT NULL,
	finished_at   INTEGER,
	retried_at    INTEGER,
	cancel_actor  TEXT,                     -- NULL unless its cancellation is requested, as cancel_reason
	cancel_reason TEXT,
	blocked_by    TEXT NOT NULL DEFAULT '', -- a JSON list; what has lifted stays until the next report, which keeps its time
	blocked_kind  TEXT NOT NULL DEFAULT '', -- of the first of them
	ready_at      INTEGER,                  -- NULL: now; when its blocks lift; the highest number: not by themselves
	found_digest  TEXT,                     -- gitops.Found: NULL until its image was found, as found_at and found_named
	found_at      INTEGER,
	found_named   INTEGER,                  -- 0 or 1
	proposal      TEXT,                     -- gitops.Proposal as JSON: NULL until one is reported
	opened_at     INTEGER,                  -- of the proposal
	rollout       TEXT,                     -- gitops.Rollout as JSON: NULL until one is reported
	rolling       INTEGER                   -- 1 while the rollout is not final, else NULL
) STRICT;

-- What a lane takes, in acceptance order, without a look into the rows. What is
-- blocked costs it nothing.
CREATE INDEX updates_ready ON updates (environment, sequence, app, ready_at) WHERE state = 'pending' AND ready_at IS NULL;
CREATE INDEX updates_lifting ON updates (environment, ready_at, app, blocked_kind) WHERE state = 'pending' AND ready_at IS NOT NULL;
CREATE INDEX updates_cancel ON updates (environment) WHERE cancel_reason IS NOT NULL;

-- What is blocked, of all apps and of each. Accepting pays nothing for it.
CREATE INDEX updates_blocked ON updates (environment) WHERE state = 'pending' AND blocked_kind <> '';
CREATE INDEX updates_blocked_app ON updates (environment, app) WHERE state = 'pending' AND blocked_kind <> '';

-- What holds hold, for when they are lifted.
CREATE INDEX updates_held ON updates (environment, app) WHERE state = 'pending' AND blocked_kind IN ('pin', 'freeze', 'stop', 'bad');

-- What waits for its image, for when another process looks after the environment.
CREATE INDEX updates_images ON updates (environment) WHERE state = 'pending' AND blocked_kind = 'image';

-- The highest version that an app waits for. Accepting pays for it where tags are
-- versions.
CREATE INDEX updates_version ON updates (environment, app, version) WHERE finished_at IS NULL AND version <> '';

-- What is no longer pending, for the lists' pages. Accepting pays nothing for it.
CREATE INDEX updates_listed ON updates (environment, state) WHERE state <> 'pending';
CREATE INDEX updates_app ON updates (environment, app, state) WHERE state <> 'pending';
CREATE INDEX updates_sent ON updates (sender) WHERE state <> 'pending';

-- What is proposed, by when that was opened: one update of each app that has a proposal.
CREATE INDEX updates_proposed ON updates (environment, ifnull(opened_at, accepted_at)) WHERE state = 'proposed';

-- What is on its way in the cluster, in acceptance order: an index ends with the row's number.
CREATE INDEX updates_rolling ON updates (rolling) WHERE rolling IS NOT NULL;

-- What is on its way there, or ended without running, for the newest of each app.
CREATE INDEX updates_not_running ON updates (sequence)
	WHERE rollout IS NOT NULL AND json_extract(rollout, '$.state') NOT IN ('healthy', 'superseded', 'unmapped');

-- The tags whose proposals were closed by a person.
CREATE INDEX updates_closed ON updates (environment, app, tag) WHERE state = 'closed';

-- The apps that have a failed update, and the newest one of each.
CREATE INDEX updates_failed ON updates (environment, app) WHERE state = 'failed';

-- What is known of each app: gitops.Head. It outlives the updates it was learnt
-- from.
CREATE TABLE heads (
	environment    TEXT NOT NULL,
	app            TEXT NOT NULL,
	newest_event   INTEGER,
	newest_receipt INTEGER,
	order_event    INTEGER,          -- of updates that may go down
	order_receipt  INTEGER,
	pushed_version TEXT NOT NULL,    -- gitops.VersionKey of the last update that only goes up
	pushed_event   INTEGER,
	written        INTEGER NOT NULL, -- a sequence
	written_id     TEXT NOT NULL,
	written_tag    TEXT NOT NULL,
	word           INTEGER,          -- when a person's order was last accepted
	accepted_version TEXT NOT NULL,  -- the highest gitops.VersionKey that was ever accepted
	healthy        INTEGER NOT NULL DEFAULT 0, -- a sequence
	healthy_id     TEXT NOT NULL DEFAULT '',
	healthy_tag    TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (environment, app)
) STRICT, WITHOUT ROWID;

-- Which images were seen: gitops.SeenImage. Nothing prunes them. A tag has one row, and one
-- more for each digest that a person named for it although it had another.
CREATE TABLE images (
	repository TEXT NOT NULL,
	tag        TEXT NOT NULL,
	place      INTEGER NOT NULL, -- among the tag's, from 0
	digest     TEXT NOT NULL,    -- '' while only the tag is known
	seen_at    INTEGER NOT NULL,
	source     TEXT NOT NULL,    -- of the delivery that brought it; '' for none, as delivery
	delivery   TEXT NOT NULL,
	named      INTEGER NOT NULL, -- 0 or 1
	PRIMARY KEY (repository, tag, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE lanes (
	environment          TEXT PRIMARY KEY,
	used                 INTEGER NOT NULL DEFAULT 0, -- 1 once it has had an update
	maybe_pushed_through INTEGER NOT NULL DEFAULT 0, -- open updates up to this sequence may have been pushed by an earlier holder
	last_progress        INTEGER,
	last_success         INTEGER,
	outage_since         INTEGER,                    -- NULL while nothing keeps it from writing
	outage_retry_at      INTEGER,
	outage_code          TEXT NOT NULL DEFAULT '',
	outage_reason        TEXT NOT NULL DEFAULT '',
	outage_repository    TEXT NOT NULL DEFAULT ''    -- the manifest repository that alone is away; '' is the whole lane
) STRICT, WITHOUT ROWID;

-- What people hold updates by: gitops.Hold.
CREATE TABLE holds (
	number           INTEGER PRIMARY KEY, -- in its id
	kind             TEXT NOT NULL,
	environments     TEXT NOT NULL,       -- a JSON list, as apps
	apps             TEXT NOT NULL,
	tag              TEXT NOT NULL,
	principal        TEXT NOT NULL,
	actor            TEXT NOT NULL,
	reason           TEXT NOT NULL,
	rule             TEXT NOT NULL,
	since            INTEGER NOT NULL,
	until            INTEGER,
	lifted_at        INTEGER,             -- NULL unless a person lifted it, as those below
	lifted_principal TEXT,
	lifted_actor     TEXT,
	lifted_reason    TEXT,
	request          TEXT NOT NULL        -- that it was placed with; '' for none
) STRICT;
CREATE INDEX holds_in_force ON holds (ifnull(until, 9223372036854775807)) WHERE lifted_at IS NULL;
CREATE INDEX holds_bad ON holds (tag) WHERE kind = 'bad' AND lifted_at IS NULL;
CREATE INDEX holds_ended ON holds (ifnull(lifted_at, until));
CREATE INDEX holds_requests ON holds (request) WHERE request <> '';

-- When holds were placed and lifted, in the one order with deliveries: each change has
-- the number of a delivery that there is not, as entries of the audit have.
CREATE TABLE hold_changes (
	number INTEGER PRIMARY KEY,
	hold   INTEGER NOT NULL REFERENCES holds (number) ON DELETE CASCADE,
	lifted INTEGER NOT NULL -- 0 or 1
) STRICT;
CREATE INDEX hold_changes_holds ON hold_changes (hold);

-- One row: the highest number that a hold was given, and the holds' revision.
CREATE TABLE hold_numbers (
	only     INTEGER PRIMARY KEY CHECK (only = 1),
	highest  INTEGER NOT NULL,
	revision INTEGER NOT NULL
) STRICT;
INSERT INTO hold_numbers (only, highest, revision) VALUES (1, 0, 0);

-- When a lease runs out is known in memory only: it does not outlive the process.
CREATE TABLE leases (
	name   TEXT PRIMARY KEY, -- an environment or a job's
	token  INTEGER NOT NULL, -- of the latest claim
	holder TEXT NOT NULL,    -- of the latest claim
	state  TEXT NOT NULL     -- held; released: given back clean; expired: given back or lost with pushes that were not reported
) STRICT, WITHOUT ROWID;

-- What happened to updates after they were accepted. Numbers follow time, and
-- after_delivery says which delivery was the newest then: so deliveries and steps
-- have one order in which everything happened, and accepting writes nothing for it.
CREATE TABLE steps (
	number         INTEGER PRIMARY KEY,
	sequence       INTEGER NOT NULL, -- the update's
	after_delivery INTEGER NOT NULL, -- a delivery's number
	at             INTEGER NOT NULL,
	until          INTEGER,
	attempts       INTEGER NOT NULL,
	state          TEXT NOT NULL,
	code           TEXT NOT NULL,
	reason         TEXT NOT NULL,
	object         TEXT NOT NULL,
	retry_at       INTEGER,
	actor          TEXT NOT NULL,
	rollout        TEXT NOT NULL DEFAULT '' -- gitops.RolloutState, of a step of the rollout
) STRICT;
CREATE INDEX steps_updates ON steps (sequence);

-- The highest number that a table's rows had, so that none is given again after
-- its row was pruned.
CREATE TABLE numbers (
	name    TEXT PRIMARY KEY, -- of the table
	highest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Credentials that count once, and the delivery that each was used for.
CREATE TABLE used_tokens (
	credential TEXT PRIMARY KEY,
	source     TEXT NOT NULL,
	id         TEXT NOT NULL,
	until      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_tokens_until ON used_tokens (until);

-- What is left of deliveries that were pruned, so that they do not count again: the
-- hash of the key, and of what was accepted the digest of its body.
CREATE TABLE memories (
	hash        BLOB PRIMARY KEY, -- 32 bytes
	delivery    TEXT NOT NULL,    -- source/id, of a digest
	received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX memories_received ON memories (received_at);

-- Who did what. The entries of orders are the updates themselves, with their
-- deliveries, in the view orders: accepting writes nothing for them. What Prune
-- forgets of those it moves here, in the same transaction, under the same sequence.
-- Other entries have the sequence of a delivery that there is not, so all have one
-- order.
CREATE TABLE audit (
	sequence    INTEGER PRIMARY KEY,
	at          INTEGER NOT NULL,
	act         TEXT NOT NULL,
	principal   TEXT NOT NULL,
	actor       TEXT NOT NULL,
	credential  TEXT NOT NULL,
	remote      TEXT NOT NULL,
	asked       TEXT NOT NULL, -- the right
	rule        TEXT NOT NULL,
	environment TEXT NOT NULL,
	app         TEXT NOT NULL,
	update_id   ANY NOT NULL,  -- as in updates, or a text that is no id of ours
	delivery    TEXT NOT NULL, -- source/id
	reason      TEXT NOT NULL,
	was         TEXT NOT NULL,
	became      TEXT NOT NULL,
	config      TEXT NOT NULL
) STRICT;
CREATE INDEX audit_environments ON audit (environment);
CREATE INDEX audit_apps ON audit (environment, app);
CREATE INDEX audit_principals ON audit (principal);
CREATE INDEX audit_times ON audit (at);

-- The entries of updates whose deliveries are kept, with the columns of audit.
CREATE VIEW orders AS SELECT u.sequence, u.accepted_at AS at, 'order' AS act, s.principal, s.actor, d.credential, d.remote, 'order' AS asked, u.rule,
	u.environment, u.app, u.id AS update_id, d.source || '/' || d.id AS delivery, ifnull(u.terms ->> '$.reason', '') AS reason, '' AS was,
	CASE u.digest WHEN '' THEN u.tag ELSE u.tag || '@' || u.digest END AS became, s.config
	FROM updates u CROSS JOIN deliveries d ON d.number = u.sequence / 65536 CROSS JOIN senders s ON s.number = u.sender;

-- The record only grows. Prune says in its transaction up to when it may forget.
CREATE TABLE audit_pruning (before INTEGER NOT NULL) STRICT;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence)
	BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_kept BEFORE DELETE ON audit WHEN NOT EXISTS (SELECT 1 FROM audit_pruning WHERE OLD.at < before)
	BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER senders_unchanged BEFORE UPDATE ON senders BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER senders_kept BEFORE DELETE ON senders BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER deliveries_unchanged BEFORE UPDATE ON deliveries BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER deliveries_kept BEFORE DELETE ON deliveries
	WHEN EXISTS (SELECT 1 FROM updates WHERE sequence BETWEEN OLD.number * 65536 AND OLD.number * 65536 + 65535)
	BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER orders_unchanged BEFORE UPDATE OF sequence, id, sender, environment, app, repository, tag, digest, rule, revision, terms, accepted_at ON updates
	BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER orders_kept BEFORE DELETE ON updates WHEN NOT EXISTS (SELECT 1 FROM audit WHERE sequence = OLD.sequence)
	BEGIN SELECT raise(ABORT, 'the audit is append-only'); END;

-- With what commits are proved to be this installation's.
CREATE TABLE proof_keys (
	id      TEXT PRIMARY KEY,
	secret  BLOB NOT NULL CHECK (length(secret) = 32),
	made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the process is parsing. It is one process: what is here when the file is
-- opened was being parsed by one that died.
CREATE TABLE parsing (
	object TEXT NOT NULL,
	holder TEXT NOT NULL,
	kind   TEXT NOT NULL,
	path   TEXT NOT NULL,
	at     INTEGER NOT NULL,
	PRIMARY KEY (object, holder)
) STRICT, WITHOUT ROWID;

-- What was being parsed when a process died.
CREATE TABLE suspects (
	object TEXT PRIMARY KEY,
	kind   TEXT NOT NULL,
	path   TEXT NOT NULL,
	holder TEXT NOT NULL, -- the last process
	at     INTEGER NOT NULL,
	deaths INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What Ping writes.
CREATE TABLE pings (
	number INTEGER PRIMARY KEY,
	at     INTEGER NOT NULL
) STRICT;
