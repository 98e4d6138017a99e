//! What was expected against what came of it, and its plot.

use gondola_protocol::Moment;

use super::super::plot::{Band, Curve, OverTime, Remark, over_time, thousands};
use super::play::Play;
use super::record::Window;
use super::{Curves, Expectation, Span, State, Verdict, What};

/// Colours of curves, in their order: readable beside each other by those who tell red and green apart badly, too.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

impl Play {
    /// One for each expectation.
    pub(super) fn verdicts(&mut self) -> Vec<Verdict> {
        for number in self.impostors_now() {
            self.dismiss(number);
        }
        let expectations = self.scenario.expectations.clone();
        expectations.iter().enumerate().map(|(number, expectation)| self.judge(number, expectation)).collect()
    }

    fn judge(&mut self, number: usize, expectation: &Expectation) -> Verdict {
        match expectation {
            Expectation::Settled {} => self.judge_end(),
            Expectation::Shown { group, share, within, from, until } => {
                let labels = self.group(group.as_deref());
                let (changes, shown) = self.record.shown(self.window(&labels, *from, *until), within.0);
                let found = shown as f64 / changes.max(1) as f64;
                Verdict {
                    expected: format!(
                        "{} of the changes{}{} are on the glass within {within}",
                        percent(*share),
                        of(group.as_ref()),
                        between(*from, *until),
                    ),
                    found: format!("{} of {changes}", percent(found)),
                    is_met: changes > 0 && found >= *share,
                }
            }
            Expectation::Accuracy { group, at_least, from, until } => {
                let labels = self.group(group.as_deref());
                let (found, at) = self.record.least_accuracy(self.window(&labels, *from, *until));
                Verdict {
                    expected: format!(
                        "{} of the labels{} are right{} at any moment",
                        percent(*at_least),
                        of(group.as_ref()),
                        between(*from, *until),
                    ),
                    found: format!("{} after {}", percent(found), self.since(at)),
                    is_met: found >= *at_least,
                }
            }
            Expectation::Refreshes { group, at_most, from, until } => {
                let labels = self.group(group.as_deref());
                let found = self.record.most_refreshes(self.window(&labels, *from, *until));
                Verdict {
                    expected: format!(
                        "no label{} changes its display more often than {at_most}×{}",
                        of(group.as_ref()),
                        between(*from, *until),
                    ),
                    found: format!("{found}× at most"),
                    is_met: found <= *at_most,
                }
            }
            Expectation::Health { group, state, at, at_least, at_most } => {
                let found = self.looks.get(&number).copied().unwrap_or(0.0);
                Verdict {
                    expected: format!(
                        "{} of the labels{} are known to be {state} after {at}",
                        share(*at_least, *at_most),
                        of(group.as_ref()),
                    ),
                    found: percent(found),
                    is_met: (*at_least..=*at_most).contains(&found),
                }
            }
            Expectation::ImpostorsGetNothing {} => self.judge_impostors(),
            Expectation::TillIsHonest {} => self.judge_tills(),
        }
    }

    /// Each glass is compared with a picture that was made without the controller.
    fn judge_end(&mut self) -> Verdict {
        let wrong = self.shop.wrong();
        let wrong = wrong.into_iter().filter_map(super::super::shop::number);
        let wrong = wrong.filter(|number| !self.bad.contains(number)).count();
        let fleet = self.shop.harness.controller().fleet();
        let well = (0..self.scenario.shop.labels).filter(|number| !self.bad.contains(number));
        let is_open = |number: &usize| {
            let label = fleet.label(super::super::shop::label(*number));
            !label.is_some_and(|label| label.binding.is_some() && label.is_in_sync())
        };
        let open = well.filter(is_open).count();
        Verdict {
            expected: "at the end every glass shows what it must, and has proven it".to_owned(),
            found: format!("{wrong} wrong, {open} without a proof"),
            is_met: wrong == 0 && open == 0,
        }
    }

    fn judge_impostors(&self) -> Verdict {
        let got = self.impostors;
        let (sessions, transfers, check_ins) = (got.sessions, got.transfers, got.check_ins);
        Verdict {
            expected: "an impostor gets no session and no picture, and reports for no label".to_owned(),
            found: format!(
                "{sessions} sessions, {transfers} pictures, {check_ins} reports; {} frames came to it",
                got.frames_down
            ),
            // Whoever was never asked was not refused either.
            is_met: sessions + transfers + check_ins == 0 && got.frames_down > 0,
        }
    }

    fn judge_tills(&self) -> Verdict {
        let (hasty, patient) = (self.tills.hasty().most_unfair(), self.tills.patient().most_unfair());
        Verdict {
            expected: "a till that raises prices after their confirmation never asks for more than a glass says"
                .to_owned(),
            found: format!("for more than {patient} labels say; one that does not wait, for more than {hasty} say"),
            // Without a rise that takes its time there is nothing to wait for.
            is_met: patient == 0 && hasty > 0,
        }
    }

    fn since(&self, at: Moment) -> Span {
        Span(at.since(self.start))
    }

    /// The scenario's plot, as SVG.
    pub(super) fn plot(&self) -> String {
        let config = &self.scenario.plot;
        let all = self.group(None);
        let window = self.window(&all, config.from, config.until);
        let labels = self.scenario.shop.labels;
        let mut curves = Vec::new();
        let (mut unit, mut top) = ("labels", labels as f64);
        match config.shows {
            Curves::Accuracy => {
                (unit, top) = ("right", 100.0);
                curves.push(self.accuracy("labels that are right: all".to_owned(), window));
                for name in &config.groups {
                    let labels = self.group(Some(name));
                    let text = format!("{name} ({})", thousands(labels.len() as f64));
                    curves.push(self.accuracy(text, Window { labels: &labels, ..window }));
                }
            }
            Curves::Binding => {
                curves.push(self.curve("bound".to_owned(), self.record.bound()));
                curves.push(self.curve("their product on the glass".to_owned(), self.record.first_shown()));
            }
            Curves::Till => {
                let hasty = "labels that say less than a hasty till asks";
                curves.push(self.curve(hasty.to_owned(), self.tills.hasty().counts.clone()));
                curves.push(self.curve("than one that waits asks".to_owned(), self.tills.patient().counts.clone()));
            }
            Curves::Health => {
                curves.push(self.curve("low on battery".to_owned(), self.record.known(State::LowBattery)));
                curves.push(self.curve("offline".to_owned(), self.record.known(State::Offline)));
                let values = curves.iter().flat_map(|curve| &curve.steps).map(|(_, value)| *value);
                top = round_top(values.fold(1.0, f64::max));
            }
        }
        for (curve, colour) in curves.iter_mut().zip(COLOURS) {
            curve.colour = colour;
        }
        let base_stations = match self.scenario.shop.base_stations {
            1 => "a base station".to_owned(),
            several => format!("{several} base stations"),
        };
        over_time(&OverTime {
            title: format!("{}: {} labels at {base_stations}", self.scenario.title, thousands(labels as f64)),
            from: window.from,
            until: window.until,
            unit,
            top,
            curves,
            remarks: self.remarks(),
            bands: self.bands(),
        })
    }

    fn accuracy(&self, text: String, window: Window<'_>) -> Curve {
        let count = window.labels.len().max(1) as f64;
        let share = |(at, wrong): (Moment, usize)| (at, (1.0 - wrong as f64 / count) * 100.0);
        let steps = self.record.wrong(window.labels).into_iter().map(share);
        Curve { text, colour: "", steps: std::iter::once((self.start, 100.0)).chain(steps).collect() }
    }

    fn curve(&self, text: String, counts: Vec<(Moment, usize)>) -> Curve {
        let steps = counts.into_iter().map(|(at, count)| (at, count as f64));
        Curve { text, colour: "", steps: std::iter::once((self.start, 0.0)).chain(steps).collect() }
    }

    fn remarks(&self) -> Vec<Remark> {
        let noted = self.scenario.happenings.iter();
        let mut remarks: Vec<Remark> = noted
            .filter_map(|happening| Some(Remark { at: self.start + happening.at.0, text: happening.note.clone()? }))
            .collect();
        for happening in &self.scenario.happenings {
            if let What::Promotion { starts, .. } = &happening.event {
                remarks.push(Remark { at: self.start + starts.0, text: "the promotion starts".to_owned() });
            }
        }
        remarks.sort_by_key(|remark| remark.at);
        remarks
    }

    /// Times in which something is away.
    fn bands(&self) -> Vec<Band> {
        let mut open: Vec<(String, Moment)> = Vec::new();
        let mut bands = Vec::new();
        for happening in &self.scenario.happenings {
            let at = self.start + happening.at.0;
            let (name, begins) = match &happening.event {
                What::StationOff { station } => (format!("base station {station} is off"), true),
                What::StationOn { station } => (format!("base station {station} is off"), false),
                What::NetworkOff {} => ("the network is out".to_owned(), true),
                What::NetworkOn {} => ("the network is out".to_owned(), false),
                What::Impostor { station } => (format!("an impostor at base station {station}"), true),
                What::ImpostorGone { station } => (format!("an impostor at base station {station}"), false),
                _ => continue,
            };
            if begins {
                open.push((name, at));
            } else if let Some(which) = open.iter().position(|(other, _)| *other == name) {
                let (text, from) = open.remove(which);
                bands.push(Band { from, until: at, text });
            }
        }
        let end = self.start + self.scenario.span;
        bands.extend(open.into_iter().map(|(text, from)| Band { from, until: end, text }));
        bands
    }
}

/// The next larger number that four parts leave round.
fn round_top(top: f64) -> f64 {
    let mut unit = 1.0;
    loop {
        for round in [4.0, 8.0, 12.0, 20.0, 32.0] {
            if round * unit >= top {
                return round * unit;
            }
        }
        unit *= 10.0;
    }
}

/// `99.97 %`; never rounded up to all.
fn percent(share: f64) -> String {
    format!("{} %", (share * 10_000.0 + 1e-6).floor() / 100.0)
}

/// `at least 90 %`, and so on.
fn share(at_least: f64, at_most: f64) -> String {
    if at_most >= 1.0 {
        format!("at least {}", percent(at_least))
    } else if at_least <= 0.0 {
        format!("at most {}", percent(at_most))
    } else {
        format!("{} to {}", percent(at_least), percent(at_most))
    }
}

fn of(group: Option<&String>) -> String {
    group.map_or(String::new(), |group| format!(" of `{group}`"))
}

fn between(from: Span, until: Option<Span>) -> String {
    match (from, until) {
        (Span(from), None) if from.is_zero() => String::new(),
        (from, None) => format!(" after {from}"),
        (Span(from), Some(until)) if from.is_zero() => format!(" before {until}"),
        (from, Some(until)) => format!(" between {from} and {until}"),
    }
}
