//! The overview: how many labels agree, what needs a person, and every glass as it is.

use std::sync::Arc;

use axum::extract::{Path, State};
use futures_util::future::try_join_all;
use gondola_protocol::{LabelId, Moment, Panel, StationId, StoreId};
use maud::{Markup, html};
use serde::Deserialize;

use super::attention::Attention;
use super::card::Card;
use super::layout::{self, Frame};
use super::matters::{Decides, Matters};
use super::{PageProblem, plot, url_query, words};
use crate::accounts::{Role, Visitor};
use crate::controller::Controller;
use crate::fleet::health::Health;
use crate::fleet::station::Station;
use crate::instant;
use crate::run::store::StoreGone;
use crate::web::language::Language;
use crate::web::problem::Problem;
use crate::web::request::Params;
use crate::web::selection::{self, Filter, Picked, Selection};
use crate::web::{Shop, Web};

/// Cards of one page: what a browser shows without effort.
const CARDS_MAX: usize = 500;

/// For how long the page's button registers labels unasked: each label that is awake reports within that time.
const ENROLMENT_MINUTES: u64 = 15;

/// Unregistered labels of one page; who registers thousands does it over REST.
const STRANGERS_MAX: usize = 100;

/// The order of healths in bar and legend: what is right, what will be, what needs somebody, what is apart.
const ORDER: [Health; 8] = [
    Health::InSync,
    Health::Delivered,
    Health::InFlight,
    Health::Pending,
    Health::Stale,
    Health::Offline,
    Health::Faulty,
    Health::Unbound,
];

/// The way of every picture. The legend names these also while no label is there: if they came and went as they do each
/// second, everything below would move.
const WAY: [Health; 4] = [Health::InSync, Health::Delivered, Health::InFlight, Health::Pending];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    health: Option<String>,
    problem: Option<String>,
    q: Option<String>,
    after: Option<String>,
}

/// What the search form holds.
#[derive(Debug, Clone, Default)]
struct Search {
    health: Option<Health>,
    problem: Option<crate::fleet::health::Problem>,
    text: String,
    after: Option<LabelId>,
}

/// A store as its section shows it.
#[derive(Debug)]
struct Seen {
    store: StoreId,
    name: String,
    now: Moment,
    summary: Summary,
    plot: Markup,
    cards: Picked<Card>,
    search: Search,
    language: Language,
}

/// The part of a section that changes all the time.
#[derive(Debug)]
struct Summary {
    counts: Vec<(Health, usize)>,
    attention: Attention,
    matters: Matters,
    stations: Vec<StationRow>,
    strangers: Vec<Stranger>,
    strangers_count: usize,
    /// Until when they are registered unasked, as people say it.
    enrols_until: Option<String>,
    language: Language,
}

#[derive(Debug)]
struct StationRow {
    station: Station,
    since: Markup,
    labels: usize,
}

/// A label that was heard and is not registered.
#[derive(Debug)]
struct Stranger {
    label: LabelId,
    panel: Panel,
    station: StationId,
    heard: Markup,
}

impl Query {
    fn search(self) -> Result<Search, Problem> {
        // A form sends its fields even when nobody chose anything.
        let chosen = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Search {
            health: chosen(self.health).as_deref().map(selection::health).transpose()?,
            problem: chosen(self.problem).as_deref().map(selection::problem).transpose()?,
            text: self.q.unwrap_or_default().trim().to_owned(),
            after: chosen(self.after).map(|after| after.parse()).transpose().map_err(Problem::bad_request)?,
        })
    }
}

impl Search {
    const fn is_plain(&self) -> bool {
        self.health.is_none() && self.problem.is_none() && self.text.is_empty()
    }

    fn selection(&self, limit: usize) -> Selection {
        let filter =
            Filter { health: self.health, problem: self.problem, text: self.text.to_lowercase(), ..Filter::default() };
        Selection { filter, after: self.after, limit }
    }
}

/// Every store.
pub(super) async fn all(State(web): State<Arc<Web>>, visitor: Visitor, frame: Frame) -> Result<Markup, PageProblem> {
    let limit = (CARDS_MAX / web.shops(&visitor).count().max(1)).max(1);
    let seen =
        try_join_all(web.shops(&visitor).map(|shop| see(shop, Search::default(), limit, frame.language))).await?;
    let content = html! {
        @for seen in &seen { (seen.markup(&visitor)) }
        @if seen.is_empty() { p { (frame.say("There is no store that you may look into.", "没有您可以查看的门店。")) } }
    };
    let title = match &seen[..] {
        [one] => one.name.clone(),
        _ => frame.say("Stores", "门店").to_owned(),
    };
    Ok(frame.page(&title, seen.first().map(|seen| seen.now), &content))
}

/// One store, with the search that its form asks for.
pub(super) async fn store(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
    visitor: Visitor,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let shop = web.shop(&store)?;
    let seen = see(shop, query.search()?, CARDS_MAX, frame.language).await?;
    Ok(frame.page(&seen.name, Some(seen.now), &seen.markup(&visitor)))
}

/// A store's summary, for the script.
pub(super) async fn summary(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    visitor: Visitor,
    language: Language,
) -> Result<Markup, PageProblem> {
    let shop = web.shop(&store)?;
    let summary = shop.handle.read(move |controller, now| Summary::of(controller, now, language)).await?;
    Ok(summary.markup(shop.handle.id(), &visitor))
}

async fn see(shop: &Shop, search: Search, limit: usize, language: Language) -> Result<Seen, StoreGone> {
    let (store, name) = (shop.handle.id().clone(), shop.name.clone());
    let read = shop.handle.read(move |controller, now| {
        let mut selection = search.selection(limit);
        selection.filter.bound_only = search.is_plain();
        let cards = selection.pick(controller, now, |label| Card::of(controller, label, now, language));
        let plot = plot::accuracy(controller, now, language);
        Seen { store, name, now, summary: Summary::of(controller, now, language), plot, cards, search, language }
    });
    read.await
}

impl Seen {
    fn markup(&self, visitor: &Visitor) -> Markup {
        let (store, language) = (&self.store, self.language);
        // A page that shows every bound label takes in those that are bound while it is open.
        let whole = self.search.is_plain() && self.search.after.is_none() && self.cards.next.is_none();
        html! {
            section.store data-store=(store) data-whole[whole] {
                h1 { a href={ "/stores/" (store) } { (self.name) } " " small { (store) } }
                p.ways {
                    a.button href={ "/stores/" (store) "/shelves" } { (language.say("Shelves", "货架")) }
                    a.button href={ "/stores/" (store) "/alerts" } { (language.say("Alerts", "告警")) }
                    @if visitor.may_in(Role::Staff, store) { a.button href={ "/stores/" (store) "/bind" } { (language.say("Bind labels", "绑定价签")) } }
                    @if visitor.may_in(Role::Manager, store) { a.button href={ "/stores/" (store) "/push" } { (language.say("Send pictures", "推送画面")) } }
                }
                div.summary { (self.summary.markup(store, visitor)) }
                (self.plot)
                (self.form())
                div.cards { @for card in &self.cards.items { (card.markup(store)) } }
                p.none hidden[!self.cards.items.is_empty()] { (language.say("No label to show here.", "没有可显示的价签。")) }
                @if let Some(next) = self.cards.next {
                    p { a.button href=(self.following(next)) { (language.say("Show the next labels", "显示下一页")) } }
                }
            }
        }
    }

    fn form(&self) -> Markup {
        let language = self.language;
        html! {
            form.search action={ "/stores/" (self.store) } role="search" {
                label {
                    span { (language.say("Find", "查找")) }
                    input type="search" name="q" value=(self.search.text) placeholder=(language.say("Product, SKU, aisle or label", "商品、编号、通道或价签"));
                }
                label {
                    span { (language.say("Health", "状态")) }
                    select name="health" {
                        option value="" { (language.say("any", "全部")) }
                        @for health in ORDER {
                            option value=(health) selected[self.search.health == Some(health)] { (words::health(health, language).name) }
                        }
                    }
                }
                @if let Some(problem) = self.search.problem {
                    input type="hidden" name="problem" value=(selection::problem_name(problem));
                }
                button { (language.say("Search all", "搜索全部")) }
                @if !self.search.is_plain() || self.search.after.is_some() {
                    a href={ "/stores/" (self.store) } { (language.say("Clear", "清除")) }
                }
            }
        }
    }

    fn following(&self, next: LabelId) -> String {
        let mut query = url_query("after", &next.to_string());
        if let Some(health) = self.search.health {
            query += &url_query("&health", health.as_str());
        }
        if let Some(problem) = self.search.problem {
            query += &url_query("&problem", selection::problem_name(problem));
        }
        if !self.search.text.is_empty() {
            query += &url_query("&q", &self.search.text);
        }
        format!("/stores/{}?{query}", self.store)
    }
}

impl Summary {
    fn of(controller: &Controller, now: Moment, language: Language) -> Self {
        let fleet = controller.fleet();
        let zone = &controller.catalog().settings().time_zone;
        let mut counts = ORDER.map(|health| (health, 0));
        let mut by_station = std::collections::BTreeMap::new();
        let mut attention = Attention::new(language);
        for label in fleet.labels() {
            let health = Health::of(label, now);
            counts.iter_mut().filter(|(counted, _)| *counted == health).for_each(|(_, count)| *count += 1);
            attention.note(controller, label, health, now);
            if let Some(station) = selection::base_station(controller, label) {
                *by_station.entry(station).or_insert(0) += 1;
            }
        }
        let is_bound = counts.iter().any(|(health, count)| *health != Health::Unbound && *count > 0);
        let is_named = |(health, count): &(Health, usize)| *count > 0 || is_bound && WAY.contains(health);
        let station = |station: &Station| StationRow {
            since: layout::ago(station.since, now, zone, language),
            labels: by_station.get(&station.id).copied().unwrap_or(0),
            station: station.clone(),
        };
        let stranger = |(label, seen): (LabelId, &crate::fleet::SeenLabel)| Stranger {
            label,
            panel: seen.said.panel,
            station: seen.station.clone(),
            heard: layout::ago(Some(seen.at), now, zone, language),
        };
        Self {
            counts: counts.into_iter().filter(is_named).collect(),
            attention,
            matters: Matters::of(controller, now, language),
            stations: fleet.stations().map(station).collect(),
            strangers: fleet.seen().take(STRANGERS_MAX).map(stranger).collect(),
            strangers_count: fleet.seen().count(),
            enrols_until: controller.enrols_until(now).map(|until| instant::on_the_clock(until, now, zone)),
            language,
        }
    }

    fn count(&self, health: Health) -> usize {
        self.counts.iter().find(|(counted, _)| *counted == health).map_or(0, |(_, count)| *count)
    }

    fn markup(&self, store: &StoreId, visitor: &Visitor) -> Markup {
        let total: usize = self.counts.iter().map(|(_, count)| count).sum();
        let bound = total - self.count(Health::Unbound);
        let language = self.language;
        html! {
            p.headline {
                @if bound == 0 {
                    (language.say("No label is bound to a product yet.", "尚无价签绑定商品。"))
                } @else {
                    strong { (layout::number(self.count(Health::InSync))) }
                    (language.say(" of ", " / ")) (layout::counted(bound, layout::LABELS, language))
                    (language.say(if bound == 1 { " shows the right picture" } else { " show the right picture" }, "显示正确"))
                }
            }
            @if bound > 0 { (self.bar(bound)) }
            ul.legend {
                @for (health, count) in &self.counts {
                    li {
                        a href={ "/stores/" (store) "?health=" (health) } {
                            (layout::mark(*health, language)) " " (layout::number(*count))
                        }
                    }
                }
            }
            (self.matters.markup(store, visitor.may_in(Role::Manager, store).then_some(Decides)))
            (self.attention.markup(store))
            (self.base_stations())
            (self.unregistered(store, visitor))
        }
    }

    /// The bound labels by health, each part as wide as its share.
    fn bar(&self, bound: usize) -> Markup {
        let mut from = 0;
        let parts = self.counts.iter().filter(|(health, _)| *health != Health::Unbound).map(|(health, count)| {
            let start = from;
            from += count;
            (*health, start, *count)
        });
        html! {
            svg.bar viewBox={ "0 0 " (bound) " 1" } preserveAspectRatio="none" aria-hidden="true" {
                @for (health, start, count) in parts {
                    rect data-health=(health) x=(start) y="0" width=(count) height="1" {}
                }
            }
        }
    }

    fn base_stations(&self) -> Markup {
        let language = self.language;
        html! {
            section.stations {
                h2 { (language.say("Base stations", "基站")) }
                ul {
                    @for StationRow { station, since, labels } in &self.stations {
                        @let up = station.capacity.is_some();
                        li {
                            span.mark data-health=(if up { "in_sync" } else { "faulty" }) { @if up { (language.say("Up", "在线")) } @else { (language.say("Down", "离线")) } }
                            " " strong { (station.id) }
                            @if up {
                                " · " (layout::counted(*labels, layout::LABELS, language))
                                " · " (layout::counted(station.transfers, ("picture", "个画面"), language)) (language.say(" on the way", "发送中"))
                            } @else {
                                " · " (words::sentence(station.away_because.as_deref().unwrap_or("it has not answered yet")))
                                (language.say(" Check its power and its network.", " 请检查电源和网络。"))
                            }
                            @if station.since.is_some() { (language.say(" · since ", " · 自 ")) (since) }
                        }
                    }
                }
                @if self.stations.is_empty() { p.faint { (language.say("None is configured, so no label can be reached.", "未配置基站，无法连接价签。")) } }
            }
        }
    }

    /// Whether labels that report are registered unasked, and the button that changes it.
    fn enrolment(&self, store: &StoreId) -> Markup {
        let language = self.language;
        let path = format!("/v1/stores/{store}/enrolment");
        html! {
            @if let Some(until) = &self.enrols_until {
                p {
                    (language.say("Every label that reports is registered until ", "在此之前上报的价签将自动登记：")) (until) " "
                    button type="button" data-post=(path) data-body=r#"{"minutes":0}"# { (language.say("Stop now", "立即停止")) }
                }
            } @else {
                p {
                    button type="button" data-post=(path) data-body=(format!(r#"{{"minutes":{ENROLMENT_MINUTES}}}"#)) {
                        (language.say("Register every label that reports in the next 15 minutes", "登记未来 15 分钟内上报的所有价签"))
                    }
                }
            }
        }
    }

    fn unregistered(&self, store: &StoreId, visitor: &Visitor) -> Markup {
        if self.strangers.is_empty() && self.enrols_until.is_none() {
            return html! {};
        }
        let language = self.language;
        let may_register = visitor.may_in(Role::Staff, store);
        html! {
            details.strangers open[self.enrols_until.is_some()] {
                summary { (layout::counted(self.strangers_count, layout::LABELS, language)) (language.say(" heard that nobody registered", "未登记但已收到信号")) }
                p {
                    (language.say("They get nothing: they may be new, or a neighbour's. Yours are registered when they are bound: ", "未登记的价签不会更新：可能是新价签，也可能属于邻店。绑定时自动登记："))
                    a href={ "/stores/" (store) "/bind" } { (language.say("Bind labels", "绑定价签")) }
                }
                @if visitor.may_in(Role::Manager, store) { (self.enrolment(store)) }
                ul {
                    @for Stranger { label, panel, station, heard } in &self.strangers {
                        li {
                            span.id { (label) } " · " (panel) " · " (station) " · " (heard)
                            @if may_register {
                                " " button type="button" data-post={ "/v1/stores/" (store) "/labels" } data-body=(registration(*label, *panel)) {
                                    (language.say("Register", "登记"))
                                }
                            }
                        }
                    }
                    @if self.strangers_count > self.strangers.len() {
                        li.faint { (language.say("and ", "还有 ")) (layout::number(self.strangers_count - self.strangers.len())) (language.say(" more", " 张")) }
                    }
                }
            }
        }
    }
}

/// What the registration of a label takes.
fn registration(label: LabelId, panel: Panel) -> String {
    serde_json::json!({ "items": [{ "label": label, "panel": panel }] }).to_string()
}
