-- An exchange is open from the moment it is on record: statements less between a query and its answer.
CREATE TRIGGER exchange_opens AFTER INSERT ON exchange
BEGIN
    INSERT INTO exchange_open (id, touched_ms) VALUES (new.id, new.at_ms)
        ON CONFLICT (id) DO UPDATE SET touched_ms = excluded.touched_ms;
END;
-- And until the entry that says how it ended.
CREATE TRIGGER ledger_entry_closes AFTER INSERT ON ledger_entry WHEN new.kind IN ('query', 'evaluation')
BEGIN DELETE FROM exchange_open WHERE id = new.exchange; END;
