-- How long a case is kept is a matter of its agreement.
DROP INDEX disclosure_case_oldest;
CREATE INDEX disclosure_case_oldest ON disclosure_case (agreement, updated_ms);
