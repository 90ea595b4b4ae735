-- An exchange is open from the moment it is on record: one statement less between a query and its answer.
CREATE TRIGGER exchange_opens AFTER INSERT ON exchange
BEGIN
    INSERT INTO exchange_open (id, touched_ms) VALUES (new.id, new.at_ms)
        ON CONFLICT (id) DO UPDATE SET touched_ms = excluded.touched_ms;
END;
