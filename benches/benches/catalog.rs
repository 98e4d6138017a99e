//! How fast a store's catalog takes changes, answers prices and is reloaded: one core, no disk, no network.
//!
//! Messages are read from their JSON, applied, and what they leave for journal and view is taken, as the store's
//! task does. A reload goes through the reader that verifies a snapshot first and then reads it in parts.

#![expect(clippy::print_stdout, reason = "a benchmark's figures")]

use std::fmt::Write;

use gondola::catalog::guard::GuardRules;
use gondola::catalog::settings::{Market, Settings};
use gondola::catalog::snapshot::Reader;
use gondola::catalog::wire::{self, Facet};
use gondola::catalog::{Catalog, SnapshotPart, Status};
use gondola_bench::{median, per_second, resident_mib, timed};
use gondola_protocol::Moment;
use serde_json::json;

const PRODUCTS: usize = 100_000;
const MESSAGES: usize = 200_000;
/// Each figure is the median of so many runs.
const RUNS: usize = 5;
const NOW: Moment = Moment::from_secs(1_795_651_200);

fn main() {
    let first_load = snapshot(1, |_| 1);
    let mut rates = [(); RUNS].map(|()| reload(&mut store(), &first_load, PRODUCTS));
    let first_load_records_per_s = median(&mut rates);
    println!("first load of {PRODUCTS} products: {first_load_records_per_s:.0} records/s");

    let mut catalog = store();
    reload(&mut catalog, &first_load, PRODUCTS);
    let mut generation = 1;
    let mut rates = [(); RUNS].map(|()| {
        generation += 1;
        let changed = snapshot(generation, |product| if product.is_multiple_of(100) { generation } else { 1 });
        reload(&mut catalog, &changed, PRODUCTS / 100)
    });
    let reload_records_per_s = median(&mut rates);
    println!("reload of {PRODUCTS} products of which 1 % changed: {reload_records_per_s:.0} records/s");

    let mut revision = generation + 1;
    let mut rates = [(); RUNS].map(|()| {
        revision += 2;
        change(&mut catalog, revision)
    });
    let messages_per_s = median(&mut rates);
    println!("{MESSAGES} change messages of one product each: {messages_per_s:.0} messages/s");

    promote(&mut catalog);
    let mut rates = [(); RUNS].map(|()| evaluate(&catalog));
    let price_evaluations_per_s = median(&mut rates);
    println!("shelf price of {PRODUCTS} products with three promotions each: {price_evaluations_per_s:.0}/s");

    let figures = json!({
        "messages_per_s": messages_per_s.round(),
        "price_evaluations_per_s": price_evaluations_per_s.round(),
        "reload_records_per_s": reload_records_per_s.round(),
        "first_load_records_per_s": first_load_records_per_s.round(),
        "resident_mib": resident_mib().map(f64::round),
    });
    println!("{figures}");
}

fn store() -> Catalog {
    let time_zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("the zone data are built in");
    let currency = "CNY".parse().expect("an ISO 4217 code");
    Catalog::new(Settings { currency, market: Market::China, time_zone, guard: GuardRules::default() })
}

/// A product whose price follows from its revision, and never looks like a slip.
fn product(number: usize, revision: u64) -> String {
    format!(
        r#"{{"sku":"{number:07}","revision":{revision},"name":"加州开心果 {number}","brand":"严选","spec":"500g/袋","origin":"美国","grade":"一级","unit":"袋","barcode":"690{number:010}","category":"nuts","price":"{}.{:02}","content":{{"amount":"500","unit":"g"}},"attributes":{{"roast":"原味"}}}}"#,
        40 + revision % 20,
        number % 100,
    )
}

fn snapshot(generation: u64, revision: impl Fn(usize) -> u64) -> String {
    let mut text = format!("{{\"snapshot\":{{\"facet\":\"base\",\"generation\":{generation}}}}}\n");
    for number in 0..PRODUCTS {
        text.push_str(&product(number, revision(number)));
        text.push('\n');
    }
    writeln!(text, "{{\"end\":{{\"count\":{PRODUCTS}}}}}").expect("a string takes everything");
    text
}

/// Takes what a change leaves for labels, journal and view.
fn take(catalog: &mut Catalog) -> usize {
    catalog.take_touched().len() + catalog.take_points().len() + catalog.take_records().len()
}

/// Verifies a snapshot and applies it, and answers records per second.
fn reload(catalog: &mut Catalog, text: &str, changed: usize) -> f64 {
    let (took, applied) = timed(|| {
        Reader::open(Facet::Base, text.as_bytes()).and_then(Reader::verify).expect("a whole snapshot");
        let mut reader = Reader::open(Facet::Base, text.as_bytes()).expect("a snapshot");
        let begin = SnapshotPart::Begin { facet: Facet::Base, seq: None, reset: false, asked_at: NOW };
        catalog.take_snapshot(NOW, begin);
        let mut applied = 0;
        while let Some(part) = reader.next_part().expect("a whole snapshot") {
            let became = catalog.take_snapshot(NOW, SnapshotPart::Rows { rows: part.rows, kept: Vec::new() });
            applied += became.iter().filter(|row| row.status == Status::Applied).count();
            take(catalog);
        }
        catalog.take_snapshot(NOW, SnapshotPart::End);
        take(catalog);
        applied
    });
    assert_eq!(applied, changed);
    per_second(PRODUCTS, took)
}

/// Applies change messages, and answers messages per second.
fn change(catalog: &mut Catalog, revision: u64) -> f64 {
    let messages: Vec<String> =
        (0..MESSAGES).map(|number| product(number * 7 % PRODUCTS, revision + u64::from(number >= PRODUCTS))).collect();
    let (took, applied) = timed(|| {
        let mut applied = 0;
        for message in &messages {
            for row in wire::parse(Facet::Base, message.as_bytes()).rows {
                applied += usize::from(catalog.apply(NOW, row).status == Status::Applied);
            }
            take(catalog);
        }
        applied
    });
    assert_eq!(applied, MESSAGES);
    per_second(MESSAGES, took)
}

/// Three promotions for each product: a price, a percentage, and one for members.
fn promote(catalog: &mut Catalog) {
    let kinds = [
        r#""kind":"special_price","price":"30.00""#,
        r#""kind":"percent_off","percent":"12.5","priority":1"#,
        r#""kind":"member_price","price":"25.00""#,
    ];
    for (kind, reduction) in kinds.iter().enumerate() {
        for group in 0..PRODUCTS / 1_000 {
            let skus: Vec<String> =
                (group * 1_000..(group + 1) * 1_000).map(|number| format!("\"{number:07}\"")).collect();
            let message = format!(
                r#"{{"promotion_id":"P-{kind}-{group}","revision":1,"skus":[{}],{reduction},"start":"2026-11-25T00:00:00+08:00","end":"2026-11-28T00:00:00+08:00","text":"双十一"}}"#,
                skus.join(",")
            );
            for row in wire::parse(Facet::Promotion, message.as_bytes()).rows {
                assert_eq!(catalog.apply(NOW, row).status, Status::Applied);
            }
        }
    }
    take(catalog);
}

/// Evaluates every product's shelf price, and answers evaluations per second.
fn evaluate(catalog: &Catalog) -> f64 {
    let (took, reduced) = timed(|| {
        let prices = catalog.items_after(None).map(|(_, item)| catalog.shelf_price_of(item, NOW));
        prices.filter(|shelf| shelf.price_promotion.is_some() && shelf.member.is_some()).count()
    });
    assert_eq!(reduced, PRODUCTS);
    per_second(PRODUCTS, took)
}
