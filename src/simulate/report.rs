//! Figures for people and programs: the same seed makes the same text, on every machine.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::Moment;
use gondola_simulator::checkers::Violation;
use gondola_simulator::{Counters, battery};
use serde::Serialize;

use super::draw::{Drawn, FaultLevel};
use super::shop::START;
use super::simulation::{Outcome, SimulationOptions};

/// How values are spread, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// How many there are.
    pub count: usize,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Distribution {
    /// Of values in milliseconds.
    #[must_use]
    pub fn of_ms(values: &[u64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).map_or(0.0, |ms| seconds(Duration::from_millis(*ms)))
        };
        Self { count: sorted.len(), p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

/// Seconds to the millisecond.
#[must_use]
pub fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// How the runs of a chain's stores went, for people and as JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Decides everything.
    pub seed: u64,
    /// Stores.
    pub stores: usize,
    /// Labels in each store.
    pub labels: usize,
    /// Base stations in each store.
    pub base_stations: usize,
    /// Virtual hours.
    pub hours: f64,
    /// How much went wrong.
    pub faults: FaultLevel,
    /// What each store's seed drew.
    pub drawn: Vec<Drawn>,
    /// Labels that agree, by the controllers' word.
    pub in_sync: usize,
    /// Glasses that do not show what they must.
    pub wrong: usize,
    /// From a change to the glass that shows it.
    pub time_to_shelf_s: Distribution,
    /// Transfers that base stations received.
    pub transfers: u64,
    /// Their packed bytes.
    pub bytes_packed: u64,
    /// Data frames that were sent again, and frames that were lost.
    pub retransmissions: u64,
    /// Frames lost on the lines, both ways.
    pub frames_lost: u64,
    /// What was on the air.
    pub air: Air,
    /// How long a label's battery lasts at this rate, in years, by its panel.
    pub battery_years: BTreeMap<String, f64>,
    /// Times that labels woke.
    pub wakes: u64,
    /// Of those, the ones with nothing to do.
    pub idle_wakes: u64,
    /// Check-ins that base stations forwarded.
    pub check_ins: u64,
    /// Base stations' restarts.
    pub reboots: u64,
    /// Controllers' deaths.
    pub crashes: u64,
    /// Things that happened in the simulated shops.
    pub events: u64,
    /// How many of them the machine at hand went through in a second; told only to who asks, for it is another each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_s: Option<u64>,
    /// What cannot be.
    pub violations: Vec<Finding>,
}

/// Bytes on the air, and the seconds that they took, by what they were for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Air {
    /// Polls, outcomes and reports.
    pub polls: Airtime,
    /// Pictures that somebody waits for.
    pub interactive: Airtime,
    /// Pictures with new prices.
    pub price: Airtime,
    /// Other pictures.
    pub routine: Airtime,
}

/// Bytes and seconds on the air, of all base stations together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Airtime {
    /// Bytes.
    pub bytes: u64,
    /// Seconds.
    pub seconds: f64,
}

impl Airtime {
    fn of(bytes: u64) -> Self {
        Self { bytes, seconds: seconds(gondola_simulator::airtime(bytes)) }
    }
}

/// Something that cannot be, with what a person needs to look into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which store, counted from 0.
    pub store: usize,
    /// Which of the checkers.
    pub invariant: String,
    /// Virtual seconds since the start.
    pub at_s: u64,
    /// The label concerned.
    pub label: Option<String>,
    /// A sentence.
    pub text: String,
    /// What happened to the label before, oldest first.
    pub trace: Vec<String>,
    /// The command that plays it again.
    pub replay: String,
}

impl Finding {
    fn of(store: usize, violation: &Violation, replay: &str) -> Self {
        let since = |at: Moment| at.since(START);
        Self {
            store,
            invariant: violation.invariant.to_string(),
            at_s: since(violation.at).as_secs(),
            label: violation.label.map(|label| label.to_string()),
            text: violation.text.clone(),
            trace: violation.trace.iter().map(|(at, fact)| format!("{:.3} s: {fact}", seconds(since(*at)))).collect(),
            replay: replay.to_owned(),
        }
    }
}

impl Report {
    /// Of a chain whose stores came to these outcomes. `options` are those of its first store.
    #[must_use]
    pub fn of(seed: u64, options: &SimulationOptions, outcomes: &[Outcome]) -> Self {
        let SimulationOptions { labels, base_stations, span, faults, .. } = *options;
        let mut counters = Counters::default();
        outcomes.iter().for_each(|outcome| counters += outcome.counters);
        let to_shelf_ms: Vec<u64> = outcomes.iter().flat_map(|outcome| outcome.to_shelf_ms.iter().copied()).collect();
        let hours = span.as_secs_f64() / 3_600.0;
        let replay = format!(
            "gondola simulate --seed {seed} --stores {} --labels {labels} --base-stations {base_stations} \
             --hours {hours} --faults {}",
            outcomes.len(),
            faults.as_str(),
        );
        let found = outcomes
            .iter()
            .enumerate()
            .flat_map(|(store, outcome)| outcome.violations.iter().map(move |violation| (store, violation)));
        let sum = |of: fn(&Outcome) -> u64| -> u64 { outcomes.iter().map(of).sum() };
        let mut batteries: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (panel, (labels, spent_nc)) in outcomes.iter().flat_map(|outcome| &outcome.batteries) {
            let sum = batteries.entry(panel.clone()).or_default();
            *sum = (sum.0 + labels, sum.1 + spent_nc);
        }
        let elapsed = outcomes.iter().map(|outcome| outcome.elapsed).max().unwrap_or_default();
        let years = |(panel, (labels, spent_nc)): (String, (u64, u64))| {
            let years = battery::years(spent_nc / labels.max(1), elapsed);
            (panel, (years * 10.0).round() / 10.0)
        };
        Self {
            seed,
            stores: outcomes.len(),
            labels,
            base_stations,
            hours,
            faults,
            drawn: outcomes.iter().map(|outcome| outcome.drawn).collect(),
            in_sync: outcomes.iter().map(|outcome| outcome.in_sync).sum(),
            wrong: outcomes.iter().map(|outcome| outcome.wrong).sum(),
            time_to_shelf_s: Distribution::of_ms(&to_shelf_ms),
            transfers: counters.transfers,
            bytes_packed: counters.bytes_packed,
            retransmissions: sum(|outcome| outcome.retransmissions),
            frames_lost: counters.frames_lost_down + counters.frames_lost_up,
            air: Air {
                polls: Airtime::of(counters.bytes_of_polls),
                interactive: Airtime::of(counters.bytes_interactive),
                price: Airtime::of(counters.bytes_price),
                routine: Airtime::of(counters.bytes_routine),
            },
            battery_years: batteries.into_iter().map(years).collect(),
            wakes: counters.wakes,
            idle_wakes: counters.idle_wakes,
            check_ins: counters.check_ins,
            reboots: counters.reboots,
            crashes: sum(|outcome| outcome.crashes),
            events: sum(|outcome| outcome.events),
            events_per_s: None,
            violations: found.map(|(store, violation)| Finding::of(store, violation, &replay)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=200).rev().map(|value| value * 1_000).collect();
        let expected = Distribution { count: 200, p50: 100.0, p90: 180.0, p99: 198.0, max: 200.0 };
        assert_eq!(Distribution::of_ms(&values), expected);
        assert_eq!(Distribution::of_ms(&[]), Distribution::default());
        assert_eq!(Distribution::of_ms(&[1_250]).p50, 1.25);
    }
}
