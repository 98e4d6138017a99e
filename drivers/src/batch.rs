//! Collects pictures into batch messages by count, bytes and linger.
//!
//! It never sends and never decides whether a station has room.

use std::collections::VecDeque;
use std::time::Duration;

use gondola_protocol::message::{BATCH_OVERHEAD, DATA_OVERHEAD, Transfer};
use gondola_protocol::{Moment, TransferNumber};

/// Most transfers in one batch message: with typical pictures of 1 to 2 KiB a frame that a serial line
/// at 115,200 baud carries in about two seconds, so an urgent message never waits longer for its turn.
pub const TRANSFERS_MAX: usize = 16;

/// A transfer that fits no frame of its station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oversize {
    /// Bytes of its packed planes.
    pub bytes: usize,
    /// The most that a frame leaves for them.
    pub bytes_max: usize,
}

/// Transfers that wait for company, in the order in which they came.
///
/// Its length is bounded by its owner, who lets in no more than the station has room for.
#[derive(Debug)]
pub struct Batch {
    linger: Duration,
    /// Bytes that one message has for transfers.
    capacity: usize,
    waiting: VecDeque<(Moment, Transfer)>,
}

impl Batch {
    /// For a station that takes frames of `payload_max` bytes.
    #[must_use]
    pub fn new(linger: Duration, payload_max: usize) -> Self {
        Self { linger, capacity: payload_max - DATA_OVERHEAD - BATCH_OVERHEAD, waiting: VecDeque::new() }
    }

    /// Adds a transfer.
    ///
    /// # Errors
    /// It fits no message, not even alone; the others are untouched.
    pub fn push(&mut self, now: Moment, transfer: Transfer) -> Result<(), Oversize> {
        if cost(&transfer) > self.capacity {
            return Err(Oversize { bytes: transfer.data.len(), bytes_max: self.capacity - Transfer::OVERHEAD });
        }
        self.waiting.push_back((now, transfer));
        Ok(())
    }

    /// Takes a transfer out again; none when it is not waiting here (any more).
    pub fn remove(&mut self, number: TransferNumber) -> Option<Transfer> {
        let at = self.waiting.iter().position(|(_, transfer)| transfer.number == number)?;
        self.waiting.remove(at).map(|(_, transfer)| transfer)
    }

    /// When the next message is ready: at once with a full one, else when the oldest has lingered.
    #[must_use]
    pub fn ready_at(&self) -> Option<Moment> {
        let (since, _) = self.waiting.front()?;
        let ready = self.front() == TRANSFERS_MAX || self.front() < self.waiting.len();
        Some(if ready { *since } else { *since + self.linger })
    }

    /// The next message's transfers, if it is ready.
    pub fn take(&mut self, now: Moment) -> Option<Vec<Transfer>> {
        if self.ready_at()? > now {
            return None;
        }
        let front = self.front();
        Some(self.waiting.drain(..front).map(|(_, transfer)| transfer).collect())
    }

    /// How many of the waiting transfers the next message holds.
    fn front(&self) -> usize {
        let mut bytes = 0;
        self.waiting
            .iter()
            .take(TRANSFERS_MAX)
            .take_while(|(_, transfer)| {
                bytes += cost(transfer);
                bytes <= self.capacity
            })
            .count()
    }
}

/// Bytes of a message that a transfer takes.
fn cost(transfer: &Transfer) -> usize {
    Transfer::OVERHEAD + transfer.data.len()
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

    fn batch(transfers: impl IntoIterator<Item = Transfer>) -> Batch {
        let mut batch = Batch::new(LINGER, 1_024);
        for transfer in transfers {
            batch.push(Moment::ZERO, transfer).unwrap();
        }
        batch
    }

    /// The numbers in the next message at a moment.
    #[track_caller]
    fn check(batch: &mut Batch, millis: u64, expected: &[u32]) {
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
