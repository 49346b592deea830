-- What the cache-workers of a database know in common: one row. It numbers their swaps and says when the next round is due,
-- whichever instance runs it, and what the last one did.

CREATE TABLE cache_rounds (
    only_row      BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Grows with each swap in Redis, which refuses an older one.
    epoch         BIGINT NOT NULL DEFAULT 0,
    -- Null: at once.
    due_at        TIMESTAMPTZ,
    -- The last round; null before the first one.
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
