-- The ledger: what happened, in the order of its numbers. A row is added in the transaction of the change that it
-- records. The log's files are written from it; what they do not have yet is the outbox.
CREATE TABLE ledger_entry (
    -- 0, 1, 2 …, without a gap: the entry's number in the log.
    number     INTEGER PRIMARY KEY CHECK (number >= 0),
    at_ms      INTEGER NOT NULL,
    -- The entry's type, for a search.
    kind       TEXT NOT NULL,
    -- The exchange that it belongs to.
    exchange   BLOB CHECK (length(exchange) = 16),
    -- The first day on which the payload must be gone; null if it is kept.
    erase_day  INTEGER,
    -- The public part, without its number.
    leaf       BLOB NOT NULL,
    -- Payload and key: both, or neither any more.
    payload    BLOB,
    key_sealed BLOB,
    CHECK ((payload IS NULL) = (key_sealed IS NULL))
) STRICT;
CREATE INDEX ledger_entry_at ON ledger_entry (at_ms);
CREATE INDEX ledger_entry_exchange ON ledger_entry (exchange, kind) WHERE exchange IS NOT NULL;
CREATE INDEX ledger_entry_due ON ledger_entry (erase_day) WHERE erase_day IS NOT NULL AND payload IS NOT NULL;
CREATE TRIGGER ledger_entry_follows BEFORE INSERT ON ledger_entry
WHEN new.number <> (SELECT coalesce(max(number) + 1, 0) FROM ledger_entry)
BEGIN SELECT raise(ABORT, 'entries are numbered without a gap'); END;
CREATE TRIGGER ledger_entry_never_changes
BEFORE UPDATE OF number, at_ms, kind, exchange, erase_day, leaf ON ledger_entry
BEGIN SELECT raise(ABORT, 'an entry never changes'); END;
CREATE TRIGGER ledger_entry_is_only_erased BEFORE UPDATE OF payload, key_sealed ON ledger_entry
WHEN new.payload IS NOT NULL OR new.key_sealed IS NOT NULL
BEGIN SELECT raise(ABORT, 'a payload is only erased'); END;
CREATE TRIGGER ledger_entry_is_never_deleted BEFORE DELETE ON ledger_entry
BEGIN SELECT raise(ABORT, 'an entry is never deleted'); END;

-- Checkpoints, as signed notes, by partner.
CREATE TABLE ledger_witness (
    partner TEXT PRIMARY KEY,
    -- Of the partner's log: the newest that we cosigned.
    theirs  TEXT,
    -- Of our log: the newest that the partner cosigned.
    ours    TEXT
) STRICT, WITHOUT ROWID;

-- Exchanges that the ledger has as opened and not as closed.
CREATE TABLE exchange_open (
    id         BLOB PRIMARY KEY CHECK (length(id) = 16),
    -- When something was done in it last.
    touched_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX exchange_open_touched ON exchange_open (touched_ms);

-- What became of a chunk that was answered: SHA-256 of its blinded elements, how many, and how many of its identifiers
-- were found.
ALTER TABLE job_chunk ADD COLUMN digest BLOB CHECK (length(digest) = 32);
ALTER TABLE job_chunk ADD COLUMN elements INTEGER;
ALTER TABLE job_chunk ADD COLUMN items INTEGER;
ALTER TABLE job_chunk ADD COLUMN found INTEGER;

-- Who ordered a query of ours, as stated.
ALTER TABLE exchange ADD COLUMN ordered_by_sealed BLOB;
