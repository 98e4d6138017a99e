//! A store's accuracy over the last day and week, as a plot that the server draws.

use std::fmt::Write as _;
use std::time::Duration;

use gondola_protocol::Moment;
use maud::{Markup, html};

use crate::controller::Controller;
use crate::fleet::accuracy::Sample;
use crate::web::language::Language;

/// The plot's own units: a point of the day for every five minutes, and a line that is not too steep.
const WIDTH: u32 = 288;
const HEIGHT: u32 = 96;

/// Shares that the lowest line can stand for, best first: a plot shows what lies between it and 100 %.
const FLOORS: [u32; 4] = [90, 75, 50, 0];

const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// Samples further apart than this are not joined: the controller did not run.
const GAP_OF_DAY: Duration = Duration::from_mins(10);
const GAP_OF_WEEK: Duration = Duration::from_hours(3);

/// Both plots; empty before the second minute, because one sample is no line.
pub(super) fn accuracy(controller: &Controller, now: Moment, language: Language) -> Markup {
    let accuracy = controller.accuracy();
    let day = Plot::of(accuracy.day(), now, DAY, GAP_OF_DAY);
    // The newest of the day is newer than the newest hour's.
    let week = Plot::of(accuracy.week().chain(accuracy.day().last()), now, WEEK, GAP_OF_WEEK);
    let waits = accuracy.waits();
    html! {
        @if let Some(day) = day.as_ref().filter(|_| accuracy.day().nth(1).is_some()) {
            details.sheet.accuracy open {
                summary { (language.say("Accuracy: labels proven right", "准确率：已证实显示正确的价签")) }
                div.plots {
                    (day.figure(language.say("Last day", "最近一天"), language))
                    @if let Some(week) = &week { (week.figure(language.say("Last week", "最近一周"), language)) }
                }
                @if let Some((half, most)) = waits.percentile(50).zip(waits.percentile(99)) {
                    p.faint {
                        (language.say("A new picture is on the glass within ", "新画面显示用时：一半在 ")) (super::words::span(half, language))
                        (language.say(" for half of the labels, within ", " 内，99% 在 ")) (super::words::span(most, language))
                        (language.say(" for 99 of 100.", " 内。"))
                    }
                }
            }
        }
    }
}

/// One plot, in its own units.
struct Plot {
    /// `M x y L x y …`, a piece for each stretch without a gap.
    line: String,
    /// Percent at the bottom.
    floor: u32,
    worst: Worst,
    /// The mean of all samples, in percent.
    mean: f64,
}

/// The worst sample.
struct Worst {
    percent: f64,
    ago: Duration,
}

impl Plot {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample>, now: Moment, span: Duration, gap: Duration) -> Option<Self> {
        let samples: Vec<(Duration, Moment, f64)> = samples
            .map(|one| (now.since(one.at), one.at, 100.0 * one.share()))
            .filter(|(ago, ..)| *ago <= span)
            .collect();
        let (ago, _, percent) = samples.iter().copied().min_by(|one, other| one.2.total_cmp(&other.2))?;
        let floor = FLOORS.into_iter().find(|floor| percent >= f64::from(*floor)).unwrap_or(0);
        let mut line = String::new();
        let mut before: Option<Moment> = None;
        for (ago, at, percent) in &samples {
            let x = f64::from(WIDTH) * (1.0 - ago.as_secs_f64() / span.as_secs_f64());
            let y = f64::from(HEIGHT) * (100.0 - percent) / f64::from(100 - floor);
            let joined = before.is_some_and(|before| at.since(before) <= gap);
            // A lone sample is drawn as a dot: a line of no length with round ends.
            let step = if joined { format!("L{x:.1} {y:.1}") } else { format!("M{x:.1} {y:.1}h0") };
            line.write_str(&step).expect("a text takes every letter");
            before = Some(*at);
        }
        let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
        let mean = samples.iter().map(|(.., percent)| percent).sum::<f64>() / f64::from(count);
        Some(Self { line, floor, worst: Worst { percent, ago }, mean })
    }

    fn figure(&self, title: &str, language: Language) -> Markup {
        let Self { line, floor, worst, mean } = self;
        let lowest = format!("{:.1} %", worst.percent);
        let ago = match language {
            Language::English => format!("{} ago", super::words::span(worst.ago, language)),
            Language::Chinese => format!("{}前", super::words::span(worst.ago, language)),
        };
        let words = format!(
            "{title}: {} {mean:.1} %, {} {lowest}, {ago}",
            language.say("mean", "平均"),
            language.say("lowest", "最低"),
        );
        html! {
            figure.plot {
                figcaption { strong { (title) } " " span.faint { (words.split_once(": ").map_or("", |(_, rest)| rest)) } }
                svg viewBox={ "-34 -8 " (WIDTH + 40) " " (HEIGHT + 14) } role="img" aria-label=(words) {
                    @for part in 0..=2_u32 {
                        @let y = HEIGHT * part / 2;
                        line x1="0" y1=(y) x2=(WIDTH) y2=(y) {}
                        text x="-5" y=(y + 4) { (100 - (100 - floor) * part / 2) "%" }
                    }
                    path d=(line) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: u64, agreeing: u32) -> Sample {
        Sample { at: Moment::from_secs(minute * 60), bound: 100, agreeing }
    }

    #[test]
    fn a_line_is_interrupted_where_nothing_is_known() {
        let now = Moment::from_secs(24 * 3_600);
        let samples = [sample(0, 100), sample(5, 95), sample(720, 90)];
        let plot = Plot::of(samples.iter(), now, DAY, GAP_OF_DAY).unwrap();
        assert_eq!((plot.line.as_str(), plot.floor), ("M0.0 0.0h0L1.0 48.0M144.0 96.0h0", 90));
        assert_eq!((plot.worst.percent, plot.worst.ago), (90.0, Duration::from_hours(12)));
        assert!((plot.mean - 95.0).abs() < 1e-9);
        assert!(Plot::of([].iter(), now, DAY, GAP_OF_DAY).is_none());
    }

    #[test]
    fn what_is_far_from_right_is_within_the_plot() {
        let now = Moment::from_secs(600);
        for (agreeing, floor) in [(100, 90), (90, 90), (89, 75), (60, 50), (3, 0)] {
            assert_eq!(Plot::of([sample(1, agreeing)].iter(), now, DAY, GAP_OF_DAY).unwrap().floor, floor);
        }
    }
}
