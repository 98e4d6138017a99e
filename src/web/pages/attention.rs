//! What needs a person first: which label or base station, where it hangs, and what to do.

use gondola_protocol::{LabelId, Moment, StoreId};
use maud::{Markup, html};

use super::{layout, words};
use crate::controller::Controller;
use crate::fleet::health::{Health, Problem as LabelProblem};
use crate::fleet::label::Label;
use crate::web::language::Language;
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
    language: Language,
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
    fn holds(self, label: &Label, of_label: Health) -> bool {
        match self {
            Self::Health(health) => of_label == health,
            Self::LowBattery => LabelProblem::of(label).any(|problem| problem == LabelProblem::LowBattery),
        }
    }

    fn name(self, language: Language) -> &'static str {
        match self {
            Self::Health(health) => words::health(health, language).name,
            Self::LowBattery => language.say("Low battery", "电量低"),
        }
    }

    fn action(self, language: Language) -> &'static str {
        match self {
            Self::Health(health) => words::health(health, language).action,
            Self::LowBattery => language.say("Change its battery within the week.", "请在一周内更换电池。"),
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

    fn trouble(self, label: &Label, now: Moment, language: Language) -> String {
        let since = |moment| words::span(now.since(moment), language);
        match self {
            Self::Health(Health::Faulty) => words::sentence(label.trouble().fault.as_deref().unwrap_or_default()),
            Self::Health(Health::Stale) => {
                let wanted = label.desired.as_ref().map_or(now, |desired| desired.since);
                match language {
                    Language::English => format!("Wrong for {}.", since(wanted)),
                    Language::Chinese => format!("有误已 {}。", since(wanted)),
                }
            }
            Self::Health(_) => match label.last_check_in {
                Some(heard) if language == Language::Chinese => format!("已 {} 无信号。", since(heard)),
                Some(heard) => format!("Not heard for {}.", since(heard)),
                None => language.say("Never heard.", "从未收到信号。").to_owned(),
            },
            Self::LowBattery => {
                let battery = label.battery_mv.map_or(0, |battery| battery.0);
                let volts = format!("{}.{:02} V", battery / 1_000, battery % 1_000 / 10);
                match language {
                    Language::English => format!("Battery at {volts}."),
                    Language::Chinese => format!("电池电压 {volts}。"),
                }
            }
        }
    }
}

impl Attention {
    /// Before any label was looked at.
    pub(super) fn new(language: Language) -> Self {
        let group = |kind| Group { kind, count: 0, named: Vec::new() };
        Self { groups: KINDS.into_iter().map(group).collect(), language }
    }

    /// Takes a label in, if it is in trouble.
    pub(super) fn note(&mut self, controller: &Controller, label: &Label, health: Health, now: Moment) {
        let language = self.language;
        for group in self.groups.iter_mut().filter(|group| group.kind.holds(label, health)) {
            group.count += 1;
            if group.named.len() < NAMED_MAX {
                group.named.push(Named::of(controller, label, group.kind, (now, language)));
            }
        }
    }

    pub(super) fn markup(&self, store: &StoreId) -> Markup {
        if self.groups.iter().all(|group| group.count == 0) {
            return html! {};
        }
        let language = self.language;
        html! {
            section.attention {
                h2 { (language.say("Needs a person", "需要处理")) }
                @for group in self.groups.iter().filter(|group| group.count > 0) {
                    h3 {
                        span.mark data-health=(group.kind.shade()) { (group.kind.name(language)) }
                        " " (layout::counted(group.count, layout::LABELS, language)) (language.say(". ", "。"))
                        span.action { (group.kind.action(language)) }
                    }
                    ul {
                        @for named in &group.named { (named.markup(store, language)) }
                        @if group.count > group.named.len() {
                            li {
                                a href={ "/stores/" (store) "?" (group.kind.query()) } {
                                    (language.say("and ", "还有 ")) (layout::number(group.count - group.named.len())) (language.say(" more", " 张"))
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
    fn of(controller: &Controller, label: &Label, kind: Kind, (now, language): (Moment, Language)) -> Self {
        let product = selection::skus(label).first().map(|sku| {
            let name = controller.catalog().product(sku).and_then(|product| product.name.clone());
            name.map_or_else(|| sku.to_string(), Into::into)
        });
        let (place, trouble) = (words::place(label, language), kind.trouble(label, now, language));
        Self { label: label.id, place, product, trouble }
    }

    fn markup(&self, store: &StoreId, language: Language) -> Markup {
        html! {
            li {
                a href={ "/stores/" (store) "/labels/" (self.label) } {
                    @if self.place.is_empty() { (language.say("Label ", "价签 ")) (self.label) } @else { (words::capital(&self.place)) }
                }
                @if let Some(product) = &self.product { " · " (product) }
                " · " span.faint { (self.trouble) }
            }
        }
    }
}
