//! Curves over the time of a day, with what happened meanwhile, as SVG.

use std::fmt::Write as _;
use std::time::Duration;

use gondola_protocol::Moment;

use super::escaped;

/// Width and height of the picture, and where its curves are.
const SIZE: (f64, f64) = (760.0, 420.0);
const LEFT: f64 = 64.0;
const RIGHT: f64 = 740.0;
const TOP: f64 = 112.0;
const BOTTOM: f64 = 380.0;

/// Where the legend and the remarks stand; the remarks take turns, so that near ones do not cover each other.
const LEGEND_Y: f64 = 50.0;
const REMARKS_Y: [f64; 3] = [74.0, 89.0, 104.0];

/// What a letter takes at most.
const LETTER: f64 = 7.0;

/// What is behind the curves where something is away.
const BAND: &str = "#f3ead6";

/// No text comes nearer to the picture's edge.
const EDGE: f64 = 6.0;

/// Steps between two ticks of the time, in seconds, and how many ticks there are at most.
const TICKS: [u64; 16] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200];
const TICKS_MAX: u64 = 8;

/// Beyond this a tick says its day, too.
const DAY: Duration = Duration::from_secs(26 * 3_600);

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct OverTime {
    /// What it is.
    pub title: String,
    /// Left.
    pub from: Moment,
    /// Right.
    pub until: Moment,
    /// Of the values: `right` for percent.
    pub unit: &'static str,
    /// The largest value that has room; the smallest is 0.
    pub top: f64,
    /// The curves, the first one in front.
    pub curves: Vec<Curve>,
    /// What happened at moments.
    pub remarks: Vec<Remark>,
    /// What held for a time.
    pub bands: Vec<Band>,
}

/// A value that changes in steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What it is.
    pub text: String,
    /// An SVG colour.
    pub colour: &'static str,
    /// From when on it is what, in order.
    pub steps: Vec<(Moment, f64)>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// When.
    pub at: Moment,
    /// What.
    pub text: String,
}

/// Something that held for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// From when.
    pub from: Moment,
    /// Until when.
    pub until: Moment,
    /// What.
    pub text: String,
}

impl OverTime {
    fn x(&self, at: Moment) -> f64 {
        let at = at.clamp(self.from, self.until);
        let share = at.since(self.from).as_secs_f64() / self.until.since(self.from).as_secs_f64().max(1e-6);
        LEFT + share * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (value / self.top).clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    fn shows(&self, at: Moment) -> bool {
        (self.from..=self.until).contains(&at)
    }

    fn draw_frame(&self, svg: &mut String) {
        let is_percent = self.unit == "right";
        for step in 0..=4 {
            let value = self.top * f64::from(step) / 4.0;
            let y = self.y(value);
            let text = if is_percent { format!("{value} %") } else { thousands(value) };
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" \
                 fill=\"#555\">{text}</text>",
                LEFT - 8.0,
                y + 4.0,
            );
        }
        let span = self.until.since(self.from);
        let step = TICKS.into_iter().find(|step| span.as_secs() / step <= TICKS_MAX).unwrap_or(86_400);
        let first = self.from.as_micros().div_ceil(1_000_000).next_multiple_of(step);
        let last = self.until.as_micros() / 1_000_000;
        for second in (first..=last).step_by(usize::try_from(step).unwrap_or(1)) {
            let x = self.x(Moment::from_secs(second));
            let text = clock(second, step, span);
            let centre = x.min(SIZE.0 - EDGE - LETTER * text.chars().count() as f64 / 2.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {BOTTOM}v5\" stroke=\"#555\"/><text x=\"{centre:.1}\" y=\"{:.1}\" text-anchor=\"middle\" \
                 fill=\"#555\">{text}</text>",
                BOTTOM + 20.0,
            );
        }
    }

    fn draw_band(&self, band: &Band, svg: &mut String) {
        let (from, until) = (self.x(band.from), self.x(band.until));
        if until > from {
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{BAND}\"/>",
                until - from,
                BOTTOM - TOP,
            );
        }
    }

    /// What a band is, over the lines that cross it.
    fn name_band(&self, band: &Band, svg: &mut String) {
        let (from, until) = (self.x(band.from), self.x(band.until));
        if until > from {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#8a6d1f\" stroke=\"{BAND}\" stroke-width=\"6\" \
                 paint-order=\"stroke\">{}</text>",
                (from + until) / 2.0,
                BOTTOM - 8.0,
                escaped(&band.text),
            );
        }
    }

    fn draw_remark(&self, remark: &Remark, y: f64, svg: &mut String) {
        let x = self.x(remark.at);
        let fits = x + 5.0 + LETTER * remark.text.chars().count() as f64 <= RIGHT + 10.0;
        let (anchor, at) = if fits { ("start", x + 5.0) } else { ("end", x - 5.0) };
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {:.1}V{BOTTOM}\" stroke=\"#888\" stroke-dasharray=\"4 4\"/>\
             <text x=\"{at:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#444\">{}</text>",
            y - 10.0,
            escaped(&remark.text),
        );
    }

    fn draw_legend(&self, svg: &mut String) {
        let mut x = LEFT;
        for Curve { text, colour, .. } in &self.curves {
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {:.1}h22\" stroke=\"{colour}\" stroke-width=\"3\"/>\
                 <text x=\"{:.1}\" y=\"{LEGEND_Y}\" fill=\"{colour}\">{}</text>",
                LEGEND_Y - 4.0,
                x + 28.0,
                escaped(text),
            );
            x += 52.0 + LETTER * text.chars().count() as f64;
        }
    }

    /// A staircase. Steps that would not be seen are left out.
    fn path(&self, curve: &Curve) -> String {
        let before = curve.steps.iter().take_while(|(at, _)| *at <= self.from).last().map_or(0.0, |(_, value)| *value);
        let mut last = (LEFT, self.y(before));
        let mut path = format!("M{:.1} {:.1}", last.0, last.1);
        let within: Vec<&(Moment, f64)> =
            curve.steps.iter().filter(|(at, _)| *at > self.from && *at <= self.until).collect();
        for (number, (at, value)) in within.iter().enumerate() {
            let next = (self.x(*at), self.y(*value));
            let is_seen = (next.0 - last.0).abs() >= 0.5 && next.1 != last.1 || (next.1 - last.1).abs() >= 0.5;
            if is_seen || number + 1 == within.len() {
                let _ = write!(path, "H{:.1}V{:.1}", next.0, next.1);
                last = next;
            }
        }
        let _ = write!(path, "H{RIGHT}");
        path
    }
}

/// Draws it.
#[must_use]
pub fn over_time(picture: &OverTime) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"16\">{}</text>\n",
        SIZE.0,
        SIZE.1,
        escaped(&picture.title),
    );
    for band in &picture.bands {
        picture.draw_band(band, &mut svg);
    }
    picture.draw_frame(&mut svg);
    let remarks = picture.remarks.iter().filter(|remark| picture.shows(remark.at));
    for (remark, y) in remarks.zip(REMARKS_Y.into_iter().cycle()) {
        picture.draw_remark(remark, y, &mut svg);
    }
    for band in &picture.bands {
        picture.name_band(band, &mut svg);
    }
    picture.draw_legend(&mut svg);
    for curve in picture.curves.iter().rev() {
        let path = picture.path(curve);
        let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.5\"/>", curve.colour);
    }
    svg + "</svg>\n"
}

/// `30,000`: whole numbers as people write them.
#[must_use]
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time of the day in the shop, as exact as ticks are apart.
fn clock(second: u64, step: u64, span: Duration) -> String {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap_or(jiff::tz::TimeZone::UTC);
    let at = jiff::Timestamp::from_second(i64::try_from(second).unwrap_or(0)).unwrap_or_default().to_zoned(zone);
    let format = match (step < 60, span > DAY) {
        (true, _) => "%H:%M:%S",
        (false, true) => "%a %H:%M",
        (false, false) => "%H:%M",
    };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_do() {
        let numbers = [0.0, 999.0, 1_000.0, 22_500.0, 1_000_000.0];
        assert_eq!(numbers.map(thousands), ["0", "999", "1,000", "22,500", "1,000,000"]);
    }

    #[test]
    fn a_picture_has_its_curves_bands_and_remarks() {
        // 2025-11-25 00:00 in Shanghai.
        let at = |second: u64| Moment::from_secs(1_764_000_000 + second);
        let wave = (0..20_000).map(|label| (at(600) + Duration::from_millis(label * 3), label as f64));
        let picture = OverTime {
            title: "a wave & more".to_owned(),
            from: at(0),
            until: at(3_600),
            unit: "labels",
            top: 20_000.0,
            curves: vec![Curve { text: "shown".to_owned(), colour: "#0072b2", steps: wave.collect() }],
            remarks: vec![
                Remark { at: at(600), text: "prices <up>".to_owned() },
                Remark { at: at(9_999), text: "later".to_owned() },
            ],
            bands: vec![Band { from: at(60), until: at(120), text: "out".to_owned() }],
        };
        let svg = over_time(&picture);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).map(str::trim).collect();
        for text in ["a wave & more", "shown", "prices <up>", "out", "00:10", "20,000"] {
            assert!(texts.contains(&text), "{text} in {texts:?}");
        }
        assert!(!texts.contains(&"later"));
        let curve = document.descendants().find(|node| node.attribute("stroke-width") == Some("2.5")).unwrap();
        let path = curve.attribute("d").unwrap();
        assert!(path.matches('V').count() < 1_000 && path.ends_with(&format!("V{TOP}.0H{RIGHT}")), "{path}");
    }
}
