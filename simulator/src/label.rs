//! A shelf label: it sleeps, wakes, asks its station, takes pictures and shows them.
//!
//! It never echoes a digest that it was told: what it reports is computed from what it decoded.

use std::time::Duration;

use gondola_protocol::message::{CheckIn, Reason, Status};
use gondola_protocol::{Colours, Digest, Edition, LabelId, Millivolts, Moment, Panel, Planes, StationId};

use crate::battery::Battery;
use crate::counters::Counters;
use crate::decode::decode;
use crate::dice::Dice;
use crate::faults::{Fault, invert};
use crate::radio::{Airtime, BLOCK_BYTES, Radio};
use crate::station::{Heard, Offer, Station};
use crate::world::Observation;

/// A short message is tried this often before the label goes back to sleep.
const EXCHANGE_TRIES_MAX: u32 = 3;

/// A block is asked for this often within one wake; what has arrived is kept for the next.
const BLOCK_TRIES_MAX: u32 = 4;

/// Crystals are this many parts per million fast or slow at most.
const DRIFT_PPM_MAX: u64 = 20;

/// What the simulated firmware calls itself.
const FIRMWARE: u16 = 0x0100;

/// One simulated label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelOptions {
    /// Its address.
    pub label: LabelId,
    /// Its display.
    pub panel: Panel,
    /// How long it sleeps between two polls, by its own crystal.
    pub wake: Duration,
    /// The station that it polls; stations take turns over the labels that name none.
    pub station: Option<StationId>,
    /// How long its display takes to change; none for 0.8 s in black and white, 3 s with a colour.
    pub refresh: Option<Duration>,
}

/// What is to be seen of a label from outside, and what it believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelState {
    /// Its address.
    pub label: LabelId,
    /// Its display.
    pub panel: Panel,
    /// The station that it polls.
    pub station: StationId,
    /// The edition that it reports.
    pub edition: Edition,
    /// The digest that it reports.
    pub digest: Digest,
    /// What is on the glass, a dead pixel included.
    pub planes: Planes,
    /// When the glass last changed; none while it shows what it was made with.
    pub displayed_at: Option<Moment>,
    /// Times that it woke up.
    pub wakes: u64,
    /// Its battery.
    pub battery_mv: Millivolts,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

/// What a label reaches over the air while it acts.
#[derive(Debug)]
pub(crate) struct Air<'a> {
    pub(crate) radio: Radio,
    pub(crate) station: &'a mut Station,
    pub(crate) counters: &'a mut Counters,
}

/// A label.
#[derive(Debug)]
pub(crate) struct Label {
    id: LabelId,
    refresh: Duration,
    dice: Dice,
    wake: WakeClock,
    battery: Battery,
    rssi_dbm: i8,
    temperature_c: i8,
    frame_buffer: Picture,
    displayed_at: Option<Moment>,
    /// Why the next check-in is made.
    reason: Reason,
    partial: Option<Partial>,
    /// What became of the last offer, until the station has heard it.
    outcome: Option<(Offer, Status)>,
    phase: Phase,
    /// When the label acts next.
    due: Moment,
    wakes: u64,
    fault: Option<Fault>,
}

/// A decoded picture with the digest that the label computed.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    planes: Planes,
    edition: Edition,
    digest: Digest,
}

impl Picture {
    /// What a label shows that has shown nothing yet.
    pub(crate) fn white(panel: Panel) -> Self {
        let planes = Planes::white(panel);
        Self { digest: planes.digest(), planes, edition: Edition(0) }
    }
}

/// What has arrived of a picture, kept over sleeps.
#[derive(Debug)]
struct Partial {
    offer: Offer,
    bytes: Vec<u8>,
}

/// What a label does next.
#[derive(Debug)]
enum Phase {
    /// Wakes up and polls.
    Asleep,
    /// Polls again within the same wake.
    Polling,
    /// Hears the end of a block that it asked for.
    Receiving { offer: Offer, tries: u32 },
    /// Ends a refresh of its display.
    Refreshing(Picture),
}

/// When a label wakes: its own crystal, its own phase.
#[derive(Debug)]
struct WakeClock {
    first: Moment,
    period_us: u64,
}

impl WakeClock {
    fn new(start: Moment, wake: Duration, dice: &mut Dice) -> Self {
        let nominal_us = u64::try_from(wake.as_micros()).unwrap_or(u64::MAX).max(1);
        let million = 1_000_000;
        let ppm = million - DRIFT_PPM_MAX + dice.below(2 * DRIFT_PPM_MAX + 1);
        let drifted = u128::from(nominal_us) * u128::from(ppm) / u128::from(million);
        let period_us = u64::try_from(drifted).unwrap_or(u64::MAX).max(1);
        Self { first: start + Duration::from_micros(dice.below(period_us)), period_us }
    }

    /// The first wake-up after `now`.
    fn next(&self, now: Moment) -> Moment {
        if now < self.first {
            return self.first;
        }
        let passed = (now.as_micros() - self.first.as_micros()) / self.period_us + 1;
        self.first + Duration::from_micros(passed.saturating_mul(self.period_us))
    }
}

impl Label {
    /// `white` is for the label's panel; labels share it until they show something.
    pub(crate) fn new(options: &LabelOptions, white: Picture, seed: u64, start: Moment) -> Self {
        let mut dice = Dice::of_label(seed, options.label);
        let refresh = match options.panel.colours() {
            Colours::Black => Duration::from_millis(800),
            _ => Duration::from_secs(3),
        };
        let wake = WakeClock::new(start, options.wake, &mut dice);
        Self {
            id: options.label,
            refresh: options.refresh.unwrap_or(refresh),
            battery: Battery::new(between(&mut dice, 3_000, 3_050), start),
            rssi_dbm: -between::<i8>(&mut dice, 45, 85),
            temperature_c: between(&mut dice, 16, 26),
            frame_buffer: white,
            displayed_at: None,
            reason: Reason::Boot,
            partial: None,
            outcome: None,
            phase: Phase::Asleep,
            due: wake.first,
            wakes: 0,
            fault: None,
            dice,
            wake,
        }
    }

    pub(crate) fn due(&self) -> Moment {
        self.due
    }

    pub(crate) fn panel(&self) -> Panel {
        self.frame_buffer.planes.panel()
    }

    pub(crate) fn state(&self, now: Moment, station: &StationId) -> LabelState {
        LabelState {
            label: self.id,
            panel: self.panel(),
            station: station.clone(),
            edition: self.frame_buffer.edition,
            digest: self.frame_buffer.digest,
            planes: self.glass(),
            displayed_at: self.displayed_at,
            wakes: self.wakes,
            battery_mv: self.battery.voltage(now),
            fault: self.fault,
        }
    }

    /// What a person would see.
    pub(crate) fn glass(&self) -> Planes {
        match self.fault {
            Some(Fault::DeadPixel { x, y }) => invert(&self.frame_buffer.planes, x, y),
            _ => self.frame_buffer.planes.clone(),
        }
    }

    /// Sets or clears the fault. The pixel of a [`Fault::DeadPixel`] is on the panel.
    pub(crate) fn set_fault(&mut self, now: Moment, fault: Option<Fault>) -> Option<Observation> {
        if fault != Some(Fault::Reset) {
            self.fault = fault;
            return None;
        }
        self.fault = None;
        self.frame_buffer = Picture::white(self.panel());
        self.displayed_at = Some(now);
        self.reason = Reason::Boot;
        self.partial = None;
        self.outcome = None;
        self.sleep(now);
        Some(self.observation(now))
    }

    /// Acts at the moment that was due.
    pub(crate) fn act(&mut self, now: Moment, air: &mut Air<'_>) -> Option<Observation> {
        match std::mem::replace(&mut self.phase, Phase::Asleep) {
            Phase::Refreshing(picture) => return self.show(now, picture, air),
            _ if self.fault == Some(Fault::Deaf) => self.sleep(now),
            Phase::Asleep => {
                self.wakes += 1;
                air.counters.wakes += 1;
                self.poll(now, air);
            }
            Phase::Polling => self.poll(now, air),
            Phase::Receiving { offer, tries } => self.receive(now, offer, tries, air),
        }
        None
    }

    fn sleep(&mut self, now: Moment) {
        self.phase = Phase::Asleep;
        self.due = self.wake.next(now);
    }

    fn go_on(&mut self, at: Moment, phase: Phase) {
        self.phase = phase;
        self.due = at;
    }

    /// Reports to the station and looks at what it offers.
    fn poll(&mut self, now: Moment, air: &mut Air<'_>) {
        let Some(took) = self.exchange(air) else { return self.sleep(now) };
        if let Some((offer, status)) = self.outcome.take() {
            air.station.handle_outcome(now, self.id, &offer, status);
        }
        let check_in = self.check_in(now);
        let (heard, offer) = air.station.handle_poll(now, &check_in);
        if heard == Heard::Taken {
            self.reason = Reason::Regular;
        }
        match offer {
            Some(offer) => self.consider(now, now + took, offer, air),
            None => self.sleep(now),
        }
    }

    fn check_in(&mut self, now: Moment) -> CheckIn {
        CheckIn {
            label: self.id,
            panel: self.panel(),
            reason: self.reason,
            edition: self.frame_buffer.edition,
            digest: self.frame_buffer.digest,
            battery_mv: self.battery.voltage(now),
            rssi_dbm: self.rssi_dbm - 2 + between::<i8>(&mut self.dice, 0, 4),
            temperature_c: self.temperature_c,
            firmware: FIRMWARE,
        }
    }

    /// A picture is refused before any of it is sent where its header is enough to know.
    fn consider(&mut self, now: Moment, at: Moment, offer: Offer, air: &mut Air<'_>) {
        if offer.panel != self.panel() {
            self.tell(now, offer, Status::WrongPanel, air);
            return self.sleep(now);
        }
        if offer.edition < self.frame_buffer.edition {
            self.tell(now, offer, Status::OlderEdition, air);
            return self.sleep(now);
        }
        let bytes = match self.partial.take() {
            Some(partial) if partial.offer.continues(&offer) => partial.bytes,
            _ => Vec::new(),
        };
        self.partial = Some(Partial { offer, bytes });
        self.ask(at, offer, 0, air);
    }

    /// Asks for the next block; its end is heard after its time on the air.
    fn ask(&mut self, at: Moment, offer: Offer, tries: u32, air: &mut Air<'_>) {
        let start = self.partial.as_ref().map_or(0, |partial| partial.bytes.len());
        let airtime = Radio::block(offer.length.saturating_sub(start).min(BLOCK_BYTES), &mut self.dice);
        self.spend(airtime, air);
        self.go_on(at + airtime.time, Phase::Receiving { offer, tries });
    }

    fn receive(&mut self, now: Moment, offer: Offer, tries: u32, air: &mut Air<'_>) {
        let Some(partial) = &mut self.partial else { return self.sleep(now) };
        let Some(block) = air.station.block(self.id, &offer, partial.bytes.len()) else {
            // Cancelled, or a newer one came: asks what is wanted now.
            return self.go_on(now, Phase::Polling);
        };
        if self.dice.loses(air.radio.loss) {
            air.counters.blocks_lost += 1;
            if tries + 1 == BLOCK_TRIES_MAX {
                return self.sleep(now);
            }
            return self.ask(now, offer, tries + 1, air);
        }
        partial.bytes.extend_from_slice(&block);
        if partial.bytes.len() < offer.length {
            return self.ask(now, offer, 0, air);
        }
        let bytes = std::mem::take(&mut partial.bytes);
        self.partial = None;
        self.take(now, offer, &bytes, air);
    }

    /// All of a picture has arrived.
    fn take(&mut self, now: Moment, offer: Offer, bytes: &[u8], air: &mut Air<'_>) {
        let picture = decode(offer.encoding, bytes, &self.frame_buffer.planes).ok().map(|planes| Picture {
            digest: planes.digest(),
            planes,
            edition: offer.edition,
        });
        let Some(picture) = picture.filter(|picture| picture.digest == offer.digest) else {
            self.tell(now, offer, Status::Undecodable, air);
            return self.sleep(now);
        };
        self.tell(now, offer, Status::Delivered, air);
        self.battery.spend(self.refresh);
        self.go_on(now + self.refresh, Phase::Refreshing(picture));
    }

    /// The display has changed, unless it is stuck.
    fn show(&mut self, now: Moment, picture: Picture, air: &mut Air<'_>) -> Option<Observation> {
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

    fn observation(&self, at: Moment) -> Observation {
        let Picture { edition, digest, .. } = self.frame_buffer;
        Observation { at, label: self.id, edition, digest }
    }

    /// Tells the station what became of its offer; unheard, it is told with the next poll.
    fn tell(&mut self, now: Moment, offer: Offer, status: Status, air: &mut Air<'_>) {
        if self.exchange(air).is_some() {
            air.station.handle_outcome(now, self.id, &offer, status);
        } else {
            self.outcome = Some((offer, status));
        }
    }

    /// A short message and its answer, tried a few times: the time that it took, or none if all were lost.
    fn exchange(&mut self, air: &mut Air<'_>) -> Option<Duration> {
        let mut took = Duration::ZERO;
        for _ in 0..EXCHANGE_TRIES_MAX {
            let airtime = Radio::exchange(&mut self.dice);
            self.spend(airtime, air);
            took += airtime.time;
            if !self.dice.loses(air.radio.loss) {
                return Some(took);
            }
        }
        None
    }

    fn spend(&mut self, airtime: Airtime, air: &mut Air<'_>) {
        air.counters.bytes_on_air += airtime.bytes;
        self.battery.spend(airtime.time);
    }
}

/// A small number from `low` to `high`, both included.
fn between<T: TryFrom<u64>>(dice: &mut Dice, low: u64, high: u64) -> T {
    let number = low + dice.below(high - low + 1);
    T::try_from(number).ok().expect("the bounds fit the type")
}
