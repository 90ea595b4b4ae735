-- An exchange is open from the moment it is on record: statements less between a query and its answer.
CREATE TRIGGER exchange_opens AFTER INSERT ON exchange
BEGIN
    INSERT INTO exchange_open (id, touched_ms) VALUES (new.id, new.at_ms)
        ON CONFLICT (id) DO UPDATE SET touched_ms = excluded.touched_ms;
END;
-- And until the entry that says how it ended.
CREATE TRIGGER ledger_entry_closes AFTER INSERT ON ledger_entry WHEN new.kind IN ('query', 'evaluation')
BEGIN DELETE FROM exchange_open WHERE id = new.exchange; END;
-- Both in one statement. What it shows is not read: an exchange once for each of its entries.
CREATE VIEW exchange_with_entry AS
    SELECT e.id, e.at_ms, e.direction, e.partner, e.scope_id, e.purpose, e.legal_basis, e.elements, e.query_id, e.client,
           e.officer_sealed, e.case_reference_sealed, e.ordered_by_sealed,
           l.number, l.at_ms AS entry_at_ms, l.kind, l.erase_day, l.leaf, l.payload, l.key_sealed
    FROM exchange e JOIN ledger_entry l ON l.exchange = e.id;
CREATE TRIGGER exchange_with_entry_begins INSTEAD OF INSERT ON exchange_with_entry
BEGIN
    INSERT INTO exchange (id, at_ms, direction, partner, scope_id, purpose, legal_basis, elements, query_id, client,
                          officer_sealed, case_reference_sealed, ordered_by_sealed)
        VALUES (new.id, new.at_ms, new.direction, new.partner, new.scope_id, new.purpose, new.legal_basis, new.elements,
                new.query_id, new.client, new.officer_sealed, new.case_reference_sealed, new.ordered_by_sealed);
    INSERT INTO ledger_entry (number, at_ms, kind, exchange, erase_day, leaf, payload, key_sealed)
        VALUES (new.number, new.entry_at_ms, new.kind, new.id, new.erase_day, new.leaf, new.payload, new.key_sealed);
END;

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
