//! The overview: how many labels agree, what needs a person, and every glass as it is.

use std::sync::Arc;

use axum::extract::{Path, State};
use futures_util::future::try_join_all;
use gondola_protocol::{LabelId, Moment, Panel, StationId, StoreId};
use maud::{Markup, html};
use serde::Deserialize;

use super::attention::Attention;
use super::card::Card;
use super::matters::Matters;
use super::{PageProblem, layout, words};
use crate::controller::Controller;
use crate::fleet::health::Health;
use crate::fleet::station::Station;
use crate::run::store::StoreGone;
use crate::web::problem::Problem;
use crate::web::request::Params;
use crate::web::selection::{self, Filter, Picked, Selection};
use crate::web::{Shop, Web};

/// Cards of one page: what a browser shows without effort.
const CARDS_MAX: usize = 500;

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
    cards: Picked<Card>,
    search: Search,
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
pub(super) async fn all(State(web): State<Arc<Web>>) -> Result<Markup, PageProblem> {
    let limit = (CARDS_MAX / web.stores.len().max(1)).max(1);
    let seen = try_join_all(web.stores.values().map(|shop| see(shop, Search::default(), limit))).await?;
    let content = html! {
        @for seen in &seen { (seen.markup()) }
        @if seen.is_empty() { p { "No store is configured." } }
    };
    let title = match &seen[..] {
        [one] => one.name.clone(),
        _ => "Stores".to_owned(),
    };
    Ok(layout::page(&title, seen.first().map(|seen| seen.now), &content))
}

/// One store, with the search that its form asks for.
pub(super) async fn store(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
) -> Result<Markup, PageProblem> {
    let shop = web.shop(&store)?;
    let seen = see(shop, query.search()?, CARDS_MAX).await?;
    Ok(layout::page(&seen.name, Some(seen.now), &seen.markup()))
}

/// A store's summary, for the script.
pub(super) async fn summary(State(web): State<Arc<Web>>, Path(store): Path<String>) -> Result<Markup, PageProblem> {
    let shop = web.shop(&store)?;
    let summary = shop.handle.read(Summary::of).await?;
    Ok(summary.markup(shop.handle.id()))
}

async fn see(shop: &Shop, search: Search, limit: usize) -> Result<Seen, StoreGone> {
    let (store, name) = (shop.handle.id().clone(), shop.name.clone());
    let read = shop.handle.read(move |controller, now| {
        let mut selection = search.selection(limit);
        selection.filter.bound_only = search.is_plain();
        let cards = selection.pick(controller, now, |label| Card::of(controller, label, now));
        Seen { store, name, now, summary: Summary::of(controller, now), cards, search }
    });
    read.await
}

impl Seen {
    fn markup(&self) -> Markup {
        let store = &self.store;
        // A page that shows every bound label takes in those that are bound while it is open.
        let whole = self.search.is_plain() && self.search.after.is_none() && self.cards.next.is_none();
        html! {
            section.store data-store=(store) data-whole[whole] {
                h1 { a href={ "/stores/" (store) } { (self.name) } " " small { (store) } }
                div.summary { (self.summary.markup(store)) }
                (self.form())
                div.cards { @for card in &self.cards.items { (card.markup(store)) } }
                p.none hidden[!self.cards.items.is_empty()] { "No label to show here." }
                @if let Some(next) = self.cards.next {
                    p { a.button href=(self.following(next)) { "Show the next labels" } }
                }
            }
        }
    }

    fn form(&self) -> Markup {
        html! {
            form.search action={ "/stores/" (self.store) } role="search" {
                label {
                    span { "Find" }
                    input type="search" name="q" value=(self.search.text) placeholder="Product, SKU, aisle or label";
                }
                label {
                    span { "Health" }
                    select name="health" {
                        option value="" { "any" }
                        @for health in ORDER {
                            option value=(health) selected[self.search.health == Some(health)] { (words::health(health).name) }
                        }
                    }
                }
                @if let Some(problem) = self.search.problem {
                    input type="hidden" name="problem" value=(selection::problem_name(problem));
                }
                button { "Search all" }
                @if !self.search.is_plain() || self.search.after.is_some() {
                    a href={ "/stores/" (self.store) } { "Clear" }
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

/// `name=value` with everything escaped that is not plain.
fn url_query(name: &str, value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("{name}={}", value.bytes().map(escape).collect::<String>())
}

impl Summary {
    fn of(controller: &Controller, now: Moment) -> Self {
        let fleet = controller.fleet();
        let zone = &controller.catalog().settings().time_zone;
        let mut counts = ORDER.map(|health| (health, 0));
        let mut by_station = std::collections::BTreeMap::new();
        for label in fleet.labels() {
            let health = Health::of(label, now);
            counts.iter_mut().filter(|(counted, _)| *counted == health).for_each(|(_, count)| *count += 1);
            if let Some(station) = selection::base_station(controller, label) {
                *by_station.entry(station).or_insert(0) += 1;
            }
        }
        let station = |station: &Station| StationRow {
            since: layout::ago(station.since, now, zone),
            labels: by_station.get(&station.id).copied().unwrap_or(0),
            station: station.clone(),
        };
        let stranger = |(label, seen): (LabelId, &crate::fleet::SeenLabel)| Stranger {
            label,
            panel: seen.said.panel,
            station: seen.station.clone(),
            heard: layout::ago(Some(seen.at), now, zone),
        };
        Self {
            counts: counts.into_iter().filter(|(_, count)| *count > 0).collect(),
            attention: Attention::of(controller, now),
            matters: Matters::of(controller, now),
            stations: fleet.stations().map(station).collect(),
            strangers: fleet.seen().take(STRANGERS_MAX).map(stranger).collect(),
            strangers_count: fleet.seen().count(),
        }
    }

    fn count(&self, health: Health) -> usize {
        self.counts.iter().find(|(counted, _)| *counted == health).map_or(0, |(_, count)| *count)
    }

    fn markup(&self, store: &StoreId) -> Markup {
        let total: usize = self.counts.iter().map(|(_, count)| count).sum();
        let bound = total - self.count(Health::Unbound);
        html! {
            p.headline {
                @if bound == 0 {
                    "No label is bound to a product yet."
                } @else {
                    strong { (layout::number(self.count(Health::InSync))) }
                    " of " (layout::counted(bound, "label")) @if bound == 1 { " shows" } @else { " show" }
                    " the right picture"
                }
            }
            @if bound > 0 { (self.bar(bound)) }
            ul.legend {
                @for (health, count) in &self.counts {
                    li {
                        a href={ "/stores/" (store) "?health=" (health) } {
                            (layout::mark(*health)) " " (layout::number(*count))
                        }
                    }
                }
            }
            (self.matters.markup(store))
            (self.attention.markup(store))
            (self.base_stations())
            (self.unregistered(store))
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
        html! {
            section.stations {
                h2 { "Base stations" }
                ul {
                    @for StationRow { station, since, labels } in &self.stations {
                        @let up = station.capacity.is_some();
                        li {
                            span.mark data-health=(if up { "in_sync" } else { "faulty" }) { @if up { "Up" } @else { "Down" } }
                            " " strong { (station.id) }
                            @if up {
                                " · " (layout::counted(*labels, "label"))
                                " · " (layout::counted(station.transfers, "picture")) " on the way"
                            } @else {
                                " · " (words::sentence(station.away_because.as_deref().unwrap_or("it has not answered yet")))
                                " Check its power and its network."
                            }
                            @if station.since.is_some() { " · since " (since) }
                        }
                    }
                }
                @if self.stations.is_empty() { p.faint { "None is configured, so no label can be reached." } }
            }
        }
    }

    fn unregistered(&self, store: &StoreId) -> Markup {
        if self.strangers.is_empty() {
            return html! {};
        }
        html! {
            details.strangers {
                summary { (layout::counted(self.strangers_count, "label")) " heard that nobody registered" }
                p {
                    "They get nothing: they may be new, or a neighbour's. Register yours with "
                    code { "POST /v1/stores/" (store) "/labels" } "."
                }
                ul {
                    @for Stranger { label, panel, station, heard } in &self.strangers {
                        li { span.id { (label) } " · " (panel) " · heard by " (station) " · " (heard) }
                    }
                    @if self.strangers_count > self.strangers.len() {
                        li.faint { "and " (layout::number(self.strangers_count - self.strangers.len())) " more" }
                    }
                }
            }
        }
    }
}
