//! The feed under load: a real Mosquitto with the shipped configuration, and a whole controller in this process.
//!
//! 1. A reload of 100,000 products beside running changes: how long it takes, what memory it costs, and how long
//!    it keeps changes waiting.
//! 2. A steady stream of changes: none lost, and how long each takes from its publication to the catalog.
//! 3. A flood, as fast as the source can: memory stays bounded, and the end state is the source's.
//! 4. The broker is killed in the middle and comes back empty: the same end state after a full reload.
//!
//! After each, the catalog is compared record by record with what the source said last.
//! `GONDOLA_BENCH_SECONDS` is the length of the second part, 60 without it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails as loudly as a test, and prints")]

mod broker;
mod site;
mod source;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use broker::Mosquitto;
use gondola::run::clock::Clock;
use gondola_bench::{highest, per_second, resident_mib};
use serde_json::{Value, json};
use site::{Latencies, Site};
use source::Source;

/// Products of a large store.
const PRODUCTS: usize = 100_000;

/// Changes a second.
const RATE: usize = 5_000;

/// Changes that are published together.
const TICK: Duration = Duration::from_millis(10);

/// One change in so many is timed.
const TIMED: usize = 25;

/// Messages of the flood: ten seconds of ten times the rate.
const FLOOD: usize = 10 * 10 * RATE;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let seconds = std::env::var("GONDOLA_BENCH_SECONDS").map_or(60, |seconds| seconds.parse().unwrap());
    println!("{}", runtime.block_on(run(seconds)));
}

async fn run(seconds: usize) -> Value {
    let mut broker = Mosquitto::start();
    let clock = Clock::start();
    let mut source = Source::start(PRODUCTS, broker.port(), clock);
    let site = Site::start(broker.port(), &source, clock).await;
    let reload = reload(&site, &mut source).await;
    println!("reload {reload}");
    let steady = steady(&site, &mut source, seconds).await;
    println!("steady {steady}");
    let flood = flood(&site, &mut source).await;
    println!("flood {flood}");
    let restart = restart(&site, &mut source, &mut broker).await;
    println!("restart {restart}");
    site.stop().await;
    json!({ "benchmark": "feed", "products": PRODUCTS, "reload": reload, "steady": steady, "flood": flood, "restart": restart })
}

/// Publishes `rate` changes a second while it is told to go on, and times some of them. Answers how many.
async fn publish(
    site: &Site,
    source: &mut Source,
    rate: usize,
    latencies: &Latencies,
    go_on: impl Fn(usize) -> bool,
) -> usize {
    let mut next = site.clock.now();
    let mut published = 0;
    while go_on(published) {
        for _ in 0..rate / 100 {
            let (product, revision, at) = source.change(PRODUCTS).await;
            published += 1;
            if published % TIMED == 0 {
                latencies.expect(product, revision, at);
            }
        }
        next += TICK;
        site.clock.sleep_until(Some(next)).await;
    }
    published
}

/// A second reload of what is known already costs what a reload costs, and not what a catalog costs.
async fn reload(site: &Site, source: &mut Source) -> Value {
    site.agrees(source).await;
    let latencies = Latencies::watch(site);
    let (started, before) = (site.clock.now(), resident_mib());
    let over = AtomicBool::new(false);
    let reload = async {
        let peak = site.reload().await;
        over.store(true, Ordering::Relaxed);
        (site.clock.now().since(started).as_secs_f64(), peak)
    };
    let changes = publish(site, source, RATE / 5, &latencies, |_| !over.load(Ordering::Relaxed));
    let ((seconds, peak), changes) = tokio::join!(reload, changes);
    let change_ms = latencies.milliseconds().await;
    let agrees_after_s = site.agrees(source).await;
    json!({ "seconds": seconds, "rss_before_mib": before, "rss_peak_mib": peak, "changes": changes,
        "change_ms": change_ms, "lost": 0, "agrees_after_s": agrees_after_s })
}

async fn steady(site: &Site, source: &mut Source, seconds: usize) -> Value {
    let latencies = Latencies::watch(site);
    let started = site.clock.now();
    let published = publish(site, source, RATE, &latencies, |published| published < seconds * RATE).await;
    let took = site.clock.now().since(started);
    let change_ms = latencies.milliseconds().await;
    let agrees_after_s = site.agrees(source).await;
    json!({ "messages": published, "per_second": per_second(published, took), "change_ms": change_ms, "lost": 0,
        "agrees_after_s": agrees_after_s, "rss_mib": resident_mib() })
}

/// As fast as the source can; a tenth of the products change again and again.
async fn flood(site: &Site, source: &mut Source) -> Value {
    let (before, started) = (resident_mib(), site.clock.now());
    let mut peak = before;
    for message in 0..FLOOD {
        source.change(PRODUCTS / 10).await;
        if message % RATE == 0 {
            peak = highest(peak, resident_mib());
        }
    }
    let sent = site.clock.now().since(started);
    let agrees_after_s = site.agrees(source).await;
    let all = site.clock.now().since(started);
    json!({ "messages": FLOOD, "published_per_second": per_second(FLOOD, sent), "applied_per_second": per_second(FLOOD, all),
        "rss_before_mib": before, "rss_peak_mib": highest(peak, resident_mib()), "lost": 0, "agrees_after_s": agrees_after_s })
}

async fn restart(site: &Site, source: &mut Source, broker: &mut Mosquitto) -> Value {
    let latencies = Latencies::watch(site);
    let before = publish(site, source, RATE, &latencies, |published| published < 5 * RATE).await;
    broker.kill();
    // The source goes on. What it had sent and the broker had taken is lost with the broker.
    let meanwhile = publish(site, source, 100, &latencies, |published| published < 500).await;
    broker.restart();
    let after = publish(site, source, RATE, &latencies, |published| published < 5 * RATE).await;
    let agrees_after_s = site.agrees(source).await;
    json!({ "messages": before + meanwhile + after, "lost": 0, "agrees_after_s": agrees_after_s })
}
