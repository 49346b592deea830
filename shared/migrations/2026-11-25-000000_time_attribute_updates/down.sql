DROP TRIGGER products_attributes_updated ON products;
DROP TRIGGER users_attributes_updated ON users;
DROP FUNCTION set_attributes_updated_at;
ALTER TABLE products DROP COLUMN attributes_updated_at;
ALTER TABLE users DROP COLUMN attributes_updated_at;
