//! Provides users and products for the orders without ever blocking the sending thread (invariant 3): from Redis, in
//! batches that are prefetched while the cache changes, or from a [`Catalog`] that does not change during the run, such
//! as the [`BuiltinCatalog`]. [`open`] opens the configured [`Source`].

mod builtin;
mod catalog;
mod model;
mod popularity;
mod prefetch;
mod source;

pub use builtin::BuiltinCatalog;
pub use catalog::Catalog;
pub use model::{SampledProduct, SampledUser};
pub use popularity::Popularity;
pub use prefetch::{PrefetchedSamples, Prefetcher};
pub use source::{CacheAge, OpenSource, Samples, Source, open};
