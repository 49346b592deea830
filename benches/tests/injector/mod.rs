//! An injector with a registry of programs, and what it has reported.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use benches::{
    fault::{
        Fault, FaultRecord, Target,
        breaker::Breaker,
        event::{FaultChange, FaultEvent},
        injector::Injector,
        preparation::Preparation,
        stack::Stack,
    },
    run::{ProgramSetup, Programs},
    scenario::TimedFault,
};
use testbed::{Testbed, eventually};
use tokio_util::sync::CancellationToken;

use super::scenario::TIMEOUT;

/// The stack of the tests.
pub fn test_stack() -> Stack {
    let name = std::env::var("ORDERFLOW_TEST_STACK").expect("ORDERFLOW_TEST_STACK names the stack of the tests");
    Stack { script: concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack").into(), name }
}

pub fn timed(at_ms: u64, lasting_ms: impl Into<Option<u64>>, fault: Fault) -> TimedFault {
    let lasting = lasting_ms.into().map(Duration::from_millis);
    TimedFault { at: Duration::from_millis(at_ms), lasting, fault }
}

/// A registry of programs, an injector for them, and what it has reported.
pub struct Injection {
    pub programs: Programs,
    pub injector: Injector,
    pub events: Arc<Mutex<Vec<FaultEvent>>>,
    /// What the preparation adds to the environment of all programs.
    pub environment: Vec<(String, String)>,
}

impl Injection {
    pub async fn new(bed: &Testbed, faults: &[TimedFault]) -> Self {
        let folder = bed.folder().to_owned();
        let programs = Programs::new(ProgramSetup { folder, environment: bed.environment(), kafka_config: Vec::new() });
        let faults: Vec<Fault> = faults.iter().map(|timed| timed.fault.clone()).collect();
        let preparation = Preparation::start(&faults, Some(&test_stack()), bed.folder(), &bed.runs()).await.unwrap();
        for target in (1..=3).map(Target::Consumer).chain([Target::CacheWorker, Target::Producer(1)]) {
            programs.set_environment(target, preparation.environment(target));
        }
        let environment = preparation.environment(Target::Producer(2));
        let events = Arc::<Mutex<Vec<FaultEvent>>>::default();
        let (observed, database) = (events.clone(), bed.database.clone());
        let breaker = Breaker {
            programs: programs.clone(),
            stack: Some(test_stack()),
            database,
            preparation,
            several_brokers_down: false,
        };
        let injector = Injector::new(breaker, Box::new(move |event| observed.lock().unwrap().push(event)));
        Self { programs, injector, events, environment }
    }

    pub async fn run(&self, faults: &[TimedFault]) -> Vec<FaultRecord> {
        self.injector.run(faults, Instant::now(), &CancellationToken::new()).await.unwrap()
    }

    /// All faults begin and are undone.
    pub async fn run_without_error(&self, faults: &[TimedFault]) {
        let records = self.run(faults).await;
        assert_eq!(records.len(), faults.len(), "{records:?}");
        assert!(records.iter().all(|record| record.error.is_none() && record.ended_at.is_some()), "{records:?}");
    }

    /// Waits until the faults have begun.
    pub async fn wait_for_beginnings(&self, number: usize) {
        let begun = |event: &&FaultEvent| matches!(event.change, FaultChange::Began { .. });
        let all = async || self.events.lock().unwrap().iter().filter(begun).count() >= number;
        eventually("the faults begin", TIMEOUT, all).await;
    }
}
