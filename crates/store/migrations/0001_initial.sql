-- Concordat's node store. Described table by table in docs/data-model.md.
--
-- Times are Unix milliseconds, days are days since 1970-01-01, both UTC.
-- A column named sealed, or ending in _sealed, holds nonce (24) || XChaCha20 ciphertext || Poly1305 tag (16).
-- A column named blind_index holds 16 bytes of HMAC-SHA256 over kind, rule and canonical bytes of an identifier.

-- The store's own facts: the data key, sealed under the master key.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What the node wishes to remember about itself. Nothing secret.
CREATE TABLE fact (
    key        TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- lists, imports, records, identifiers

CREATE TABLE list (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL CHECK (name <> ''),
    created_ms INTEGER NOT NULL,
    deleted_ms INTEGER,
    -- Visible records; kept in step by every transaction that makes records visible or invisible.
    records    INTEGER NOT NULL DEFAULT 0 CHECK (records >= 0),
    -- Counts these transactions: equal means unchanged.
    revision   INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0)
) STRICT;
CREATE UNIQUE INDEX list_name ON list (name) WHERE deleted_ms IS NULL;

-- Visible identifiers of a list by kind; kept in step like list.records.
CREATE TABLE list_kind (
    list_id     INTEGER NOT NULL REFERENCES list (id),
    kind        INTEGER NOT NULL,
    identifiers INTEGER NOT NULL CHECK (identifiers >= 0),
    PRIMARY KEY (list_id, kind)
) STRICT, WITHOUT ROWID;

-- One change of a list. Everything it staged becomes visible when its state turns to committed: one row.
-- Each list has one row of mode direct, always committed, under which single records are changed.
CREATE TABLE import (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    list_id     INTEGER NOT NULL REFERENCES list (id),
    mode        TEXT NOT NULL CHECK (mode IN ('replace', 'merge', 'direct')),
    format      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('staging', 'committed', 'aborted')),
    started_ms  INTEGER NOT NULL,
    finished_ms INTEGER,
    added       INTEGER NOT NULL DEFAULT 0,
    changed     INTEGER NOT NULL DEFAULT 0,
    removed     INTEGER NOT NULL DEFAULT 0,
    unchanged   INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX import_list ON import (list_id);
CREATE UNIQUE INDEX import_one_at_a_time ON import (list_id) WHERE state = 'staging';
CREATE UNIQUE INDEX import_direct ON import (list_id) WHERE mode = 'direct';
CREATE TRIGGER import_is_decided_once BEFORE UPDATE OF state ON import
WHEN old.state = 'aborted' OR (old.state = 'committed' AND new.state = 'staging')
BEGIN SELECT raise(ABORT, 'an import is decided once'); END;

CREATE TABLE import_reject (
    import_id INTEGER NOT NULL REFERENCES import (id),
    seq       INTEGER NOT NULL,
    line      INTEGER NOT NULL,
    field     TEXT NOT NULL,
    rule      TEXT NOT NULL,
    reason    TEXT NOT NULL,
    PRIMARY KEY (import_id, seq)
) STRICT, WITHOUT ROWID;

-- One version of a record. Visible if added_by is committed and removed_by is not.
CREATE TABLE record (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    list_id    INTEGER NOT NULL REFERENCES list (id),
    source_id  TEXT NOT NULL CHECK (source_id <> ''),
    -- Keyed digest of the content: equal content is recognised, a guess at the content is not confirmed.
    digest     BLOB NOT NULL CHECK (length(digest) = 16),
    added_by   INTEGER NOT NULL REFERENCES import (id),
    removed_by INTEGER REFERENCES import (id)
) STRICT;
CREATE INDEX record_source ON record (list_id, source_id);
CREATE INDEX record_added_by ON record (added_by);
CREATE INDEX record_removed_by ON record (removed_by) WHERE removed_by IS NOT NULL;

CREATE VIEW visible_record AS
SELECT r.id, r.list_id, r.source_id, r.digest
FROM record r JOIN import a ON a.id = r.added_by
WHERE a.state = 'committed'
  AND (r.removed_by IS NULL OR (SELECT d.state FROM import d WHERE d.id = r.removed_by) <> 'committed');

CREATE TABLE record_payload (
    record_id INTEGER PRIMARY KEY REFERENCES record (id),
    sealed    BLOB NOT NULL
) STRICT;

-- The identifiers of a record, beside each other.
CREATE TABLE identifier (
    record_id   INTEGER NOT NULL REFERENCES record (id),
    kind        INTEGER NOT NULL,
    blind_index BLOB NOT NULL CHECK (length(blind_index) = 16),
    rule        INTEGER NOT NULL,
    grade       INTEGER NOT NULL,
    variant     INTEGER NOT NULL CHECK (variant IN (0, 1)),
    sealed      BLOB NOT NULL,
    PRIMARY KEY (record_id, kind, blind_index)
) STRICT, WITHOUT ROWID;

-- The same the other way round. A table and not an index of identifier, because a blind index is random and an
-- import of millions would rewrite the whole tree again and again: an import fills this in sorted runs instead.
CREATE TABLE identifier_index (
    kind        INTEGER NOT NULL,
    blind_index BLOB NOT NULL,
    record_id   INTEGER NOT NULL,
    variant     INTEGER NOT NULL,
    PRIMARY KEY (kind, blind_index, record_id)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- agreements, scopes, keys

CREATE TABLE agreement (
    id         TEXT PRIMARY KEY CHECK (id <> ''),
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    note       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('proposed', 'active', 'suspended', 'superseded', 'ended')),
    -- Why we suspended it.
    stopped_because TEXT CHECK (stopped_because IS NULL OR status IN ('suspended', 'ended')),
    partner    TEXT NOT NULL,
    owns       INTEGER NOT NULL CHECK (owns IN (0, 1)),
    asks       INTEGER NOT NULL CHECK (asks IN (0, 1)),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE TRIGGER agreement_text_never_changes BEFORE UPDATE OF id, digest, partner ON agreement
BEGIN SELECT raise(ABORT, 'the text of an agreement never changes'); END;

CREATE TABLE scope (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    agreement_id  TEXT NOT NULL REFERENCES agreement (id),
    offer_id      TEXT NOT NULL,
    epoch         INTEGER NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('owner', 'requester')),
    public_key    BLOB NOT NULL CHECK (length(public_key) = 32),
    key_note      TEXT NOT NULL,
    not_before_ms INTEGER NOT NULL,
    not_after_ms  INTEGER NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('active', 'retired', 'destroyed')),
    created_ms    INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL,
    UNIQUE (agreement_id, offer_id, epoch, role),
    CHECK (not_before_ms < not_after_ms)
) STRICT;
CREATE TRIGGER scope_key_is_pinned
BEFORE UPDATE OF agreement_id, offer_id, epoch, role, public_key, key_note, not_before_ms, not_after_ms ON scope
BEGIN SELECT raise(ABORT, 'the key of a scope is pinned'); END;

-- The OPRF seed of a scope we own, until its key is destroyed. Longer than a page: the seed comes last, so it lies on
-- a page of its own, which SQLite never copies when it moves rows about, and overwrites when the row is deleted.
CREATE TABLE scope_key (
    scope_id    INTEGER PRIMARY KEY REFERENCES scope (id),
    seed_sealed BLOB NOT NULL CHECK (length(seed_sealed) > 4096)
) STRICT;
CREATE TRIGGER scope_key_never_changes BEFORE UPDATE ON scope_key
BEGIN SELECT raise(ABORT, 'the key of a scope is pinned'); END;
CREATE TRIGGER scope_key_is_the_owners BEFORE INSERT ON scope_key
WHEN (SELECT role <> 'owner' OR status = 'destroyed' FROM scope WHERE id = new.scope_id)
BEGIN SELECT raise(ABORT, 'only an owner has a key'); END;
CREATE TRIGGER scope_destroyed_is_final BEFORE UPDATE OF status ON scope WHEN old.status = 'destroyed'
BEGIN SELECT raise(ABORT, 'a destroyed key does not come back'); END;
CREATE TRIGGER scope_destroyed_has_no_key AFTER UPDATE OF status ON scope WHEN new.status = 'destroyed'
BEGIN DELETE FROM scope_key WHERE scope_id = new.id; END;

-- ---------------------------------------------------------------- tags and snapshots

-- Tags of our own identifiers under an owner scope's key. The padding published with them is derived from a seed.
-- Published: added_in <= latest served version, and removed_in is null or later than it.
CREATE TABLE own_tag (
    scope_id    INTEGER NOT NULL REFERENCES scope (id),
    blind_index BLOB NOT NULL CHECK (length(blind_index) = 16),
    tag         BLOB NOT NULL CHECK (length(tag) = 16),
    added_in    INTEGER,
    removed_in  INTEGER,
    PRIMARY KEY (scope_id, blind_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot_served (
    scope_id     INTEGER NOT NULL REFERENCES scope (id),
    version      INTEGER NOT NULL CHECK (version > 0),
    manifest     TEXT NOT NULL,
    -- Which lists, each at which revision, it shows: "id:revision" in order of id.
    lists        TEXT NOT NULL,
    published_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot_held (
    scope_id     INTEGER NOT NULL REFERENCES scope (id),
    version      INTEGER NOT NULL CHECK (version > 0),
    manifest     TEXT NOT NULL,
    installed_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_id, version)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER snapshot_held_never_goes_back BEFORE INSERT ON snapshot_held
WHEN new.version <= (SELECT max(version) FROM snapshot_held WHERE scope_id = new.scope_id)
BEGIN SELECT raise(ABORT, 'a snapshot never goes back'); END;

-- Tags of our own identifiers under a partner's key, for the epoch.
CREATE TABLE kept_tag (
    scope_id    INTEGER NOT NULL REFERENCES scope (id),
    blind_index BLOB NOT NULL CHECK (length(blind_index) = 16),
    tag         BLOB NOT NULL CHECK (length(tag) = 16),
    PRIMARY KEY (scope_id, blind_index)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- jobs

CREATE TABLE job (
    id               BLOB PRIMARY KEY CHECK (length(id) = 16),
    -- The caller's own id of the request: the same id is the same job.
    request_id       TEXT UNIQUE,
    kind             TEXT NOT NULL,
    state            TEXT NOT NULL
        CHECK (state IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
    spec_sealed      BLOB NOT NULL,
    done             INTEGER NOT NULL DEFAULT 0,
    total            INTEGER,
    -- Why it is paused or failed.
    detail           TEXT NOT NULL DEFAULT '',
    -- What the job's end should tell, as JSON.
    summary          TEXT NOT NULL DEFAULT '',
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    created_ms       INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_unfinished ON job (state) WHERE state IN ('queued', 'running', 'paused');

-- The request that a job makes, or made last, in a scope: its size was fixed and announced when it began.
CREATE TABLE job_request (
    job_id      BLOB NOT NULL REFERENCES job (id),
    scope_id    INTEGER NOT NULL REFERENCES scope (id),
    request_id  BLOB NOT NULL CHECK (length(request_id) = 16),
    -- The number of its first chunk, and how many chunks it has.
    first_index INTEGER NOT NULL,
    chunks      INTEGER NOT NULL CHECK (chunks > 0),
    -- Identifiers when it began, and elements after padding.
    identifiers INTEGER NOT NULL,
    elements    INTEGER NOT NULL,
    PRIMARY KEY (job_id, scope_id)
) STRICT, WITHOUT ROWID;

-- A chunk as it was, or is about to be, sent: enough to send it again byte for byte. Done: the plan is erased.
CREATE TABLE job_chunk (
    job_id      BLOB NOT NULL REFERENCES job (id),
    scope_id    INTEGER NOT NULL REFERENCES scope (id),
    idx         INTEGER NOT NULL,
    -- The last identifier of the chunk in the scope's stable order: where the next chunk begins.
    last_index  BLOB NOT NULL CHECK (length(last_index) = 16),
    plan_sealed BLOB,
    PRIMARY KEY (job_id, scope_id, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_match (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id      BLOB NOT NULL REFERENCES job (id),
    -- Keyed digest of job, partner, list, source id and kind: one row each.
    match_key   BLOB NOT NULL UNIQUE CHECK (length(match_key) = 16),
    list_id     INTEGER NOT NULL,
    source_id_sealed BLOB NOT NULL,
    partner     TEXT NOT NULL,
    kind        INTEGER NOT NULL,
    rule        INTEGER NOT NULL,
    grade       INTEGER NOT NULL,
    -- The pass over all kept tags that found it; 0: a chunk did. The last pass of a job sweeps out older ones.
    pass        INTEGER NOT NULL
) STRICT;
CREATE INDEX job_match_job ON job_match (job_id);

CREATE TABLE job_unknown (
    job_id   BLOB NOT NULL REFERENCES job (id),
    scope_id INTEGER NOT NULL REFERENCES scope (id),
    reason   TEXT NOT NULL,
    elements INTEGER NOT NULL,
    PRIMARY KEY (job_id, scope_id, reason)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- budgets

CREATE TABLE charge (
    scope_id    INTEGER NOT NULL REFERENCES scope (id),
    request_id  BLOB NOT NULL CHECK (length(request_id) = 16),
    chunk_index INTEGER NOT NULL,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    elements    INTEGER NOT NULL CHECK (elements >= 0),
    day         INTEGER NOT NULL,
    charged_ms  INTEGER NOT NULL,
    PRIMARY KEY (scope_id, request_id, chunk_index)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER charge_never_changes BEFORE UPDATE ON charge
BEGIN SELECT raise(ABORT, 'a charge never changes'); END;

-- By offer, not by scope: two epochs may meet in one day.
CREATE TABLE usage_day (
    agreement_id TEXT NOT NULL REFERENCES agreement (id),
    offer_id     TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('owner', 'requester')),
    day          INTEGER NOT NULL,
    elements     INTEGER NOT NULL CHECK (elements >= 0),
    PRIMARY KEY (agreement_id, offer_id, role, day)
) STRICT, WITHOUT ROWID;

-- The sum of a request's charges: no more than it announced.
CREATE TABLE usage_request (
    scope_id   INTEGER NOT NULL REFERENCES scope (id),
    request_id BLOB NOT NULL CHECK (length(request_id) = 16),
    elements   INTEGER NOT NULL CHECK (elements >= 0),
    PRIMARY KEY (scope_id, request_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_epoch (
    scope_id INTEGER PRIMARY KEY REFERENCES scope (id),
    elements INTEGER NOT NULL CHECK (elements >= 0)
) STRICT;

-- ---------------------------------------------------------------- callers, and what happened

CREATE TABLE api_client (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL CHECK (name <> ''),
    cert_sha256 BLOB NOT NULL UNIQUE CHECK (length(cert_sha256) = 32),
    created_ms  INTEGER NOT NULL,
    revoked_ms  INTEGER
) STRICT;
CREATE UNIQUE INDEX api_client_name ON api_client (name) WHERE revoked_ms IS NULL;
CREATE TRIGGER api_client_revoked_for_good BEFORE UPDATE ON api_client WHEN old.revoked_ms IS NOT NULL
BEGIN SELECT raise(ABORT, 'a revocation is final'); END;

CREATE TABLE incident (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms             INTEGER NOT NULL,
    partner           TEXT NOT NULL,
    kind              TEXT NOT NULL,
    exchange_id       BLOB CHECK (exchange_id IS NULL OR length(exchange_id) = 16),
    transcript_digest BLOB CHECK (transcript_digest IS NULL OR length(transcript_digest) = 32),
    detail            TEXT NOT NULL
) STRICT;
CREATE TRIGGER incident_never_changes BEFORE UPDATE ON incident
BEGIN SELECT raise(ABORT, 'an incident never changes'); END;
CREATE TRIGGER incident_is_never_deleted BEFORE DELETE ON incident
BEGIN SELECT raise(ABORT, 'an incident is never deleted'); END;

CREATE TABLE exchange (
    seq                   INTEGER PRIMARY KEY AUTOINCREMENT,
    id                    BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    at_ms                 INTEGER NOT NULL,
    direction             TEXT NOT NULL CHECK (direction IN ('asked', 'answered')),
    partner               TEXT NOT NULL,
    scope_id              INTEGER REFERENCES scope (id),
    purpose               TEXT NOT NULL,
    legal_basis           TEXT NOT NULL,
    elements              INTEGER NOT NULL,
    -- Where we asked: all four; where we were asked: none.
    query_id              BLOB CHECK (length(query_id) = 16),
    client                TEXT,
    officer_sealed        BLOB,
    case_reference_sealed BLOB,
    CHECK ((direction = 'asked') = (query_id IS NOT NULL)),
    CHECK ((query_id IS NULL) = (client IS NULL) AND (client IS NULL) = (officer_sealed IS NULL)
           AND (officer_sealed IS NULL) = (case_reference_sealed IS NULL))
) STRICT;
CREATE INDEX exchange_query ON exchange (query_id) WHERE query_id IS NOT NULL;
CREATE TRIGGER exchange_never_changes BEFORE UPDATE ON exchange
BEGIN SELECT raise(ABORT, 'an exchange never changes'); END;
CREATE TRIGGER exchange_is_never_deleted BEFORE DELETE ON exchange
BEGIN SELECT raise(ABORT, 'an exchange is never deleted'); END;
