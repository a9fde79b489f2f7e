-- SHA-256 of what a definition's operations say, hexadecimal: a revision that says the same of them touches none of their rows.
-- Empty: not known.
ALTER TABLE definitions ADD COLUMN operations_hash TEXT NOT NULL DEFAULT '';
