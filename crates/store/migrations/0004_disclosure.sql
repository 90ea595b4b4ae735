-- Cases: what follows a hit. The steps in case_event are what counts; disclosure_case is what a list shows of them.
CREATE TABLE disclosure_case (
    id               BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    side             TEXT NOT NULL CHECK (side IN ('requester', 'owner')),
    partner          TEXT NOT NULL CHECK (partner <> ''),
    agreement        TEXT NOT NULL,
    offer            TEXT NOT NULL,
    epoch            INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    exchange         BLOB NOT NULL CHECK (length(exchange) = 16),
    -- The tag that hit leads to a record of ours. Sealed; found by a keyed digest of it and its scope.
    tag_sealed       BLOB NOT NULL,
    tag_digest       BLOB NOT NULL CHECK (length(tag_digest) = 16),
    opened_ms        INTEGER NOT NULL,
    -- From here on: follows from the steps, and may be written again from them.
    state            TEXT NOT NULL CHECK (state <> ''),
    -- Null: nobody, the case has ended.
    waits_for        TEXT CHECK (waits_for IN ('requester', 'owner')),
    purpose          TEXT NOT NULL,
    urgency          TEXT NOT NULL,
    updated_ms       INTEGER NOT NULL,
    clock_started_ms INTEGER,
    clock_due_ms     INTEGER,
    clock_stopped    INTEGER CHECK (clock_stopped IN (0, 1)),
    clock_ended      INTEGER CHECK (clock_ended IN (0, 1)),
    -- Reminders sent: of 50 %, 80 % and 100 % of the time.
    clock_reminded   INTEGER CHECK (clock_reminded BETWEEN 0 AND 3),
    -- When the request is void.
    expires_ms       INTEGER,
    -- Shared steps: how many, SHA-256 of the last, and how many the partner has acknowledged.
    step             INTEGER NOT NULL CHECK (step >= 0),
    head             BLOB NOT NULL CHECK (length(head) = 32),
    delivered        INTEGER NOT NULL DEFAULT 0 CHECK (delivered BETWEEN 0 AND step),
    -- What lists are ordered and cut by.
    turn             TEXT NOT NULL GENERATED ALWAYS AS (
        CASE WHEN waits_for IS NULL THEN 'nobody' WHEN waits_for = side THEN 'ours' ELSE 'theirs' END) VIRTUAL,
    due_order        INTEGER NOT NULL GENERATED ALWAYS AS (
        CASE WHEN clock_stopped = 0 AND clock_ended = 0 THEN clock_due_ms ELSE 9223372036854775807 END) VIRTUAL,
    newest_first     INTEGER NOT NULL GENERATED ALWAYS AS (-opened_ms) VIRTUAL,
    -- When the node has to look at it again: the next reminder, or the end of a request that we were asked.
    wake_ms          INTEGER GENERATED ALWAYS AS (nullif(min(
        CASE WHEN waits_for IS NOT NULL AND clock_stopped = 0 AND clock_ended = 0 AND clock_reminded < 3
            THEN clock_started_ms + (clock_due_ms - clock_started_ms)
                * (CASE clock_reminded WHEN 0 THEN 50 WHEN 1 THEN 80 ELSE 100 END) / 100
            ELSE 9223372036854775807 END,
        CASE WHEN waits_for IS NOT NULL AND side = 'owner' AND expires_ms IS NOT NULL
            THEN expires_ms ELSE 9223372036854775807 END), 9223372036854775807)) VIRTUAL,
    CHECK ((clock_started_ms IS NULL) = (clock_due_ms IS NULL)
           AND (clock_due_ms IS NULL) = (clock_stopped IS NULL)
           AND (clock_stopped IS NULL) = (clock_ended IS NULL)
           AND (clock_ended IS NULL) = (clock_reminded IS NULL))
) STRICT;
-- Pages of a list. The other columns that a filter may name come last, so that what does not fit is passed over
-- without reading its row.
CREATE INDEX disclosure_case_list ON disclosure_case (due_order, newest_first, id, side, turn, state, partner);
CREATE INDEX disclosure_case_side ON disclosure_case (side, due_order, newest_first, id, turn, state, partner);
CREATE INDEX disclosure_case_turn ON disclosure_case (turn, due_order, newest_first, id, side, state, partner);
CREATE INDEX disclosure_case_state ON disclosure_case (state, due_order, newest_first, id, side, turn, partner);
CREATE INDEX disclosure_case_partner ON disclosure_case (partner, due_order, newest_first, id, side, turn, state);
CREATE INDEX disclosure_case_count ON disclosure_case (side, state, waits_for);
CREATE INDEX disclosure_case_tag ON disclosure_case (tag_digest) WHERE side = 'requester' AND waits_for IS NOT NULL;
CREATE INDEX disclosure_case_asked_about ON disclosure_case (tag_digest) WHERE side = 'owner' AND waits_for IS NOT NULL;
CREATE INDEX disclosure_case_asked ON disclosure_case (partner, opened_ms) WHERE side = 'owner';
CREATE INDEX disclosure_case_undelivered ON disclosure_case (id) WHERE side = 'owner' AND step > delivered;
CREATE INDEX disclosure_case_wake ON disclosure_case (wake_ms) WHERE wake_ms IS NOT NULL;
CREATE INDEX disclosure_case_ended ON disclosure_case (updated_ms) WHERE waits_for IS NULL;
CREATE TRIGGER disclosure_case_stays_the_same
BEFORE UPDATE OF id, side, partner, agreement, offer, epoch, kind, exchange, tag_sealed, tag_digest, opened_ms ON disclosure_case
BEGIN SELECT raise(ABORT, 'what a case is about never changes'); END;
CREATE TRIGGER disclosure_case_delivered_only_rises BEFORE UPDATE OF delivered ON disclosure_case
WHEN new.delivered < old.delivered
BEGIN SELECT raise(ABORT, 'what was delivered stays delivered'); END;
CREATE TRIGGER disclosure_case_goes_when_ended BEFORE DELETE ON disclosure_case WHEN old.waits_for IS NOT NULL
BEGIN SELECT raise(ABORT, 'a case that has not ended is never deleted'); END;

-- What is ours alone of a case.
CREATE TABLE case_private (
    case_id               BLOB PRIMARY KEY REFERENCES disclosure_case (id) ON DELETE CASCADE,
    escalation_key_sealed BLOB,
    subject_sealed        BLOB
) STRICT, WITHOUT ROWID;

-- The steps of a case, in order: 1, 2, 3 …
CREATE TABLE case_event (
    case_id         BLOB NOT NULL REFERENCES disclosure_case (id) ON DELETE CASCADE,
    seq             INTEGER NOT NULL,
    at_ms           INTEGER NOT NULL,
    -- Not shown to the partner.
    private         INTEGER NOT NULL CHECK (private IN (0, 1)),
    document_sealed BLOB NOT NULL,
    PRIMARY KEY (case_id, seq)
) STRICT;
CREATE TRIGGER case_event_follows BEFORE INSERT ON case_event
WHEN new.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM case_event WHERE case_id = new.case_id)
BEGIN SELECT raise(ABORT, 'steps are numbered without a gap'); END;
CREATE TRIGGER case_event_never_changes BEFORE UPDATE ON case_event
BEGIN SELECT raise(ABORT, 'a step never changes'); END;
-- A case that is being deleted is gone when its steps follow it.
CREATE TRIGGER case_event_goes_with_its_case BEFORE DELETE ON case_event
WHEN EXISTS (SELECT 1 FROM disclosure_case WHERE id = old.case_id)
BEGIN SELECT raise(ABORT, 'a step goes with its case only'); END;

-- Requests, decisions, approvals, releases, messages: by digest, in the order they came.
CREATE TABLE case_document (
    seq             INTEGER PRIMARY KEY,
    case_id         BLOB NOT NULL REFERENCES disclosure_case (id) ON DELETE CASCADE,
    digest          BLOB NOT NULL CHECK (length(digest) = 32),
    kind            TEXT NOT NULL CHECK (kind <> ''),
    document_sealed BLOB NOT NULL,
    UNIQUE (case_id, digest)
) STRICT;
CREATE TRIGGER case_document_never_changes BEFORE UPDATE ON case_document
BEGIN SELECT raise(ABORT, 'a document never changes'); END;
CREATE TRIGGER case_document_goes_with_its_case BEFORE DELETE ON case_document
WHEN EXISTS (SELECT 1 FROM disclosure_case WHERE id = old.case_id
    -- What a partner took back.
    AND NOT (side = 'requester' AND old.kind IN ('decision', 'sealed-release')))
BEGIN SELECT raise(ABORT, 'a document goes with its case only'); END;

-- A step of ours, and its documents, that the owner has not taken yet.
CREATE TABLE case_pending (
    case_id     BLOB PRIMARY KEY REFERENCES disclosure_case (id) ON DELETE CASCADE,
    since_ms    INTEGER NOT NULL,
    step_sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Parts of attachments, as they travel: encrypted under the attachment's key, which a sealed message holds.
CREATE TABLE case_part (
    case_id    BLOB NOT NULL REFERENCES disclosure_case (id) ON DELETE CASCADE,
    attachment BLOB NOT NULL CHECK (length(attachment) = 16),
    part       INTEGER NOT NULL CHECK (part BETWEEN 0 AND 199),
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    -- 1: of ours; 0: of the partner.
    ours       INTEGER NOT NULL CHECK (ours IN (0, 1)),
    -- 1: the partner has it.
    delivered  INTEGER NOT NULL CHECK (delivered IN (0, 1)),
    -- A part of 256 KiB and its AEAD tag.
    bytes      BLOB NOT NULL CHECK (length(bytes) BETWEEN 1 AND 262160),
    PRIMARY KEY (case_id, attachment, part)
) STRICT;
-- Counted before a part is added, without reading the parts.
CREATE INDEX case_part_side ON case_part (case_id, attachment, ours);
CREATE INDEX case_part_undelivered ON case_part (case_id, attachment, part) WHERE delivered = 0;
CREATE TRIGGER case_part_never_changes BEFORE UPDATE OF case_id, attachment, part, sha256, ours, bytes ON case_part
BEGIN SELECT raise(ABORT, 'a part never changes'); END;
CREATE TRIGGER case_part_goes_when_ended BEFORE DELETE ON case_part
WHEN EXISTS (SELECT 1 FROM disclosure_case WHERE id = old.case_id AND waits_for IS NOT NULL)
BEGIN SELECT raise(ABORT, 'a part of a case that has not ended is never deleted'); END;

-- The changes of the agency's officers and their keys: 1, 2, 3 …
CREATE TABLE registry_change (
    sequence         INTEGER PRIMARY KEY,
    document_sealed  BLOB NOT NULL,
    approvals_sealed BLOB NOT NULL
) STRICT;
CREATE TRIGGER registry_change_follows BEFORE INSERT ON registry_change
WHEN new.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM registry_change)
BEGIN SELECT raise(ABORT, 'changes are numbered without a gap'); END;
CREATE TRIGGER registry_change_never_changes BEFORE UPDATE ON registry_change
BEGIN SELECT raise(ABORT, 'a change of the registry never changes'); END;
CREATE TRIGGER registry_change_is_never_deleted BEFORE DELETE ON registry_change
BEGIN SELECT raise(ABORT, 'a change of the registry is never deleted'); END;

-- The last signature counter of an officer's passkey.
CREATE TABLE key_counter (
    key     BLOB PRIMARY KEY CHECK (length(key) = 32),
    counter INTEGER NOT NULL CHECK (counter >= 0)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER key_counter_only_rises BEFORE UPDATE ON key_counter
WHEN new.key <> old.key OR new.counter <= old.counter
BEGIN SELECT raise(ABORT, 'a signature counter only rises'); END;
CREATE TRIGGER key_counter_is_never_deleted BEFORE DELETE ON key_counter
BEGIN SELECT raise(ABORT, 'a signature counter is never deleted'); END;

-- Pairs that a person found to be different people: a hit of theirs opens no case until then.
CREATE TABLE suppression (
    tag      BLOB PRIMARY KEY CHECK (length(tag) = 32),
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX suppression_until ON suppression (until_ms);
