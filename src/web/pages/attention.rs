//! What needs a person first: which label or base station, where it hangs, and what to do.

use gondola_protocol::{LabelId, Moment, StoreId};
use maud::{Markup, html};

use super::{layout, words};
use crate::controller::Controller;
use crate::fleet::health::{Health, Problem as LabelProblem};
use crate::fleet::label::Label;
use crate::web::selection;

/// Labels named per kind of trouble: what one person walks to in one round. The rest is one link away.
const NAMED_MAX: usize = 5;

/// Kinds of trouble, the most urgent first.
const KINDS: [Kind; 4] =
    [Kind::Health(Health::Faulty), Kind::Health(Health::Stale), Kind::Health(Health::Offline), Kind::LowBattery];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Health(Health),
    LowBattery,
}

/// Everything that needs a person.
#[derive(Debug)]
pub(super) struct Attention {
    groups: Vec<Group>,
}

/// The labels with one kind of trouble.
#[derive(Debug)]
struct Group {
    kind: Kind,
    count: usize,
    named: Vec<Named>,
}

/// A label in trouble.
#[derive(Debug)]
struct Named {
    label: LabelId,
    place: String,
    product: Option<String>,
    trouble: String,
}

impl Kind {
    fn holds(self, label: &Label, now: Moment) -> bool {
        match self {
            Self::Health(health) => Health::of(label, now) == health,
            Self::LowBattery => LabelProblem::of(label).any(|problem| problem == LabelProblem::LowBattery),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Health(health) => words::health(health).name,
            Self::LowBattery => "Low battery",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Health(health) => words::health(health).action,
            Self::LowBattery => "Change its battery within the week.",
        }
    }

    fn query(self) -> String {
        match self {
            Self::Health(health) => format!("health={health}"),
            Self::LowBattery => "problem=low_battery".to_owned(),
        }
    }

    /// The mark's colour.
    const fn shade(self) -> Health {
        match self {
            Self::Health(health) => health,
            Self::LowBattery => Health::Stale,
        }
    }

    fn trouble(self, label: &Label, now: Moment) -> String {
        match self {
            Self::Health(Health::Faulty) => words::sentence(label.fault.as_deref().unwrap_or_default()),
            Self::Health(Health::Stale) => {
                let wanted = label.desired.as_ref().map_or(now, |desired| desired.since);
                format!("Wrong for {}.", layout::since(now.since(wanted)))
            }
            Self::Health(_) => match label.last_check_in {
                Some(heard) => format!("Not heard for {}.", layout::since(now.since(heard))),
                None => "Never heard.".to_owned(),
            },
            Self::LowBattery => {
                let battery = label.battery_mv.map_or(0, |battery| battery.0);
                format!("Battery at {}.{:02} V.", battery / 1_000, battery % 1_000 / 10)
            }
        }
    }
}

impl Attention {
    pub(super) fn of(controller: &Controller, now: Moment) -> Self {
        let group = |kind: Kind| {
            let mut troubled = controller.fleet().labels().filter(|label| kind.holds(label, now));
            let named: Vec<Named> =
                troubled.by_ref().take(NAMED_MAX).map(|label| Named::of(controller, label, kind, now)).collect();
            Group { kind, count: named.len() + troubled.count(), named }
        };
        Self { groups: KINDS.into_iter().map(group).filter(|group| group.count > 0).collect() }
    }

    pub(super) fn markup(&self, store: &StoreId) -> Markup {
        if self.groups.is_empty() {
            return html! {};
        }
        html! {
            section.attention {
                h2 { "Needs a person" }
                @for group in &self.groups {
                    h3 {
                        span.mark data-health=(group.kind.shade()) { (group.kind.name()) }
                        " " (layout::counted(group.count, "label")) ". "
                        span.action { (group.kind.action()) }
                    }
                    ul {
                        @for named in &group.named { (named.markup(store)) }
                        @if group.count > group.named.len() {
                            li {
                                a href={ "/stores/" (store) "?" (group.kind.query()) } {
                                    "and " (layout::number(group.count - group.named.len())) " more"
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Named {
    fn of(controller: &Controller, label: &Label, kind: Kind, now: Moment) -> Self {
        let product = selection::skus(label).first().map(|sku| {
            let name = controller.catalog().product(sku).and_then(|product| product.name.clone());
            name.unwrap_or_else(|| sku.to_string())
        });
        Self { label: label.id, place: selection::place(label), product, trouble: kind.trouble(label, now) }
    }

    fn markup(&self, store: &StoreId) -> Markup {
        html! {
            li {
                a href={ "/stores/" (store) "/labels/" (self.label) } {
                    @if self.place.is_empty() { "Label " (self.label) } @else { (words::capital(&self.place)) }
                }
                @if let Some(product) = &self.product { " · " (product) }
                " · " span.faint { (self.trouble) }
            }
        }
    }
}
