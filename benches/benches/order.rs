//! The cost of generating and encoding one order: nanoseconds, and allocations. librdkafka's own allocations for its
//! copy of the record are not counted.
//!
//! `cargo bench --package benches`

use std::{hint::black_box, io::Write, time::Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use producer::{
    generate::{Encoder, InvalidShare},
    sample::{Catalog, Popularity, Samples},
};
use shared::order_id::RunTag;

/// 2026-01-31T09:00:00Z.
const START_NANOS: u64 = 1_769_850_000_000_000_000;

fn encoder(popularity: Popularity) -> Encoder {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be created");
    for n in 0..1_000 {
        writeln!(file, "{{\"user_id\":\"U{n:08}\"}}\n{{\"product_id\":\"P{n:06}\",\"price\":{}}}", n * 100)
            .expect("the catalog can be written");
    }
    let catalog = Catalog::read(file.path(), popularity).expect("the catalog is complete");
    Encoder::new(RunTag::random(), Samples::Catalog(catalog), 7, InvalidShare::default())
}

/// Returns a closure that encodes the next order. The due times are a microsecond apart.
fn encode_next(popularity: Popularity) -> impl FnMut() {
    let (mut encoder, now, mut number) = (encoder(popularity), Instant::now(), 0);
    move || {
        encoder.encode(number, START_NANOS + number * 1_000, now).expect("the order number is below the maximum");
        number += 1;
        black_box(encoder.value());
    }
}

fn encode_orders(criterion: &mut Criterion) {
    const ORDERS: u32 = 10_000;
    let mut encode = encode_next(Popularity::Uniform);
    let allocations = allocation_counter::measure(|| (0..ORDERS).for_each(|_| encode()));
    println!("allocations per order: {}", allocations.count_total as f64 / f64::from(ORDERS));

    let mut group = criterion.benchmark_group("order");
    group.throughput(Throughput::Elements(1));
    for (name, popularity) in [("uniform", Popularity::Uniform), ("zipf 1.1", Popularity::Zipf(1.1))] {
        let mut encode = encode_next(popularity);
        group.bench_function(name, |bencher| bencher.iter(&mut encode));
    }
    group.finish();
}

criterion_group!(benches, encode_orders);
criterion_main!(benches);
