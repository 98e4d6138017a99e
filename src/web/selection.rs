//! Which labels a list shows: its filters, where it goes on, and how many at most.

use gondola_protocol::{LabelId, Moment, StationId};

use super::problem::Problem;
use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::fleet::health::{Health, Problem as LabelProblem};
use crate::fleet::label::Label;

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
        let mut chosen = ahead.filter(|label| self.filter.passes(controller, label, now));
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
            && (self.text.is_empty() || self.finds(controller, label))
    }

    fn finds(&self, controller: &Controller, label: &Label) -> bool {
        let found = |text: &str| text.to_lowercase().contains(&self.text);
        let position = &label.position;
        found(&label.id.to_string())
            || found(&place(label))
            || [&position.aisle, &position.shelf, &position.slot]
                .into_iter()
                .any(|part| part.to_lowercase() == self.text)
            || skus(label).iter().any(|sku| {
                let name = controller.catalog().product(sku).and_then(|product| product.name.as_deref());
                found(sku.as_str()) || name.is_some_and(found)
            })
    }
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
    let position = &label.position;
    let parts = [("aisle", &position.aisle), ("shelf", &position.shelf), ("slot", &position.slot)];
    let said = parts.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(word, text)| format!("{word} {text}")).collect::<Vec<_>>().join(", ")
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
