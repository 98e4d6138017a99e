//! Whole stores in virtual time: seeds with faults, bugs that must be found, a report that is the same everywhere, and a
//! wave against what the radio allows.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test says what it measured, and fails loudly")]

mod scenarios;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gondola::simulate::draw::FaultLevel;
use gondola::simulate::harness::Planted;
use gondola::simulate::report::Report;
use gondola::simulate::shop::{START, ShopOptions, TRANSFERS_MAX};
use gondola::simulate::simulation::{self, Outcome, SimulationOptions, Twins};
use gondola::simulate::wave;
use gondola_simulator::RadioOptions;

const HOUR: Duration = Duration::from_secs(3_600);

/// Seeds with faults; `GONDOLA_SEEDS` changes it.
const SEEDS: u64 = 200;

/// A planted bug that is not found by so many seeds is not found.
const PLANTED_SEEDS_MAX: u64 = 10;

fn harsh(seed: u64) -> SimulationOptions {
    let (labels, base_stations) = (200, 4);
    SimulationOptions { seed, labels, base_stations, span: 2 * HOUR, faults: FaultLevel::Harsh, planted: None }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What is wrong with a run, with the command that plays it again.
fn complaint(options: &SimulationOptions, outcome: &Outcome) -> Option<String> {
    let report = Report::of(options.seed, options, std::slice::from_ref(outcome));
    let agrees = outcome.in_sync == options.labels && outcome.wrong == 0;
    let is_well = outcome.violations.is_empty() && agrees;
    (!is_well).then(|| format!("{report:#?}"))
}

#[test]
fn seeds_with_faults_end_well() {
    let first = number("GONDOLA_SEED").unwrap_or(1);
    let seconds = number("GONDOLA_SIMULATE_SECONDS");
    let last = first + if seconds.is_some() { u64::MAX / 2 } else { number("GONDOLA_SEEDS").unwrap_or(SEEDS) };
    #[expect(clippy::disallowed_methods, reason = "how long seeds are tried, not what they come to")]
    let began = Instant::now();
    let (next, played) = (AtomicU64::new(first), AtomicU64::new(0));
    let twins = Mutex::new(Twins::default());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= last || seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds)) {
            return;
        }
        let options = harsh(seed);
        let outcome = simulation::run(options).unwrap();
        if let Some(complaint) = complaint(&options, &outcome) {
            panic!("{complaint}");
        }
        played.fetch_add(1, Ordering::Relaxed);
        let mut twins = twins.lock().unwrap();
        twins.shared += outcome.twins.shared;
        twins.found += outcome.twins.found;
        twins.mistaken += outcome.twins.mistaken;
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{} seeds in {:.0} s, {:?}", played.into_inner(), began.elapsed().as_secs_f64(), twins.lock().unwrap());
}

#[test]
fn planted_bugs_are_found() {
    for (bug, invariant) in Planted::ALL.into_iter().zip(1..) {
        let found = (1..=PLANTED_SEEDS_MAX).find(|seed| {
            let options = SimulationOptions { labels: 60, base_stations: 2, planted: Some(bug), ..harsh(*seed) };
            let outcome = simulation::run(options).unwrap();
            let expected = format!("I{invariant}");
            outcome.violations.iter().any(|violation| violation.invariant.to_string() == expected)
        });
        println!("I{invariant}: {bug:?} is found by seed {found:?}");
        assert!(found.is_some(), "{bug:?} is not found by {PLANTED_SEEDS_MAX} seeds");
    }
}

/// The report of `gondola simulate --seed 7 --labels 60 --base-stations 2 --hours 2 --faults mild --json`,
/// which also makes the file anew.
#[test]
fn a_seed_prints_the_same_report_everywhere() {
    let options = |seed| SimulationOptions {
        seed,
        labels: 60,
        base_stations: 2,
        span: 2 * HOUR,
        faults: FaultLevel::Mild,
        planted: None,
    };
    let run = || {
        let outcomes = [simulation::run(options(7)).unwrap()];
        serde_json::to_string_pretty(&Report::of(7, &options(7), &outcomes)).unwrap() + "\n"
    };
    let report = run();
    assert_eq!(report, run());
    assert_eq!(report, include_str!("report.json"), "the command above makes tests/simulation/report.json anew");
}

/// A small store's form of what `tests/nightly` runs with 30,000 labels.
#[test]
fn a_day_has_three_waves_and_forty_promotions_and_its_idle_wakes_are_no_events() {
    // So many that each promotion, which is of one product in twenty, has some.
    let (labels, base_stations) = (200, 4);
    let options =
        SimulationOptions { seed: 1, labels, base_stations, span: 24 * HOUR, faults: FaultLevel::None, planted: None };
    let outcome = simulation::run(options).unwrap();
    if let Some(complaint) = complaint(&options, &outcome) {
        panic!("{complaint}");
    }
    let (events, counters) = (outcome.events, outcome.counters);
    println!("{events} events, {} wakes, {} of them idle", counters.wakes, counters.idle_wakes);
    assert_eq!((outcome.waves, outcome.promotions), (3, 40));
    // 86,400 s of 20 s each, by crystals that are a little fast or slow.
    assert!(counters.wakes >= 200 * 4_300, "{counters:?}");
    assert!(counters.idle_wakes > counters.wakes * 9 / 10, "{counters:?}");
    assert!(events < counters.wakes / 5, "{events} events, {counters:?}");
}

/// A wave over so many labels at one base station, whose radio bound is not exceeded by more than a tenth.
#[track_caller]
fn check_wave(loss: f64) {
    let report = wave::run(ShopOptions {
        seed: 1,
        labels: 1_500,
        base_stations: 1,
        wake: Duration::from_secs(20),
        loss,
        radio: RadioOptions::default(),
        transfers_max: TRANSFERS_MAX,
        small_memories: false,
        start: START,
        key: None,
    });
    let (report, _) = report.unwrap();
    println!("loss {loss}: bound {} s, reached {} s, ratio {}", report.bound_s, report.reached_s, report.ratio);
    assert!(report.is_settled && report.ratio <= 1.10, "{report:#?}");
    // Nobody beats the air, and the test would notice if the bound were of another world.
    assert!(report.ratio > 0.3, "{report:#?}");
}

#[test]
fn a_wave_is_as_fast_as_the_radio_allows() {
    check_wave(0.0);
}

#[test]
fn a_wave_with_a_tenth_lost_is_as_fast_as_the_radio_allows() {
    check_wave(0.1);
}
