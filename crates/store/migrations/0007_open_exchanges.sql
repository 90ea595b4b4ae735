-- An exchange is open from the moment it is on record: statements less between a query and its answer.
CREATE TRIGGER exchange_opens AFTER INSERT ON exchange
BEGIN
    INSERT INTO exchange_open (id, touched_ms) VALUES (new.id, new.at_ms)
        ON CONFLICT (id) DO UPDATE SET touched_ms = excluded.touched_ms;
END;
-- And until the entry that says how it ended.
CREATE TRIGGER ledger_entry_closes AFTER INSERT ON ledger_entry WHEN new.kind IN ('query', 'evaluation')
BEGIN DELETE FROM exchange_open WHERE id = new.exchange; END;

-- What is charged counts, whoever writes it.
CREATE TRIGGER charge_counts AFTER INSERT ON charge
BEGIN
    INSERT INTO usage_request (scope_id, request_id, elements) VALUES (new.scope_id, new.request_id, new.elements)
        ON CONFLICT (scope_id, request_id) DO UPDATE SET elements = elements + excluded.elements;
    INSERT INTO usage_epoch (scope_id, elements) VALUES (new.scope_id, new.elements)
        ON CONFLICT (scope_id) DO UPDATE SET elements = elements + excluded.elements;
    INSERT INTO usage_day (agreement_id, offer_id, role, day, elements)
        SELECT agreement_id, offer_id, role, new.day, new.elements FROM scope WHERE id = new.scope_id
        ON CONFLICT (agreement_id, offer_id, role, day) DO UPDATE SET elements = elements + excluded.elements;
END;
