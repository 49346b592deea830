//! The tables, as Diesel knows them; the migrations make them and document their columns.
#![expect(missing_docs, reason = "the macro makes an item of each column")]

diesel::table! {
    /// Who can order.
    users (user_id) {
        user_id -> Text,
        name -> Text,
        gender -> Text,
        age -> Integer,
        age_group -> Text,
        region -> Text,
        join_date -> Date,
        last_cached_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// What can be ordered.
    products (product_id) {
        product_id -> Text,
        name -> Text,
        category -> Text,
        brand -> Text,
        price -> Integer,
        org_price -> Integer,
        discount_rate -> Double,
        stock -> Integer,
        last_cached_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// What was ordered, enriched.
    orders (order_id) {
        order_id -> Text,
        user_id -> Text,
        product_id -> Text,
        quantity -> Integer,
        total_amount -> Integer,
        shipping_cost -> Integer,
        discount_amount -> Integer,
        payment_method -> Text,
        status -> Text,
        category -> Text,
        user_region -> Text,
        user_gender -> Text,
        user_age_group -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// What the cache-workers know in common: one row.
    cache_rounds (only_row) {
        only_row -> Bool,
        epoch -> BigInt,
        due_at -> Nullable<Timestamptz>,
        cached_at -> Nullable<Timestamptz>,
        size -> Integer,
        interval_ms -> BigInt,
        took_ms -> Integer,
        new_users -> Integer,
        aged_users -> Integer,
        new_products -> Integer,
        aged_products -> Integer,
    }
}

diesel::allow_tables_to_appear_in_same_query!(users, products, orders);
