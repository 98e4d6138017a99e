//! Which of the base stations that hear a label carries its next transfer.
//!
//! By signal, load and recent success, and not by a hair: a label stays with its station until another one is clearly
//! better or its own is away. Pure, and without a clock: what is old is old against the label's last word.

use std::time::Duration;

use gondola_protocol::{Moment, StationId};

use super::label::Heard;

/// A station that has not heard a label for so long before another one did has lost it: two of the check-ins that
/// stations forward without news, and some.
pub const LEASE: Duration = Duration::from_mins(35);

/// A station that came back takes no labels over before this: one that comes and goes would toss them to and fro.
pub const SETTLES_IN: Duration = Duration::from_secs(60);

/// What another station must be better by, in decibels: more than a signal varies while people walk past.
const CLEARLY_DB: i32 = 8;

/// What a full station is worse by than an empty one.
const LOAD_DB: usize = 20;

/// What each failure in a row makes a station worse by, up to [`FAILURES_MAX`].
const FAILURE_DB: i32 = 6;

/// Failures in a row that count: beyond that a station is as bad as it gets, and one success makes it good again.
pub const FAILURES_MAX: u8 = 4;

/// A station that is up and hears the label.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The station.
    pub station: &'a StationId,
    /// How it heard the label.
    pub heard: Heard,
    /// Since when it has been up.
    pub up_since: Option<Moment>,
    /// Transfers that it holds.
    pub transfers: usize,
    /// Transfers that it holds at most.
    pub transfers_max: usize,
}

impl Way<'_> {
    /// Higher is better, in decibels.
    fn score(&self) -> i32 {
        let load = self.transfers.min(self.transfers_max) * LOAD_DB / self.transfers_max.max(1);
        let failures = i32::from(self.heard.failures.min(FAILURES_MAX)) * FAILURE_DB;
        i32::from(self.heard.rssi_dbm) - i32::try_from(load).unwrap_or(0) - failures
    }

    fn has_settled(&self, last_word: Moment) -> bool {
        self.up_since.is_none_or(|since| since + SETTLES_IN <= last_word)
    }
}

/// Chooses among the stations that are up; `carrier` is the one that carried the label's last transfer.
#[must_use]
pub fn choose<'a>(carrier: Option<&StationId>, mut ways: impl Iterator<Item = Way<'a>>) -> Option<&'a StationId> {
    let first = ways.next()?;
    let Some(second) = ways.next() else { return Some(first.station) };
    let mut ways: Vec<Way<'a>> = [first, second].into_iter().chain(ways).collect();
    let last_word = ways.iter().map(|way| way.heard.at).max()?;
    ways.retain(|way| way.heard.at + LEASE >= last_word);
    let best = |ways: &mut dyn Iterator<Item = &Way<'a>>| ways.max_by_key(|way| (way.score(), way.heard.at)).copied();
    let own = ways.iter().find(|way| Some(way.station) == carrier);
    let Some(own) = own else {
        let settled = best(&mut ways.iter().filter(|way| way.has_settled(last_word)));
        return settled.or_else(|| best(&mut ways.iter())).map(|way| way.station);
    };
    let better = |way: &&Way<'a>| way.has_settled(last_word) && way.score() >= own.score() + CLEARLY_DB;
    Some(best(&mut ways.iter().filter(better)).map_or(own.station, |way| way.station))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up for an hour, heard now, half full.
    fn way(station: &StationId, rssi_dbm: i8) -> Way<'_> {
        let heard = Heard { at: Moment::from_secs(3_600), rssi_dbm, failures: 0 };
        Way { station, heard, up_since: Some(Moment::ZERO), transfers: 5, transfers_max: 10 }
    }

    #[track_caller]
    fn check(carrier: Option<&str>, changed: impl Fn(&mut Way<'_>, &mut Way<'_>), expected: &str) {
        let [front, back]: [StationId; 2] = ["front", "back"].map(|id| id.parse().unwrap());
        let (mut one, mut two) = (way(&front, -60), way(&back, -60));
        changed(&mut one, &mut two);
        let carrier = carrier.map(|id| id.parse().unwrap());
        let chosen = choose(carrier.as_ref(), [one, two].into_iter());
        assert_eq!(chosen.map(StationId::as_str), Some(expected));
    }

    #[test]
    fn the_better_signal_the_lighter_load_and_success_count() {
        check(None, |front, _| front.heard.rssi_dbm = -55, "front");
        check(None, |_, back| back.heard.rssi_dbm = -55, "back");
        check(None, |front, _| front.transfers = 10, "back");
        check(None, |_, back| back.transfers = 10, "front");
        check(None, |_, back| back.heard.failures = 1, "front");
        let far = |_: &mut Way<'_>, back: &mut Way<'_>| (back.heard.rssi_dbm, back.heard.failures) = (-50, 2);
        check(None, far, "front");
    }

    #[test]
    fn a_label_stays_until_another_station_is_clearly_better() {
        check(Some("back"), |front, _| front.heard.rssi_dbm = -53, "back");
        check(Some("back"), |front, _| front.heard.rssi_dbm = -52, "front");
        check(Some("gone"), |front, _| front.heard.rssi_dbm = -59, "front");
    }

    #[test]
    fn a_station_that_came_back_takes_labels_over_once_it_has_settled() {
        let back_at = |secs: u64| {
            move |front: &mut Way<'_>, _: &mut Way<'_>| {
                front.heard.rssi_dbm = -40;
                front.up_since = Some(Moment::from_secs(3_600 - secs));
            }
        };
        check(Some("back"), back_at(59), "back");
        check(Some("back"), back_at(60), "front");
        // With nobody else to choose, it serves at once.
        let alone = |front: &mut Way<'_>, back: &mut Way<'_>| {
            front.up_since = Some(front.heard.at);
            back.up_since = Some(back.heard.at);
            front.heard.rssi_dbm = -50;
        };
        check(None, alone, "front");
    }

    #[test]
    fn a_station_that_lost_the_label_is_no_choice() {
        let lost = |front: &mut Way<'_>, _: &mut Way<'_>| {
            front.heard.rssi_dbm = -30;
            front.heard.at = Moment::from_secs(3_600) - LEASE - Duration::from_secs(1);
        };
        check(Some("front"), lost, "back");
        check(None, lost, "back");
        assert_eq!(choose(None, std::iter::empty()), None);
    }

    #[test]
    fn a_station_that_flaps_moves_each_label_once() {
        let [front, back]: [StationId; 2] = ["front", "back"].map(|id| id.parse().unwrap());
        let (mut carrier, mut moves) = (front.clone(), 0);
        // Front is the better one, is up every other half minute, and hears the label every 5 s while it is.
        for second in (0_u64..3_600).step_by(5) {
            let (at, up_since) = (Moment::from_secs(10_000 + second), Moment::from_secs(10_000 + second / 60 * 60));
            let heard = |rssi_dbm| Heard { at, rssi_dbm, failures: 0 };
            let ways = [(&front, -40, Some(up_since)), (&back, -70, Some(Moment::ZERO))];
            let ways = ways.map(|(station, rssi_dbm, up_since)| Way {
                heard: heard(rssi_dbm),
                up_since,
                ..way(station, rssi_dbm)
            });
            let is_up = second % 60 < 30;
            let chosen = choose(Some(&carrier), ways.into_iter().filter(|way| is_up || way.station == &back));
            let chosen = chosen.unwrap().clone();
            moves += u32::from(chosen != carrier);
            carrier = chosen;
        }
        assert_eq!((moves, carrier), (1, back));
    }
}
