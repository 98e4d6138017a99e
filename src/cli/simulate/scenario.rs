//! Named situations, and what came of their expectations.

use anyhow::Context as _;

use super::super::{Ended, UsageError, print_json};
use super::{Pace, Simulate, print_distribution};
use crate::simulate::scenario::{self, PlayOptions, Played, Scenario};

/// Prints what ships.
#[expect(clippy::print_stdout, clippy::unnecessary_wraps, reason = "a command's result")]
pub(super) fn list() -> anyhow::Result<Ended> {
    for name in scenario::shipped() {
        let shipped = scenario::text(name).and_then(|text| Scenario::parse(text).ok());
        println!("{name:<16}{}", shipped.map_or(String::new(), |scenario| scenario.title));
    }
    Ok(Ended::Done)
}

impl Simulate {
    /// Plays a situation that ships, or one that a file describes.
    pub(super) fn situation(&self, name: &str, pace: Pace) -> anyhow::Result<Ended> {
        let scenario = self.read(name)?;
        let about = scenario.about.clone();
        let played = scenario::play(scenario, PlayOptions { seed: self.seed, labels: self.labels })?;
        pace.tell(played.events);
        self.draw(|| played.plot.clone())?;
        if self.json {
            print_json(&played)?;
        } else {
            print(&about, &played);
        }
        Ok(if played.is_as_expected() { Ended::Done } else { Ended::Findings })
    }

    fn read(&self, name: &str) -> anyhow::Result<Scenario> {
        if self.base_stations.is_some() {
            let reason = "--base-stations is not of a scenario: it has as many as its labels need";
            return Err(UsageError::Value(reason.to_owned()).into());
        }
        let text = match scenario::text(name) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(name).with_context(|| {
                let names: Vec<&str> = scenario::shipped().collect();
                format!("`{name}` is neither `day`, `wave`, `list` nor one of {}, and no file", names.join(", "))
            })?,
        };
        Scenario::parse(&text).map_err(|error| UsageError::Value(format!("scenario {name}:\n{error}")).into())
    }
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn print(about: &str, played: &Played) {
    let Played { title, labels, base_stations, seed, .. } = played;
    println!("{title}: {labels} labels at {base_stations} base stations, seed {seed}\n\n{about}\n");
    for verdict in &played.verdicts {
        let word = if verdict.is_met { "ok    " } else { "FAILED" };
        println!("{word}  {}\n        {}", verdict.expected, verdict.found);
    }
    println!();
    print_distribution(played.time_to_shelf_s);
}
