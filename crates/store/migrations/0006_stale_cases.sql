-- A case that nobody has moved for as long as its entries in the ledger are kept is erased like one that has ended: the other agency
-- may never state the outcome, and personal data does not stay for that.
DROP TRIGGER disclosure_case_goes_when_ended;
DROP TRIGGER case_part_goes_when_ended;
DROP INDEX disclosure_case_ended;
CREATE INDEX disclosure_case_oldest ON disclosure_case (updated_ms);

-- Bytes of attachments that a partner has sent and that are still kept: no partner fills the disk.
CREATE TABLE partner_attachments (
    partner TEXT PRIMARY KEY CHECK (partner <> ''),
    bytes   INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT, WITHOUT ROWID;
INSERT INTO partner_attachments (partner, bytes)
    SELECT c.partner, sum(length(p.bytes)) FROM case_part p JOIN disclosure_case c ON c.id = p.case_id
    WHERE p.ours = 0 GROUP BY c.partner;
CREATE TRIGGER case_part_counts AFTER INSERT ON case_part WHEN new.ours = 0
BEGIN
    INSERT INTO partner_attachments (partner, bytes)
        SELECT partner, length(new.bytes) FROM disclosure_case WHERE id = new.case_id
        ON CONFLICT (partner) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER case_part_counts_no_more AFTER DELETE ON case_part WHEN old.ours = 0
BEGIN
    UPDATE partner_attachments SET bytes = bytes - length(old.bytes)
        WHERE partner = (SELECT partner FROM disclosure_case WHERE id = old.case_id);
END;
-- While their case is still there to say whose they are.
CREATE TRIGGER disclosure_case_takes_its_parts BEFORE DELETE ON disclosure_case
BEGIN DELETE FROM case_part WHERE case_id = old.id; END;
