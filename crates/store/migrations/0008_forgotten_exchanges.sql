-- What the ledger forgets of an exchange is forgotten here too: who, why, for which case. What was used of the quota stays.
DROP TRIGGER exchange_never_changes;
CREATE TRIGGER exchange_is_only_forgotten BEFORE UPDATE ON exchange
WHEN new.seq <> old.seq OR new.id <> old.id OR new.at_ms <> old.at_ms OR new.direction <> old.direction
     OR new.partner <> old.partner OR new.scope_id IS NOT old.scope_id OR new.elements <> old.elements
     OR new.query_id IS NOT old.query_id
     OR new.purpose <> '' OR new.legal_basis <> '' OR new.client <> '' OR new.officer_sealed <> x''
     OR new.case_reference_sealed <> x'' OR new.ordered_by_sealed <> x''
     OR EXISTS (SELECT 1 FROM ledger_entry WHERE exchange = old.id AND payload IS NOT NULL
                AND kind IN ('query.opened', 'query', 'evaluation.opened', 'evaluation'))
BEGIN SELECT raise(ABORT, 'an exchange never changes, it is only forgotten'); END;
CREATE TRIGGER ledger_entry_forgets AFTER UPDATE OF payload ON ledger_entry
WHEN new.exchange IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM exchange_open WHERE id = new.exchange)
     AND NOT EXISTS (SELECT 1 FROM ledger_entry WHERE exchange = new.exchange AND payload IS NOT NULL
                     AND kind IN ('query.opened', 'query', 'evaluation.opened', 'evaluation'))
BEGIN
    UPDATE exchange SET purpose = '', legal_basis = '', client = iif(client IS NULL, NULL, ''),
                        officer_sealed = iif(officer_sealed IS NULL, NULL, x''),
                        case_reference_sealed = iif(case_reference_sealed IS NULL, NULL, x''),
                        ordered_by_sealed = iif(ordered_by_sealed IS NULL, NULL, x'')
    WHERE id = new.exchange;
END;
