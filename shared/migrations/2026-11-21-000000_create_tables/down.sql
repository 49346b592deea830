DROP TABLE orders, products, users;
