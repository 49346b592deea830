//! The issues of the services that the cache-worker depends on.

use std::borrow::Cow;

use shared::health::{Dependency, HealthIssue};

use crate::round::RoundError;

/// An issue. The pages list those of one dependency in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheIssue {
    RedisUnreachable,
    /// A round or a refill failed in Redis.
    SwapFailed,
    /// A round or a refill failed in PostgreSQL.
    RoundFailed,
    TablesEmpty,
    /// The cache lacks users or products.
    CacheIncomplete,
    /// No instance has refreshed the cache for too long.
    CacheStale,
}

impl CacheIssue {
    /// The issue of a round or a refill that failed with `error`.
    pub fn of_failed_round(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<RoundError>() {
            Some(RoundError::Redis(_) | RoundError::SwapTimeout(_) | RoundError::StagingAltered) => Self::SwapFailed,
            // A round that is not finished in time waits for PostgreSQL: the timeouts of Redis are shorter.
            Some(RoundError::Database(_)) | None => Self::RoundFailed,
        }
    }
}

impl HealthIssue for CacheIssue {
    const DEPENDENCIES: &'static [Dependency] = &[Dependency::Postgres, Dependency::Redis, Dependency::Cache];

    fn dependency(self) -> Dependency {
        match self {
            Self::RedisUnreachable | Self::SwapFailed => Dependency::Redis,
            Self::RoundFailed | Self::TablesEmpty => Dependency::Postgres,
            Self::CacheIncomplete | Self::CacheStale => Dependency::Cache,
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::RedisUnreachable => "checks it twice a second",
            Self::SwapFailed | Self::RoundFailed => "retries until it succeeds",
            Self::TablesEmpty => "looks again at the next round",
            Self::CacheIncomplete => "fills it",
            Self::CacheStale => "tries a round as soon as one is due",
        }
    }

    fn resolution(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::RedisUnreachable => "Redis: working again",
            Self::SwapFailed => "Redis: the cache can be replaced again",
            Self::RoundFailed => "PostgreSQL: working again, cache rounds continue",
            Self::TablesEmpty => "tables users and products: no longer empty",
            Self::CacheIncomplete => "cache: complete again",
            Self::CacheStale => "cache: fresh again",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::{Context, anyhow};
    use shared::database::SqlError;

    use super::*;

    #[test]
    fn a_failed_round_is_an_issue_of_the_service_that_failed() {
        let dependency = |error: anyhow::Error| CacheIssue::of_failed_round(&error).dependency();
        let lost = redis::RedisError::from(std::io::Error::other("lost"));
        for error in [RoundError::Redis(lost), RoundError::SwapTimeout(Duration::ZERO), RoundError::StagingAltered] {
            assert_eq!(dependency(error.into()), Dependency::Redis);
        }
        let timeout = RoundError::Database(SqlError::Timeout(Duration::ZERO));
        assert_eq!(dependency(timeout.into()), Dependency::Postgres);
        assert_eq!(dependency(anyhow!("the tables are missing")), Dependency::Postgres);
        let wrapped = Err::<(), _>(RoundError::StagingAltered).context("the refill failed").unwrap_err();
        assert_eq!(dependency(wrapped), Dependency::Redis);
    }
}
