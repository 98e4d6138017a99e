//! Collects pictures into batch messages by count, bytes and linger, in three lanes with guaranteed shares.
//!
//! It never sends and never decides whether a station has room.

use std::collections::VecDeque;
use std::time::Duration;

use gondola_protocol::message::{BATCH_OVERHEAD, DATA_OVERHEAD, Lane, Staged, Transfer};
use gondola_protocol::{Moment, TransferNumber};

/// Most transfers in one batch message: with typical pictures of 1 to 2 KiB a frame that a serial line
/// at 115,200 baud carries in about two seconds, so an urgent message never waits longer for its turn.
pub const TRANSFERS_MAX: usize = 16;

/// Whose turn it is, over and over: half of the places for who stands before a label, three eighths for prices,
/// one eighth for the rest. A lane that has nothing leaves its turn to the most urgent one that has.
const TURNS: [Lane; 8] = [
    Lane::Interactive,
    Lane::Price,
    Lane::Interactive,
    Lane::Routine,
    Lane::Interactive,
    Lane::Price,
    Lane::Interactive,
    Lane::Price,
];

/// A transfer that fits no frame of its station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversize {
    /// Bytes of its packed planes.
    pub bytes: usize,
    /// The most that a frame leaves for them.
    pub bytes_max: usize,
}

/// What a batch message is made of.
pub trait Item {
    /// Bytes in a message beside the transfer's data.
    const OVERHEAD: usize;

    /// The transfer in it.
    fn transfer(&self) -> &Transfer;
}

impl Item for Transfer {
    const OVERHEAD: usize = Self::OVERHEAD;

    fn transfer(&self) -> &Transfer {
        self
    }
}

impl Item for Staged {
    const OVERHEAD: usize = Self::OVERHEAD + Transfer::OVERHEAD;

    fn transfer(&self) -> &Transfer {
        &self.transfer
    }
}

/// Transfers that wait for company, in each lane in the order in which they came.
///
/// Its length is bounded by its owner, who lets in no more than the station has room for.
#[derive(Debug)]
pub struct Batch<T> {
    linger: Duration,
    /// Bytes that one message has for transfers.
    capacity: usize,
    /// By the lane's code.
    lanes: [VecDeque<(Moment, T)>; Lane::ALL.len()],
    /// Index in [`TURNS`] of the next place.
    turn: usize,
}

impl<T: Item> Batch<T> {
    /// For a station that takes frames of `payload_max` bytes.
    #[must_use]
    pub fn new(linger: Duration, payload_max: usize) -> Self {
        Self { linger, capacity: payload_max - DATA_OVERHEAD - BATCH_OVERHEAD, lanes: Default::default(), turn: 0 }
    }

    /// Adds a transfer.
    ///
    /// # Errors
    /// It fits no message, not even alone; the others are untouched.
    pub fn push(&mut self, now: Moment, item: T) -> Result<(), Oversize> {
        let (lane, bytes) = (item.transfer().lane, item.transfer().data.len());
        if cost(&item) > self.capacity {
            return Err(Oversize { bytes, bytes_max: self.capacity - T::OVERHEAD });
        }
        self.lanes[lane as usize].push_back((now, item));
        Ok(())
    }

    /// Takes a transfer out again; none when it is not waiting here (any more).
    pub fn remove(&mut self, number: TransferNumber) -> Option<T> {
        self.lanes.iter_mut().find_map(|lane| {
            let at = lane.iter().position(|(_, item)| item.transfer().number == number)?;
            lane.remove(at).map(|(_, item)| item)
        })
    }

    /// When the next message is ready: at once with a full one, else when the oldest has lingered.
    #[must_use]
    pub fn ready_at(&self) -> Option<Moment> {
        let since = self.lanes.iter().filter_map(|lane| lane.front()).map(|(since, _)| *since).min()?;
        let (taken, waiting) = (self.places().len(), self.lanes.iter().map(VecDeque::len).sum::<usize>());
        Some(if taken == TRANSFERS_MAX || taken < waiting { since } else { since + self.linger })
    }

    /// The next message's transfers, if it is ready.
    pub fn take(&mut self, now: Moment) -> Option<Vec<T>> {
        if self.ready_at()? > now {
            return None;
        }
        let places = self.places();
        self.turn = (self.turn + places.len()) % TURNS.len();
        Some(places.into_iter().filter_map(|lane| self.lanes[lane].pop_front()).map(|(_, item)| item).collect())
    }

    /// The lanes whose fronts make the next message, place by place.
    fn places(&self) -> Vec<usize> {
        let (mut places, mut taken, mut bytes) = (Vec::new(), [0; Lane::ALL.len()], 0);
        while places.len() < TRANSFERS_MAX {
            let own = TURNS[(self.turn + places.len()) % TURNS.len()] as usize;
            let next = |lane: usize| Some((lane, self.lanes[lane].get(taken[lane])?));
            let Some((lane, (_, item))) = next(own).or_else(|| (0..taken.len()).find_map(next)) else { break };
            bytes += cost(item);
            if bytes > self.capacity {
                break;
            }
            taken[lane] += 1;
            places.push(lane);
        }
        places
    }
}

/// Bytes of a message that a transfer takes.
fn cost<T: Item>(item: &T) -> usize {
    T::OVERHEAD + item.transfer().data.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gondola_protocol::message::{Downlink, Encoding, Frame, Lane};
    use gondola_protocol::{Digest, Edition, LabelId, SequenceNumber, SessionId};
    use proptest::prelude::*;

    use super::*;

    const LINGER: Duration = Duration::from_millis(20);

    fn transfer(number: u32, bytes: usize) -> Transfer {
        Transfer {
            number: TransferNumber(number),
            label: LabelId(u64::from(number)),
            panel: "bw-8x1".parse().unwrap(),
            edition: Edition(1),
            digest: Digest([0; 16]),
            lane: Lane::Price,
            encoding: Encoding::Raw,
            data: vec![0; bytes].into(),
        }
    }

    fn batch(transfers: impl IntoIterator<Item = Transfer>) -> Batch<Transfer> {
        let mut batch = Batch::new(LINGER, 1_024);
        for transfer in transfers {
            batch.push(Moment::ZERO, transfer).unwrap();
        }
        batch
    }

    /// The numbers in the next message at a moment.
    #[track_caller]
    fn check(batch: &mut Batch<Transfer>, millis: u64, expected: &[u32]) {
        let taken = batch.take(Moment::from_millis(millis)).unwrap_or_default();
        assert_eq!(taken.iter().map(|transfer| transfer.number.0).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_few_transfers_linger_for_company() {
        let mut batch = batch([transfer(1, 10)]);
        assert_eq!(batch.ready_at(), Some(Moment::from_millis(20)));
        check(&mut batch, 19, &[]);
        batch.push(Moment::from_millis(19), transfer(2, 10)).unwrap();
        check(&mut batch, 20, &[1, 2]);
        assert_eq!(batch.ready_at(), None);
    }

    #[test]
    fn a_full_count_goes_at_once() {
        let mut batch = batch((0..17).map(|number| transfer(number, 1)));
        check(&mut batch, 0, &(0..16).collect::<Vec<_>>());
        check(&mut batch, 0, &[]);
        check(&mut batch, 20, &[16]);
    }

    #[test]
    fn full_bytes_go_at_once() {
        // 1,024 − 9 − 3 = 1,012 bytes hold two transfers of 47 + 400, not three.
        let mut batch = batch((0..3).map(|number| transfer(number, 400)));
        check(&mut batch, 0, &[0, 1]);
        check(&mut batch, 0, &[]);
        check(&mut batch, 20, &[2]);
    }

    #[test]
    fn an_oversize_transfer_fails_alone() {
        let mut batch = batch([transfer(1, 965)]);
        assert_eq!(batch.push(Moment::ZERO, transfer(2, 966)), Err(Oversize { bytes: 966, bytes_max: 965 }));
        check(&mut batch, 20, &[1]);
    }

    #[test]
    fn every_lane_has_its_share_and_leaves_what_it_does_not_need() {
        let lanes = |lanes: &[Lane]| {
            let mut batch =
                batch((0..).zip(lanes).map(|(number, lane)| Transfer { lane: *lane, ..transfer(number, 1) }));
            let mut order = Vec::new();
            while let Some(taken) = batch.take(Moment::from_millis(20)) {
                order.extend(taken.iter().map(|transfer| transfer.lane));
            }
            order
        };
        let all: Vec<Lane> = Lane::ALL.iter().flat_map(|lane| [*lane; 40]).collect();
        let order = lanes(&all);
        for share in order[..72].chunks(8) {
            let count = |lane| share.iter().filter(|other| **other == lane).count();
            assert_eq!(Lane::ALL.map(count), [4, 3, 1], "{share:?}");
        }
        assert_eq!(lanes(&[Lane::Routine, Lane::Routine, Lane::Price]), [Lane::Price, Lane::Routine, Lane::Routine]);
    }

    #[test]
    fn a_removed_transfer_is_not_sent() {
        let mut batch = batch([transfer(1, 1), transfer(2, 1)]);
        assert!(batch.remove(TransferNumber(1)).is_some());
        assert!(batch.remove(TransferNumber(1)).is_none());
        check(&mut batch, 20, &[2]);
    }

    proptest! {
        #[test]
        fn every_message_fits_and_nothing_is_lost(sizes in prop::collection::vec(0_usize..966, 0..60)) {
            let transfers = sizes.iter().zip(0..).map(|(size, number)| transfer(number, *size));
            let mut batch = batch(transfers);
            let mut numbers = Vec::new();
            while let Some(taken) = batch.take(Moment::from_millis(20)) {
                prop_assert!(!taken.is_empty() && taken.len() <= TRANSFERS_MAX);
                numbers.extend(taken.iter().map(|transfer| transfer.number.0));
                let body: Bytes = Downlink::Batch(taken).encode();
                let frame = Frame::Data { session: SessionId(0), sequence: SequenceNumber(0), body };
                prop_assert!(frame.encode().len() <= 1_024);
            }
            prop_assert_eq!(numbers.len(), sizes.len());
            prop_assert!(numbers.is_sorted());
        }
    }
}
