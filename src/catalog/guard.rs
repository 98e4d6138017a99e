//! The guard: a price change that looks like a mistake waits for a person, and the old price stays.
//!
//! It judges a change against what stands; it holds nothing back for good, and a first price never.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use gondola_protocol::Moment;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::sku::Sku;

/// A wave is counted over this long.
pub const WAVE_SPAN: Duration = Duration::from_mins(10);

/// What looks like a mistake. Each rule can be switched off with 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardRules {
    /// Prices of 0 are held.
    pub zero: bool,
    /// A price this many times the old one, or this part of it, is held: a decimal point in the wrong place.
    pub factor: u32,
    /// A price more than this many hundredths below the old one is held.
    pub down_percent: u32,
    /// Price changes are held when they would make it more than this many hundredths of the store's products
    /// within ten minutes; off by default.
    pub wave_percent: u32,
}

impl GuardRules {
    /// Nothing is held.
    pub const OFF: Self = Self { zero: false, factor: 0, down_percent: 0, wave_percent: 0 };
}

impl Default for GuardRules {
    fn default() -> Self {
        // Clearances go to 70 % off; beyond that, and at a factor of 10, slips of the keyboard are more likely.
        Self { zero: true, factor: 10, down_percent: 70, wave_percent: 0 }
    }
}

/// Why a change is held. `Display` is the reason that people and other systems read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// The price is 0.
    Zero,
    /// The price is many times the old one.
    Up {
        /// The old price.
        from: Decimal,
        /// The new one.
        to: Decimal,
    },
    /// The price is a small part of the old one.
    Down {
        /// The old price.
        from: Decimal,
        /// The new one.
        to: Decimal,
    },
    /// Too many prices change at once.
    Wave {
        /// Products whose price changed within [`WAVE_SPAN`].
        changed: usize,
        /// The store's products.
        of: usize,
    },
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("the price would be 0"),
            Self::Up { from, to } => {
                write!(f, "the price would go up from {from} to {to}, which may be a slip of the decimal point")
            }
            Self::Down { from, to } => write!(f, "the price would go down from {from} to {to}, which may be a slip"),
            Self::Wave { changed, of } => {
                write!(f, "{changed} of {of} prices would have changed within {} minutes", WAVE_SPAN.as_secs() / 60)
            }
        }
    }
}

impl GuardRules {
    /// Whether a price that follows `from` looks like a mistake.
    #[must_use]
    pub fn suspicion(&self, from: Decimal, to: Decimal) -> Option<Suspicion> {
        if to == from {
            return None;
        }
        if to.is_zero() {
            return self.zero.then_some(Suspicion::Zero);
        }
        let factor = Decimal::from(self.factor);
        let is_factor = |small: Decimal, large: Decimal| self.factor > 0 && small * factor <= large;
        let kept = Decimal::ONE_HUNDRED - Decimal::from(self.down_percent.min(100));
        let is_far_down = self.down_percent > 0 && to * Decimal::ONE_HUNDRED < from * kept;
        if !from.is_zero() && is_factor(from, to) {
            Some(Suspicion::Up { from, to })
        } else if is_factor(to, from) || is_far_down {
            Some(Suspicion::Down { from, to })
        } else {
            None
        }
    }
}

/// The products whose base price changed lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Wave {
    changed: BTreeMap<Sku, Moment>,
    order: VecDeque<(Moment, Sku)>,
}

impl Wave {
    /// Whether one more change makes a wave of a store with `products` products.
    pub(super) fn suspicion(&mut self, now: Moment, sku: &Sku, products: usize, percent: u32) -> Option<Suspicion> {
        if percent == 0 {
            return None;
        }
        self.forget(now);
        let changed = self.changed.len() + usize::from(!self.changed.contains_key(sku));
        (changed * 100 > products * percent as usize).then_some(Suspicion::Wave { changed, of: products })
    }

    /// Takes in that a price changed. Bounded by the store's products: one that changes again moves.
    pub(super) fn note(&mut self, now: Moment, sku: &Sku, percent: u32) {
        if percent == 0 {
            return;
        }
        if self.changed.insert(sku.clone(), now).is_none() {
            self.order.push_back((now, sku.clone()));
        }
    }

    fn forget(&mut self, now: Moment) {
        while let Some((at, sku)) = self.order.pop_front_if(|(at, _)| now.since(*at) >= WAVE_SPAN) {
            match self.changed.get(&sku).copied() {
                Some(newest) if newest > at && now.since(newest) < WAVE_SPAN => self.order.push_back((newest, sku)),
                _ => {
                    self.changed.remove(&sku);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: GuardRules, from: &str, to: &str, expected: &str) {
        let suspicion = rules.suspicion(from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(suspicion.map(|it| it.to_string()).unwrap_or_default(), expected);
    }

    #[test]
    fn slips_of_the_keyboard_are_held_and_sales_are_not() {
        let rules = GuardRules::default();
        check(rules, "59.90", "0", "the price would be 0");
        check(
            rules,
            "59.90",
            "599.00",
            "the price would go up from 59.90 to 599.00, which may be a slip of the decimal point",
        );
        check(rules, "59.90", "5.99", "the price would go down from 59.90 to 5.99, which may be a slip");
        check(rules, "100", "29.99", "the price would go down from 100 to 29.99, which may be a slip");
        check(rules, "100", "30", "");
        check(rules, "59.90", "598.99", "");
        check(rules, "0", "5", "");
        check(rules, "5", "5.00", "");
    }

    #[test]
    fn rules_can_be_switched_off() {
        let off = GuardRules::OFF;
        for (from, to) in [("59.90", "0"), ("1", "1000"), ("1000", "1")] {
            check(off, from, to, "");
        }
        check(GuardRules { factor: 10, ..off }, "100", "11", "");
        check(
            GuardRules { down_percent: 20, ..off },
            "100",
            "79",
            "the price would go down from 100 to 79, which may be a slip",
        );
    }

    #[test]
    fn a_wave_counts_products_and_ends() {
        let mut wave = Wave::default();
        let sku = |number: u64| number.to_string().parse::<Sku>().unwrap();
        let at = Moment::from_secs;
        for number in 0..10 {
            assert_eq!(wave.suspicion(at(number), &sku(number), 100, 10), None);
            wave.note(at(number), &sku(number), 10);
        }
        assert_eq!(wave.suspicion(at(11), &sku(3), 100, 10), None);
        wave.note(at(11), &sku(3), 10);
        let held = wave.suspicion(at(12), &sku(10), 100, 10).unwrap();
        assert_eq!(held.to_string(), "11 of 100 prices would have changed within 10 minutes");
        assert_eq!(wave.suspicion(at(600), &sku(10), 100, 10), None);
        assert_eq!(wave.changed.len(), 9);
        assert_eq!(wave.suspicion(at(700), &sku(10), 100, 10), None);
        assert_eq!((wave.changed.len(), wave.order.len()), (0, 0));
    }
}
