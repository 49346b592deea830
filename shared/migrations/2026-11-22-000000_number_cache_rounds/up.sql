-- The state that the cache-workers of a database share, in one row: the number of the last swap in Redis, the due time
-- of the next round, and the result of the last round.

CREATE TABLE cache_rounds (
    only_row      BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Number of the last swap; it only grows. Redis refuses a swap with a smaller number.
    epoch         BIGINT NOT NULL DEFAULT 0,
    -- Due time of the next round; null: at once.
    due_at        TIMESTAMPTZ,
    -- Time of the last round; null before the first one.
    cached_at     TIMESTAMPTZ,
    size          INT NOT NULL DEFAULT 0,
    interval_ms   BIGINT NOT NULL DEFAULT 0,
    took_ms       INT NOT NULL DEFAULT 0,
    new_users     INT NOT NULL DEFAULT 0,
    aged_users    INT NOT NULL DEFAULT 0,
    new_products  INT NOT NULL DEFAULT 0,
    aged_products INT NOT NULL DEFAULT 0
);

INSERT INTO cache_rounds DEFAULT VALUES;
