//! Random histories of a few partitions (orders, repeats, poison, rebalances, crashes, a database that fails before or after
//! it has stored) against what must hold whatever happens: no offset is stored before everything below it is done with, no
//! statement has a row of a partition that went away, and in the end every order is in the table or a dead letter, and each where it belongs.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use chrono::DateTime;
use proptest::{collection::vec, prelude::*};
use shared::{
    database::SqlError,
    order::{OrderPlaced, OrderStatus, PaymentMethod},
    wire::ReceivedOrder,
};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    assignment::Assignment,
    enrich::{ProductFacts, UserFacts},
    store::Answer,
};

const PARTITIONS: usize = 3;
const WRITERS: usize = 2;

/// What a producer may put on the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Good,
    /// The same order as one before.
    Repeat,
    /// Can't become a row.
    Broken,
    /// The table does not take it.
    Refused,
}

/// What may happen while rows are on their way to the table.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    LostBefore,
    LostAfter,
    TooLong,
    /// The partition goes away meanwhile.
    Revoked(usize),
    /// The partition goes away, and what became of the rows is not known.
    RevokedAndLost(usize),
    Abandoned,
}

#[derive(Clone, Debug)]
enum Event {
    Produced(usize, Kind),
    Read(usize, usize),
    Settled(usize, usize, Vec<Trouble>),
    Committed,
    Revoked(usize),
    Lost(usize),
    Granted(usize),
    Crashed,
}

#[derive(Clone, Debug)]
struct Produced {
    id: String,
    kind: Kind,
}

#[derive(Default)]
struct World {
    log: [Vec<Produced>; PARTITIONS],
    table: HashSet<String>,
    letters: HashMap<String, usize>,
    assignment: Arc<Assignment>,
    /// As the client library has it: nothing since an assignment until something is stored.
    stored: [Option<i64>; PARTITIONS],
    committed: [i64; PARTITIONS],
    position: [i64; PARTITIONS],
    /// Assignments of each partition so far.
    grants: [i32; PARTITIONS],
}

impl World {
    fn revoke(&mut self, partition: usize) {
        self.assignment.revoke(&[partition as i32]);
        self.stored[partition] = None;
    }

    fn commit(&mut self) {
        for (committed, stored) in self.committed.iter_mut().zip(&self.stored) {
            *committed = stored.unwrap_or(*committed);
        }
    }

    fn is_done(&self, record: &Produced) -> bool {
        match record.kind {
            Kind::Good | Kind::Repeat => self.table.contains(&record.id),
            Kind::Broken | Kind::Refused => self.letters.contains_key(&record.id),
        }
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Letters for Shared {
    fn decided(&self, _: usize) {}

    async fn send(&self, record: &Record, _: &Defect, _: &mut Outage<'_>) -> Result<(), GivenUp> {
        let id = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
        *self.world().letters.entry(id).or_default() += 1;
        Ok(())
    }
}

impl Offsets for Shared {
    fn store(&self, offsets: &[(i32, i64)]) {
        let mut world = self.world();
        for (partition, offset) in offsets {
            let at = *partition as usize;
            assert!(world.assignment.lease(*partition).is_some(), "an offset for a partition that went away");
            assert!(world.stored[at].is_none_or(|before| before < *offset), "an offset that goes back");
            let undone = world.log[at][..*offset as usize].iter().find(|record| !world.is_done(record));
            assert!(undone.is_none(), "an offset is stored beyond {undone:?}");
            world.stored[at] = Some(*offset);
        }
    }
}

struct TroubledTable {
    shared: Shared,
    troubles: VecDeque<Trouble>,
    abandon: CancellationToken,
}

impl TroubledTable {
    fn take(&self, rows: &[&OrderRow]) -> Answer {
        for event in rows.iter().map(|row| &row.order.event) {
            let (partition, grant) = (event.quantity, event.total_amount);
            let world = self.shared.world();
            let is_ours = world.assignment.lease(partition).is_some() && world.grants[partition as usize] == grant;
            assert!(is_ours, "a statement with a row of partition {partition}, which went away");
        }
        let ids = || rows.iter().map(|row| row.order.order_id.clone());
        if ids().any(|id| id.starts_with("refused")) {
            return Answer::Refused(SqlError::Deadline(std::time::Duration::ZERO));
        }
        Answer::Inserted(ids().filter(|id| self.shared.world().table.insert(id.clone())).count() as u64)
    }
}

impl Table for TroubledTable {
    async fn insert(&mut self, rows: &[&OrderRow], outage: &mut Outage<'_>) -> Result<Answer, GivenUp> {
        outage.check()?;
        match self.troubles.pop_front() {
            None => Ok(self.take(rows)),
            Some(Trouble::TooLong) if rows.len() > 1 => Ok(Answer::TooLong),
            Some(Trouble::LostBefore | Trouble::TooLong) => Ok(Answer::Lost),
            Some(Trouble::LostAfter) => {
                self.take(rows);
                Ok(Answer::Lost)
            }
            Some(Trouble::Revoked(partition)) => {
                let answer = self.take(rows);
                self.shared.world().revoke(partition);
                Ok(answer)
            }
            Some(Trouble::RevokedAndLost(partition)) => {
                self.shared.world().revoke(partition);
                Ok(Answer::Lost)
            }
            Some(Trouble::Abandoned) => {
                self.take(rows);
                self.abandon.cancel();
                Err(GivenUp)
            }
        }
    }
}

/// One life of an instance: what it has in memory.
struct Life {
    settling: Settling<Shared, Shared>,
    queues: [VecDeque<Prepared>; WRITERS],
    memory: Arc<Semaphore>,
}

impl Life {
    fn begin(shared: &Shared) -> Self {
        let settling = Settling {
            letters: shared.clone(),
            offsets: shared.clone(),
            account: Arc::default(),
            statistics: Arc::default(),
            abandon: CancellationToken::new(),
        };
        Self { settling, queues: Default::default(), memory: Arc::new(Semaphore::new(1_000_000)) }
    }

    fn read(&mut self, shared: &Shared, partition: usize, most: usize) {
        let mut world = shared.world();
        let Some(lease) = world.assignment.lease(partition as i32) else { return };
        for _ in 0..most {
            let offset = world.position[partition];
            let Some(record) = world.log[partition].get(offset as usize).cloned() else { return };
            world.position[partition] += 1;
            self.settling.account.consumed();
            assert!(lease.begin());
            let place = (partition as i32, offset);
            let delivered = Delivered {
                lease: lease.clone(),
                record: Record::plain(place, Some(0), Some(record.id.as_bytes()), Some(b"{}")),
                read_at: SystemTime::now(),
                memory: self.memory.clone().try_acquire_many_owned(1).unwrap(),
            };
            let becomes = match record.kind {
                Kind::Broken => Err(Defect::UnknownUser("nobody".to_owned())),
                _ => Ok(row(record.id, partition as i32, world.grants[partition])),
            };
            self.queues[partition % WRITERS].push_back(Prepared { delivered, becomes });
        }
    }

    async fn settle(&mut self, shared: &Shared, writer: usize, most: usize, troubles: Vec<Trouble>) {
        let queue = &mut self.queues[writer];
        let records = queue.drain(..most.min(queue.len())).collect();
        let records = self.settling.keep_ours(records, |prepared: &Prepared| &prepared.delivered.lease);
        let now = SystemTime::now();
        let abandon = self.settling.abandon.clone();
        let mut table = TroubledTable { shared: shared.clone(), troubles: troubles.into(), abandon };
        self.settling.settle(Batch { records, taken: now, decoded: now, enriched: now }, &mut table).await;
    }

    fn is_balanced(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty()) || self.settling.account.is_balanced()
    }
}

/// Says in its figures which assignment it was read under.
fn row(order_id: String, partition: i32, grant: i32) -> OrderRow {
    let event = OrderPlaced {
        user_id: "U00000001".into(),
        product_id: "P000001".into(),
        quantity: partition,
        total_amount: grant,
        shipping_cost: 0,
        discount_amount: 0,
        payment_method: PaymentMethod::Card,
        status: OrderStatus::Paid,
        created_at: DateTime::UNIX_EPOCH,
    };
    let user = UserFacts { gender: "F".to_owned(), age_group: "30대".to_owned(), region: "제주".to_owned() };
    OrderRow {
        order: ReceivedOrder { order_id, event },
        user: Arc::new(user),
        product: Arc::new(ProductFacts { category: "식품".to_owned() }),
    }
}

/// An order id tells what is to become of it: `good-7`.
fn produce(world: &mut World, partition: usize, kind: Kind) {
    let number = world.log.iter().map(Vec::len).sum::<usize>();
    let earlier = world.log.iter().flatten().rev().find(|record| record.kind == Kind::Good).cloned();
    let record = match (kind, earlier) {
        (Kind::Repeat, Some(earlier)) => Produced { id: earlier.id, kind },
        (Kind::Good | Kind::Repeat, _) => Produced { id: format!("good-{number}"), kind: Kind::Good },
        (Kind::Broken, _) => Produced { id: format!("broken-{number}"), kind },
        (Kind::Refused, _) => Produced { id: format!("refused-{number}"), kind },
    };
    world.log[partition].push(record);
}

fn grant(world: &mut World, partition: usize) {
    if world.assignment.lease(partition as i32).is_none() {
        world.assignment.grant([partition as i32]);
        world.grants[partition] += 1;
        world.position[partition] = world.committed[partition];
    }
}

async fn happen(shared: &Shared, life: &mut Life, event: Event) {
    match event {
        Event::Produced(partition, kind) => produce(&mut shared.world(), partition, kind),
        Event::Read(partition, most) => life.read(shared, partition, most),
        Event::Settled(writer, most, troubles) => life.settle(shared, writer, most, troubles).await,
        Event::Committed => shared.world().commit(),
        Event::Revoked(partition) => {
            let mut world = shared.world();
            world.commit();
            world.revoke(partition);
        }
        Event::Lost(partition) => shared.world().revoke(partition),
        Event::Granted(partition) => grant(&mut shared.world(), partition),
        Event::Crashed => {
            (0..PARTITIONS).for_each(|partition| shared.world().revoke(partition));
            *life = Life::begin(shared);
        }
    }
    if life.settling.abandon.is_cancelled() {
        // The stop's deadline was over: what is left is handed back, and the process ends.
        for writer in 0..WRITERS {
            life.settle(shared, writer, usize::MAX, Vec::new()).await;
        }
        assert!(life.is_balanced(), "{}", life.settling.account);
        (0..PARTITIONS).for_each(|partition| shared.world().revoke(partition));
        *life = Life::begin(shared);
    }
    assert!(life.is_balanced(), "{}", life.settling.account);
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![6 => Just(Kind::Good), 2 => Just(Kind::Repeat), 1 => Just(Kind::Broken), 1 => Just(Kind::Refused)]
}

fn troubles() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        3 => Just(Trouble::LostBefore),
        3 => Just(Trouble::LostAfter),
        3 => Just(Trouble::TooLong),
        2 => (0..PARTITIONS).prop_map(Trouble::Revoked),
        2 => (0..PARTITIONS).prop_map(Trouble::RevokedAndLost),
        1 => Just(Trouble::Abandoned),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let partition = 0..PARTITIONS;
    prop_oneof![
        8 => (partition.clone(), kinds()).prop_map(|(partition, kind)| Event::Produced(partition, kind)),
        6 => (partition.clone(), 1..6_usize).prop_map(|(partition, most)| Event::Read(partition, most)),
        6 => (0..WRITERS, 1..12_usize, vec(troubles(), 0..4))
            .prop_map(|(writer, most, troubles)| Event::Settled(writer, most, troubles)),
        2 => Just(Event::Committed),
        1 => partition.clone().prop_map(Event::Revoked),
        1 => partition.clone().prop_map(Event::Lost),
        4 => partition.prop_map(Event::Granted),
        1 => Just(Event::Crashed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_order_ends_where_it_belongs(history in vec(events(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shared = Shared::default();
            let mut life = Life::begin(&shared);
            for event in history {
                happen(&shared, &mut life, event).await;
            }
            for partition in 0..PARTITIONS {
                happen(&shared, &mut life, Event::Granted(partition)).await;
                happen(&shared, &mut life, Event::Read(partition, usize::MAX)).await;
            }
            for writer in 0..WRITERS {
                happen(&shared, &mut life, Event::Settled(writer, usize::MAX, Vec::new())).await;
            }
            let world = shared.world();
            for (log, stored) in world.log.iter().zip(&world.stored) {
                assert!(log.iter().all(|record| world.is_done(record)), "not all is done with: {log:?}");
                assert!(stored.is_none_or(|stored| stored == log.len() as i64), "{stored:?} of {}", log.len());
            }
            assert!(world.table.iter().all(|id| id.starts_with("good")));
            assert!(world.letters.keys().all(|id| !id.starts_with("good")));
            assert!(life.settling.account.is_balanced(), "{}", life.settling.account);
        });
    }
}
