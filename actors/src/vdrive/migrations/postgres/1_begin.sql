-- Which database this is: one row, 'database', 16 random bytes.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- id: storage index and fingerprint. row_sum and marks: see proto/README.md.
CREATE TABLE directories (
    id BYTEA NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    row_sum BYTEA NOT NULL,
    byte_count BIGINT NOT NULL,
    known_since BIGINT NOT NULL,
    tombstones BIGINT NOT NULL,
    marks BYTEA NOT NULL
);

-- sealed is NULL for a row that is remembered as deleted.
CREATE TABLE entries (
    directory BYTEA NOT NULL,
    id BYTEA NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA,
    PRIMARY KEY (directory, id)
);

CREATE INDEX entries_by_version ON entries (directory, version);
