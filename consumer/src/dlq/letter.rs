//! A dead letter on its way to the topic.

use rdkafka::error::KafkaError;

use super::form::Form;
use crate::model::{InFlightRecord, RejectReason};

/// A record that can't become a row, and why.
#[derive(Clone, Copy)]
pub struct Rejected<'a> {
    pub in_flight: &'a InFlightRecord,
    pub reason: &'a RejectReason,
}

/// What became of a rejected record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterOutcome {
    /// The brokers acknowledged the dead letter.
    Acknowledged,
    /// The partition was revoked before. The next owner sends a dead letter, whether this one arrives or not.
    HandedBack,
}

/// How a dead letter is sent. Each attempt follows a refusal of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// In a request with others: the refusal may be about another record.
    Batched,
    Single(Form),
}

impl Attempt {
    pub fn form(self) -> Form {
        match self {
            Self::Batched => Form::Whole,
            Self::Single(form) => form,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Batched => Some(Self::Single(Form::Whole)),
            Self::Single(form) => form.smaller().map(Self::Single),
        }
    }
}

pub struct Letter<'a> {
    pub rejected: Rejected<'a>,
    /// The limit allows it.
    pub is_allowed: bool,
    pub attempt: Attempt,
    /// The last refusal of the topic.
    pub refusal: Option<KafkaError>,
    pub outcome: Option<DeadLetterOutcome>,
}

impl<'a> Letter<'a> {
    pub fn new(rejected: Rejected<'a>) -> Self {
        Self { rejected, is_allowed: false, attempt: Attempt::Batched, refusal: None, outcome: None }
    }

    pub fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    /// Hands the letter back when its partition is revoked (invariant 9). Returns whether it is still open.
    pub fn hand_back_if_revoked(&mut self) -> bool {
        if self.is_open() && self.rejected.in_flight.partition.is_revoked() {
            self.outcome = Some(DeadLetterOutcome::HandedBack);
        }
        self.is_open()
    }

    /// The topic refuses the record: the next attempt follows. Returns false when the topic refuses every form; then
    /// the first form is next, since an operator may change the topic.
    pub fn refuse(&mut self, error: KafkaError) -> bool {
        self.refusal = Some(error);
        let next = self.attempt.next();
        self.attempt = next.unwrap_or(Attempt::Single(Form::Whole));
        next.is_some()
    }
}
