//! How often each user and product of a catalog is drawn.

use rand::{Rng, RngExt, distr::Distribution};
use rand_distr::Zipf;

/// The distribution of the draws over a catalog.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    Uniform,
    /// Zipf's law with this exponent, which is above 0: the row at rank r is drawn in proportion to r^-exponent.
    Zipf(f64),
}

/// Draws indexes of a list by a [`Popularity`].
#[derive(Clone, Debug)]
pub enum IndexSampler {
    Uniform(usize),
    Zipf(Zipf<f64>),
}

impl IndexSampler {
    /// For a list of `length` rows, at least one.
    ///
    /// # Errors
    /// When the exponent is not above 0.
    pub fn new(popularity: Popularity, length: usize) -> anyhow::Result<Self> {
        Ok(match popularity {
            Popularity::Uniform => Self::Uniform(length),
            Popularity::Zipf(exponent) => Self::Zipf(Zipf::new(length as f64, exponent)?),
        })
    }

    /// An index below the list's length; with Zipf's law, 0 is the most frequent one.
    pub fn draw(&self, random: &mut impl Rng) -> usize {
        match self {
            Self::Uniform(length) => random.random_range(0..*length),
            Self::Zipf(zipf) => zipf.sample(random) as usize - 1,
        }
    }
}
