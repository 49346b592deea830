//! The names of the keys in Redis.

/// The names of the keys, each with the prefix.
#[derive(Clone, Debug)]
pub struct CacheKeys {
    /// Hash: user id → the user as JSON.
    pub users: String,
    /// Hash: product id → the product as JSON.
    pub products: String,
    /// Time of the last swap of both hashes, RFC 3339.
    pub refreshed_at: String,
    /// Number of the round that did the last swap. It only grows.
    pub epoch: String,
    /// Hash that the next users are written to before the swap.
    pub staging_users: String,
    /// Hash that the next products are written to before the swap.
    pub staging_products: String,
    /// Beginning of the keys of [`Self::entry`].
    pub(super) entries: String,
}

impl CacheKeys {
    /// Key of the entry of one row, such as `{cache}:user:U00000001` for `what` = `user`.
    pub fn entry(&self, what: &str, id: &str) -> String {
        format!("{}{what}:{id}", self.entries)
    }

    /// The error message for an empty cache, with the commands that fill it.
    pub fn empty(&self) -> String {
        format!(
            "the cache is empty ({} and {} have no rows): run `orderdb seed`, then run `cache-worker`",
            self.users, self.products
        )
    }
}
