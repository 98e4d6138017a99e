//! The transfers that a station holds for sleeping labels: at most one for each label.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::message::{Status, Transfer};
use gondola_protocol::{LabelId, Moment, TransferNumber};

/// A label that has not come for its picture in this time is probably gone from the shelf.
///
/// Longer than any sleep that makes sense in a shop (15 minutes), so that a label gets its chance.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// What became of a transfer.
pub(crate) type Settled = (TransferNumber, Status);

/// The transfers that wait, by label.
#[derive(Debug)]
pub(crate) struct Waiting {
    transfers_max: usize,
    bytes_max: usize,
    held: BTreeMap<LabelId, Held>,
    /// The same transfers by the end of the station's patience.
    deadlines: BTreeSet<(Moment, LabelId)>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    transfer: Transfer,
    deadline: Moment,
}

impl Waiting {
    pub(crate) fn new(transfers_max: usize, bytes_max: usize) -> Self {
        Self { transfers_max, bytes_max, held: BTreeMap::new(), deadlines: BTreeSet::new(), bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn of(&self, label: LabelId) -> Option<&Transfer> {
        self.held.get(&label).map(|held| &held.transfer)
    }

    /// Takes a transfer in, and says what is settled by that: the lower edition of two for one label at
    /// once, as nobody wants it any more; a transfer without room.
    pub(crate) fn add(&mut self, now: Moment, mut transfer: Transfer) -> Vec<Settled> {
        let mut settled = Vec::new();
        let label = transfer.label;
        if let Some(held) = self.of(label) {
            if held.edition > transfer.edition {
                return vec![(transfer.number, Status::Cancelled)];
            }
            settled.extend(self.remove(label).map(|held| (held.number, Status::Cancelled)));
        }
        if self.held.len() == self.transfers_max || self.bytes + transfer.data.len() > self.bytes_max {
            settled.push((transfer.number, Status::NoRoom));
            return settled;
        }
        // A copy: a slice would keep the whole frame that brought it.
        transfer.data = Bytes::copy_from_slice(&transfer.data);
        let deadline = now + PATIENCE;
        self.bytes += transfer.data.len();
        self.deadlines.insert((deadline, label));
        self.held.insert(label, Held { transfer, deadline });
        settled
    }

    pub(crate) fn remove(&mut self, label: LabelId) -> Option<Transfer> {
        let held = self.held.remove(&label)?;
        self.deadlines.remove(&(held.deadline, label));
        self.bytes -= held.transfer.data.len();
        Some(held.transfer)
    }

    /// Takes out those of `numbers` that still wait.
    pub(crate) fn cancel(&mut self, numbers: &BTreeSet<TransferNumber>) -> Vec<Settled> {
        let unwanted = self.held.values().filter(|held| numbers.contains(&held.transfer.number));
        let labels: Vec<LabelId> = unwanted.map(|held| held.transfer.label).collect();
        let removed = labels.into_iter().filter_map(|label| self.remove(label));
        removed.map(|transfer| (transfer.number, Status::Cancelled)).collect()
    }

    /// Takes out those whose label did not come in time.
    pub(crate) fn expire(&mut self, now: Moment) -> Vec<Settled> {
        let mut settled = Vec::new();
        while let Some((deadline, label)) = self.deadlines.first().copied()
            && deadline <= now
        {
            settled.extend(self.remove(label).map(|transfer| (transfer.number, Status::Expired)));
        }
        settled
    }

    /// When the next one expires.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}
