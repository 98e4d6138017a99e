//! The alerts of a store: what nobody looks after yet first, then what somebody does, then what is over.

use std::sync::Arc;

use axum::extract::{Path, State};
use gondola_protocol::{Moment, StoreId};
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::layout::{self, Frame};
use super::{PageProblem, words};
use crate::accounts::{Role, Visitor};
use crate::alert::words as alert_words;
use crate::alert::{Alert, Rule, State as AlertState};
use crate::web::Web;
use crate::web::language::Language;
use crate::web::{Shop, url_query};

/// Alerts that are shown at once of each kind; over REST there are all.
const SHOWN_MAX: usize = 100;

/// What the page shows.
struct Seen {
    open: Vec<Alert>,
    acknowledged: Vec<Alert>,
    over: Vec<Alert>,
    /// Alerts that hold and are not shown.
    left_out: usize,
    now: Moment,
    zone: TimeZone,
}

/// The page.
pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    visitor: Visitor,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let shop = web.shop(&store)?;
    let (seen, id) = (see(shop).await?, shop.handle.id());
    let title = frame.say("Alerts", "告警");
    let content = html! {
        section.alerts data-store=(id) {
            p.path { a href={ "/stores/" (id) } { (shop.name) } }
            h1 { (title) }
            div.summary data-read={ "/stores/" (id) "/alerts/list" } { (seen.markup(id, &visitor, frame.language)) }
        }
    };
    Ok(frame.page(&format!("{title} · {}", shop.name), Some(seen.now), &content))
}

/// The part of it that changes, for the script.
pub(super) async fn fragment(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    visitor: Visitor,
    language: Language,
) -> Result<Markup, PageProblem> {
    let shop = web.shop(&store)?;
    Ok(see(shop).await?.markup(shop.handle.id(), &visitor, language))
}

async fn see(shop: &Shop) -> Result<Seen, crate::run::store::StoreGone> {
    let read = shop.handle.read(|controller, now| {
        let alerts = controller.alerts();
        let of = |is_acknowledged: bool| {
            alerts.raised().filter(move |alert| alert.acknowledged.is_some() == is_acknowledged)
        };
        let newest = |mut of: Vec<Alert>| {
            of.sort_by_key(|alert| std::cmp::Reverse(alert.at));
            of.truncate(SHOWN_MAX);
            of
        };
        let (open, acknowledged) = (newest(of(false).cloned().collect()), newest(of(true).cloned().collect()));
        let over = alerts.news().rev().filter(|news| news.state == AlertState::Cleared);
        Seen {
            left_out: alerts.raised().count() - open.len() - acknowledged.len(),
            over: over.take(SHOWN_MAX).cloned().collect(),
            zone: controller.catalog().settings().time_zone.clone(),
            open,
            acknowledged,
            now,
        }
    });
    read.await
}

impl Seen {
    fn markup(&self, store: &StoreId, visitor: &Visitor, language: Language) -> Markup {
        let may = visitor.may_in(Role::Staff, store);
        html! {
            @if self.open.is_empty() {
                p.headline { (language.say("Nothing needs a person.", "目前没有需要处理的告警。")) }
            } @else {
                section.attention {
                    h2 { (language.say("Nobody looks after these yet", "待处理")) }
                    ul.decisions { @for alert in &self.open { (self.open_alert(alert, store, may, language)) } }
                }
            }
            @if !self.acknowledged.is_empty() {
                h2 { (language.say("Somebody looks after these", "处理中")) }
                ul.acts { @for alert in &self.acknowledged { li { (self.words(alert, store, language)) } } }
            }
            @if self.left_out > 0 {
                p.faint { (layout::number(self.left_out)) (language.say(" more hold, and come up as these end.", " 项告警未列出，处理后将依次显示。")) }
            }
            @if !self.over.is_empty() {
                h2 { (language.say("Over", "已恢复")) }
                ul.acts.faint { @for alert in &self.over { li { (self.over_alert(alert, language)) } } }
            }
        }
    }

    fn open_alert(&self, alert: &Alert, store: &StoreId, may: bool, language: Language) -> Markup {
        html! {
            li {
                span { (self.words(alert, store, language)) }
                @if may { span.choices {
                    button type="button" data-post={ "/v1/stores/" (store) "/alerts/" (escaped(&alert.id())) "/acknowledge" } {
                        (language.say("I look after it", "我来处理"))
                    }
                } }
            }
        }
    }

    /// What it is, in words that say what to do.
    fn words(&self, alert: &Alert, store: &StoreId, language: Language) -> Markup {
        let (name, action) = (alert_words::name(alert.rule), alert_words::action(alert.rule));
        let ago = |at| layout::ago(Some(at), self.now, &self.zone, language);
        html! {
            strong { (language.say(name.0, name.1)) }
            @match of_whole_store(alert.rule) { true => {}, false => { " · " span.id { (alert.subject) } } }
            " · " (words::alert(alert, language)) " "
            span.action { (language.say(action.0, action.1)) } " "
            @match alert.rule {
                Rule::StaleLabels => { a href={ "/stores/" (store) "?health=stale" } { (language.say("Which ones", "查看价签")) } " " }
                Rule::LowBatteries => { a href={ "/stores/" (store) "?problem=low_battery" } { (language.say("Which ones", "查看价签")) } " " }
                Rule::DuplicateId => { a href={ "/stores/" (store) "/labels/" (alert.subject) } { (language.say("Its page", "查看价签")) } " " }
                Rule::Held => { a href={ "/stores/" (store) } { (language.say("Decide", "去审批")) } " " }
                _ => {}
            }
            span.faint { (ago(alert.at)) }
            @if let Some(seen) = &alert.acknowledged {
                " · " (language.say("acknowledged by ", "由 ")) (seen.by) (language.say(" ", " 处理 ")) span.faint { (ago(seen.at)) }
            }
        }
    }

    fn over_alert(&self, alert: &Alert, language: Language) -> Markup {
        let name = alert_words::name(alert.rule);
        html! {
            (language.say(name.0, name.1)) " · " span.id { (alert.subject) } " · "
            (language.say("lasted ", "持续 ")) (words::span(alert.at.since(alert.since), language))
            @if let Some(seen) = &alert.acknowledged { " · " (seen.by) }
            " · " (language.say("over ", "恢复于 ")) (layout::ago(Some(alert.at), self.now, &self.zone, language))
        }
    }
}

/// Whether its subject is the store, and says nothing more.
const fn of_whole_store(rule: Rule) -> bool {
    matches!(rule, Rule::Accuracy | Rule::StaleLabels | Rule::LowBatteries | Rule::Disk | Rule::Journal)
}

/// As one part of a path.
fn escaped(id: &str) -> String {
    url_query("", id).split_off(1)
}
