//! A base station as the controller sees it: is it up, and how much can it take.

use gondola_drivers::head::{Capacity, ClockReport};
use gondola_protocol::{Moment, StationId};

/// One base station.
#[derive(Debug, Clone)]
pub struct Station {
    /// Its name.
    pub id: StationId,
    /// What it can hold while a session is open; none while it is away.
    pub capacity: Option<Capacity>,
    /// When it last came or went.
    pub since: Option<Moment>,
    /// Why it is away, as a sentence for people.
    pub away_because: Option<String>,
    /// Transfers planned for it that have no outcome yet.
    pub transfers: usize,
    /// Their pictures' bytes: raw until each is packed, because only then it is known what it packs to.
    pub bytes: usize,
    /// How its clock runs, since it was last told the time.
    pub clock: Option<ClockReport>,
}

impl Station {
    pub(crate) fn new(id: StationId) -> Self {
        Self { id, capacity: None, since: None, away_because: None, transfers: 0, bytes: 0, clock: None }
    }

    /// Whether a picture of `bytes` fits now. The first picture always fits: a station may pack it smaller
    /// than its raw size, and says no if it cannot.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.capacity.is_some_and(|capacity| {
            self.transfers < capacity.transfers && (self.transfers == 0 || self.bytes + bytes <= capacity.bytes)
        })
    }

    /// Whether it can be told something more now.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.transfers < capacity.transfers)
    }

    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.transfers += 1;
        self.bytes += bytes;
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.transfers = self.transfers.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
