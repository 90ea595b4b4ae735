-- An auditor's certificate opens the service for auditors and nothing else.
ALTER TABLE api_client ADD COLUMN auditor INTEGER NOT NULL DEFAULT 0 CHECK (auditor IN (0, 1));
CREATE TRIGGER api_client_auditor_for_good BEFORE UPDATE OF auditor ON api_client
BEGIN SELECT raise(ABORT, 'what a certificate may do does not change'); END;
