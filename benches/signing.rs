//! How long it takes to sign a link, and to refuse one that is wrong here or there: `cargo bench --bench signing`.

#![allow(missing_docs, reason = "the macros make functions without")]

use agent_releases::answer::{Keys, Links};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;

const KEY: &str = "test-secret-key-at-least-32-chars-long";
const GUID: &str = "rel_01hgw2bbg00000000000000001";
const SIGNATURE: &str = "c35eb59a4429151ae0acf5319f878615f0d9fc11aa3eff54127301b47b6eb40c";

fn signing(criterion: &mut Criterion) {
    let links = Links::new(&Keys::parse(KEY).expect("a key"), 3_600);
    criterion.bench_function("sign a link", |bencher| {
        bencher.iter(|| links.sign(black_box(GUID), black_box("darwin-arm64"), black_box("1706832000")));
    });
    let last = SIGNATURE.len() - 1;
    for (name, wrong) in [
        ("refuse a link, its first digit wrong", format!("0{}", &SIGNATURE[1..])),
        ("refuse a link, its last digit wrong", format!("{}0", &SIGNATURE[..last])),
    ] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| links.accepts(black_box(GUID), black_box("darwin-arm64"), "1706832000", black_box(&wrong)));
        });
    }
}

criterion_group!(benches, signing);
criterion_main!(benches);
