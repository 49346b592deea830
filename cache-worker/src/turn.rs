//! Whose turn it is: one round at a time on a database, at the time on which all instances agree.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{ExpressionMethods, sql_types};
use shared::database::{SqlError, StatementClient, schema::cache_rounds};

/// Only one instance at a time works on a database. Held by a transaction, not by a session, so that it works behind a
/// pooler, and goes with the transaction when its instance dies.
pub const ADVISORY_LOCK: i64 = 0x6f72_6466_6c6f_7701;

/// When work is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When the next round is due.
    Due,
    /// At once.
    Now,
}

/// The right to swap, until the end of the transaction.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Greater than that of every swap before.
    pub epoch: i64,
    /// Now, by the database's clock, and always later than the last round.
    pub at: DateTime<Utc>,
    now: DateTime<Utc>,
    claimed: Instant,
    due_at: Option<DateTime<Utc>>,
}

/// What became of the wish for a turn.
#[derive(Clone, Copy, Debug)]
pub enum Claim {
    /// It is ours.
    Mine(Turn),
    /// Not before this time has passed.
    NotDue(Duration),
    /// Another instance has it.
    Busy,
}

/// In the order in which the server computes them: whoever is stopped once it has the lock loses it in time, even where the
/// network swallows what is sent to it.
const LOCK: &str = "SELECT set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true), \
     set_config('tcp_user_timeout', $1, true), pg_try_advisory_xact_lock($2) AS mine";

/// The clock makes epochs grow even when the database is a new one and Redis is not.
const ROUNDS: &str = "SELECT greatest(epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS next_epoch, \
     clock_timestamp() AS now, greatest(clock_timestamp(), cached_at + interval '1 microsecond') AS at, due_at FROM cache_rounds";

/// Claims the turn for the transaction that `database` is in. An instance that hangs or whose connection is cut loses it,
/// and the locks on its rows, `timeout` after its last statement at most.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    database: &mut StatementClient,
    when: When,
    interval: Duration,
    timeout: Duration,
) -> Result<Claim, SqlError> {
    let lock = diesel::sql_query(LOCK).bind::<sql_types::Text, _>(timeout.as_millis().to_string());
    let locked = database.query_one(&lock.bind::<sql_types::BigInt, _>(ADVISORY_LOCK)).await?;
    if !locked.get::<_, bool>("mine") {
        return Ok(Claim::Busy);
    }
    // A statement of its own: one that took the lock would still see the row as it was before.
    let rounds = database.query_one(&diesel::sql_query(ROUNDS)).await?;
    let (now, due_at) = (rounds.get("now"), rounds.get("due_at"));
    if when == When::Due
        && let Some(wait) = wait(due_at, now, interval)
    {
        return Ok(Claim::NotDue(wait));
    }
    let (epoch, at) = (rounds.get("next_epoch"), rounds.get("at"));
    Ok(Claim::Mine(Turn { epoch, at, now, claimed: Instant::now(), due_at }))
}

/// Writes down that `epoch` was swapped in, so that the next one is greater.
///
/// # Errors
/// When the database fails.
pub async fn spend(database: &mut StatementClient, epoch: i64) -> Result<u64, SqlError> {
    database.execute(&diesel::update(cache_rounds::table).set(cache_rounds::epoch.eq(epoch))).await
}

impl Turn {
    /// When the round after this one is due.
    pub fn next_due(&self, interval: Duration) -> DateTime<Utc> {
        next_due(self.due_at, self.now, interval)
    }

    /// How far away `due` is by now.
    pub fn until(&self, due: DateTime<Utc>) -> Duration {
        (due - self.now).to_std().unwrap_or_default().saturating_sub(self.claimed.elapsed())
    }
}

/// How long a round has yet to wait. What is farther away than an interval was set by a longer one, or by a clock that was
/// wrong: it doesn't count.
fn wait(due_at: Option<DateTime<Utc>>, now: DateTime<Utc>, interval: Duration) -> Option<Duration> {
    let wait = (due_at? - now).to_std().ok()?;
    (!wait.is_zero() && wait <= interval).then_some(wait)
}

/// The first time after `now` that is a whole number of intervals after `due_at`: a late round moves none of the later
/// ones, and those missed meanwhile are not made up for. A round at once, or the first one, begins anew.
fn next_due(due_at: Option<DateTime<Utc>>, now: DateTime<Utc>, interval: Duration) -> DateTime<Utc> {
    let interval = TimeDelta::from_std(interval).unwrap_or(TimeDelta::MAX).max(TimeDelta::microseconds(1));
    let late = due_at.and_then(|due| (now - due).num_microseconds()).filter(|late| *late >= 0).unwrap_or(0);
    let into = TimeDelta::microseconds(late % interval.num_microseconds().unwrap_or(i64::MAX));
    now.checked_add_signed(interval - into).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(50);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_late_round_moves_none_of_the_later_ones() {
        for (now, next) in [(100, 150), (101, 150), (149, 150), (150, 200), (1_000, 1_050), (1_001, 1_050)] {
            assert_eq!(next_due(Some(at(100)), at(now), INTERVAL), at(next), "at {now}");
        }
        assert_eq!(next_due(None, at(7), INTERVAL), at(57));
        // At once, before it was due.
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
