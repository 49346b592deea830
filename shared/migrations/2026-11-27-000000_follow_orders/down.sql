DROP TABLE order_events;
ALTER TABLE orders DROP COLUMN updated_at;
ALTER TABLE orders DROP COLUMN status_sequence;
