//! What needs a person beside the labels: held price changes to decide, alerts, and sources that are not well.

use gondola_protocol::{Moment, StoreId};
use maud::{Markup, html};

use super::{layout, words};
use crate::alert::{Alert, Rule};
use crate::catalog::approvals::{Held, HeldId};
use crate::catalog::wire::{Change, Facet};
use crate::controller::Controller;
use crate::controller::sources::ReloadState;

/// Held changes and alerts that are shown at once; the rest comes up as these are dealt with.
const SHOWN_MAX: usize = 5;

/// Everything of a store that waits for a person, apart from its labels.
#[derive(Debug)]
pub(super) struct Matters {
    held: Vec<Waiting>,
    held_count: usize,
    alerts: Vec<Shown>,
    alerts_count: usize,
    sources: Vec<Markup>,
}

/// Whoever looks may decide held changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decides;

/// A held change.
#[derive(Debug)]
struct Waiting {
    id: HeldId,
    what: String,
    reason: String,
    since: Markup,
}

/// An alert.
#[derive(Debug)]
struct Shown {
    text: String,
    since: Markup,
}

impl Matters {
    pub(super) fn of(controller: &Controller, now: Moment) -> Self {
        let zone = &controller.catalog().settings().time_zone;
        // A held change stands by itself, with what to press.
        let alerts = || controller.alerts().raised().filter(|alert| alert.rule != Rule::Held);
        let shown =
            |alert: &Alert| Shown { text: words::sentence(&alert.text), since: layout::ago(Some(alert.at), now, zone) };
        let source = |(facet, state): (Facet, &ReloadState)| match &state.outcome {
            Ok(report) => html! {
                (facet.as_str()) " reloaded " (layout::ago(Some(state.ended_at), now, zone)) ": " (report.in_words())
            },
            Err(_) => html! {
                (facet.as_str()) @if state.succeeded_at.is_some() { " last reloaded " (layout::ago(state.succeeded_at, now, zone)) }
                @else { " not reloaded yet" }
            },
        };
        let waiting = |held: &Held| Waiting {
            id: held.id,
            what: name(controller, held),
            reason: words::sentence(&held.reason.to_string()),
            since: layout::ago(Some(held.since), now, zone),
        };
        Self {
            held: controller.catalog().held().take(SHOWN_MAX).map(waiting).collect(),
            held_count: controller.catalog().held().count(),
            alerts: alerts().take(SHOWN_MAX).map(shown).collect(),
            alerts_count: alerts().count(),
            sources: controller.sources().reloads().map(source).collect(),
        }
    }

    /// With buttons for whoever decides.
    pub(super) fn markup(&self, store: &StoreId, decides: Option<Decides>) -> Markup {
        html! {
            @if self.held_count > 0 {
                section.attention {
                    h2 { (layout::counted(self.held_count, "price change")) " to decide" }
                    p.faint { "The old price stays on the shelf until somebody approves the new one." }
                    ul.decisions {
                        @for held in &self.held {
                            li {
                                span { strong { (held.what) } " · " (held.reason) " " span.faint { (held.since) } }
                                @if decides.is_some() { span.choices {
                                    button type="button" data-post={ "/v1/stores/" (store) "/approvals/" (held.id) "/approve" } {
                                        "Approve"
                                    }
                                    button type="button" data-post={ "/v1/stores/" (store) "/approvals/" (held.id) "/reject" } {
                                        "Reject"
                                    }
                                } }
                            }
                        }
                        (more(self.held_count - self.held.len()))
                    }
                }
            }
            @if self.alerts_count > 0 {
                section.attention {
                    h2 { "Alerts" }
                    ul {
                        @for alert in &self.alerts {
                            li { (alert.text) " " span.faint { (alert.since) } }
                        }
                        (more(self.alerts_count - self.alerts.len()))
                    }
                }
            }
            @if !self.sources.is_empty() {
                ul.sources.faint {
                    @for source in &self.sources { li { (source) } }
                }
            }
        }
    }
}

/// What a held change is about, in a person's words.
fn name(controller: &Controller, held: &Held) -> String {
    match &held.row.change {
        Change::Base(product) => {
            let known = controller.catalog().product(&product.sku);
            let name = product.name.as_ref().or_else(|| known?.name.as_ref());
            name.map_or_else(|| format!("Product {}", product.sku), |name| format!("{name} ({})", product.sku))
        }
        _ => format!("Promotion {}", held.row.key.id()),
    }
}

fn more(count: usize) -> Markup {
    html! {
        @if count > 0 { li { "and " (layout::number(count)) " more" } }
    }
}
