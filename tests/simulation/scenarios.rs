//! The scenarios that ship, as large as they are written and in small.

use gondola::simulate::scenario::{self, PlayOptions, Played, Scenario};

/// Labels of a small form.
const SMALL: usize = 60;

fn played(name: &str, labels: Option<usize>) -> Played {
    let scenario = Scenario::parse(scenario::text(name).unwrap()).unwrap();
    scenario::play(scenario, PlayOptions { seed: 1, labels }).unwrap()
}

/// With `GONDOLA_SCENARIOS=full` each is as large as it is written.
#[track_caller]
fn check(name: &str) {
    let full = std::env::var("GONDOLA_SCENARIOS").is_ok_and(|form| form == "full");
    let played = played(name, (!full).then_some(SMALL));
    for verdict in &played.verdicts {
        println!("{name}, {} labels: {}: {}", played.labels, verdict.expected, verdict.found);
    }
    assert!(played.is_as_expected(), "{:#?}", played.verdicts);
    assert!(roxmltree::Document::parse(&played.plot).is_ok(), "{}", played.plot);
}

#[test]
fn opening_day() {
    check("opening-day");
}

#[test]
fn double_eleven_at_midnight() {
    check("double-eleven");
}

#[test]
fn a_station_dies_in_the_evening_wave() {
    check("station-dies");
}

#[test]
fn the_network_is_out_for_a_day() {
    check("network-out");
}

#[test]
fn a_bad_batch_of_batteries_in_the_cold_store() {
    check("bad-batteries");
}

#[test]
fn an_attacker_with_a_fake_station() {
    check("fake-station");
}

#[test]
fn a_till_that_raises_prices_only_after_confirmation() {
    check("till-waits");
}

#[test]
fn every_scenario_that_ships_is_played_here() {
    assert_eq!(scenario::shipped().count(), 7);
}

/// An expectation that is not met is told: without the station's return its labels stay wrong.
#[test]
fn what_was_not_expected_fails() {
    let text = scenario::text("station-dies").unwrap();
    let (from, to) = ("do.station_on = { station = 2 }", "do.station_off = { station = 2 }");
    assert!(text.contains(from), "{from}");
    let scenario = Scenario::parse(&text.replace(from, to)).unwrap();
    let played = scenario::play(scenario, PlayOptions { seed: 1, labels: Some(SMALL) }).unwrap();
    assert!(!played.is_as_expected());
    let failed = played.verdicts.into_iter().filter(|verdict| !verdict.is_met);
    assert_eq!(
        failed.map(|verdict| verdict.expected).collect::<Vec<String>>(),
        [
            "100 % of the labels of `station-2` are right after 1 h 19 min at any moment",
            "at the end every glass shows what it must, and has proven it",
        ]
    );
}
