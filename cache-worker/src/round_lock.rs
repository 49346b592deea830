//! The lock that lets one instance at a time run a round on a database, and the times at which rounds are due.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{ExpressionMethods, sql_types};
use shared::database::{SqlError, StatementClient, schema::cache_rounds};

/// Key of the advisory lock. A transaction holds the lock, not a session. So the lock works behind a pooler, and it is
/// released when the instance is killed.
pub const ADVISORY_LOCK: i64 = 0x6f72_6466_6c6f_7701;

/// Whether a round or refill runs before it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    IfDue,
    Always,
}

/// The right to swap the cache, held until the end of the transaction.
#[derive(Clone, Copy, Debug)]
pub struct RoundLock {
    /// Greater than the epochs of all swaps before.
    pub epoch: i64,
    /// The time of the round by the database's clock. Always later than the last round, even if the clock was set back.
    pub at: DateTime<Utc>,
    now: DateTime<Utc>,
    acquired: Instant,
    due_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug)]
pub enum AcquireOutcome {
    Acquired(RoundLock),
    /// The next round is due after this time.
    NotDue(Duration),
    /// Another instance holds the lock.
    Busy,
}

/// The server evaluates these in order. The timeouts are set before the lock is taken, so that an instance which stops
/// right after that loses the lock in time, even if the network drops all its packets.
const LOCK: &str = "\
    SELECT set_config('statement_timeout', $1, true), \
        set_config('idle_in_transaction_session_timeout', $1, true), \
        set_config('tcp_user_timeout', $1, true), \
        pg_try_advisory_xact_lock($2) AS acquired";

/// Epochs follow the clock, so that they grow even if the database is recreated and Redis is not.
const NEXT_ROUND: &str = "\
    SELECT greatest(epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS next_epoch, \
        clock_timestamp() AS now, \
        greatest(clock_timestamp(), cached_at + interval '1 microsecond') AS at, \
        due_at \
    FROM cache_rounds";

/// Acquires the lock for the open transaction of `database`. An instance that hangs or is disconnected loses the lock
/// and its row locks at most `timeout` after its last statement.
///
/// # Errors
/// When the database fails.
pub async fn acquire(
    database: &mut StatementClient,
    trigger: Trigger,
    interval: Duration,
    timeout: Duration,
) -> Result<AcquireOutcome, SqlError> {
    let lock = diesel::sql_query(LOCK).bind::<sql_types::Text, _>(timeout.as_millis().to_string());
    let locked = database.query_one(&lock.bind::<sql_types::BigInt, _>(ADVISORY_LOCK)).await?;
    if !locked.get::<_, bool>("acquired") {
        return Ok(AcquireOutcome::Busy);
    }
    // A separate statement: the one that takes the lock has a snapshot from before the lock.
    let next = database.query_one(&diesel::sql_query(NEXT_ROUND)).await?;
    let (now, due_at) = (next.get("now"), next.get("due_at"));
    if trigger == Trigger::IfDue
        && let Some(wait) = wait(due_at, now, interval)
    {
        return Ok(AcquireOutcome::NotDue(wait));
    }
    let (epoch, at) = (next.get("next_epoch"), next.get("at"));
    Ok(AcquireOutcome::Acquired(RoundLock { epoch, at, now, acquired: Instant::now(), due_at }))
}

/// Stores `epoch` as the last one that Redis has, so that the next one is greater.
///
/// # Errors
/// When the database fails.
pub async fn persist_epoch(database: &mut StatementClient, epoch: i64) -> Result<u64, SqlError> {
    database.execute(&diesel::update(cache_rounds::table).set(cache_rounds::epoch.eq(epoch))).await
}

impl RoundLock {
    /// When the round after this one is due.
    pub fn next_due(&self, interval: Duration) -> DateTime<Utc> {
        next_due(self.due_at, self.now, interval)
    }

    /// Time left until `due`.
    pub fn until(&self, due: DateTime<Utc>) -> Duration {
        (due - self.now).to_std().unwrap_or_default().saturating_sub(self.acquired.elapsed())
    }
}

/// Time until the round is due; none if it is due now. A due time that is more than an interval away was set with a
/// longer interval or by a wrong clock, and is ignored.
fn wait(due_at: Option<DateTime<Utc>>, now: DateTime<Utc>, interval: Duration) -> Option<Duration> {
    let wait = (due_at? - now).to_std().ok()?;
    (!wait.is_zero() && wait <= interval).then_some(wait)
}

/// The first time after `now` that is a whole number of intervals after `due_at`. So a late round does not move the
/// later ones, and missed rounds are not repeated. After the first round, or one that ran before it was due, the next
/// one is due an interval later.
fn next_due(due_at: Option<DateTime<Utc>>, now: DateTime<Utc>, interval: Duration) -> DateTime<Utc> {
    let interval = TimeDelta::from_std(interval).unwrap_or(TimeDelta::MAX).max(TimeDelta::microseconds(1));
    let late = due_at.and_then(|due| (now - due).num_microseconds()).filter(|late| *late >= 0).unwrap_or(0);
    let elapsed = TimeDelta::microseconds(late % interval.num_microseconds().unwrap_or(i64::MAX));
    now.checked_add_signed(interval - elapsed).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(50);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_late_round_does_not_move_the_later_ones() {
        for (now, next) in [(100, 150), (101, 150), (149, 150), (150, 200), (1_000, 1_050), (1_001, 1_050)] {
            assert_eq!(next_due(Some(at(100)), at(now), INTERVAL), at(next), "at {now}");
        }
        assert_eq!(next_due(None, at(7), INTERVAL), at(57));
        // A round that ran before it was due.
        assert_eq!(next_due(Some(at(100)), at(90), INTERVAL), at(140));
        assert!(next_due(Some(at(100)), at(101), Duration::MAX) > at(1_000_000));
    }

    #[test]
    fn a_round_waits_until_it_is_due_but_never_longer_than_its_interval() {
        assert_eq!(wait(Some(at(100)), at(80), INTERVAL), Some(Duration::from_secs(20)));
        assert_eq!(wait(Some(at(100)), at(50), INTERVAL), Some(INTERVAL));
        for now in [100, 101, 49, -10_000] {
            assert_eq!(wait(Some(at(100)), at(now), INTERVAL), None, "at {now}");
        }
        assert_eq!(wait(None, at(0), INTERVAL), None);
    }
}
