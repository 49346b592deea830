//! Makes an order's record: its key, value and header, in memory that is used for every order again.

use std::time::Instant;

use anyhow::Context;
use chrono::DateTime;
use rdkafka::message::{Header, OwnedHeaders};
use shared::{
    order_id::{OrderId, RunTag, Sequence},
    wire::{self, EVENT_TYPE_HEADER},
};

use crate::{
    flaw::{Flaw, Share},
    generate::Generator,
    sample::Samples,
};

/// Makes the records of a run's orders, one after the other.
pub struct Encoder {
    tag: RunTag,
    samples: Samples,
    generator: Generator,
    invalid: Share,
    headers: OwnedHeaders,
    key: [u8; OrderId::TEXT_LEN],
    value: Vec<u8>,
    flaw: Option<Flaw>,
}

impl Encoder {
    /// Orders marked with `tag`, out of `samples`, with figures that `seed` decides; an `invalid` part of them is flawed.
    pub fn new(tag: RunTag, samples: Samples, seed: u64, invalid: Share) -> Self {
        Self {
            tag,
            samples,
            generator: Generator::new(seed),
            invalid,
            headers: headers(None),
            key: [0; OrderId::TEXT_LEN],
            value: Vec::with_capacity(512),
            flaw: None,
        }
    }

    /// Makes the run's order `number`, due at `due_nanos` after the Unix epoch.
    ///
    /// # Errors
    /// When the run has more orders than it can name.
    pub fn encode(&mut self, number: u64, due_nanos: u64, now: Instant) -> anyhow::Result<()> {
        let sequence = Sequence::new(number).context("the run has more orders than it can name")?;
        OrderId::new(due_nanos, self.tag, sequence).encode(&mut self.key);
        let created_at = DateTime::from_timestamp_micros((due_nanos / 1_000) as i64).unwrap_or_default();
        let mut random = self.generator.random_of(number);
        let (user, product) = self.samples.next(now, &mut random);
        let event = self.generator.order(&mut random, user, product, created_at);
        self.flaw = self.invalid.draw(&mut random);
        self.value.clear();
        match self.flaw {
            None => wire::encode_value(&event, &mut self.value),
            Some(flaw) => flaw.encode(event, &mut self.value),
        }
        Ok(())
    }

    /// The order's id.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The event.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// What is wrong with the order on purpose.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// The record's one header.
    pub fn headers(&self) -> OwnedHeaders {
        if self.flaw.is_none() { self.headers.clone() } else { headers(self.flaw) }
    }
}

fn headers(flaw: Option<Flaw>) -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(Flaw::event_type(flaw)) })
}
