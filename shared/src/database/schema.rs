//! The tables for Diesel. The migrations in `shared/migrations` create them and describe their columns.
#![expect(missing_docs, reason = "the macro creates an item for each column")]

diesel::table! {
    /// The users who order.
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
    /// The products that are ordered.
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
    /// The orders, enriched with attributes of user and product.
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
        status_sequence -> Integer,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// How orders got to their status: one row for each status that an order had.
    order_events (order_id, sequence) {
        order_id -> Text,
        sequence -> Integer,
        status -> Text,
        reason -> Text,
        occurred_at -> Timestamptz,
    }
}

diesel::table! {
    /// The state that the cache-workers share: one row.
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

diesel::allow_tables_to_appear_in_same_query!(users, products, orders, order_events);
