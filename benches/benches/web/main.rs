//! The dashboard and the interface under load, each from outside over HTTP:
//!
//! 1. In a store of 100,000 labels, how long the first page of the label table and a search take.
//! 2. What 200 readers of events cost the controller while waves of prices go through a simulated shop. Readers and shop
//!    are processes of their own, so that this one's processor time is the controller's.
//!
//! ```sh
//! cargo bench -p gondola-bench --bench web
//! cargo bench -p gondola-bench --bench web -- --labels 10000 --wave-labels 500
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails as loudly as a test, and prints")]

mod outside;
mod site;

use std::time::Duration;

use gondola_bench::median;
use serde_json::json;
use site::Site;

/// Labels of the large store.
const LABELS: usize = 100_000;

/// Labels of the simulated shop.
const WAVE_LABELS: usize = 2_000;

/// Readers of events.
const READERS: usize = 200;

/// Waves with and without readers, in turn.
const WAVES: usize = 3;

/// Requests of each kind.
const REQUESTS: usize = 100;

fn main() {
    if outside::is_asked() {
        return outside::run();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (labels, wave_labels) = (number("--labels").unwrap_or(LABELS), number("--wave-labels").unwrap_or(WAVE_LABELS));
    let tables = runtime.block_on(tables(labels));
    println!("tables {tables}");
    let events = runtime.block_on(events(wave_labels));
    println!("events {events}");
    println!("{}", json!({ "benchmark": "web", "labels": labels, "tables": tables, "events": events }));
}

fn number(name: &str) -> Option<usize> {
    std::env::args().skip_while(|argument| argument != name).nth(1)?.parse().ok()
}

/// The 95th of a hundred, in milliseconds.
fn p95(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    took[(took.len() * 95).div_ceil(100) - 1].as_secs_f64() * 1_000.0
}

async fn tables(labels: usize) -> serde_json::Value {
    let site = Site::without_stations(labels).await;
    println!("{labels} labels are registered and bound");
    let mut http = site.http().await;
    let mut figures = serde_json::Map::new();
    for (name, path) in [
        ("list_p95_ms", "/v1/stores/large/labels"),
        ("page_p95_ms", "/stores/large"),
        ("search_p95_ms", "/search?q=77777"),
        ("search_by_name_p95_ms", "/v1/stores/large/labels?q=product%20999"),
        ("nothing_found_p95_ms", "/search?q=nothing-like-it"),
    ] {
        let mut took = Vec::new();
        for _ in 0..REQUESTS {
            took.push(http.get(path).await);
        }
        let p95 = p95(took);
        println!("{path}: {p95:.1} ms");
        figures.insert(name.to_owned(), json!(p95));
    }
    site.stop().await;
    figures.into()
}

async fn events(labels: usize) -> serde_json::Value {
    let (site, _shop) = Site::with_shop(labels).await;
    // The first wave draws what later ones remember.
    site.wave().await;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut read = 0;
    for _ in 0..WAVES {
        without.push(site.wave().await);
        let readers = site.readers(READERS).await;
        with.push(site.wave().await);
        read += readers.stop();
    }
    println!("processor time of waves without readers {without:?} s, with {READERS} {with:?} s");
    let (without, with) = (median(&mut without), median(&mut with));
    site.stop().await;
    json!({ "labels": labels, "readers": READERS, "events_read": read, "cpu_s_without": without, "cpu_s_with": with,
        "more": with / without - 1.0 })
}
