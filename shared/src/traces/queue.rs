//! The queue of spans, as far as it is counted here: OpenTelemetry's processor drops spans without telling how many.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts the spans that are not exported yet, and those that never will be.
#[derive(Debug, Default)]
pub struct SpanQueue {
    capacity: usize,
    /// Spans that wait, and those of the export that runs.
    pending: AtomicUsize,
    /// Spans that found the queue full, or whose export failed.
    lost: AtomicU64,
    /// All spans, whatever became of them.
    all: AtomicU64,
    exported: AtomicU64,
}

impl SpanQueue {
    /// An empty queue. The processor must have room for `capacity` spans, so that it drops none itself.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Counts a span as pending, or as lost when the queue is full. Returns whether there is room for it.
    pub fn enqueue(&self) -> bool {
        self.all.fetch_add(1, Ordering::Relaxed);
        let has_room = self.pending.fetch_add(1, Ordering::AcqRel) < self.capacity;
        if !has_room {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Pending spans were exported.
    pub fn exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
        self.pending.fetch_sub(spans, Ordering::AcqRel);
    }

    /// The export of pending spans failed. They are not tried again.
    pub fn failed(&self, spans: usize) {
        self.lost.fetch_add(spans as u64, Ordering::Relaxed);
        self.pending.fetch_sub(spans, Ordering::AcqRel);
    }

    /// Spans that are lost until now.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Spans that are not exported until now: those that are lost, and those that are pending.
    pub fn not_exported(&self) -> u64 {
        let exported = self.exported.load(Ordering::Relaxed);
        self.all.load(Ordering::Relaxed).saturating_sub(exported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_exported_or_counted_as_lost() {
        let queue = SpanQueue::new(3);
        let enqueued: Vec<bool> = (0..5).map(|_| queue.enqueue()).collect();
        assert_eq!(enqueued, [true, true, true, false, false]);
        assert_eq!((queue.lost(), queue.not_exported()), (2, 5));
        queue.exported(2);
        assert_eq!((queue.lost(), queue.not_exported()), (2, 3));
        assert!(queue.enqueue() && queue.enqueue() && !queue.enqueue(), "there is room for what was exported");
        queue.failed(2);
        assert_eq!((queue.lost(), queue.not_exported()), (5, 6));
        queue.exported(1);
        assert_eq!((queue.lost(), queue.not_exported()), (5, 5));
    }
}
