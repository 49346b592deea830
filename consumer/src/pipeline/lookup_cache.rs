//! The cache of users and products in this process: rows by id, and ids that have no row. Entries expire.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use quick_cache::{
    UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};

/// How long an id counts as unknown. Short, because the row may be inserted at any time: an unnecessary lookup is
/// cheaper than a wrong dead letter.
const NEGATIVE_TTL: Duration = Duration::from_secs(1);
/// Maximum number of rows in one cache, some 300 bytes each; the two caches use about 12 MiB.
const CAPACITY: usize = 20_000;

/// Rows by their ids.
pub type ById<Id, Row> = HashMap<Id, Arc<Row>, RandomState>;
/// Ids to look up.
pub type Ids<'a, Id> = HashSet<&'a Id, RandomState>;

/// The rows of one table by id, and negative entries, until they expire.
pub struct LookupCache<Id, Row> {
    entries: Cache<Id, Entry<Row>, UnitWeighter, RandomState>,
    ttl: Duration,
}

/// A row, or none when the table has no such row; and the time at which the entry expires.
type Entry<Row> = (Option<Arc<Row>>, Instant);

impl<Id, Row> LookupCache<Id, Row>
where
    Id: Clone + Eq + Hash + Send + Sync + 'static,
    Row: Send + Sync + 'static,
{
    /// An empty cache whose rows expire after `ttl`.
    pub fn new(ttl: Duration) -> Self {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        Self { entries: Cache::with(CAPACITY, CAPACITY as u64, UnitWeighter, hasher, lifecycle), ttl }
    }

    /// Caches a row, or that there is none.
    pub fn insert(&self, id: Id, row: Option<Arc<Row>>) {
        let ttl = if row.is_some() { self.ttl } else { NEGATIVE_TTL };
        self.entries.insert(id, (row, Instant::now() + ttl));
    }

    /// Adds the rows of the cache to `found` and returns the ids that have no entry. Each id is read once, so an entry
    /// that expires during the call is still used.
    pub fn get<'a>(&self, ids: Ids<'a, Id>, found: &mut ById<Id, Row>) -> Ids<'a, Id> {
        let (now, mut missing) = (Instant::now(), Ids::default());
        for id in ids {
            match self.entries.get(id).filter(|(_, expires_at)| now < *expires_at) {
                Some((Some(row), _)) => drop(found.insert(id.clone(), row)),
                Some((None, _)) => {}
                None => drop(missing.insert(id)),
            }
        }
        missing
    }
}
