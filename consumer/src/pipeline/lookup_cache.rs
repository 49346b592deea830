//! The cache of users and products in this process: rows by id, and ids that have no row. Entries expire.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

/// How long an id counts as unknown. Short, because the row may be inserted at any time: an unnecessary lookup is
/// cheaper than a wrong dead letter.
const NEGATIVE_TTL: Duration = Duration::from_secs(1);
/// Maximum memory of one cache in bytes. Some 250 bytes a row hold 25,000 rows.
const CAPACITY: u64 = 6 * 1024 * 1024;
/// Memory of an entry in bytes, without its texts.
const ENTRY_BYTES: usize = 200;

/// Rows by their ids.
pub type ById<Id, Row> = HashMap<Id, Arc<Row>, RandomState>;
/// Ids to look up.
pub type Ids<'a, Id> = HashSet<&'a Id, RandomState>;

/// A row whose texts count towards the memory of the cache.
pub trait MemorySize {
    /// The bytes of the texts.
    fn text_bytes(&self) -> usize;
}

/// Weighs an entry in bytes of memory.
#[derive(Clone)]
struct ByMemory;

impl<Id: AsRef<str>, Row: MemorySize> Weighter<Id, Entry<Row>> for ByMemory {
    fn weight(&self, id: &Id, (row, _): &Entry<Row>) -> u64 {
        let texts = id.as_ref().len() + row.as_ref().map_or(0, |row| row.text_bytes());
        (ENTRY_BYTES + texts) as u64
    }
}

/// The rows of one table by id, and negative entries, until they expire.
pub struct LookupCache<Id, Row> {
    entries: Cache<Id, Entry<Row>, ByMemory, RandomState>,
    ttl: Duration,
}

/// A row, or none when the table has no such row; and the time at which the entry expires.
type Entry<Row> = (Option<Arc<Row>>, Instant);

impl<Id, Row> LookupCache<Id, Row>
where
    Id: AsRef<str> + Clone + Eq + Hash + Send + Sync + 'static,
    Row: MemorySize + Send + Sync + 'static,
{
    /// An empty cache whose rows expire after `ttl`.
    pub fn new(ttl: Duration) -> Self {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        let rows = CAPACITY as usize / (ENTRY_BYTES + 50);
        Self { entries: Cache::with(rows, CAPACITY, ByMemory, hasher, lifecycle), ttl }
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(String);

    impl MemorySize for Text {
        fn text_bytes(&self) -> usize {
            self.0.len()
        }
    }

    #[test]
    fn the_cache_is_bounded_in_bytes_whether_rows_are_long_or_unknown() {
        let cache = LookupCache::<String, Text>::new(Duration::from_secs(60));
        for number in 0..20_000 {
            let row = (number % 2 == 0).then(|| Arc::new(Text("가".repeat(500))));
            cache.insert(format!("{number:0>200}"), row);
        }
        let rows = (0..20_000).filter_map(|number| cache.entries.get(&format!("{number:0>200}")));
        let bytes: usize = rows.map(|(row, _)| 200 + row.map_or(0, |row| row.text_bytes())).sum();
        assert!((1_000_000..=CAPACITY as usize).contains(&bytes), "{bytes} bytes");
    }
}
