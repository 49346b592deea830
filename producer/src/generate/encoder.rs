//! Encodes an order as a Kafka record: key, value and headers. The buffers are reused for every order.

use std::time::Instant;

use anyhow::Context;
use chrono::DateTime;
use rdkafka::message::{Header, OwnedHeaders};
use shared::{
    order::PlacedStatus,
    order_id::{OrderId, RunTag, Sequence},
    traces::{TRACEPARENT_HEADER, encode_traceparent},
    wire::{self, EVENT_TYPE_HEADER},
};

use super::{
    corruption::{Corruption, InvalidShare},
    generator::Generator,
};
use crate::{random::OrderRandoms, sample::Samples, trace_sampler::TraceSampler};

/// Encodes the orders of a run, one after the other.
pub struct Encoder {
    tag: RunTag,
    samples: Samples,
    randoms: OrderRandoms,
    generator: Generator,
    invalid: InvalidShare,
    headers: OwnedHeaders,
    key: [u8; OrderId::TEXT_LEN],
    value: Vec<u8>,
    corruption: Option<Corruption>,
    status: PlacedStatus,
    /// `None`: no order is traced.
    sampler: Option<TraceSampler>,
    traceparent: Option<String>,
}

impl Encoder {
    /// `tag` becomes part of every order id; the figures of the orders follow from `seed`.
    pub fn new(tag: RunTag, samples: Samples, seed: u64, invalid: InvalidShare) -> Self {
        Self {
            tag,
            samples,
            randoms: OrderRandoms::new(seed),
            generator: Generator::default(),
            invalid,
            headers: headers(None),
            key: [0; OrderId::TEXT_LEN],
            value: Vec::with_capacity(512),
            corruption: None,
            status: PlacedStatus::Paid,
            sampler: None,
            traceparent: None,
        }
    }

    /// Adds the context of its span to each order that `sampler` samples.
    pub fn with_traces(self, sampler: Option<TraceSampler>) -> Self {
        Self { sampler, ..self }
    }

    /// Encodes order `number` of the run, which is due `due_nanos` nanoseconds after the Unix epoch.
    ///
    /// # Errors
    /// When `number` is not below [`Sequence::LIMIT`].
    pub fn encode(&mut self, number: u64, due_nanos: u64, now: Instant) -> anyhow::Result<()> {
        let sequence = Sequence::new(number).context("the run has more orders than order ids can number")?;
        let id = OrderId::new(due_nanos, self.tag, sequence);
        id.encode(&mut self.key);
        if let Some(sampler) = self.sampler {
            self.traceparent = sampler.span_of(id).as_ref().map(encode_traceparent);
        }
        let created_at = DateTime::from_timestamp_micros((due_nanos / 1_000) as i64).unwrap_or_default();
        let mut random = self.randoms.of(number);
        let (user, product) = self.samples.next(now, &mut random);
        let event = self.generator.order(&mut random, user, product, created_at);
        self.corruption = self.invalid.draw(&mut random);
        self.status = event.status;
        self.value.clear();
        match self.corruption {
            None => wire::encode_value(&event, &mut self.value),
            Some(corruption) => corruption.encode(event, &mut self.value),
        }
        Ok(())
    }

    /// Whether order `number` is invalid on purpose. The record of another order that is encoded is lost.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn is_invalid(&mut self, number: u64) -> anyhow::Result<bool> {
        if self.invalid.is_none() {
            return Ok(false);
        }
        self.encode(number, 0, Instant::now())?;
        Ok(self.corruption.is_some())
    }

    /// The status that order `number` is placed with; `None` if it is invalid on purpose. The record of another order
    /// that is encoded is lost.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn status_of(&mut self, number: u64) -> anyhow::Result<Option<PlacedStatus>> {
        self.encode(number, 0, Instant::now())?;
        Ok(self.status())
    }

    /// The order id.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The event.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// `None` for a valid order.
    pub fn corruption(&self) -> Option<Corruption> {
        self.corruption
    }

    /// The status that the order is placed with; `None` for one that is invalid on purpose, which no consumer stores.
    pub fn status(&self) -> Option<PlacedStatus> {
        self.corruption.is_none().then_some(self.status)
    }

    pub fn headers(&self) -> OwnedHeaders {
        match &self.traceparent {
            None if self.corruption.is_none() => self.headers.clone(),
            None => headers(self.corruption),
            Some(context) => headers(self.corruption).insert(Header { key: TRACEPARENT_HEADER, value: Some(context) }),
        }
    }
}

fn headers(corruption: Option<Corruption>) -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: EVENT_TYPE_HEADER, value: Some(Corruption::event_type(corruption)) })
}
