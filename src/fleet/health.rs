//! A label's health: derived from what is known of it, never stored.

use std::fmt;
use std::time::Duration;

use gondola_protocol::{Millivolts, Moment};
use serde::Serialize;

use super::label::{Doubt, Label};

/// A label that was not heard for this long is offline.
///
/// A station speaks for each label that it hears at least every 15 seconds, and a label wakes within
/// minutes; half an hour is beyond any regular sleep, and short enough for the morning round.
pub const OFFLINE_AFTER: Duration = Duration::from_mins(30);

/// A label that answers and still shows another picture after this long needs a person.
///
/// Longer than three refreshes of the slowest panel and a full evening wave.
pub const STALE_AFTER: Duration = Duration::from_mins(15);

/// Below this a battery is low: two lithium cells have some weeks left, and cold days take those.
pub const LOW_BATTERY: Millivolts = Millivolts(2_400);

/// The first of these that is true of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It shows no product by intention.
    Unbound,
    /// It refuses its pictures, or is another device than registered.
    Faulty,
    /// It was not heard for [`OFFLINE_AFTER`].
    Offline,
    /// It answers, and its glass has been wrong for [`STALE_AFTER`].
    Stale,
    /// A picture is on its way.
    InFlight,
    /// It took a picture and has not proven to show it.
    Delivered,
    /// It waits for its turn.
    Pending,
    /// Its glass is proven to agree.
    InSync,
}

impl Health {
    /// Every value, in the order in which they are tried.
    pub const ALL: [Self; 8] = [
        Self::Unbound,
        Self::Faulty,
        Self::Offline,
        Self::Stale,
        Self::InFlight,
        Self::Delivered,
        Self::Pending,
        Self::InSync,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::Faulty => "faulty",
            Self::Offline => "offline",
            Self::Stale => "stale",
            Self::InFlight => "in_flight",
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::InSync => "in_sync",
        }
    }

    /// What is true of `label` at `now`.
    #[must_use]
    pub fn of(label: &Label, now: Moment) -> Self {
        let heard_within = |span| label.last_check_in.is_some_and(|heard| now.since(heard) < span);
        let wrong_since = match label.may_have_switched(now).then_some(label.kept.as_ref()).flatten() {
            Some(kept) if label.is_in_sync() => kept.slot.activate_at,
            _ => label.desired.as_ref().map_or(now, |desired| desired.since),
        };
        if label.binding.is_none() {
            Self::Unbound
        } else if label.trouble().fault.is_some() {
            Self::Faulty
        } else if !heard_within(OFFLINE_AFTER) {
            Self::Offline
        } else if label.is_in_sync() && !label.may_have_switched(now) {
            Self::InSync
        } else if now.since(wrong_since) >= STALE_AFTER {
            Self::Stale
        } else if label.transfer().is_some() {
            Self::InFlight
        } else if label.unproven.as_ref().is_some_and(|unproven| unproven.doubt != Doubt::Lost)
            || label.may_have_switched(now)
        {
            Self::Delivered
        } else {
            Self::Pending
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What else a person should know of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Its battery is below [`LOW_BATTERY`].
    LowBattery,
    /// It has never been heard.
    NeverHeard,
}

impl Problem {
    /// Everything that is true of `label`.
    pub fn of(label: &Label) -> impl Iterator<Item = Self> {
        let low = label.battery_mv.is_some_and(|battery| battery < LOW_BATTERY).then_some(Self::LowBattery);
        let never = label.last_check_in.is_none().then_some(Self::NeverHeard);
        low.into_iter().chain(never)
    }
}
