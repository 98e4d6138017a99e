//! A label's pictures: what its glass shows, what it keeps for later, and what it is told to show.

use std::time::Duration;

use gondola_protocol::message::{Action, Reason, Status};
use gondola_protocol::{Edition, Moment, Panel, Planes};

use super::{Air, Label, Light, Phase};
use crate::faults::Fault;
use crate::world::Observation;

/// Below this ink moves more slowly.
const COLD_C: i32 = 15;

/// A decoded picture.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(super) planes: Planes,
    pub(super) edition: Edition,
}

impl Picture {
    /// What a label shows that has shown nothing yet.
    pub(crate) fn white(panel: Panel) -> Self {
        Self::first(Planes::white(panel))
    }

    /// What a label shows at first.
    pub(crate) fn first(planes: Planes) -> Self {
        Self { planes, edition: Edition(0) }
    }
}

/// A picture that waits in a slot.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) picture: Picture,
    /// When it is to be shown, by the controller's clock; zero for a page.
    pub(super) activate_at: Moment,
    /// The same by the label's own crystal, as far as it knows the time.
    pub(super) due: Option<Moment>,
}

impl Label {
    /// Begins to show the picture whose moment has come, if there is one. One that is older than what the glass
    /// shows is dropped.
    pub(super) fn activate(&mut self, now: Moment) -> bool {
        let is_due = |kept: &Kept| kept.due.is_some_and(|due| due <= now);
        while let Some(slot) = self.kept.iter().find(|(_, kept)| is_due(kept)).map(|(slot, _)| *slot)
            && let Some(Kept { picture, .. }) = self.kept.remove(&slot)
        {
            if picture.edition >= self.frame_buffer.edition {
                self.under_page = None;
                self.begin_refresh(now, picture);
                return true;
            }
        }
        false
    }

    pub(super) fn begin_refresh(&mut self, now: Moment, picture: Picture) {
        let span = self.refresh_time();
        self.battery.refresh(span);
        self.go_on(now + span, Phase::Refreshing(picture));
    }

    /// Ink moves slowly in the cold: below 15 °C a refresh takes a tenth longer for each degree.
    pub(super) fn refresh_time(&self) -> Duration {
        let degrees = u32::try_from(COLD_C - i32::from(self.temperature_c)).unwrap_or(0);
        self.refresh + self.refresh * degrees / 10
    }

    /// The station's word for the time: what waits for its moment is set by it.
    pub(super) fn set_clock(&mut self, now: Moment, time: Moment) {
        for kept in self.kept.values_mut().filter(|kept| kept.activate_at > Moment::ZERO) {
            kept.due = Some(self.wake.after(now, kept.activate_at.since(time)));
        }
    }

    /// What a page shows, from now on: a slot's picture, or with slot 0 that of the last transfer. None where nothing
    /// is kept for that.
    pub(super) fn turn_to(&mut self, slot: u8) -> Option<Picture> {
        if slot == 0 {
            return Some(self.under_page.take().unwrap_or_else(|| self.frame_buffer.clone()));
        }
        let page = self.kept.get(&slot).filter(|kept| kept.activate_at == Moment::ZERO)?;
        self.under_page.get_or_insert_with(|| self.frame_buffer.clone());
        Some(page.picture.clone())
    }

    /// Does what it was told, and answers what it shows anew for that; if it is not heard, it is told the same again.
    pub(super) fn obey(&mut self, now: Moment, action: Action) -> (Status, Option<Picture>) {
        match action {
            Action::Ping => self.reason = Reason::Answered,
            Action::Identify => self.identified += 1,
            Action::Flash { colour, pattern, seconds } => {
                let until = now + Duration::from_secs(seconds.into());
                self.light = Some(Light { colour, pattern, until });
            }
            Action::Firmware => {}
            Action::Refresh => return (Status::Delivered, Some(self.frame_buffer.clone())),
            Action::Page { slot } => {
                let page = self.turn_to(slot);
                return (page.as_ref().map_or(Status::Unsupported, |_| Status::Delivered), page);
            }
            Action::Drop { slot } if self.kept.remove(&slot).is_none() => return (Status::Unsupported, None),
            Action::Drop { .. } => {}
        }
        (Status::Delivered, None)
    }

    /// The display has changed, unless it is stuck.
    pub(super) fn show(&mut self, now: Moment, picture: Picture, air: &mut Air<'_>) -> Option<Observation> {
        let shown = self.fault != Some(Fault::Stuck);
        if shown {
            self.frame_buffer = picture;
            self.displayed_at = Some(now);
            self.reason = Reason::Displayed;
            air.counters.displayed += 1;
        }
        if self.fault == Some(Fault::Deaf) {
            self.sleep(now);
        } else {
            self.poll(now, air);
        }
        shown.then(|| self.observation(now))
    }
}
