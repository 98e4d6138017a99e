//! When which facet is fetched whole. Pure: it is told the moment.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::{Moment, StoreId};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::catalog::wire::Facet;
use crate::controller::message::ReloadReason;

/// Gaps of one facet cause a reload at most this often: a source whose numbers are always wrong would otherwise
/// send its whole catalog all day.
const GAP_SPACING: Duration = Duration::from_mins(1);

/// A reload that failed is tried again after this, unless the day's own comes before: a source that was restarted
/// together with us is up by then, and one that is broken is not kept busy.
const FAILED_SPACING: Duration = Duration::from_mins(15);

/// Whether the source may answer that nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fetch {
    /// It sends everything: what we have may be wrong.
    Whole,
    /// What we have was right when it came.
    IfModified,
}

/// The time of day for it.
#[derive(Debug, Clone)]
pub(super) struct Daily {
    pub(super) at: Time,
    pub(super) zone: TimeZone,
    /// It begins up to this much later.
    pub(super) jitter: Duration,
}

/// The facets of one store by the moment at which each is due.
#[derive(Debug)]
pub(super) struct Schedule {
    store: StoreId,
    daily: Option<Daily>,
    /// None where only a gap or a person makes it due.
    facets: BTreeMap<Facet, Option<(Moment, Fetch)>>,
    /// When each was last fetched.
    fetched: BTreeMap<Facet, Moment>,
}

impl Schedule {
    /// Every facet is due at once: this is the start.
    pub(super) fn new(
        store: StoreId,
        facets: impl IntoIterator<Item = Facet>,
        daily: Option<Daily>,
        now: Moment,
    ) -> Self {
        let facets = facets.into_iter().map(|facet| (facet, Some((now, Fetch::Whole)))).collect();
        Self { store, daily, facets, fetched: BTreeMap::new() }
    }

    /// What is due next, and when.
    pub(super) fn next(&self) -> Option<(Moment, Facet, Fetch)> {
        let due = self.facets.iter().filter_map(|(facet, due)| due.map(|(at, fetch)| (at, *facet, fetch)));
        due.min()
    }

    /// Whether there is a source for a facet.
    pub(super) fn fetches(&self, facet: Facet) -> bool {
        self.facets.contains_key(&facet)
    }

    /// A facet is wanted out of turn. One that is not fetched here is left alone.
    pub(super) fn order(&mut self, now: Moment, facet: Facet, why: ReloadReason) {
        let Some(due) = self.facets.get_mut(&facet) else { return };
        let at = match (why, self.fetched.get(&facet)) {
            (ReloadReason::Gap, Some(fetched)) => now.max(*fetched + GAP_SPACING),
            (ReloadReason::Gap, None) | (ReloadReason::Asked, _) => now,
        };
        let at = due.map_or(at, |(known, _)| known.min(at));
        *due = Some((at, Fetch::Whole));
    }

    /// A facet is about to be fetched. Until [`Self::ended`] it is due no more, but for what is ordered meanwhile.
    pub(super) fn begin(&mut self, now: Moment, facet: Facet) {
        self.fetched.insert(facet, now);
        self.facets.insert(facet, None);
    }

    /// A facet was fetched, well or not.
    pub(super) fn ended(&mut self, now: Moment, facet: Facet, is_well: Result<(), ()>) {
        let daily = self.daily.as_ref().and_then(|daily| self.next_daily(daily, facet, now));
        let next = match is_well {
            Ok(()) => daily.map(|at| (at, Fetch::IfModified)),
            Err(()) => {
                let again = now + FAILED_SPACING;
                Some((daily.map_or(again, |daily| daily.min(again)), Fetch::Whole))
            }
        };
        let ordered = self.facets.get(&facet).copied().flatten();
        self.facets.insert(facet, [ordered, next].into_iter().flatten().min());
    }

    /// The next daily reload after `now`; none at the end of the calendar.
    fn next_daily(&self, daily: &Daily, facet: Facet, now: Moment) -> Option<Moment> {
        let now_micros = i64::try_from(now.as_micros()).ok()?;
        let today = Timestamp::from_microsecond(now_micros).ok()?.to_zoned(daily.zone.clone()).date();
        // Yesterday's may reach over midnight. An hour that a change of clocks leaves out is moved behind it.
        (-1..=2).find_map(|days| {
            let date = today.checked_add(days.days()).ok()?;
            let begins = date.to_datetime(daily.at).to_zoned(daily.zone.clone()).ok()?.timestamp().as_microsecond();
            let at =
                Moment::from_micros(u64::try_from(begins).ok()?) + self.offset(daily.jitter, facet, &date.to_string());
            (at > now).then_some(at)
        })
    }

    /// How much later than the time of day it begins: the same on every machine, another for each store and day.
    fn offset(&self, jitter: Duration, facet: Facet, date: &str) -> Duration {
        let hash = blake3::hash(format!("{} {facet} {date}", self.store).as_bytes());
        let chance = u32::from_le_bytes(hash.as_bytes()[..4].try_into().expect("a hash has 32 bytes"));
        jitter.mul_f64(f64::from(chance) / 2_f64.powi(32))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn moment(text: &str) -> Moment {
        let timestamp: Timestamp = text.parse().unwrap();
        Moment::from_micros(u64::try_from(timestamp.as_microsecond()).unwrap())
    }

    fn daily(at: &str, zone: &str, jitter: Duration) -> Option<Daily> {
        Some(Daily { at: at.parse().unwrap(), zone: TimeZone::get(zone).unwrap(), jitter })
    }

    fn schedule(store: &str, daily: Option<Daily>, now: Moment) -> Schedule {
        Schedule::new(store.parse().unwrap(), [Facet::Base, Facet::Promotion], daily, now)
    }

    /// When a facet that was fetched well at `now` is fetched next.
    #[track_caller]
    fn check(at: &str, zone: &str, now: &str, expected: &str) {
        let mut schedule = schedule("hz-001", daily(at, zone, Duration::ZERO), moment(now));
        schedule.begin(moment(now), Facet::Promotion);
        schedule.begin(moment(now), Facet::Base);
        schedule.ended(moment(now), Facet::Base, Ok(()));
        assert_eq!(schedule.next(), Some((moment(expected), Facet::Base, Fetch::IfModified)));
    }

    #[test]
    fn the_daily_reload_is_at_its_time_in_the_stores_zone() {
        check("03:30", "Asia/Shanghai", "2026-11-24T19:00:00Z", "2026-11-24T19:30:00Z");
        check("03:30", "Asia/Shanghai", "2026-11-24T19:30:00Z", "2026-11-25T19:30:00Z");
        check("02:30", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z");
        check("02:30", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-30T00:30:00Z");
    }

    #[test]
    fn jitter_spreads_stores_and_days_and_reaches_over_midnight() {
        let jitter = Duration::from_mins(10);
        let mut seen = BTreeSet::new();
        let begins = moment("2026-11-24T23:55:00Z");
        for store in 0..50 {
            let mut schedule = schedule(&format!("store-{store}"), daily("23:55", "UTC", jitter), begins);
            schedule.begin(begins, Facet::Promotion);
            schedule.begin(begins, Facet::Base);
            schedule.ended(moment("2026-11-24T12:00:00Z"), Facet::Base, Ok(()));
            let (at, ..) = schedule.next().unwrap();
            assert!(begins <= at && at < begins + jitter, "{at:?}");
            seen.insert(at);
            schedule.begin(at, Facet::Base);
            schedule.ended(at, Facet::Base, Ok(()));
            let (next, ..) = schedule.next().unwrap();
            assert!(next > at + Duration::from_hours(23) && next < at + Duration::from_hours(25));
        }
        assert!(seen.len() > 45, "{} of 50 stores have a time of their own", seen.len());
    }

    #[test]
    fn everything_is_due_at_the_start_and_then_only_on_order() {
        let now = moment("2026-11-24T12:00:00Z");
        let mut schedule = schedule("hz-001", None, now);
        for facet in [Facet::Base, Facet::Promotion] {
            assert_eq!(schedule.next(), Some((now, facet, Fetch::Whole)));
            schedule.begin(now, facet);
            schedule.ended(now, facet, Ok(()));
        }
        assert_eq!(schedule.next(), None);
        schedule.order(now, Facet::Stock, ReloadReason::Asked);
        assert_eq!((schedule.next(), schedule.fetches(Facet::Stock)), (None, false), "a facet without a source");
        schedule.order(now, Facet::Base, ReloadReason::Gap);
        assert_eq!(schedule.next(), Some((now + GAP_SPACING, Facet::Base, Fetch::Whole)));
        schedule.order(now, Facet::Base, ReloadReason::Asked);
        assert_eq!(schedule.next(), Some((now, Facet::Base, Fetch::Whole)), "a person does not wait");
    }

    #[test]
    fn a_gap_that_is_noticed_while_a_facet_is_fetched_is_not_forgotten() {
        let now = moment("2026-11-24T12:00:00Z");
        let mut schedule = schedule("hz-001", None, now);
        schedule.begin(now, Facet::Promotion);
        schedule.begin(now, Facet::Base);
        schedule.order(now, Facet::Base, ReloadReason::Gap);
        schedule.ended(now, Facet::Base, Ok(()));
        assert_eq!(schedule.next(), Some((now + GAP_SPACING, Facet::Base, Fetch::Whole)));
    }

    #[test]
    fn a_reload_that_failed_comes_again() {
        let now = moment("2026-11-24T12:00:00Z");
        let mut schedule = schedule("hz-001", daily("12:05", "UTC", Duration::ZERO), now);
        schedule.begin(now, Facet::Promotion);
        schedule.begin(now, Facet::Base);
        schedule.ended(now, Facet::Base, Err(()));
        let daily = moment("2026-11-24T12:05:00Z");
        assert_eq!(schedule.next(), Some((daily, Facet::Base, Fetch::Whole)));
        schedule.begin(daily, Facet::Base);
        schedule.ended(daily, Facet::Base, Err(()));
        assert_eq!(schedule.next(), Some((moment("2026-11-24T12:20:00Z"), Facet::Base, Fetch::Whole)));
    }
}
