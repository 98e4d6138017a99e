//! How fast a chain of shops is simulated: a day of a store with 30,000 labels, and an hour of 100 stores with 10,000
//! labels each, as `gondola simulate` runs them.
//!
//! ```sh
//! cargo bench -p gondola-bench --bench simulate
//! cargo bench -p gondola-bench --bench simulate -- --labels 3000 --stores 10    # a tenth of it
//! ```
//!
//! The day is computed on one thread, and its time is what that thread computed; stores of a chain run at once on all
//! processors, and their time is the clock's.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

use std::time::Duration;

use gondola::simulate::chain;
use gondola::simulate::draw::FaultLevel;
use gondola::simulate::report::Report;
use gondola::simulate::simulation::{self, SimulationOptions};
use gondola_bench::{computed, resident_mib, timed};
use gondola_simulator::Dice;
use serde_json::json;

/// Labels of the store whose day is simulated, unless told otherwise.
const LABELS: usize = 30_000;

/// Stores of the chain, unless told otherwise.
const STORES: usize = 100;

/// Labels of each of them.
const STORE_LABELS: usize = 10_000;

/// Labels of a base station.
const STATION_LABELS: usize = 1_500;

const HOUR: Duration = Duration::from_secs(3_600);

fn main() {
    let (labels, stores) = (number("--labels").unwrap_or(LABELS), number("--stores").unwrap_or(STORES));
    let (day, day_took) = day(labels);
    let (day_s, day_per_s) = (day_took.as_secs_f64(), rate(day.events, day_took));
    println!("a day of {labels} labels: {} events in {day_s:.1} s, {day_per_s} a second", day.events);
    let (hour, hour_took) = hour(stores);
    let (chain_s, chain_per_s) = (hour_took.as_secs_f64(), rate(hour.events, hour_took));
    let in_chain = stores * STORE_LABELS;
    println!(
        "an hour of {in_chain} labels in {stores} stores: {} events in {chain_s:.1} s, {chain_per_s} a second",
        hour.events
    );
    println!(
        "{}",
        json!({
            "day_labels": labels, "day_s": day_s, "day_events": day.events, "day_events_per_s": day_per_s,
            "chain_labels": in_chain, "chain_stores": stores, "chain_s": chain_s,
            "chain_events": hour.events, "chain_events_per_s": chain_per_s,
            "resident_mib": resident_mib().map(f64::round),
        })
    );
}

fn number(name: &str) -> Option<usize> {
    std::env::args().skip_while(|argument| argument != name).nth(1)?.parse().ok()
}

fn options(seed: u64, labels: usize, span: Duration) -> SimulationOptions {
    let base_stations = labels.div_ceil(STATION_LABELS);
    SimulationOptions { seed, labels, base_stations, span, faults: FaultLevel::None, planted: None }
}

/// How a day of one store went, and how long one thread computed for it.
fn day(labels: usize) -> (Report, Duration) {
    let options = options(1, labels, 24 * HOUR);
    let mut outcome = None;
    let took = computed(|| outcome = Some(simulation::run(options).expect("the fonts open")));
    (checked(Report::of(1, &options, outcome.as_slice())), took)
}

/// How an hour of a chain went, and how long that took.
fn hour(stores: usize) -> (Report, Duration) {
    let mut seeds = Dice::of(1, *b"stores  ", 0);
    let chain: Vec<_> = (0..stores).map(|_| options(seeds.below(u64::MAX), STORE_LABELS, HOUR)).collect();
    let (took, outcomes) = timed(|| chain::run(&chain).expect("the fonts open"));
    (checked(Report::of(1, &chain[0], &outcomes)), took)
}

/// Figures of stores that did not come to agree would be figures of something else.
fn checked(report: Report) -> Report {
    assert!(report.violations.is_empty() && report.wrong == 0, "{report:#?}");
    report
}

fn rate(events: u64, took: Duration) -> u128 {
    u128::from(events) * 1_000 / took.as_millis().max(1)
}
