-- Who wrote a record takes no part in deciding about its disclosure.

-- 1: the payload alone is sealed, as it was before authors were kept. 2: the payload and the record's authors, as one: neither is
-- taken away without the other.
ALTER TABLE record_payload ADD COLUMN form INTEGER NOT NULL DEFAULT 1 CHECK (form IN (1, 2));

-- At the owner: the authors of the records that hit, as they were when the case was opened. NULL at the requester, and in cases that
-- were opened before authors were kept.
ALTER TABLE case_private ADD COLUMN authors_sealed BLOB;
