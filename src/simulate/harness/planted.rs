//! Bugs that a test plants between the parts, one for each thing that must be true, to see that each is found.
//! Nothing but a test can choose them.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::head::{HeadEvent, Outcome, Picture};
use gondola_protocol::message::{CheckIn, Lane, Reason, Status};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, Panel, Planes, StationId, TransferNumber};

use super::Harness;
use crate::controller::message::{Input, PushMode, PushOrder, Request};

/// Bugs of the rare kind strike once in so many times.
const RARELY: u64 = 40;

/// A clock job that nobody remembers runs this often.
const JOB_PERIOD: Duration = Duration::from_secs(20 * 60);

/// Numbers of transfers that the core does not know of.
const FOREIGN: u32 = 0x8000_0000;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// I1: now and then a picture goes out with the pixels of another label's.
    SwapsPictures,
    /// I2: a picture is kept and sent once more after a newer one, to labels that ignore editions.
    SendsOldPictures,
    /// I3: now and then what became of a transfer is not passed on.
    LosesOutcomes,
    /// I4: whenever a label reports, it is told to report.
    KeepsLabelsAwake,
    /// I5: now and then a picture that was made is lost on its way back, and nobody asks for it again.
    LosesPictures,
    /// I6: the journal says that it holds what it has not written.
    AcknowledgesEarly,
    /// I7: a forgotten job sends every picture again.
    SendsAgain,
    /// I8: a label that took a picture is believed to show it.
    BelievesDelivery,
}

impl Planted {
    /// Every bug, in the order of what it violates.
    pub const ALL: [Self; 8] = [
        Self::SwapsPictures,
        Self::SendsOldPictures,
        Self::LosesOutcomes,
        Self::KeepsLabelsAwake,
        Self::LosesPictures,
        Self::AcknowledgesEarly,
        Self::SendsAgain,
        Self::BelievesDelivery,
    ];
}

/// What a bug remembers.
#[derive(Debug, Default)]
pub(super) struct Bug {
    times: u64,
    /// The newest picture of each size.
    pictures: BTreeMap<Panel, Planes>,
    /// A picture that comes once more after the label's next.
    kept: Option<(StationId, Picture)>,
    /// What is on its way.
    sent: BTreeMap<TransferNumber, (LabelId, Panel, Edition, Digest)>,
    job_at: Option<Moment>,
}

impl Bug {
    pub(super) const fn poll_timeout(&self) -> Option<Moment> {
        self.job_at
    }

    fn strikes(&mut self) -> bool {
        self.times += 1;
        self.times.is_multiple_of(RARELY)
    }
}

impl Harness {
    fn is_planted(&self, planted: Planted) -> bool {
        self.options.planted == Some(planted)
    }

    /// What leaves in place of a picture.
    pub(super) fn tamper(&mut self, station: &StationId, mut picture: Picture) -> Picture {
        let panel = picture.planes.panel();
        match self.options.planted {
            Some(Planted::SwapsPictures) => {
                let other = self.bug.pictures.insert(panel, picture.planes.clone());
                if self.bug.strikes()
                    && let Some(other) = other
                {
                    picture.planes = other;
                }
            }
            Some(Planted::SendsOldPictures) if self.bug.kept.is_none() => {
                let number = TransferNumber(FOREIGN | picture.number.0);
                self.bug.kept = Some((station.clone(), Picture { number, held: None, ..picture.clone() }));
            }
            Some(Planted::BelievesDelivery) => {
                let sent = (picture.label, panel, picture.edition, picture.planes.digest());
                self.bug.sent.insert(picture.number, sent);
            }
            _ => {}
        }
        picture
    }

    /// Whether a picture that was made does not come back.
    pub(super) fn loses_picture(&mut self) -> bool {
        self.is_planted(Planted::LosesPictures) && self.bug.strikes()
    }

    /// Whether what became of a transfer is not passed on.
    pub(super) fn swallows(&mut self, number: TransferNumber) -> bool {
        number.0 >= FOREIGN || (self.is_planted(Planted::LosesOutcomes) && self.bug.strikes())
    }

    /// Says more of a transfer's outcome than there is.
    pub(super) fn embellish(&mut self, station: &StationId, number: TransferNumber, outcome: Outcome) {
        let delivered = outcome == Outcome::Status(Status::Delivered);
        if let Some((label, panel, edition, digest)) = self.bug.sent.remove(&number)
            && delivered
        {
            let check_in = CheckIn {
                label,
                panel,
                reason: Reason::Displayed,
                edition,
                digest,
                battery_mv: Millivolts(3_000),
                rssi_dbm: -60,
                temperature_c: 20,
                firmware: 1,
            };
            self.controller.handle(self.now, Input::Station(station.clone(), HeadEvent::CheckIn(check_in)));
        }
    }

    /// Says that the journal holds what it does not hold yet.
    pub(super) fn acknowledge_early(&mut self) {
        if self.is_planted(Planted::AcknowledgesEarly) {
            let batches = self.appended + self.disk.unsynced.len() as u64;
            self.controller.handle(self.now, Input::Synced { batches, head: None });
        }
    }

    /// What is done out of turn.
    pub(super) fn misbehave(&mut self) {
        match self.options.planted {
            Some(Planted::SendsAgain) if self.bug.job_at.is_none_or(|at| at <= self.now) => {
                self.bug.job_at = Some(self.now + JOB_PERIOD);
                let order = PushOrder { mode: PushMode::Resend, ..PushOrder::default() };
                self.controller.handle(self.now, Input::Request { ticket: 0, request: Request::Push(order) });
            }
            Some(Planted::SendsOldPictures) => self.send_kept(),
            _ => {}
        }
    }

    /// Sends the kept picture once its label shows a newer one.
    fn send_kept(&mut self) {
        let Some((station, picture)) = self.bug.kept.clone() else { return };
        let now = self.now;
        let shown = self.controller.fleet().label(picture.label).and_then(|label| label.reported.as_ref());
        if shown.is_some_and(|shown| shown.edition > picture.edition)
            && let Some(head) = self.head(&station)
            && head.submit(now, picture).is_ok()
        {
            self.bug.kept = None;
        }
    }

    /// Makes a label report that has just done so.
    pub(super) fn keep_awake(&mut self, station: &StationId, label: LabelId) {
        if !self.is_planted(Planted::KeepsLabelsAwake) {
            return;
        }
        self.bug.times += 1;
        let (now, number) = (self.now, u32::try_from(self.bug.times).unwrap_or(0) | FOREIGN);
        if let Some(head) = self.head(station) {
            // A base station without room is left alone.
            let _ = head.command(now, Action::Ping, Lane::Interactive, vec![(TransferNumber(number), label)]);
        }
    }
}
