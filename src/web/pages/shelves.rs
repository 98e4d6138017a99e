//! The shop as it stands: the labels of an aisle by shelf and position, each with its glass.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use gondola_protocol::Moment;
use maud::{Markup, html};
use serde::Deserialize;
use smol_str::SmolStr;

use super::card::Card;
use super::layout::Frame;
use super::{PageProblem, url_query};
use crate::controller::Controller;
use crate::fleet::health::Health;
use crate::web::Web;
use crate::web::language::Language;
use crate::web::request::Params;

/// Glasses of one page; an aisle with more is longer than a browser bears, and its rest is found by search.
const CARDS_MAX: usize = 600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    aisle: Option<String>,
}

/// A name of an aisle, shelf or slot; ordered as people count, `2` before `10`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place(SmolStr);

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let number = |place: &Self| place.0.parse::<u64>().map_err(|_| ());
        number(self).cmp(&number(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What the page shows.
struct Seen {
    /// Every aisle, with its labels that are not in sync.
    aisles: BTreeMap<Place, usize>,
    /// The aisle that is shown, and its shelves from top to bottom.
    aisle: Option<Place>,
    shelves: BTreeMap<Place, Vec<Card>>,
    left_out: usize,
    now: Moment,
}

/// The page.
pub(super) async fn page(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
    frame: Frame,
) -> Result<Markup, PageProblem> {
    let (shop, language) = (web.shop(&store)?, frame.language);
    let seen = shop
        .handle
        .read(move |controller, now| Seen::of(controller, now, query.aisle.map(|aisle| Place(aisle.into())), language))
        .await?;
    let id = shop.handle.id();
    let title = frame.say("Shelves", "货架");
    let content = html! {
        section.shelves data-store=(id) {
            p.path { a href={ "/stores/" (id) } { (shop.name) } }
            h1 { (title) }
            @if seen.aisles.is_empty() { p { (frame.say("No label has a position yet.", "尚无价签设置位置。")) } }
            ul.aisles {
                @for (aisle, wrong) in &seen.aisles {
                    li { a.button href={ "?" (url_query("aisle", &aisle.0)) } aria-current=[(Some(aisle) == seen.aisle.as_ref()).then_some("page")] {
                        (frame.say("Aisle ", "通道 ")) (aisle.0)
                        @if *wrong > 0 { " " span.wrong title=(frame.say("not right", "未同步")) { (wrong) } }
                    } }
                }
            }
            @for (shelf, cards) in &seen.shelves {
                h2 { (frame.say("Shelf ", "货架层 ")) (shelf.0) }
                div.cards.row-of-shelf { @for card in cards { (card.markup(id)) } }
            }
            @if seen.left_out > 0 { p.faint { (frame.say("Labels that are not shown: ", "未显示的价签：")) (seen.left_out) } }
        }
    };
    Ok(frame.page(&format!("{title} · {}", shop.name), Some(seen.now), &content))
}

impl Seen {
    fn of(controller: &Controller, now: Moment, asked: Option<Place>, language: Language) -> Self {
        let placed = || controller.fleet().labels().filter(|label| !label.position.aisle.is_empty());
        let mut aisles = BTreeMap::new();
        for label in placed() {
            let wrong = !matches!(Health::of(label, now), Health::InSync | Health::Unbound);
            *aisles.entry(Place(label.position.aisle.clone())).or_insert(0) += usize::from(wrong);
        }
        let aisle = asked.or_else(|| aisles.keys().next().cloned());
        let here =
            |label: &&crate::fleet::label::Label| Some(&label.position.aisle) == aisle.as_ref().map(|place| &place.0);
        let in_order: BTreeSet<_> = placed()
            .filter(here)
            .map(|label| (Place(label.position.shelf.clone()), Place(label.position.slot.clone()), label.id))
            .collect();
        let left_out = in_order.len().saturating_sub(CARDS_MAX);
        let mut shelves: BTreeMap<Place, Vec<Card>> = BTreeMap::new();
        for (shelf, _, id) in in_order.into_iter().take(CARDS_MAX) {
            if let Some(label) = controller.fleet().label(id) {
                shelves.entry(shelf).or_default().push(Card::of(controller, label, now, language));
            }
        }
        Self { aisles, aisle, shelves, left_out, now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_as_people_count() {
        let mut places = ["10", "2", "B", "1", "A1"].map(|text| Place(text.into()));
        places.sort();
        assert_eq!(places.map(|place| place.0), ["1", "2", "10", "A1", "B"]);
    }
}
