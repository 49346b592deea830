//! Which partitions of the topic have an owner: a member of the group that they are assigned to. rust-rdkafka lists the
//! members of classic groups only, so librdkafka is called directly; it describes groups of both protocols.

use std::{
    collections::HashSet,
    ffi::{CStr, CString},
    ptr,
    time::Duration,
};

use rdkafka::{
    bindings as librdkafka,
    bindings::rd_kafka_consumer_group_state_t as GroupState,
    consumer::Consumer,
    error::{IsError, RDKafkaErrorCode},
    types::RDKafka,
};

use super::client::GroupConsumer;

/// Timeout of the request to one broker. librdkafka reports it as a result.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of the wait for the result.
const RESULT_TIMEOUT: Duration = Duration::from_secs(4);

/// The group can't be described.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    #[error("the group can't be described: {0}")]
    Kafka(RDKafkaErrorCode),
    #[error("the group can't be described: no result")]
    NoResult,
    #[error("the group can't be described: its name has a NUL character")]
    Name,
}

/// The owners of partitions.
#[derive(Debug, PartialEq, Eq)]
pub enum Owners {
    /// The partitions that a member is assigned.
    Of(HashSet<i32>),
    /// A group of the classic protocol has no assignment during a rebalance.
    Rebalancing,
}

/// Asks one broker after the other which partitions of the topic have an owner, until the coordinator of the group
/// answers. Blocks for up to 4 s a broker.
///
/// librdkafka 2.12 can find the coordinator itself, but a request that times out meanwhile is freed and used when the
/// coordinator is found (`rd_kafka_admin_coord_request`): the process aborts.
///
/// # Errors
/// When no broker answers, or the coordinator refuses.
pub fn owners(consumer: &GroupConsumer, brokers: &[i32], group: &str, topic: &str) -> Result<Owners, DescribeError> {
    let group = CString::new(group).map_err(|_| DescribeError::Name)?;
    let mut failure = DescribeError::NoResult;
    for broker in brokers {
        let description = Description::request(consumer.client().native_ptr(), *broker, &group);
        match description.and_then(|description| description.owners(topic)) {
            Ok(owners) => return Ok(owners),
            Err(DescribeError::Kafka(RDKafkaErrorCode::NotCoordinator)) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The result of the request; librdkafka owns what it points to.
struct Description(*mut librdkafka::rd_kafka_event_t);

impl Drop for Description {
    #[allow(unsafe_code, reason = "rust-rdkafka does not wrap DescribeConsumerGroups")]
    fn drop(&mut self) {
        // SAFETY: the event is destroyed once, and nothing that borrows from it outlives `self`.
        unsafe { librdkafka::rd_kafka_event_destroy(self.0) };
    }
}

impl Description {
    /// Asks `broker` to describe the group by the client `client`, which must stay open meanwhile.
    #[allow(unsafe_code, reason = "rust-rdkafka does not wrap DescribeConsumerGroups")]
    fn request(client: *mut RDKafka, broker: i32, group: &CStr) -> Result<Self, DescribeError> {
        use librdkafka::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS as DESCRIBE;
        let mut groups = [group.as_ptr()];
        // SAFETY: the client is open. Options and queue are created here and destroyed here; the request copies the
        // options and the group's name, and holds a reference to the queue until it ends.
        let event = unsafe {
            let options = librdkafka::rd_kafka_AdminOptions_new(client, DESCRIBE);
            let queue = librdkafka::rd_kafka_queue_new(client);
            let timeout = REQUEST_TIMEOUT.as_millis() as i32;
            librdkafka::rd_kafka_AdminOptions_set_request_timeout(options, timeout, ptr::null_mut(), 0);
            librdkafka::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
            librdkafka::rd_kafka_DescribeConsumerGroups(client, groups.as_mut_ptr(), groups.len(), options, queue);
            let event = librdkafka::rd_kafka_queue_poll(queue, RESULT_TIMEOUT.as_millis() as i32);
            librdkafka::rd_kafka_queue_destroy(queue);
            librdkafka::rd_kafka_AdminOptions_destroy(options);
            event
        };
        if event.is_null() { Err(DescribeError::NoResult) } else { Ok(Self(event)) }
    }

    #[allow(unsafe_code, reason = "rust-rdkafka does not wrap DescribeConsumerGroups")]
    fn owners(&self, topic: &str) -> Result<Owners, DescribeError> {
        // SAFETY: the event lives as long as `self`, and librdkafka's result, groups, members and lists as long as the
        // event. A null result or list is not read.
        unsafe {
            let error = librdkafka::rd_kafka_event_error(self.0);
            if error.is_error() {
                return Err(DescribeError::Kafka(error.into()));
            }
            let result = librdkafka::rd_kafka_event_DescribeConsumerGroups_result(self.0);
            if result.is_null() {
                return Err(DescribeError::NoResult);
            }
            let mut count = 0;
            let groups = librdkafka::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            if count == 0 {
                return Err(DescribeError::NoResult);
            }
            let group = *groups;
            let error = librdkafka::rd_kafka_error_code(librdkafka::rd_kafka_ConsumerGroupDescription_error(group));
            if error.is_error() {
                return Err(DescribeError::Kafka(error.into()));
            }
            let state = librdkafka::rd_kafka_ConsumerGroupDescription_state(group);
            if let GroupState::RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE
            | GroupState::RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE = state
            {
                return Ok(Owners::Rebalancing);
            }
            let mut owned = HashSet::new();
            for index in 0..librdkafka::rd_kafka_ConsumerGroupDescription_member_count(group) {
                let member = librdkafka::rd_kafka_ConsumerGroupDescription_member(group, index);
                let assignment = librdkafka::rd_kafka_MemberDescription_assignment(member);
                if !assignment.is_null() {
                    let list = librdkafka::rd_kafka_MemberAssignment_partitions(assignment);
                    owned.extend(partitions_of(list, topic));
                }
            }
            Ok(Owners::Of(owned))
        }
    }
}

/// The partitions of `topic` in a list of librdkafka.
///
/// # Safety
/// `list` is null, or a list that lives as long as the result is used.
#[allow(unsafe_code, reason = "rust-rdkafka does not wrap DescribeConsumerGroups")]
unsafe fn partitions_of(list: *const librdkafka::rd_kafka_topic_partition_list_t, topic: &str) -> Vec<i32> {
    // SAFETY: the caller's, and librdkafka's promise that a list has `cnt` elements with a topic each.
    unsafe {
        let Some(list) = list.as_ref() else { return Vec::new() };
        let element = |index| &*list.elems.add(index);
        let elements = (0..list.cnt.max(0) as usize).map(element);
        let of_topic = elements.filter(|place| CStr::from_ptr(place.topic).to_bytes() == topic.as_bytes());
        of_topic.map(|place| place.partition).collect()
    }
}
