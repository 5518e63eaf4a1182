//! How long it takes to sign a link: `cargo bench --bench signing`.

#![allow(missing_docs, reason = "the macros make functions without")]

use agent_releases::answer::{Keys, Links};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

const KEY: &str = "test-secret-key-at-least-32-chars-long";
const GUID: &str = "rel_01hgw2bbg00000000000000001";

fn signing(criterion: &mut Criterion) {
    let links = Links::new(&Keys::parse(KEY).expect("a key"), 3_600);
    criterion.bench_function("sign a link", |bencher| {
        bencher.iter(|| links.sign(black_box(GUID), black_box("darwin-arm64"), black_box("1706832000")));
    });
}

criterion_group!(benches, signing);
criterion_main!(benches);
