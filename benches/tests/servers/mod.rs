//! Faults of servers and of the links to brokers.

use std::time::{Duration, Instant};

use benches::{
    fault::{
        Fault, Target,
        event::{FaultChange, FaultEvent},
        stack::ServiceState,
    },
    metrics,
};
use rdkafka::{admin::AdminClient, client::DefaultClientContext};
use shared::kafka::{KafkaSettings, ensure_topic};
use testbed::Testbed;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{
    assert_stall_is_measured,
    injector::{Injection, test_stack, timed},
    scenario::{Scenario, TIMEOUT},
    stack,
};

const KAFKA_1: Target = Target::Broker(1);
const KAFKA_2: Target = Target::Broker(2);
const KAFKA_3: Target = Target::Broker(3);

async fn state(target: Target) -> ServiceState {
    let services = test_stack().services().await.unwrap();
    services.into_iter().find(|service| service.target == target).unwrap().state
}

pub async fn a_server_is_broken_for_the_time_of_its_fault_and_ready_afterwards() {
    let bed = Testbed::new("servers").await;
    for (fault, target, broken) in [
        (Fault::Kill(Target::Redis), Target::Redis, ServiceState::Dead),
        (Fault::Stop(Target::Postgres), Target::Postgres, ServiceState::Stopped),
        (Fault::Pause(Target::Postgres), Target::Postgres, ServiceState::Paused),
    ] {
        let faults = [timed(0, 5_000, fault)];
        let injection = Injection::new(&bed, &faults).await;
        let watching = async {
            injection.wait_for_beginnings(1).await;
            assert_eq!(state(target).await, broken, "{faults:?}");
        };
        tokio::join!(injection.run_without_error(&faults), watching);
        assert_eq!(state(target).await, ServiceState::Running, "{faults:?}");
        shared::database::connect(&bed.database).await.unwrap();
        bed.cache.connect(Duration::from_secs(1)).await.unwrap();
    }
}

pub async fn a_second_broker_is_not_broken_while_another_one_is_down() {
    let bed = Testbed::new("second_broker").await;
    let second = [timed(0, 1_000, Fault::Kill(KAFKA_2))];
    let injection = Injection::new(&bed, &second).await;
    stack(&["kill", "kafka-1"]).await;
    let records = injection.run(&second).await;
    assert!(records[0].error.as_deref().unwrap().contains("kafka-1 does not run"), "{records:?}");
    assert_eq!(state(KAFKA_2).await, ServiceState::Running);
    stack(&["start", "kafka-1"]).await;

    let both = [timed(0, None, Fault::Restart(KAFKA_3)), timed(100, 1_000, Fault::Pause(KAFKA_2))];
    let records = injection.run(&both).await;
    assert!(records.iter().all(|record| record.error.is_none()), "{records:?}");
    let record = |fault: &str| records.iter().find(|record| record.fault == fault).unwrap();
    let restarted = record("restart kafka-3").ended_at.unwrap();
    assert!(
        record("pause kafka-2").began_at >= restarted,
        "it waits for the broker that is being started: {records:?}"
    );
    for broker in [KAFKA_1, KAFKA_2, KAFKA_3] {
        assert_eq!(state(broker).await, ServiceState::Running);
    }
}

/// A consumer that is started while the database is down ends at once.
pub async fn a_stop_brings_the_servers_back_before_the_programs() {
    let bed = Testbed::new("stop_order").await;
    ensure_topic(&bed.kafka, &bed.topic.orders()).await.unwrap();
    let consumer = Target::Consumer(1);
    let hour = 3_600_000;
    let faults = [
        timed(0, hour, Fault::Kill(consumer)),
        timed(0, hour, Fault::Kill(KAFKA_2)),
        timed(0, hour, Fault::Stop(Target::Postgres)),
    ];
    let injection = Injection::new(&bed, &faults).await;
    injection.programs.start(consumer).await.unwrap();
    let stop = CancellationToken::new();
    let stopping = async {
        injection.wait_for_beginnings(3).await;
        stop.cancel();
    };
    let (records, ()) = tokio::join!(injection.injector.run(&faults, Instant::now(), &stop), stopping);
    let records = records.unwrap();
    assert!(records.len() == 3 && records.iter().all(|record| record.error.is_none()), "{records:?}");
    let ended = |event: &&FaultEvent| event.change == FaultChange::Ended;
    let last = injection.events.lock().unwrap().iter().rfind(ended).unwrap().fault.clone();
    assert_eq!(last, "kill consumer-1");
    assert!(metrics::is_ready(injection.programs.get(consumer).unwrap().address).await);
    for server in [KAFKA_2, Target::Postgres] {
        assert_eq!(state(server).await, ServiceState::Running);
    }
}

pub async fn a_broker_behind_a_broken_link_loses_nothing_and_is_reached_through_its_proxy_only() {
    let prepared = Testbed::new("proxied").await;
    let faults = [
        timed(0, 4_000, Fault::CutLink(KAFKA_2)),
        timed(500, 3_000, Fault::SlowLink { target: KAFKA_1, delay: Duration::from_millis(50) }),
        timed(6_000, 3_000, Fault::BlackHoleLink(KAFKA_3)),
        timed(6_500, None, Fault::ResetLink(KAFKA_1)),
    ];
    let injection = Injection::new(&prepared, &faults).await;
    let brokers = injection.environment.iter().find(|(name, _)| name == "KAFKA_BROKERS").unwrap().1.clone();
    let proxies: Vec<&str> = brokers.split(',').collect();
    let mut kafka: KafkaSettings = prepared.kafka.clone();
    kafka.brokers.clone_from(&brokers);
    let admin: AdminClient<DefaultClientContext> = kafka.client(&[]).create().unwrap();
    let metadata =
        tokio::task::spawn_blocking(move || admin.inner().fetch_metadata(None, TIMEOUT)).await.unwrap().unwrap();
    let mut told: Vec<String> = metadata.brokers().iter().map(|it| format!("{}:{}", it.host(), it.port())).collect();
    told.sort();
    let mut expected = proxies.clone();
    expected.sort_unstable();
    assert_eq!(told, expected, "the brokers name the proxies only");

    let mut scenario = Scenario::start_with("links", 500, "14s", 2, &["--brokers", &brokers]).await;
    let run = scenario
        .produce_and(1_000, async |_| {
            let watching = async {
                // The one that is due later may begin first.
                let cut = faults[0].fault.to_string();
                let is_cut =
                    |event: &FaultEvent| matches!(event.change, FaultChange::Began { .. }) && event.fault == cut;
                let has_begun = async || injection.events.lock().unwrap().iter().any(is_cut);
                testbed::eventually("the link is cut", TIMEOUT, has_begun).await;
                assert!(TcpStream::connect(proxies[1]).await.is_err(), "the link is cut");
                assert_eq!(state(KAFKA_2).await, ServiceState::Running, "the broker runs");
            };
            tokio::join!(injection.run_without_error(&faults), watching);
            TcpStream::connect(proxies[1]).await.unwrap();
        })
        .await;
    assert_stall_is_measured(&run, Duration::from_secs(2));
    scenario.assert_complete(&run).await;
    scenario.end().await;
}
