//! The families of base stations behind one face: what the shell needs of a head, whatever it speaks.

use bytes::Bytes;
use gondola_protocol::message::{Lane, Status};
use gondola_protocol::{LabelId, Moment, SessionId, StationId, TransferNumber};

use crate::action::Action;
use crate::head::{Ahead, Counters, Head, HeadEvent, HeadOptions, Outcome, Picture};
use crate::openepaperlink::packing::{Packed, Packing};
use crate::openepaperlink::{RadioHead, RadioOptions};

/// What a station speaks, and how its head behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverOptions {
    /// Our reference protocol.
    Shelflink(HeadOptions),
    /// A radio of OpenEPaperLink.
    OpenEPaperLink(RadioOptions),
}

impl From<HeadOptions> for DriverOptions {
    fn from(options: HeadOptions) -> Self {
        Self::Shelflink(options)
    }
}

impl From<RadioOptions> for DriverOptions {
    fn from(options: RadioOptions) -> Self {
        Self::OpenEPaperLink(options)
    }
}

/// A head of either family.
#[derive(Debug)]
pub(crate) enum FamilyHead {
    Shelflink(Box<Head>),
    OpenEPaperLink(Box<RadioHead>),
}

/// Calls the same method of either head.
macro_rules! either {
    ($family:expr, $head:ident => $call:expr) => {
        match $family {
            FamilyHead::Shelflink($head) => $call,
            FamilyHead::OpenEPaperLink($head) => $call,
        }
    };
}

impl FamilyHead {
    pub(crate) fn new(station: StationId, options: DriverOptions) -> Self {
        match options {
            DriverOptions::Shelflink(options) => Self::Shelflink(Box::new(Head::new(station, options))),
            DriverOptions::OpenEPaperLink(options) => Self::OpenEPaperLink(Box::new(RadioHead::new(options))),
        }
    }

    pub(crate) fn connected(&mut self, now: Moment, session: SessionId) {
        match self {
            Self::Shelflink(head) => head.connected(now, session),
            Self::OpenEPaperLink(head) => head.connected(now),
        }
    }

    pub(crate) fn disconnected(&mut self, now: Moment) {
        either!(self, head => head.disconnected(now));
    }

    pub(crate) fn handle_bytes(&mut self, now: Moment, bytes: &[u8]) {
        either!(self, head => head.handle_bytes(now, bytes));
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        either!(self, head => head.handle_timeout(now));
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        either!(self, head => head.poll_timeout())
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Bytes> {
        either!(self, head => head.poll_transmit())
    }

    pub(crate) fn poll_event(&mut self) -> Option<HeadEvent> {
        either!(self, head => head.poll_event())
    }

    pub(crate) fn wants_disconnect(&self) -> bool {
        either!(self, head => head.wants_disconnect())
    }

    pub(crate) fn counters(&self) -> Counters {
        either!(self, head => head.counters())
    }

    /// The speed at which a serial line must run now; none when that is not the head's business.
    pub(crate) fn baud(&self) -> Option<u32> {
        match self {
            Self::Shelflink(_) => None,
            Self::OpenEPaperLink(head) => Some(head.baud()),
        }
    }

    /// Whether its station must be answered within milliseconds, whatever else there is to do.
    pub(crate) const fn is_urgent(&self) -> bool {
        matches!(self, Self::OpenEPaperLink(_))
    }

    /// Work for somebody who has time; what came of it goes to [`packed`](Self::packed). One at a time.
    pub(crate) fn poll_packing(&mut self) -> Option<Packing> {
        match self {
            Self::Shelflink(_) => None,
            Self::OpenEPaperLink(head) => head.poll_packing(),
        }
    }

    pub(crate) fn packed(&mut self, now: Moment, packed: Packed) {
        match self {
            Self::Shelflink(_) => {}
            Self::OpenEPaperLink(head) => head.packed(now, packed),
        }
    }

    /// Events that may wait for their receiver while the station is still read. A station of shelflink is held back by
    /// the first one; a radio cannot be held back, and whoever does not read it misses its requests for blocks.
    pub(crate) const fn events_held_max(&self) -> usize {
        match self {
            Self::Shelflink(_) => 1,
            Self::OpenEPaperLink(_) => 4_096,
        }
    }

    pub(crate) fn submit(&mut self, now: Moment, picture: Picture) -> Result<(), Picture> {
        either!(self, head => head.submit(now, picture))
    }

    /// Sends a picture ahead. Labels of OpenEPaperLink have no clock: the outcome is [`Status::Unsupported`].
    pub(crate) fn stage(&mut self, now: Moment, picture: Picture, ahead: Ahead) -> Result<(), Outcome> {
        match self {
            Self::Shelflink(head) => head.stage(now, picture, ahead).map_err(|_| Outcome::Lost),
            Self::OpenEPaperLink(_) => Err(Outcome::Status(Status::Unsupported)),
        }
    }

    pub(crate) fn command(
        &mut self,
        now: Moment,
        action: Action,
        lane: Lane,
        labels: Vec<(TransferNumber, LabelId)>,
    ) -> Result<(), Vec<(TransferNumber, LabelId)>> {
        match self {
            Self::Shelflink(head) => head.command(now, action, lane, labels),
            Self::OpenEPaperLink(head) => head.command(now, action, labels),
        }
    }

    pub(crate) fn cancel(&mut self, now: Moment, number: TransferNumber) {
        either!(self, head => head.cancel(now, number));
    }
}
