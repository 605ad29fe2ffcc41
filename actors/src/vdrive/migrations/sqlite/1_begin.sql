-- Which database this is: one row, 'database', 16 random bytes.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);

-- id: storage index and fingerprint. row_sum and marks: see proto/README.md.
CREATE TABLE directories (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    digest BLOB NOT NULL,
    public_key BLOB NOT NULL,
    signature BLOB NOT NULL,
    row_sum BLOB NOT NULL,
    byte_count INTEGER NOT NULL,
    known_since INTEGER NOT NULL,
    tombstones INTEGER NOT NULL,
    marks BLOB NOT NULL
);

-- sealed is NULL for a row that is remembered as deleted.
CREATE TABLE entries (
    directory BLOB NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB,
    PRIMARY KEY (directory, id)
) WITHOUT ROWID;

CREATE INDEX entries_by_version ON entries (directory, version);
