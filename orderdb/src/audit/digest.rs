//! Digests of contents.

use std::hash::{BuildHasher, Hash, RandomState};

/// Digest of the content of an order or a change; never 0. Two contents have the same one with a probability of 2^-63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(u64);

impl Digest {
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Makes digests: SipHash with a random key, so that nobody can prepare two contents with the same digest.
#[derive(Clone, Debug, Default)]
pub struct Digester(RandomState);

impl Digester {
    pub fn digest(&self, content: &impl Hash) -> Digest {
        // 0 is left free for "none".
        Digest(self.0.hash_one(content).max(1))
    }
}
