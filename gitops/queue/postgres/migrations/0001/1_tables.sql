-- Every change is one call of a function of these files: one message to the server
-- and one transaction, so that no lock ever waits for a client that is slow, paused
-- or gone.

-- Deliveries and steps draw their numbers here, so they have one order in which
-- everything happened. A sequence is written in place. A row would leave a dead
-- version with every change, and all later changes would walk over those for as long
-- as a transaction anywhere in the database keeps an old snapshot. What orders the
-- numbers is not the sequence but take_turn.
CREATE SEQUENCE counter MINVALUE 0 START 0;

-- The program's table of states and transitions (gitops.States, gitops.Edges). The
-- program fills both after the migrations and compares them each time it opens the
-- store.
CREATE TABLE states (
	name  text PRIMARY KEY,
	final boolean NOT NULL,
	written boolean NOT NULL -- the branch has what the update asked for
);
CREATE TABLE transitions (
	from_state text NOT NULL REFERENCES states,
	action     text NOT NULL,
	to_state   text NOT NULL REFERENCES states,
	PRIMARY KEY (from_state, action)
);

CREATE TABLE deliveries (
	number      bigint PRIMARY KEY,
	source      text NOT NULL,
	id          text NOT NULL,
	received_at timestamptz NOT NULL,
	event_time  timestamptz,
	actor       text NOT NULL,
	principal   text NOT NULL,
	remote      text NOT NULL,
	recovered   boolean NOT NULL,
	credential  text NOT NULL,
	outcome     text NOT NULL,
	field       text NOT NULL,
	reason      text NOT NULL,
	environment text NOT NULL, -- that a rejected or waiting order named; else '', as app
	app         text NOT NULL,
	config      text NOT NULL,
	body_digest bytea, -- 32 bytes
	event       bytea, -- gitops.EncodeEvent, while it waits
	decided_at  timestamptz, -- of one that waited
	UNIQUE (source, id)
);
-- The body of what was accepted, or waits, counts once where it has a digest.
CREATE UNIQUE INDEX deliveries_bodies ON deliveries (body_digest) WHERE outcome IN ('accepted', 'waiting');
-- Indexes that are read from one end for a few rows have their last column "+ 0": the
-- primary key is not in that order. Else the planner would go through the whole table
-- along the primary key wherever it thinks that most of it matches.
CREATE INDEX deliveries_listed ON deliveries (source, outcome, (number + 0));
CREATE INDEX deliveries_sent ON deliveries (principal, (number + 0));
CREATE INDEX deliveries_in_environment ON deliveries (environment, (number + 0)) WHERE environment <> '';
CREATE INDEX deliveries_of_app ON deliveries (environment, app, (number + 0)) WHERE environment <> '';
CREATE INDEX deliveries_unaccepted ON deliveries ((number + 0)) WHERE outcome <> 'accepted';
CREATE INDEX deliveries_waiting ON deliveries ((number + 0)) WHERE outcome = 'waiting';

-- Apart from the deliveries, so that reading many of those reads no bodies.
CREATE TABLE bodies (
	delivery bigint PRIMARY KEY,
	body     bytea NOT NULL
);

-- An update's sequence is its delivery's number times 65536, plus its place in the
-- delivery: so the updates of a delivery lie together, in their order, and neither
-- they nor the way back to the delivery need an index.
CREATE TABLE updates (
	sequence      bigint PRIMARY KEY,
	id            text NOT NULL UNIQUE,
	environment   text NOT NULL,
	app           text NOT NULL,
	repository    text NOT NULL,
	tag           text NOT NULL,
	version       text COLLATE "C" NOT NULL DEFAULT '', -- gitops.VersionKey of the tag
	only_up       boolean NOT NULL DEFAULT false,
	digest        text NOT NULL,
	rule          text NOT NULL,
	revision      text NOT NULL DEFAULT '',    -- of the app's own repository; '' when the sender did not say
	terms         jsonb,                       -- gitops.Terms, of a person's order
	state         text NOT NULL,
	blocked_by    jsonb NOT NULL DEFAULT '[]', -- gitops.Block
	ready_at      timestamptz,                 -- null: nothing blocks it; else when all of blocked_by has lifted, perhaps never; only while it is pending
	code          text NOT NULL DEFAULT '',
	reason        text NOT NULL,
	commit_id     text NOT NULL DEFAULT '',
	attempts      integer NOT NULL DEFAULT 0,
	accepted_at   timestamptz NOT NULL,
	finished_at   timestamptz,                 -- null while the state is not final
	retried_at    timestamptz,
	cancel_actor  text,                        -- null: not requested
	cancel_reason text,
	found_digest  text,                        -- gitops.Found: null until its image was found, as found_at and found_named
	found_at      timestamptz,
	found_named   boolean,
	proposal      jsonb,                       -- gitops.Proposal: null until one is reported
	opened_at     timestamptz,                 -- of the proposal
	rollout       jsonb,                       -- gitops.Rollout: null until one is reported
	rolling       boolean NOT NULL DEFAULT false, -- there is a rollout, and it is not final
	-- What it counts as in the table tallies: null for nothing, '' for ready, the kind of
	-- the first block, or 'proposed'.
	counts_as     text GENERATED ALWAYS AS (CASE WHEN state = 'proposed' THEN state WHEN finished_at IS NULL THEN coalesce(blocked_by->0->>'kind', '') END) STORED,
	is_ready      boolean GENERATED ALWAYS AS (state = 'pending' AND ready_at IS NULL) STORED,
	was_held      boolean GENERATED ALWAYS AS (coalesce(blocked_by->0->>'kind', '') IN ('pin', 'freeze', 'stop', 'bad')) STORED, -- or is: gitops.BlockKind.Held
	has_failed    boolean GENERATED ALWAYS AS (state = 'failed') STORED
);

-- The lists' pages.
CREATE INDEX updates_listed ON updates (environment, state, (sequence + 0));
CREATE INDEX updates_app ON updates (environment, app, state, (sequence + 0));
-- What a lane takes. What is blocked costs it nothing, and lifts without a write when
-- its time has come. The conditions have columns of their own, so that the planner cannot
-- take an index of the lists in the place of one of these.
CREATE INDEX updates_ready ON updates (environment, (sequence + 0)) WHERE is_ready;
CREATE INDEX updates_blocked ON updates (environment, ready_at) WHERE ready_at IS NOT NULL;
-- Whether an app has a later one that is ready than one that was held.
CREATE INDEX updates_ready_app ON updates (environment, app, (sequence + 0)) WHERE is_ready;
-- What holds hold, for when they are lifted.
CREATE INDEX updates_held ON updates (environment, app, ready_at) WHERE was_held;
-- What waits for its image, for when another process looks after the environment.
CREATE INDEX updates_images ON updates (environment, ready_at) WHERE counts_as = 'image';
-- The highest version that an app waits for.
CREATE INDEX updates_version ON updates (environment, app, version) WHERE finished_at IS NULL AND version <> '';
-- What is proposed, by when that was opened: one update of each app that has a proposal.
CREATE INDEX updates_proposed ON updates (environment, (coalesce(opened_at, accepted_at))) WHERE counts_as = 'proposed';
-- What is on its way in the cluster.
CREATE INDEX updates_rolling ON updates ((sequence + 0)) WHERE rolling;
-- What is on its way there, or ended without running, for the newest of each app.
CREATE INDEX updates_not_running ON updates (environment, app) WHERE rollout->>'state' NOT IN ('healthy', 'superseded', 'unmapped');
-- The tags whose proposals were closed by a person.
CREATE INDEX updates_closed ON updates (environment, app, tag, (sequence + 0)) WHERE state = 'closed';
-- The apps that have a failed update, and the newest one of each.
CREATE INDEX updates_failed ON updates (environment, app, (sequence + 0) DESC) WHERE has_failed;
CREATE INDEX updates_to_cancel ON updates (environment, sequence) WHERE cancel_actor IS NOT NULL;

-- What is known of each app (gitops.Head). It outlives the updates it was taken from.
CREATE TABLE heads (
	environment    text NOT NULL,
	app            text NOT NULL,
	newest_event   timestamptz,
	newest_receipt timestamptz,
	order_event    timestamptz, -- of updates that may go down
	order_receipt  timestamptz,
	pushed_version text COLLATE "C" NOT NULL DEFAULT '', -- gitops.VersionKey of the last update that only goes up
	pushed_event   timestamptz,
	word           timestamptz, -- when a person's order was last accepted
	written        bigint NOT NULL DEFAULT 0, -- a sequence
	written_id     text NOT NULL DEFAULT '',
	written_tag    text NOT NULL DEFAULT '',
	written_version text COLLATE "C" NOT NULL DEFAULT '', -- gitops.VersionKey of written_tag
	accepted_version text COLLATE "C" NOT NULL DEFAULT '', -- the highest gitops.VersionKey that was ever accepted
	healthy        bigint NOT NULL DEFAULT 0, -- a sequence
	healthy_id     text NOT NULL DEFAULT '',
	healthy_tag    text NOT NULL DEFAULT '',
	PRIMARY KEY (environment, app)
) WITH (fillfactor = 50);

-- How many updates of each environment count as what (updates.counts_as), so that
-- whoever asks counts nothing. The newest row counts; each change writes a new one
-- and deletes the one before. An index that begins with the newest finds it at once,
-- also where an old snapshot keeps the versions before: see counter.
CREATE TABLE tallies (
	environment text NOT NULL,
	counts_as   text NOT NULL,
	number      bigint NOT NULL, -- the counter's when it was written
	total       bigint NOT NULL
);
CREATE UNIQUE INDEX tallies_newest ON tallies (environment, counts_as, number DESC);

-- A lane and its lease, or the lease on a job.
CREATE TABLE lanes (
	name       text PRIMARY KEY,
	token      bigint NOT NULL DEFAULT 0,    -- of the latest claim
	holder     text NOT NULL DEFAULT '',     -- of the latest claim
	lease      text NOT NULL DEFAULT 'free', -- free: never claimed, or released clean; held; lost: released, and what its holder pushed is not known
	expires_at timestamptz,                  -- of the lease, while it is held
	session    bigint,                       -- the advisory lock of the holder's process; null: none is known, and only the time ends the lease
	maybe_pushed_through bigint NOT NULL DEFAULT 0, -- open updates up to this sequence may have been pushed by an earlier holder
	last_progress   timestamptz,
	last_success    timestamptz,
	outage_since    timestamptz,             -- null while nothing keeps the lane from writing, and so the rest
	outage_code     text NOT NULL DEFAULT '',
	outage_reason   text NOT NULL DEFAULT '',
	outage_retry_at timestamptz,
	outage_repository text NOT NULL DEFAULT '' -- the manifest repositories that are away while others are not; '' is the whole lane
) WITH (fillfactor = 50);

-- What happened to updates after they were accepted.
CREATE TABLE steps (
	number    bigint PRIMARY KEY,
	sequence  bigint NOT NULL, -- the update's
	at        timestamptz NOT NULL,
	until     timestamptz,
	attempts  integer NOT NULL,
	state     text NOT NULL,
	code      text NOT NULL DEFAULT '',
	reason    text NOT NULL,
	commit_id text NOT NULL DEFAULT '',
	retry_at  timestamptz,
	actor     text NOT NULL,
	rollout   text NOT NULL DEFAULT '' -- gitops.RolloutState, of a step of the rollout
);
CREATE INDEX steps_updates ON steps (sequence, (number + 0));

CREATE TABLE checkpoints (
	name  text PRIMARY KEY,
	value text NOT NULL
);

-- Credentials that count once, and the delivery that each was used for.
CREATE TABLE used_tokens (
	credential text PRIMARY KEY,
	source     text NOT NULL,
	id         text NOT NULL,
	until      timestamptz NOT NULL
);
CREATE INDEX used_tokens_until ON used_tokens (until);

-- With what commits are proved to be this installation's.
CREATE TABLE proof_keys (
	id      text PRIMARY KEY,
	secret  bytea NOT NULL CHECK (length(secret) = 32),
	made_at timestamptz NOT NULL
);

-- Where the tables were when the store was opened last: see notice_restore.
CREATE TABLE location (identity text NOT NULL);
