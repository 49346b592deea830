//! Passwords that are valid for a short time: tokens of AWS for RDS, the output of a command, access tokens by OAuth.
//!
//! A [`TokenCache`] asks its [`TokenSource`] for a new one a minute before the old one ends, and can share it with other
//! processes by a [`TokenStore`] in Redis. Tokens are secrets: no log line and no error contains one.

mod command;
mod oauth;
mod rds_iam;
mod token;
mod token_cache;
mod token_source;
mod token_store;

pub use self::{
    command::PasswordCommand, oauth::OAuthClient, rds_iam::RdsIam, token::Token, token_cache::TokenCache,
    token_source::TokenSource, token_store::TokenStore,
};
