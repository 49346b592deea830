-- When the attributes that orders copy were last updated, so that an audit can tell an order that was altered from an
-- order whose user or product was updated after it. Null: not since the row was inserted. Other columns, such as
-- last_cached_at, price and stock, don't count.

-- Rows that exist get the time of this migration: what was updated before it is not known.
ALTER TABLE users ADD COLUMN attributes_updated_at TIMESTAMPTZ DEFAULT now();
ALTER TABLE users ALTER COLUMN attributes_updated_at DROP DEFAULT;
ALTER TABLE products ADD COLUMN attributes_updated_at TIMESTAMPTZ DEFAULT now();
ALTER TABLE products ALTER COLUMN attributes_updated_at DROP DEFAULT;

CREATE FUNCTION set_attributes_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Not now(), the start of the transaction, which may be much earlier.
    NEW.attributes_updated_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE TRIGGER users_attributes_updated BEFORE UPDATE OF gender, age_group, region ON users FOR EACH ROW
    WHEN ((OLD.gender, OLD.age_group, OLD.region) IS DISTINCT FROM (NEW.gender, NEW.age_group, NEW.region))
    EXECUTE FUNCTION set_attributes_updated_at();
CREATE TRIGGER products_attributes_updated BEFORE UPDATE OF category ON products FOR EACH ROW
    WHEN (OLD.category IS DISTINCT FROM NEW.category)
    EXECUTE FUNCTION set_attributes_updated_at();
