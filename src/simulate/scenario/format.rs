//! A scenario's text, and every problem of it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use gondola_protocol::Moment;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{Expectation, Happening, Scenario, ShopConfig, Span, What};

/// Longest scenario: a week.
const SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Labels of one scenario: three times the largest shop we know of.
const LABELS_MAX: usize = 100_000;

/// Base stations of one scenario.
const BASE_STATIONS_MAX: usize = 256;

/// The keys of the whole.
const KEYS: [&str; 9] = ["title", "about", "starts", "span", "shop", "groups", "happening", "expect", "plot"];

/// Why a text is no scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ScenarioError {
    /// Everything that is wrong, a line each.
    pub problems: Vec<String>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

/// What was read, and what is wrong with it.
struct Reader {
    table: Table,
    problems: Vec<String>,
}

impl Reader {
    /// A part of the file; none with a problem where it is missing or cannot be read.
    fn part<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let Some(value) = self.table.remove(key) else {
            self.problems.push(format!("`{key}` is missing"));
            return None;
        };
        self.read(key, value)
    }

    fn read<T: DeserializeOwned>(&mut self, of: &str, value: Value) -> Option<T> {
        match value.try_into() {
            Ok(part) => Some(part),
            Err(error) => {
                self.problems.push(format!("{of}: {}", error.message()));
                None
            }
        }
    }

    /// A list of parts, each read for itself.
    fn list<T: DeserializeOwned>(&mut self, key: &str) -> Vec<T> {
        let Some(values) = self.part::<Vec<Value>>(key) else { return Vec::new() };
        let read = |(at, value): (usize, Value)| self.read(&format!("{key} {}", at + 1), value);
        values.into_iter().enumerate().filter_map(read).collect()
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let table: Table = toml::from_str(text).map_err(|error| ScenarioError { problems: vec![error.to_string()] })?;
        let unknown = table.keys().filter(|key| !KEYS.contains(&key.as_str()));
        let unknown = unknown.map(|key| format!("`{key}` is unknown; there are {}", KEYS.join(", ")));
        let mut reader = Reader { problems: unknown.collect(), table };
        let starts: Option<String> = reader.part("starts");
        let starts = starts.and_then(|text| match text.parse::<jiff::Timestamp>() {
            Ok(at) => u64::try_from(at.as_microsecond()).ok().map(Moment::from_micros),
            Err(_) => {
                reader.problems.push(format!("starts: `{text}` is no moment, for example `2025-11-25T08:00:00+08:00`"));
                None
            }
        });
        let (title, about) = (reader.part("title"), reader.part("about"));
        let (span, shop, plot) = (reader.part::<Span>("span"), reader.part::<ShopConfig>("shop"), reader.part("plot"));
        let groups = if reader.table.contains_key("groups") { reader.part("groups") } else { Some(BTreeMap::new()) };
        let (happenings, expectations) = (reader.list("happening"), reader.list("expect"));
        let mut problems = reader.problems;
        let (Some(title), Some(about), Some(starts), Some(span), Some(shop), Some(groups), Some(plot)) =
            (title, about, starts, span, shop, groups, plot)
        else {
            return Err(ScenarioError { problems });
        };
        let scenario = Self { title, about, starts, span: span.0, shop, groups, happenings, expectations, plot };
        scenario.check(&mut problems);
        if problems.is_empty() { Ok(scenario) } else { Err(ScenarioError { problems }) }
    }

    /// The same in a smaller or larger shop, with as many labels to a base station, but with each that it names.
    #[must_use]
    pub fn scaled(mut self, labels: usize) -> Self {
        let stations = (labels * self.shop.base_stations).div_ceil(self.shop.labels.max(1));
        self.shop.base_stations = stations.max(self.stations_named()).clamp(1, BASE_STATIONS_MAX);
        self.shop.labels = labels;
        self
    }

    /// As many base stations as its happenings, expectations and plot ask for.
    fn stations_named(&self) -> usize {
        let of_happenings = self.happenings.iter().filter_map(|happening| station_of(&happening.event));
        let of_groups = self.groups_named().into_iter().filter_map(|(_, group)| station_group(&group));
        let named = of_happenings.chain(of_groups).max().unwrap_or(0);
        // Whoever speaks of one means that there are others.
        if named == 0 { 1 } else { named.max(2) }
    }

    fn groups_named(&self) -> Vec<(String, String)> {
        let happenings = self.happenings.iter().zip(1..).filter_map(|(happening, number)| match &happening.event {
            What::Temperature { group, .. } | What::BadBatteries { group, .. } | What::NewBatteries { group } => {
                Some((format!("happening {number}"), group.clone()))
            }
            _ => None,
        });
        let expectations = self.expectations.iter().zip(1..).filter_map(|(expectation, number)| match expectation {
            Expectation::Shown { group, .. }
            | Expectation::Accuracy { group, .. }
            | Expectation::Refreshes { group, .. }
            | Expectation::Health { group, .. } => Some((format!("expect {number}"), group.clone()?)),
            _ => None,
        });
        let plots = self.plot.groups.iter().map(|group| ("plot".to_owned(), group.clone()));
        happenings.chain(expectations).chain(plots).collect()
    }

    fn check(&self, problems: &mut Vec<String>) {
        let mut tell = |problem: String| problems.push(problem);
        if self.span.is_zero() || self.span > SPAN_MAX {
            tell(format!("span: {} is not between 1 s and a week", Span(self.span)));
        }
        if !(1..=LABELS_MAX).contains(&self.shop.labels) {
            tell(format!("shop: {} labels are not 1 to {LABELS_MAX}", self.shop.labels));
        }
        if !(1..=BASE_STATIONS_MAX).contains(&self.shop.base_stations) {
            tell(format!("shop: {} base stations are not 1 to {BASE_STATIONS_MAX}", self.shop.base_stations));
        }
        if let Err(error) = self.shop.radio.check() {
            tell(format!("shop: {error}"));
        }
        for (name, [from, to]) in &self.groups {
            if !(0.0 <= *from && from < to && *to <= 1.0) {
                tell(format!("groups: `{name}` is not from a share to a larger one, 0 to 1"));
            }
        }
        let known: BTreeSet<&String> = self.groups.keys().collect();
        for (of, group) in self.groups_named() {
            let is_station = station_group(&group).is_some_and(|number| number <= self.shop.base_stations);
            if !known.contains(&group) && !is_station {
                tell(format!("{of}: there is no group `{group}`; a base station's labels are `station-1` and so on"));
            }
        }
        for (happening, number) in self.happenings.iter().zip(1..) {
            for problem in self.problems_of(happening) {
                tell(format!("happening {number}: {problem}"));
            }
        }
        if self.expectations.is_empty() {
            tell("expect: nothing is expected; add an [[expect]]".to_owned());
        }
        for (expectation, number) in self.expectations.iter().zip(1..) {
            if !shares_of(expectation).iter().all(|share| (0.0..=1.0).contains(share)) {
                tell(format!("expect {number}: a share is 0 to 1"));
            }
        }
    }

    fn problems_of(&self, happening: &Happening) -> Vec<String> {
        let mut problems = Vec::new();
        if happening.at.0 > self.span {
            problems.push(format!("{} is after the end", happening.at));
        }
        if let Some(station) =
            station_of(&happening.event).filter(|number| !(1..=self.shop.base_stations).contains(number))
        {
            problems.push(format!("there is no base station {station}; they are 1 to {}", self.shop.base_stations));
        }
        match &happening.event {
            What::Prices { share, .. } | What::Promotion { share, .. } if !(*share > 0.0 && *share <= 1.0) => {
                problems.push(format!("a share of {share} is not above 0 and at most 1"));
            }
            What::Prices { percent, .. } if !(1..=1_000).contains(percent) => {
                problems.push(format!("{percent} percent of a price are not 1 to 1000"));
            }
            What::Promotion { percent_off, .. } if !(1..=99).contains(percent_off) => {
                problems.push(format!("{percent_off} percent off are not 1 to 99"));
            }
            What::Promotion { starts, ends, .. } if starts < &happening.at || ends <= starts => {
                problems.push("a promotion is announced, starts and ends in this order".to_owned());
            }
            What::BadBatteries { left_percent, .. } if *left_percent > 100 => {
                problems.push(format!("{left_percent} percent of a battery are not 0 to 100"));
            }
            What::Impostor { .. } if !self.shop.keys => {
                problems.push("without `keys = true` in [shop] nobody can tell an impostor".to_owned());
            }
            _ => {}
        }
        problems
    }
}

fn station_of(event: &What) -> Option<usize> {
    match event {
        What::StationOff { station }
        | What::StationOn { station }
        | What::Impostor { station }
        | What::ImpostorGone { station } => Some(*station),
        _ => None,
    }
}

/// The number in `station-2`.
pub(super) fn station_group(group: &str) -> Option<usize> {
    group.strip_prefix("station-")?.parse().ok().filter(|number| *number > 0)
}

fn shares_of(expectation: &Expectation) -> Vec<f64> {
    match expectation {
        Expectation::Shown { share, .. } => vec![*share],
        Expectation::Accuracy { at_least, .. } => vec![*at_least],
        Expectation::Health { at_least, at_most, .. } => vec![*at_least, *at_most],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = r#"
title = "a wave"
about = "Every price changes."
starts = "2025-11-25T08:00:00+08:00"
span = "30m"
[shop]
labels = 3000
base_stations = 2
[groups]
cold = [0.0, 0.1]
[plot]
shows = "accuracy"
[[happening]]
at = "10m"
do.prices = { share = 1.0, percent = 110 }
[[happening]]
at = "12m"
do.temperature = { group = "cold", celsius = -18 }
[[expect]]
shown = { share = 0.99, within = "60s" }
[[expect]]
settled = {}
"#;

    #[track_caller]
    fn check(changes: &[(&str, &str)], problems: &[&str]) {
        let mut text = SHOP.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        assert_eq!(Scenario::parse(&text).unwrap_err().problems, problems);
    }

    #[test]
    fn a_scenario_is_read() {
        let scenario = Scenario::parse(SHOP).unwrap();
        assert_eq!((scenario.happenings.len(), scenario.expectations.len()), (2, 2));
        assert_eq!((scenario.shop.wake.0, scenario.span), (Duration::from_secs(20), Duration::from_secs(1_800)));
        let small = scenario.scaled(100);
        assert_eq!((small.shop.labels, small.shop.base_stations), (100, 1));
    }

    #[test]
    fn every_problem_is_told_at_once() {
        check(
            &[("title", "tittle"), ("\"30m\"", "\"30 mm\""), ("share = 1.0, ", ""), ("within", "whithin")],
            &[
                "`tittle` is unknown; there are title, about, starts, span, shop, groups, happening, expect, plot",
                "`title` is missing",
                "span: `30 mm` is not a time span, for example `90s` or `1h 30m`",
                "happening 1: missing field `share`",
                "expect 1: unknown field `whithin`, expected one of `group`, `share`, `within`, `from`, `until`",
            ],
        );
        check(
            &[
                ("\"30m\"", "\"11m\""),
                ("labels = 3000", "labels = 0"),
                ("0.0, 0.1", "0.1, 0.0"),
                ("group = \"cold\"", "group = \"warm\""),
                ("percent = 110", "percent = 0"),
                ("0.99", "99.0"),
            ],
            &[
                "shop: 0 labels are not 1 to 100000",
                "groups: `cold` is not from a share to a larger one, 0 to 1",
                "happening 2: there is no group `warm`; a base station's labels are `station-1` and so on",
                "happening 1: 0 percent of a price are not 1 to 1000",
                "happening 2: 12 min is after the end",
                "expect 1: a share is 0 to 1",
            ],
        );
        let impostor = "do.impostor = { station = 3 }";
        check(
            &[("do.prices = { share = 1.0, percent = 110 }", impostor)],
            &[
                "happening 1: there is no base station 3; they are 1 to 2",
                "happening 1: without `keys = true` in [shop] nobody can tell an impostor",
            ],
        );
    }

    #[test]
    fn every_scenario_that_ships_is_read_and_can_be_small() {
        for name in super::super::shipped() {
            let scenario = Scenario::parse(super::super::text(name).unwrap()).unwrap_or_else(|error| {
                panic!("{name}: {error}");
            });
            let stations = scenario.stations_named();
            assert!(scenario.scaled(30).shop.base_stations >= stations, "{name}");
        }
    }
}
