-- What becomes of an order after it was placed: where it stands, and how it got there.

-- Constants as defaults: PostgreSQL keeps them in its catalog, and neither writes nor reads a row of a full table. The
-- table is locked for moments. A check of status_sequence would read all rows under that lock.
ALTER TABLE orders ADD COLUMN status_sequence INT NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN updated_at TIMESTAMPTZ NOT NULL DEFAULT now();

-- Number 0 of a history is the status that the order was placed with. It is written with the first change: an order
-- whose status_sequence is 0 has no rows here, and its history is its own status.
CREATE TABLE order_events (
    order_id    VARCHAR(50) COLLATE "C" NOT NULL REFERENCES orders ON DELETE CASCADE,
    sequence    INT          NOT NULL CHECK (sequence >= 0),
    status      VARCHAR(20)  NOT NULL,
    reason      VARCHAR(100) NOT NULL DEFAULT '',
    occurred_at TIMESTAMPTZ  NOT NULL,
    PRIMARY KEY (order_id, sequence)
);
