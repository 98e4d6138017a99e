//! What is to be brought to labels: pictures, which are packed before they are offered, and orders. Each has its outcome.

use gondola_protocol::message::Status;
use gondola_protocol::{LabelId, Moment, TransferNumber};

use super::RadioHead;
use crate::action::Action;
use crate::head::{HeadEvent, Outcome, Picture, Room};
use crate::openepaperlink::known::{Item, Known, Ordered};
use crate::openepaperlink::label_type::LabelType;
use crate::openepaperlink::order::{Light, Order};
use crate::openepaperlink::packing::{Packed, Packing};
use crate::openepaperlink::payload::Variant;

/// Pictures and orders that wait at once: four times the radio's slots, so that there is always one for a slot that
/// becomes free.
pub(super) const OUTBOX_MAX: usize = 1_000;

/// Their raw bytes at once.
pub(super) const OUTBOX_BYTES_MAX: usize = 32 * 1024 * 1024;

impl RadioHead {
    /// What can be taken now: nothing while the radio is not ready.
    #[must_use]
    pub fn room(&self) -> Room {
        if !self.is_open {
            return Room::default();
        }
        Room {
            transfers: OUTBOX_MAX.saturating_sub(self.numbers.len()),
            bytes: OUTBOX_BYTES_MAX.saturating_sub(self.bytes_waiting),
        }
    }

    /// Accepts one picture, which is offered to its label once it is [packed](Self::poll_packing), in place of any other;
    /// the other's outcome is told then.
    ///
    /// # Errors
    /// The picture itself: the radio is not ready, or [`room`](Self::room) is too small.
    pub fn submit(&mut self, now: Moment, picture: Picture) -> Result<(), Picture> {
        let (room, raw) = (self.room(), picture.planes.bytes().len());
        if room.transfers == 0 || room.bytes < raw || self.numbers.contains_key(&picture.number) {
            return Err(picture);
        }
        self.numbers.insert(picture.number, picture.label);
        self.bytes.insert(picture.number, raw);
        self.bytes_waiting += raw;
        match self.label_type_for(&picture) {
            Ok(_) => self.unpacked.push_back(picture),
            Err(status) => self.settle(picture.number, Outcome::Status(status)),
        }
        self.advance(now);
        Ok(())
    }

    /// The label's type and firmware, where they and the picture agree.
    fn label_type_for(&self, picture: &Picture) -> Result<(&LabelType, u16), Status> {
        // Without a report nobody knows which type it is; the next one brings the picture back.
        let report = self.known.get(&picture.label).and_then(|known| known.report).ok_or(Status::Expired)?;
        let label_type = self.label_types.get(report.label_type).ok_or(Status::Unsupported)?;
        if label_type.panel != picture.planes.panel() {
            return Err(Status::WrongPanel);
        }
        Ok((label_type, report.firmware))
    }

    /// The next picture to pack, the oldest first: do it wherever there is time, and hand what came of it to
    /// [`packed`](Self::packed). Until then there is no other.
    pub fn poll_packing(&mut self) -> Option<Packing> {
        while self.packing.is_none() {
            let picture = self.unpacked.pop_front()?;
            match self.label_type_for(&picture).map(|(label_type, firmware)| (label_type.clone(), firmware)) {
                Ok((label_type, firmware)) => {
                    let packing = Packing::new(picture.planes.clone(), label_type, firmware);
                    self.packing = Some(picture);
                    return Some(packing);
                }
                Err(status) => self.settle(picture.number, Outcome::Status(status)),
            }
        }
        None
    }

    /// Takes what came of packing. A picture that was withdrawn meanwhile is not offered.
    pub fn packed(&mut self, now: Moment, packed: Packed) {
        let Some(picture) = self.packing.take().filter(|picture| self.numbers.contains_key(&picture.number)) else {
            return;
        };
        let (number, label) = (picture.number, picture.label);
        if let Err(status) = self.accept(now, &picture, packed) {
            self.settle(number, Outcome::Status(status));
        }
        self.look(now, label);
        self.advance(now);
    }

    fn accept(&mut self, now: Moment, picture: &Picture, packed: Packed) -> Result<(), Status> {
        let Packed { digest, forms } = packed;
        let known = self.known.get_mut(&picture.label).ok_or(Status::Expired)?;
        let forms = forms.ok_or(Status::WrongPanel)?;
        let mut variant = Variant::default();
        let mut payload = forms.payload(variant).ok_or(Status::WrongPanel)?;
        if known.proven == Some(payload.version) {
            // It is to show what it is known to show: it must be told that this is something else.
            variant = variant.other();
            payload = forms.payload(variant).ok_or(Status::WrongPanel)?;
        }
        let before = known.item.replace(Item {
            number: Some(picture.number),
            edition: picture.edition,
            digest,
            panel: picture.planes.panel(),
            forms,
            variant,
            payload,
            since: now,
            fetched: false,
            oddities: 0,
            not_before: now,
        });
        if let Some(number) = before.and_then(|before| before.number) {
            self.settle(number, Outcome::Lost);
        }
        Ok(())
    }

    /// Accepts one action for a group of labels, or none of it when there is no room for all. Labels that have a light can
    /// blink; each can start anew, look for another radio, and sleep; every other action is [`Status::Unsupported`].
    ///
    /// # Errors
    /// The labels themselves.
    pub fn command(
        &mut self,
        now: Moment,
        action: Action,
        labels: Vec<(TransferNumber, LabelId)>,
    ) -> Result<(), Vec<(TransferNumber, LabelId)>> {
        if self.room().transfers < labels.len() {
            return Err(labels);
        }
        let order = match action {
            Action::Flash { colour, pattern, seconds } => Some(Order::Flash(Light::new(colour, pattern, seconds))),
            Action::Reboot => Some(Order::Reboot),
            Action::Scan => Some(Order::Scan),
            Action::Sleep => Some(Order::DeepSleep),
            _ => None,
        };
        let has_light = |head: &Self, label| head.known.get(&label).is_some_and(|known| head.has_light(known));
        for (number, label) in labels {
            self.numbers.insert(number, label);
            match order.filter(|order| !matches!(order, Order::Flash(_)) || has_light(self, label)) {
                Some(order) => self.put_order(now, number, label, order),
                None => self.settle(number, Outcome::Status(Status::Unsupported)),
            }
        }
        self.advance(now);
        Ok(())
    }

    fn has_light(&self, known: &Known) -> bool {
        let Some(report) = &known.report else { return false };
        report.capabilities & 1 != 0 || self.label_types.get(report.label_type).is_some_and(|known| known.has_light)
    }

    fn put_order(&mut self, now: Moment, number: TransferNumber, label: LabelId, order: Order) {
        let known = self.known.entry(label).or_insert_with(|| Known::new(now));
        let before = known.order.replace(Ordered { number, order, since: now });
        if let Some(before) = before {
            self.settle(before.number, Outcome::Status(Status::Cancelled));
        }
        self.look(now, label);
    }

    /// Withdraws a picture or an order. One that the label is fetching may be on its glass all the same: it is
    /// [`Outcome::Lost`].
    pub fn cancel(&mut self, now: Moment, number: TransferNumber) {
        let Some(label) = self.numbers.get(&number).copied() else { return };
        self.unpacked.retain(|picture| picture.number != number);
        let Some(known) = self.known.get_mut(&label) else { return };
        known.order.take_if(|order| order.number == number);
        let item = known.item.take_if(|item| item.number == Some(number));
        let is_under_way = item.is_some_and(|item| item.fetched || known.visit.is_some());
        self.settle(number, if is_under_way { Outcome::Lost } else { Outcome::Status(Status::Cancelled) });
        self.look(now, label);
        self.advance(now);
    }

    /// Ends what has a number.
    pub(super) fn settle(&mut self, number: TransferNumber, outcome: Outcome) {
        if self.numbers.remove(&number).is_some() {
            self.bytes_waiting -= self.bytes.remove(&number).unwrap_or(0);
            self.events.push_back(HeadEvent::Outcome { number, outcome });
        }
    }
}
