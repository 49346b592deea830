//! Wakes the sending thread when a delivery report can be polled.
//!
//! The thread waits for the next due time, often for less than a millisecond, while librdkafka's own `poll` waits in
//! whole milliseconds. So it waits in [`std::thread::park_timeout`], and librdkafka ends that wait: an order's
//! acknowledgement is noticed when it arrives and not when the next order is due.

use std::{ffi::c_void, ptr::NonNull, thread::Thread};

use rdkafka::{
    bindings::{
        rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy, rd_kafka_queue_get_main, rd_kafka_queue_t, rd_kafka_t,
    },
    producer::{BaseProducer, Producer},
};

use super::delivery::DeliveryContext;

/// While it exists, the thread that created it is unparked as soon as the client's empty queue of delivery reports gets
/// one.
pub struct ReportSignal {
    queue: NonNull<rd_kafka_queue_t>,
    /// The callback's argument. Boxed, so that its address stays the same.
    _thread: Box<Thread>,
}

impl ReportSignal {
    /// Unparks the current thread from now on. `None` when librdkafka has no queue to watch; then reports are noticed
    /// at the next due time.
    #[allow(unsafe_code, reason = "rust-rdkafka exposes the callback of a queue for consumers only")]
    pub fn for_current_thread(client: &BaseProducer<DeliveryContext>) -> Option<Self> {
        let thread = Box::new(std::thread::current());
        let argument: *const Thread = &raw const *thread;
        // SAFETY: the client is alive, so its pointer is valid. The queue is reference-counted and kept until `drop`.
        let queue = NonNull::new(unsafe { rd_kafka_queue_get_main(client.client().native_ptr()) })?;
        // SAFETY: `argument` is valid until `drop`, which removes the callback first.
        unsafe { rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(unpark), argument.cast_mut().cast()) };
        Some(Self { queue, _thread: thread })
    }
}

impl Drop for ReportSignal {
    #[allow(unsafe_code, reason = "see for_current_thread")]
    fn drop(&mut self) {
        // SAFETY: the queue is valid until it is destroyed here. librdkafka calls the callback and removes it under the
        // queue's lock, so it does not run any more when the thread's handle is dropped.
        unsafe {
            rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, std::ptr::null_mut());
            rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Called by librdkafka's threads under the lock of the queue: does not block.
#[allow(unsafe_code, reason = "see for_current_thread")]
unsafe extern "C" fn unpark(_client: *mut rd_kafka_t, thread: *mut c_void) {
    // SAFETY: `thread` is the box of a `ReportSignal` that still exists.
    let thread = unsafe { &*thread.cast::<Thread>() };
    thread.unpark();
}
