//! The way between one label and one base station: what of it is lost where it is long, shadowed or disturbed.

use std::time::Duration;

use gondola_protocol::{LabelId, Moment, StationId};

use crate::dice::{Dice, Loss};
use crate::floor::Place;
use crate::propagation::{frame_loss, received_dbm};

/// Base stations hang under the ceiling, so much higher than a shelf's middle.
const HEIGHT_CM: f64 = 200.0;

/// A poll, and its answer.
const MESSAGE_BYTES: u32 = 60;

/// A frame of picture data, whole.
const PART_FRAME_BYTES: u32 = 127;

/// A frame of picture data on the air.
const PART_TIME: Duration = Duration::from_micros(127 * 32);

/// Weaker signals are told as this: what a label measures is one byte.
const RSSI_MIN: i8 = -127;

/// Interference that comes and goes, by the model of Gilbert (1960) and Elliott (1963) in continuous time: a good state
/// in which it costs nothing and a bad one in which it costs `loss`, each left after exponentially distributed times.
///
/// Each label has its own, so that what disturbs it depends on nobody else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Mean time from the end of a burst to the next one.
    pub every: Duration,
    /// Mean length of a burst.
    pub length: Duration,
    /// Share of frames that are lost in a burst.
    pub loss: f64,
}

impl Bursts {
    /// Whether they can be: times above nothing, and a share.
    #[must_use]
    pub fn are_possible(&self) -> bool {
        !self.every.is_zero() && !self.length.is_zero() && (0.0..=1.0).contains(&self.loss)
    }

    /// Share of the time that lies within bursts.
    fn share(&self) -> f64 {
        self.length.as_secs_f64() / (self.every + self.length).as_secs_f64()
    }

    /// Whether there is one so much later, given whether there is one now.
    fn later(&self, is_in_burst: bool, span: Duration, dice: &mut Dice) -> bool {
        let rate = 1.0 / self.every.as_secs_f64() + 1.0 / self.length.as_secs_f64();
        let (share, now) = (self.share(), f64::from(u8::from(is_in_burst)));
        dice.loses(Loss(share + (now - share) * libm::exp(-rate * span.as_secs_f64())))
    }
}

/// A label's way to its station.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) rssi_dbm: i8,
    received_dbm: f64,
    /// Share of exchanges that noise takes.
    exchange_loss: f64,
    /// Share of frames of picture data that noise takes.
    part_loss: f64,
    is_in_burst: bool,
    /// When that was seen.
    seen_at: Moment,
}

impl Link {
    /// One that loses nothing by itself.
    pub(crate) fn clear(rssi_dbm: i8) -> Self {
        let received_dbm = f64::from(rssi_dbm);
        Self { rssi_dbm, received_dbm, exchange_loss: 0.0, part_loss: 0.0, is_in_burst: false, seen_at: Moment::ZERO }
    }

    /// Over the floor. What stands between them is drawn for this pair alone.
    pub(crate) fn over(seed: u64, label: (LabelId, Place), station: (&StationId, Place)) -> Self {
        let across = |from: u32, to: u32| f64::from(from) - f64::from(to);
        let (x, y) = (across(label.1.x_cm, station.1.x_cm), across(label.1.y_cm, station.1.y_cm));
        let metres = libm::sqrt(x * x + y * y + HEIGHT_CM * HEIGHT_CM) / 100.0;
        Self::with(received_dbm(metres, Dice::of_pair(seed, label.0, station.0).normal()))
    }

    fn with(received_dbm: f64) -> Self {
        let message = 1.0 - frame_loss(received_dbm, MESSAGE_BYTES);
        let rssi_dbm = (RSSI_MIN..=0).find(|dbm| f64::from(*dbm) >= received_dbm).unwrap_or(0);
        Self {
            received_dbm,
            exchange_loss: 1.0 - message * message,
            part_loss: frame_loss(received_dbm, PART_FRAME_BYTES),
            ..Self::clear(rssi_dbm)
        }
    }

    /// Whether more arrives over this way.
    pub(crate) fn is_better(&self, other: &Self) -> bool {
        self.received_dbm > other.received_dbm
    }

    /// Share of exchanges that are lost in the long run.
    pub(crate) fn mean_loss(&self, bursts: Option<&Bursts>) -> f64 {
        1.0 - (1.0 - self.exchange_loss) * (1.0 - bursts.map_or(0.0, |bursts| bursts.share() * bursts.loss))
    }

    /// Whether a poll or its answer is lost.
    pub(crate) fn loses_exchange(&mut self, now: Moment, bursts: Option<&Bursts>, dice: &mut Dice) -> bool {
        self.is_disturbed(now, bursts, dice) || dice.loses(Loss(self.exchange_loss))
    }

    /// How many of a burst of frames are lost that has just ended.
    pub(crate) fn parts_lost(&mut self, end: Moment, parts: usize, bursts: Option<&Bursts>, dice: &mut Dice) -> usize {
        let mut lost = 0;
        for left in (0..parts).rev() {
            let at = end - PART_TIME * u32::try_from(left).unwrap_or(u32::MAX);
            let is_lost = self.is_disturbed(at, bursts, dice) || dice.loses(Loss(self.part_loss));
            lost += usize::from(is_lost);
        }
        lost
    }

    fn is_disturbed(&mut self, now: Moment, bursts: Option<&Bursts>, dice: &mut Dice) -> bool {
        let Some(bursts) = bursts else { return false };
        self.is_in_burst = bursts.later(self.is_in_burst, now.since(self.seen_at), dice);
        self.seen_at = self.seen_at.max(now);
        self.is_in_burst && dice.loses(Loss(bursts.loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURSTS: Bursts = Bursts { every: Duration::from_millis(900), length: Duration::from_millis(100), loss: 0.8 };

    /// Gilbert and Elliott: the share of the bad state is p / (p + r), its mean length 1 / r, and the mean loss the share
    /// of the bad state times its loss.
    #[test]
    fn bursts_have_their_share_and_their_length() {
        const STEP: Duration = Duration::from_millis(1);
        let mut dice = Dice::of(7, *b"test    ", 0);
        let mut link = Link::clear(-60);
        let (mut lost, mut within, mut begun) = (0_u32, 0_u32, 0_u32);
        let steps = 1_000_000_u32;
        for step in 1..=steps {
            let before = link.is_in_burst;
            lost += u32::from(link.is_disturbed(Moment::ZERO + STEP * step, Some(&BURSTS), &mut dice));
            within += u32::from(link.is_in_burst);
            begun += u32::from(link.is_in_burst && !before);
        }
        let share = f64::from(within) / f64::from(steps);
        assert!((share - 0.1).abs() < 0.01, "{share}");
        let length_ms = f64::from(within) / f64::from(begun);
        assert!((length_ms - 100.0).abs() < 10.0, "{length_ms}");
        let loss = f64::from(lost) / f64::from(steps);
        assert!((loss - 0.08).abs() < 0.008 && (link.mean_loss(Some(&BURSTS)) - 0.08).abs() < 1e-9, "{loss}");
    }

    #[test]
    fn noise_takes_what_the_curve_says() {
        let mut dice = Dice::of(7, *b"test    ", 0);
        // Where a hundredth of long frames is lost, of short ones about half of that, twice for the two of an exchange.
        let dbm =
            (-1_000..-900).map(|tenths| f64::from(tenths) / 10.0).find(|dbm| frame_loss(*dbm, 127) < 0.1).unwrap();
        let mut link = Link::with(dbm);
        let lost = link.parts_lost(Moment::from_secs(60), 10_000, None, &mut dice);
        assert!((lost as f64 / 10_000.0 - link.part_loss).abs() < 0.01, "{lost} of {}", link.part_loss);
        assert!((link.exchange_loss / link.part_loss - 120.0 / 127.0).abs() < 0.05, "{link:?}");
        assert_eq!(Link::with(-300.0).rssi_dbm, RSSI_MIN);
        assert_eq!(Link::with(-61.5).rssi_dbm, -61);
    }
}
