//! What needs a person beside the labels: held price changes to decide, alerts, and sources that are not well.

use gondola_protocol::{Moment, StoreId};
use maud::{Markup, html};

use super::{layout, words};
use crate::alert::words as alert_words;
use crate::alert::{Alert, Rule, suspicion};
use crate::catalog::approvals::{Held, HeldId};
use crate::catalog::wire::{Change, Facet};
use crate::controller::Controller;
use crate::controller::sources::ReloadState;
use crate::web::language::Language;

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
    language: Language,
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
    name: String,
    text: String,
    since: Markup,
}

impl Matters {
    pub(super) fn of(controller: &Controller, now: Moment, language: Language) -> Self {
        let zone = &controller.catalog().settings().time_zone;
        let ago = |moment| layout::ago(moment, now, zone, language);
        // A held change stands by itself, with what to press.
        let is_open = |alert: &&Alert| alert.rule != Rule::Held && alert.acknowledged.is_none();
        let alerts = || controller.alerts().raised().filter(is_open);
        let shown = |alert: &Alert| {
            let (english, chinese) = alert_words::name(alert.rule);
            let name = language.say(english, chinese).to_owned();
            Shown { name, text: words::alert(alert, language), since: ago(Some(alert.at)) }
        };
        let source = |(facet, state): (Facet, &ReloadState)| match &state.outcome {
            Ok(report) => html! {
                (facet.as_str()) (language.say(" reloaded ", " 重载于 ")) (ago(Some(state.ended_at))) ": " (report.in_words())
            },
            Err(_) => html! {
                (facet.as_str()) @if state.succeeded_at.is_some() { (language.say(" last reloaded ", " 上次重载于 ")) (ago(state.succeeded_at)) }
                @else { (language.say(" not reloaded yet", " 尚未重载")) }
            },
        };
        let waiting = |held: &Held| Waiting {
            id: held.id,
            what: name(controller, held, language),
            reason: match language {
                Language::English => words::sentence(&held.reason.to_string()),
                Language::Chinese => format!("{}。", suspicion(&held.reason)),
            },
            since: ago(Some(held.since)),
        };
        Self {
            held: controller.catalog().held().take(SHOWN_MAX).map(waiting).collect(),
            held_count: controller.catalog().held().count(),
            alerts: alerts().take(SHOWN_MAX).map(shown).collect(),
            alerts_count: alerts().count(),
            sources: controller.sources().reloads().map(source).collect(),
            language,
        }
    }

    /// With buttons for whoever decides.
    pub(super) fn markup(&self, store: &StoreId, decides: Option<Decides>) -> Markup {
        let language = self.language;
        html! {
            @if self.held_count > 0 {
                section.attention {
                    h2 { (layout::counted(self.held_count, ("price change", "个价格变更"), language)) (language.say(" to decide", "待审批")) }
                    p.faint { (language.say("The old price stays on the shelf until somebody approves the new one.", "审批通过之前，货架保持原价。")) }
                    ul.decisions {
                        @for held in &self.held {
                            li {
                                span { strong { (held.what) } " · " (held.reason) " " span.faint { (held.since) } }
                                @if decides.is_some() { span.choices {
                                    button type="button" data-post={ "/v1/stores/" (store) "/approvals/" (held.id) "/approve" } {
                                        (language.say("Approve", "批准"))
                                    }
                                    button type="button" data-post={ "/v1/stores/" (store) "/approvals/" (held.id) "/reject" } {
                                        (language.say("Reject", "拒绝"))
                                    }
                                } }
                            }
                        }
                        (more(self.held_count - self.held.len(), language))
                    }
                }
            }
            @if self.alerts_count > 0 {
                section.attention {
                    h2 { a href={ "/stores/" (store) "/alerts" } { (language.say("Alerts", "告警")) } }
                    ul {
                        @for alert in &self.alerts {
                            li { strong { (alert.name) } " · " (alert.text) " " span.faint { (alert.since) } }
                        }
                        (more(self.alerts_count - self.alerts.len(), language))
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
fn name(controller: &Controller, held: &Held, language: Language) -> String {
    match &held.row.change {
        Change::Base(product) => {
            let known = controller.catalog().product(&product.sku);
            let name = product.name.as_ref().or_else(|| known?.name.as_ref());
            name.map_or_else(
                || format!("{} {}", language.say("Product", "商品"), product.sku),
                |name| format!("{name} ({})", product.sku),
            )
        }
        _ => format!("{} {}", language.say("Promotion", "促销"), held.row.key.id()),
    }
}

fn more(count: usize, language: Language) -> Markup {
    html! {
        @if count > 0 { li { (language.say("and ", "还有 ")) (layout::number(count)) (language.say(" more", " 项")) } }
    }
}
