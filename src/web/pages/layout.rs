//! What all pages have in common.

use std::time::Duration;

use gondola_protocol::Moment;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};

use crate::fleet::health::Health;
use crate::instant;
use crate::web::pages::words;
use crate::web::problem::Problem;

/// A page around its content.
pub(super) fn page(title: &str, now: Option<Moment>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Gondola" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/live.js" defer {}
            }
            body data-now=[now.map(Moment::as_millis)] {
                header.top {
                    a.brand href="/" { "Gondola" }
                    span #live role="status" {}
                }
                main { (content) }
            }
        }
    }
}

/// A page that says what went wrong.
pub(super) fn problem(problem: &Problem) -> Markup {
    let title = problem.status.canonical_reason().unwrap_or("Error");
    let content = html! {
        h1 { (title) }
        p { (words::sentence(&problem.detail)) }
        p { a href="/" { "Back to the overview" } }
    };
    page(title, None, &content)
}

/// A health's mark and name.
pub(super) fn mark(health: Health) -> Markup {
    html! { span.mark data-health=(health) { (words::health(health).name) } }
}

/// An instant on the store's clock, and how long ago it was, which the script counts on.
pub(super) fn ago(moment: Option<Moment>, now: Moment, zone: &TimeZone) -> Markup {
    let Some(moment) = moment else { return html! { span.faint { "never" } } };
    html! {
        time datetime=(instant::rfc3339(moment, zone)) { (instant::on_the_clock(moment, now, zone)) }
        " " span.faint { span data-since=(moment.as_millis()) { (instant::span(now.since(moment))) } " ago" }
    }
}

/// How long ago, in plain text.
pub(super) fn since(span: Duration) -> String {
    instant::span(span)
}

/// A number with its thousands apart.
pub(super) fn number(number: usize) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let groups = digits.as_bytes()[lead..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (lead > 0).then(|| digits[..lead].to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

/// `1 label`, `2 labels`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_thousands() {
        assert_eq!(
            [0, 12, 999, 1_000, 30_000, 1_234_567].map(number),
            ["0", "12", "999", "1,000", "30,000", "1,234,567"]
        );
        assert_eq!([counted(1, "label"), counted(2, "label")], ["1 label", "2 labels"]);
    }
}
