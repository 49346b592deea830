//! What it takes to make one order and its record: nanoseconds, and allocations (those of the client library, which copies
//! the record, are not among them).
//!
//! `cargo bench --package benches`

use std::{hint::black_box, io::Write, time::Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use producer::{
    encode::Encoder,
    flaw::Share,
    sample::{Catalog, Samples, catalog::Popularity},
};
use shared::order_id::RunTag;

/// 2026-01-31T09:00:00Z.
const START_NANOS: u64 = 1_769_850_000_000_000_000;

fn encoder(popularity: Popularity) -> Encoder {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
    for n in 0..1_000 {
        writeln!(file, "{{\"user_id\":\"U{n:08}\"}}\n{{\"product_id\":\"P{n:06}\",\"price\":{}}}", n * 100)
            .expect("there is room for a catalog");
    }
    let catalog = Catalog::read(file.path(), popularity).expect("the catalog is a whole one");
    Encoder::new(RunTag::random(), Samples::Fixed(catalog), 7, Share::default())
}

/// Makes orders, each a microsecond after the one before.
fn maker(popularity: Popularity) -> impl FnMut() {
    let (mut encoder, now, mut number) = (encoder(popularity), Instant::now(), 0);
    move || {
        encoder.encode(number, START_NANOS + number * 1_000, now).expect("the run has few orders");
        number += 1;
        black_box(encoder.value());
    }
}

fn making_an_order(criterion: &mut Criterion) {
    const ORDERS: u32 = 10_000;
    let mut make = maker(Popularity::Even);
    let allocations = allocation_counter::measure(|| (0..ORDERS).for_each(|_| make()));
    println!("allocations per order: {}", allocations.count_total as f64 / f64::from(ORDERS));

    let mut group = criterion.benchmark_group("order");
    group.throughput(Throughput::Elements(1));
    for (name, popularity) in [("even", Popularity::Even), ("zipf 1.1", Popularity::Zipf(1.1))] {
        let mut make = maker(popularity);
        group.bench_function(name, |bencher| bencher.iter(&mut make));
    }
    group.finish();
}

criterion_group!(benches, making_an_order);
criterion_main!(benches);
