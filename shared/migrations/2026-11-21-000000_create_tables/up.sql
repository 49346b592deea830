-- Ids compare byte by byte ("C"), so that the ids of a run are one range of the index, sorted as the programs sort
-- them. A value that the source may not have is NOT NULL with a default.

CREATE TABLE users (
    user_id        VARCHAR(50) COLLATE "C" PRIMARY KEY CHECK (user_id <> ''),
    name           VARCHAR(100) NOT NULL DEFAULT '미상',
    gender         CHAR(1)      NOT NULL DEFAULT 'U' CHECK (gender IN ('M', 'F', 'U')),
    age            INT          NOT NULL DEFAULT 0 CHECK (age BETWEEN 0 AND 150),
    age_group      VARCHAR(10)  NOT NULL DEFAULT '미상',
    region         VARCHAR(50)  NOT NULL DEFAULT '미상',
    join_date      DATE         NOT NULL DEFAULT CURRENT_DATE,
    last_cached_at TIMESTAMPTZ,
    created_at     TIMESTAMPTZ  NOT NULL DEFAULT now()
);

CREATE TABLE products (
    product_id     VARCHAR(50) COLLATE "C" PRIMARY KEY CHECK (product_id <> ''),
    name           VARCHAR(200)     NOT NULL DEFAULT '미상',
    category       VARCHAR(50)      NOT NULL DEFAULT '미상',
    brand          VARCHAR(100)     NOT NULL DEFAULT '미상',
    price          INT              NOT NULL CHECK (price >= 0),
    org_price      INT              NOT NULL CHECK (org_price >= price),
    discount_rate  DOUBLE PRECISION NOT NULL DEFAULT 0 CHECK (discount_rate BETWEEN 0 AND 1),
    stock          INT              NOT NULL DEFAULT 0 CHECK (stock >= 0),
    last_cached_at TIMESTAMPTZ,
    created_at     TIMESTAMPTZ      NOT NULL DEFAULT now()
);

CREATE TABLE orders (
    order_id        VARCHAR(50) COLLATE "C" PRIMARY KEY CHECK (order_id <> ''),
    user_id         VARCHAR(50) COLLATE "C" NOT NULL REFERENCES users,
    product_id      VARCHAR(50) COLLATE "C" NOT NULL REFERENCES products,
    quantity        INT         NOT NULL CHECK (quantity > 0),
    total_amount    INT         NOT NULL CHECK (total_amount >= 0),
    shipping_cost   INT         NOT NULL DEFAULT 0 CHECK (shipping_cost >= 0),
    discount_amount INT         NOT NULL DEFAULT 0 CHECK (discount_amount >= 0),
    payment_method  VARCHAR(20) NOT NULL,
    status          VARCHAR(20) NOT NULL,
    category        VARCHAR(50) NOT NULL DEFAULT '미상',
    user_region     VARCHAR(50) NOT NULL DEFAULT '미상',
    user_gender     CHAR(1)     NOT NULL DEFAULT 'U',
    user_age_group  VARCHAR(10) NOT NULL DEFAULT '미상',
    created_at      TIMESTAMPTZ NOT NULL
);

-- The cache-worker selects rows that were never cached, oldest first, and rows that were cached longest ago. Each query
-- has its index, so that the cost of a round does not depend on the size of the table. The id makes the order total.
CREATE INDEX users_never_cached ON users (created_at, user_id) WHERE last_cached_at IS NULL;
CREATE INDEX users_least_recently_cached ON users (last_cached_at, user_id) WHERE last_cached_at IS NOT NULL;
CREATE INDEX products_never_cached ON products (created_at, product_id) WHERE last_cached_at IS NULL;
CREATE INDEX products_least_recently_cached ON products (last_cached_at, product_id) WHERE last_cached_at IS NOT NULL;
