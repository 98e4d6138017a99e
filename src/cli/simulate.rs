//! `gondola simulate`

mod scenario;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use gondola_protocol::Moment;
use gondola_simulator::{Dice, RadioOptions};

use super::{Ended, UsageError};
use crate::run::clock::Clock;
use crate::simulate::chain;
use crate::simulate::draw::FaultLevel;
use crate::simulate::plot::{self, Mark};
use crate::simulate::report::{Distribution, Report};
use crate::simulate::shop::{START, ShopOptions, TRANSFERS_MAX};
use crate::simulate::simulation::SimulationOptions;
use crate::simulate::wave::{self, WaveReport};

/// Labels of the wave scenario sleep this long.
const WAVE_WAKE: Duration = Duration::from_secs(20);

/// A store's labels and base stations, unless others are given.
const LABELS: usize = 200;
const BASE_STATIONS: usize = 4;

/// Longest run: a week.
const HOURS_MAX: f64 = 168.0;

/// Run a chain of stores with their simulated shops in virtual time.
///
/// One seed decides everything: the same seed prints the same report on every machine. How fast it went is told on
/// standard error, and in the report with --timed. A day has three waves of prices and forty promotions; hours have their
/// share of them, and at least one of each.
#[derive(Debug, clap::Args)]
pub(super) struct Simulate {
    /// Decides everything that happens.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Stores in the chain.
    #[arg(long, value_name = "N", default_value_t = 1)]
    stores: usize,
    /// Labels in each store: 200 unless given; in a scenario as many as it says, and with another number as many to a
    /// base station.
    #[arg(long, value_name = "N")]
    labels: Option<usize>,
    /// Base stations in each store: 4 unless given; not of a scenario.
    #[arg(long, value_name = "N")]
    base_stations: Option<usize>,
    /// Virtual hours, 1 to 168.
    #[arg(long, value_name = "H", default_value_t = 2.0)]
    hours: f64,
    /// How much goes wrong.
    #[arg(long, value_enum, default_value_t = Faults::None)]
    faults: Faults,
    /// What is played: `day` (price waves, promotions, corrections and labels that move, with faults, then without),
    /// `wave` (every price of one store changes at once: the time to the last glass against what the radio allows), a
    /// situation with its expectations by its name or its file, or `list` for their names.
    #[arg(long, value_name = "NAME|FILE", default_value = "day")]
    scenario: String,
    /// Share of radio messages, blocks and frames that are lost in the wave, 0 to 0.9.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    loss: f64,
    /// Draw as SVG the time from a change to the glass, or what a scenario's plot shows.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Say in the report of a day or a wave how many events a second this machine went through.
    #[arg(long)]
    timed: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// How fast it went.
#[derive(Debug, Clone, Copy)]
struct Pace {
    clock: Clock,
    began: Moment,
}

impl Pace {
    /// Says how fast so many events went by, and answers how many of them in a second.
    fn tell(self, events: u64) -> u64 {
        let took = self.clock.now().since(self.began);
        let rate = u128::from(events) * 1_000 / took.as_millis().max(1);
        eprintln!("{events} events in {:.1} s: events_per_s {rate}", took.as_secs_f64());
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Faults {
    /// Nothing goes wrong.
    None,
    /// What happens in any shop now and then.
    Mild,
    /// What no shop would stand for.
    Harsh,
}

impl Simulate {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        self.check()?;
        let clock = Clock::start();
        let pace = Pace { began: clock.now(), clock };
        match self.scenario.as_str() {
            "day" => self.day(pace),
            "wave" => self.wave(pace),
            "list" => scenario::list(),
            scenario => self.situation(scenario, pace),
        }
    }

    fn day(&self, pace: Pace) -> anyhow::Result<Ended> {
        let mut seeds = Dice::of(self.seed, *b"stores  ", 0);
        let options = |seed| SimulationOptions {
            seed,
            labels: self.labels.unwrap_or(LABELS),
            base_stations: self.base_stations.unwrap_or(BASE_STATIONS),
            span: Duration::from_secs_f64(self.hours * 3_600.0),
            faults: self.faults.into(),
            planted: None,
        };
        // The seed of a single store is the chain's, so that a failure is played again by its number.
        let seeds = std::iter::once(self.seed).chain(std::iter::repeat_with(|| seeds.below(u64::MAX)));
        let stores: Vec<SimulationOptions> = seeds.take(self.stores).map(options).collect();
        let outcomes = chain::run(&stores)?;
        let mut report = Report::of(self.seed, &options(self.seed), &outcomes);
        let rate = pace.tell(report.events);
        report.events_per_s = self.timed.then_some(rate);
        let to_shelf_ms: Vec<u64> = outcomes.iter().flat_map(|outcome| outcome.to_shelf_ms.iter().copied()).collect();
        let title = format!("From a change to the glass: {} labels, faults {}", report.labels, report.faults.as_str());
        self.draw(|| plot::to_shelf(&title, &to_shelf_ms, None))?;
        if self.json {
            super::print_json(&report)?
        } else {
            print_report(&report)
        }
        Ok(if report.violations.is_empty() { Ended::Done } else { Ended::Findings })
    }

    fn wave(&self, pace: Pace) -> anyhow::Result<Ended> {
        let (mut report, to_shelf_ms) = wave::run(ShopOptions {
            seed: self.seed,
            labels: self.labels.unwrap_or(LABELS),
            base_stations: self.base_stations.unwrap_or(BASE_STATIONS),
            wake: WAVE_WAKE,
            loss: self.loss,
            radio: RadioOptions::default(),
            transfers_max: TRANSFERS_MAX,
            small_memories: false,
            start: START,
            key: None,
        })?;
        let rate = pace.tell(report.events);
        report.events_per_s = self.timed.then_some(rate);
        let WaveReport { labels, base_stations, bound_s, loss, .. } = &report;
        let title = format!("A wave over {labels} labels at {base_stations} base stations, {} % lost", loss * 100.0);
        let mark = Mark { at_s: *bound_s, text: format!("bound {bound_s} s") };
        self.draw(|| plot::to_shelf(&title, &to_shelf_ms, Some(&mark)))?;
        if self.json {
            super::print_json(&report)?;
        } else {
            print_wave(&report);
        }
        Ok(if report.is_settled { Ended::Done } else { Ended::Findings })
    }

    /// Draws the plot, if one is wanted.
    fn draw(&self, svg: impl FnOnce() -> String) -> anyhow::Result<()> {
        let Some(file) = &self.plot else { return Ok(()) };
        std::fs::write(file, svg()).with_context(|| format!("cannot write the plot to {}", file.display()))
    }

    fn check(&self) -> Result<(), UsageError> {
        let value = |message: String| Err(UsageError::Value(message));
        if self.stores == 0 || self.labels == Some(0) || self.base_stations == Some(0) {
            return value("--stores, --labels and --base-stations are at least 1".to_owned());
        }
        if !(1.0..=HOURS_MAX).contains(&self.hours) {
            return value(format!("--hours {} is not between 1 and {HOURS_MAX}", self.hours));
        }
        if !(0.0..=0.9).contains(&self.loss) {
            return value(format!("--loss {} is not between 0 and 0.9", self.loss));
        }
        if self.loss > 0.0 && self.scenario != "wave" {
            return value("--loss is of the wave scenario; --faults draws it otherwise".to_owned());
        }
        Ok(())
    }
}

impl From<Faults> for FaultLevel {
    fn from(faults: Faults) -> Self {
        match faults {
            Faults::None => Self::None,
            Faults::Mild => Self::Mild,
            Faults::Harsh => Self::Harsh,
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print_report(report: &Report) {
    let Report { seed, stores, labels, base_stations, hours, faults, .. } = report;
    println!("seed {seed}: {stores} stores of {labels} labels and {base_stations} base stations, {hours} h");
    println!("faults                  {}, {} crashes, {} restarts", faults.as_str(), report.crashes, report.reboots);
    println!("labels that agree       {} of {} ({} glasses wrong)", report.in_sync, stores * labels, report.wrong);
    print_distribution(report.time_to_shelf_s);
    println!("transfers               {} ({} bytes packed)", report.transfers, report.bytes_packed);
    println!("frames                  {} lost, {} sent again", report.frames_lost, report.retransmissions);
    let air = report.air;
    let lanes =
        [("polls", air.polls), ("interactive", air.interactive), ("price", air.price), ("routine", air.routine)];
    for (lane, airtime) in lanes {
        println!("air, {lane:<19}{} bytes, {:.1} s", airtime.bytes, airtime.seconds);
    }
    for (panel, years) in &report.battery_years {
        println!("battery, {panel:<15}{years} years at this rate");
    }
    println!("wakes                   {} ({} with nothing to do)", report.wakes, report.idle_wakes);
    println!("check-ins               {}", report.check_ins);
    print_events(report.events, report.events_per_s);
    for finding in &report.violations {
        println!(
            "\n{} violated after {} s in store {}: {}",
            finding.invariant, finding.at_s, finding.store, finding.text
        );
        println!("drawn: {:?}", report.drawn[finding.store]);
        finding.trace.iter().for_each(|line| println!("  {line}"));
        println!("again: {}", finding.replay);
    }
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print_wave(report: &WaveReport) {
    println!("labels                  {} at {} base stations", report.labels, report.base_stations);
    println!("loss                    {}", report.loss);
    println!("transfers               {} of {} bytes packed", report.transfers, report.bytes_per_picture);
    print_distribution(report.time_to_shelf_s);
    println!("bound                   {} s", report.bound_s);
    println!("reached                 {} s", report.reached_s);
    println!("ratio                   {}", report.ratio);
    print_events(report.events, report.events_per_s);
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print_events(events: u64, per_s: Option<u64>) {
    println!("events                  {events}");
    if let Some(per_s) = per_s {
        println!("events_per_s            {per_s}");
    }
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print_distribution(spread: Distribution) {
    let Distribution { p50, p90, p99, max, count } = spread;
    println!(
        "time to shelf           {p50} s median, {p90} s at 90 %, {p99} s at 99 %, {max} s at most ({count} changes)"
    );
}
