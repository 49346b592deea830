//! The resources of an integration test: a topic, a group, a database copied from a template, a Redis prefix and a
//! folder, so that tests run in parallel on one stack. All of them are deleted when the test ends.
//!
//! The environment names the stack, as `deploy/stack env` prints it; `deploy/test` starts one.

mod bed;
mod data;
mod eventually;
mod proxy;
mod stack;
mod standby;
mod template;

pub use self::{
    bed::Testbed,
    data::{ORDER_VALUE, fill_cache},
    eventually::{eventually, shared_start},
    proxy::Proxy,
    stack::{sql_as_superuser, stack_environment},
    standby::Standby,
    template::{PRODUCTS, USERS},
};
