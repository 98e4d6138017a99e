//! Which labels a list shows: its filters, where it goes on, and how many at most.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use gondola_protocol::{LabelId, Moment, StationId};

use super::problem::Problem;
use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::fleet::health::{Health, Problem as LabelProblem};
use crate::fleet::label::Label;

/// Products that are found by name first, so that their labels are known at once. A text that finds more is in so many
/// names that a page of labels is full before long.
const NAMED_MAX: usize = 1_000;

/// Which labels.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) health: Option<Health>,
    pub(super) problem: Option<LabelProblem>,
    pub(super) base_station: Option<StationId>,
    pub(super) sku: Option<Sku>,
    /// Lower-case text to find in id, products and position; empty for every label.
    pub(super) text: String,
    /// Leave out labels that show no product.
    pub(super) bound_only: bool,
}

/// A stretch of the labels that pass a filter.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) filter: Filter,
    /// The last label of the stretch before.
    pub(super) after: Option<LabelId>,
    pub(super) limit: usize,
}

/// What a selection gave.
#[derive(Debug)]
pub(super) struct Picked<T> {
    pub(super) items: Vec<T>,
    /// The last label, if more follow.
    pub(super) next: Option<LabelId>,
}

impl Selection {
    /// Takes the labels that are selected, in the order of their ids.
    pub(super) fn pick<T>(&self, controller: &Controller, now: Moment, take: impl Fn(&Label) -> T) -> Picked<T> {
        let ahead = controller.fleet().labels().filter(|label| self.after.is_none_or(|after| label.id > after));
        let mut finder = Finder::of(&self.filter.text, controller);
        let mut chosen = ahead.filter(|label| self.filter.passes(controller, label, now) && finder.finds(label));
        let mut items = Vec::new();
        let mut last = None;
        for label in chosen.by_ref().take(self.limit) {
            items.push(take(label));
            last = Some(label.id);
        }
        let next = last.filter(|_| chosen.next().is_some());
        Picked { items, next }
    }
}

impl Filter {
    fn passes(&self, controller: &Controller, label: &Label, now: Moment) -> bool {
        (!self.bound_only || label.binding.is_some())
            && self.health.is_none_or(|health| Health::of(label, now) == health)
            && self.problem.is_none_or(|problem| LabelProblem::of(label).any(|found| found == problem))
            && self.base_station.as_ref().is_none_or(|station| base_station(controller, label) == Some(station))
            && self.sku.as_ref().is_none_or(|sku| skus(label).contains(sku))
    }
}

/// Finds a lower-case text in labels: in id, products and position. It looks at every label of a store in one turn, so it
/// makes no text anew for each.
struct Finder<'a> {
    text: &'a str,
    controller: &'a Controller,
    /// The labels of the products that have it in their names; none where there are too many of these.
    named: Option<BTreeSet<LabelId>>,
    place: String,
}

impl<'a> Finder<'a> {
    fn of(text: &'a str, controller: &'a Controller) -> Self {
        let named = || {
            let products = controller.catalog().products();
            let has_it = |name: &str| holds(name, text);
            let mut found = products.filter(|product| product.name.as_deref().is_some_and(has_it));
            let named = found.by_ref().take(NAMED_MAX);
            let labels = named.flat_map(|product| controller.fleet().labels_of(&product.sku)).collect();
            found.next().is_none().then_some(labels)
        };
        let named = if text.is_empty() { None } else { named() };
        Self { text, controller, named, place: String::new() }
    }

    fn finds(&mut self, label: &Label) -> bool {
        let text = self.text;
        if text.is_empty() {
            return true;
        }
        if let Some(named) = &self.named
            && named.contains(&label.id)
        {
            return true;
        }
        let position = &label.position;
        self.place.clear();
        // A text takes what is written to it.
        let _ = write!(self.place, "{} ", label.id);
        write_place(label, &mut self.place);
        let name_of = |sku: &Sku| self.controller.catalog().product(sku)?.name.as_deref();
        holds(&self.place, text)
            || [&position.aisle, &position.shelf, &position.slot].into_iter().any(|part| is(part, text))
            || skus(label).iter().any(|sku| {
                holds(sku.as_str(), text) || self.named.is_none() && name_of(sku).is_some_and(|name| holds(name, text))
            })
    }
}

/// Whether a text has a lower-case one in it, in whatever case.
pub(super) fn holds(text: &str, lower: &str) -> bool {
    if !lower.is_ascii() {
        return text.contains(lower) || text.chars().any(char::is_uppercase) && text.to_lowercase().contains(lower);
    }
    let (text, wanted) = (text.as_bytes(), lower.as_bytes());
    let Some(first) = wanted.first() else { return true };
    // Where it may begin is found many bytes at a time: this looks at every text of a store.
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text)
        .any(|at| text[at..].get(..wanted.len()).is_some_and(|here| here.eq_ignore_ascii_case(wanted)))
}

/// Whether a text is a lower-case one, in whatever case.
fn is(text: &str, lower: &str) -> bool {
    if lower.is_ascii() { text.eq_ignore_ascii_case(lower) } else { text.to_lowercase() == lower }
}

/// The base station that a label's pictures go through: the one that carries one now, else the best.
pub(super) fn base_station<'a>(controller: &'a Controller, label: &'a Label) -> Option<&'a StationId> {
    let carrying = label.under_way.as_ref().map(|under_way| &under_way.station);
    carrying.or_else(|| controller.fleet().station_for(label).map(|station| &station.id))
}

/// The products that a label is bound to.
pub(super) fn skus(label: &Label) -> &[Sku] {
    label.binding.as_ref().map_or(&[], |binding| &binding.skus)
}

/// Where a label hangs, in words: `aisle 3, shelf 2, slot 5`; empty when nobody said.
pub(super) fn place(label: &Label) -> String {
    let mut place = String::new();
    write_place(label, &mut place);
    place
}

fn write_place(label: &Label, place: &mut String) {
    let position = &label.position;
    let parts = [("aisle", &position.aisle), ("shelf", &position.shelf), ("slot", &position.slot)];
    let mut comma = "";
    for (word, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        place.extend([comma, word, " ", text]);
        comma = ", ";
    }
}

/// A health by its name on the wire.
pub(super) fn health(name: &str) -> Result<Health, Problem> {
    Health::ALL.into_iter().find(|health| health.as_str() == name).ok_or_else(|| {
        let known = Health::ALL.map(Health::as_str).join(", ");
        Problem::bad_request(format!("health `{name}` is not known; expected one of {known}"))
    })
}

/// Every problem.
pub(super) const PROBLEMS: [LabelProblem; 2] = [LabelProblem::LowBattery, LabelProblem::NeverHeard];

/// A problem's name on the wire.
pub(super) const fn problem_name(problem: LabelProblem) -> &'static str {
    match problem {
        LabelProblem::LowBattery => "low_battery",
        LabelProblem::NeverHeard => "never_heard",
    }
}

/// A problem by its name on the wire.
pub(super) fn problem(name: &str) -> Result<LabelProblem, Problem> {
    PROBLEMS.into_iter().find(|problem| problem_name(*problem) == name).ok_or_else(|| {
        let known = PROBLEMS.map(problem_name).join(", ");
        Problem::bad_request(format!("problem `{name}` is not known; expected one of {known}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_whatever_case() {
        for (text, lower, found) in [
            ("Product 999", "product 9", true),
            ("0000021B6D403B1E", "1b6d", true),
            ("加州开心果 Pistachios", "开心", true),
            ("加州开心果 Pistachios", "pistachio", true),
            ("Imkerei GRÜNWÄLDER", "grünwälder", true),
            ("加州开心果", "蜂蜜", false),
            ("short", "longer than it", false),
            ("anything", "", true),
        ] {
            assert_eq!(holds(text, lower), found, "{lower} in {text}");
        }
    }
}
