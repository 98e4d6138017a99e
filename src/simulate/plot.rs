//! How changes reach the shelf, as pictures: the share of glasses that show one, and whatever else is told over time.

mod over_time;

use std::fmt::Write as _;

pub use over_time::{Band, Curve, OverTime, Remark, over_time, thousands};

/// Width and height of the picture, and of the margin that the axes' words have.
const SIZE: (f64, f64) = (720.0, 360.0);
const MARGIN: f64 = 56.0;

/// Points of a curve: more would not be seen.
const POINTS_MAX: usize = 360;

/// A line across the picture at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Seconds.
    pub at_s: f64,
    /// What it says.
    pub text: String,
}

/// The share of changes that were on the glass after so many milliseconds each, as SVG.
#[must_use]
pub fn to_shelf(title: &str, values_ms: &[u64], mark: Option<&Mark>) -> String {
    let mut sorted = values_ms.to_vec();
    sorted.sort_unstable();
    let last_s = sorted.last().map_or(0.0, |ms| *ms as f64 / 1_000.0);
    let end_s = nice(mark.map_or(0.0, |mark| mark.at_s).max(last_s));
    let (width, height) = (SIZE.0 - 2.0 * MARGIN, SIZE.1 - 2.0 * MARGIN);
    let x = |seconds: f64| MARGIN + seconds / end_s * width;
    let y = |share: f64| MARGIN + (1.0 - share) * height;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"28\" font-size=\"16\">{}</text>\n",
        SIZE.0,
        SIZE.1,
        escaped(title),
    );
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (seconds, at) = (end_s * share, y(share));
        let _ = writeln!(
            svg,
            "<path d=\"M{MARGIN} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" \
             fill=\"#555\">{:.0} %</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{seconds} s</text>",
            MARGIN + width,
            MARGIN - 8.0,
            at + 4.0,
            share * 100.0,
            x(seconds),
            MARGIN + height + 20.0,
        );
    }
    let _ = writeln!(svg, "<path d=\"{}\" fill=\"none\" stroke=\"#0a6\" stroke-width=\"2.5\"/>", curve(&sorted, x, y));
    if let Some(Mark { at_s, text }) = mark {
        let at = x(*at_s);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {MARGIN}V{:.1}\" stroke=\"#c33\" stroke-dasharray=\"6 4\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#c33\">{}</text>",
            MARGIN + height,
            at - 6.0,
            MARGIN + height - 10.0,
            escaped(text),
        );
    }
    svg + "</svg>\n"
}

/// A staircase through the sorted values.
fn curve(sorted: &[u64], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
    let step = sorted.len().div_ceil(POINTS_MAX).max(1);
    let shown = (0..sorted.len()).filter(|at| (at + 1).is_multiple_of(step) || at + 1 == sorted.len());
    for at in shown {
        let (seconds, share) = (sorted[at] as f64 / 1_000.0, (at + 1) as f64 / sorted.len() as f64);
        let _ = write!(path, "L{:.1} {:.1}", x(seconds), y(share));
    }
    path
}

/// The next round number of seconds that four divide well.
fn nice(seconds: f64) -> f64 {
    let mut step = 4.0;
    while step < seconds {
        step *= if (20.0..40.0).contains(&step) { 1.5 } else { 2.0 };
    }
    step
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_a_picture_with_its_curve_and_its_mark() {
        let values: Vec<u64> = (1..=1_000).map(|value| value * 30).collect();
        let mark = Mark { at_s: 33.0, text: "bound <33 s>".to_owned() };
        let svg = to_shelf("a wave & more", &values, Some(&mark));
        let picture = roxmltree::Document::parse(&svg).unwrap();
        let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
        assert!(texts.contains(&"a wave & more") && texts.contains(&"bound <33 s>"), "{texts:?}");
        let curve = picture.descendants().find(|node| node.attribute("stroke") == Some("#0a6")).unwrap();
        let points = curve.attribute("d").unwrap().matches('L').count();
        assert!((300..=POINTS_MAX).contains(&points), "{points}");
        // The last value is at the top.
        assert!(curve.attribute("d").unwrap().ends_with(" 56.0"), "{curve:?}");
        assert!(to_shelf("nothing", &[], None).ends_with("</svg>\n"));
    }
}
