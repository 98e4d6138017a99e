//! A shelf label: it sleeps, wakes, asks its station, takes pictures and shows them.
//!
//! It never echoes a digest that it was told: what it reports is computed from what it decoded.

mod display;
mod fetch;
mod options;
mod state;
mod wake;

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::message::{Action, CheckIn, Reason, Report, Slot, Status};
use gondola_protocol::{Colours, Edition, LabelId, Millivolts, Moment, Panel, Planes, StationId};

use crate::battery::Battery;
use crate::counters::Counters;
use crate::decode::DecodeMemory;
use crate::dice::Dice;
use crate::faults::{Fault, invert};
use crate::link::Link;
use crate::radio::{self, Airtime, Radio};
use crate::station::{Heard, Offer, Station};
use crate::world::{Activity, Device, Observation};
use display::Kept;
pub(crate) use display::Picture;
use fetch::Partial;
pub use options::{LabelMemory, LabelOptions};
pub use state::LabelState;
use state::Light;
use wake::WakeClock;

/// A short message is tried this often before the label goes back to sleep.
pub(crate) const EXCHANGE_TRIES_MAX: u32 = 3;

/// A label that neither wakes nor answers is looked at this often.
const DEAF_LOOK: Duration = Duration::from_secs(15 * 60);

/// What the simulated firmware calls itself.
const FIRMWARE: u16 = 0x0100;

/// What a label reaches over the air while it acts.
#[derive(Debug)]
pub(crate) struct Air<'a> {
    pub(crate) radio: Radio,
    /// What a poll costs that says nothing and gets nothing.
    pub(crate) idle: Airtime,
    pub(crate) station: &'a mut Station,
    pub(crate) counters: &'a mut Counters,
    pub(crate) decoded: &'a mut DecodeMemory,
}

/// A label.
#[derive(Debug)]
pub(crate) struct Label {
    id: LabelId,
    device: Device,
    refresh: Duration,
    memory: LabelMemory,
    dice: Dice,
    wake: WakeClock,
    battery: Battery,
    link: Link,
    /// What a wake with nothing to do costs, where that is not what it costs everywhere.
    idle: Option<Box<Airtime>>,
    temperature_c: i8,
    frame_buffer: Picture,
    /// Pictures for later, by slot.
    kept: BTreeMap<u8, Kept>,
    /// The picture of the last transfer, while a page is shown in its place.
    under_page: Option<Picture>,
    light: Option<Light>,
    identified: u64,
    displayed_at: Option<Moment>,
    /// Why the next check-in is made.
    reason: Reason,
    partial: Option<Partial>,
    /// What became of the last offer, until the station has heard it.
    outcome: Option<(Offer, Status)>,
    phase: Phase,
    /// When the label acts next.
    due: Moment,
    /// Nothing but check-ins without news happens before `due`: its wakes since then are counted when somebody asks.
    quiet_since: Option<Moment>,
    /// Billionths of the time in which it calls meanwhile.
    idle_calls: u64,
    wakes: u64,
    /// The last wake that is in the books.
    woke_at: Option<Moment>,
    fault: Option<Fault>,
}

/// What a label does next.
#[derive(Debug)]
enum Phase {
    /// Wakes up and polls.
    Asleep,
    /// Polls again within the same wake.
    Polling,
    /// Hears whether the station heard it, where labels call at the same time.
    Calling { start: Moment, tries: u32 },
    /// Hears the end of a block that it asked for, of which so many radio frames are missing.
    Receiving { offer: Offer, tries: u32, missing: usize },
    /// Ends a refresh of its display.
    Refreshing(Picture),
}

impl Label {
    /// `first` is for the label's panel; labels share it until they show something else.
    pub(crate) fn new(options: &LabelOptions, first: Picture, seed: u64, start: Moment) -> Self {
        let mut dice = Dice::of_label(seed, options.label);
        let refresh = match options.panel.colours() {
            Colours::Black => Duration::from_millis(800),
            Colours::BlackRed | Colours::BlackYellow => Duration::from_secs(3),
            Colours::BlackRedYellow => Duration::from_secs(15),
        };
        let wake = WakeClock::new(start, options.wake, &mut dice);
        Self {
            id: options.label,
            device: Device::Own,
            refresh: options.refresh.unwrap_or(refresh),
            memory: options.memory,
            battery: Battery::new(between(&mut dice, 3_000, 3_050), start),
            link: Link::clear(-between::<i8>(&mut dice, 45, 85)),
            idle: None,
            temperature_c: between(&mut dice, 16, 26),
            frame_buffer: first,
            kept: BTreeMap::new(),
            under_page: None,
            light: None,
            identified: 0,
            displayed_at: None,
            reason: Reason::Boot,
            partial: None,
            outcome: None,
            phase: Phase::Asleep,
            due: wake.first,
            quiet_since: None,
            idle_calls: 0,
            wakes: 0,
            woke_at: None,
            fault: None,
            dice,
            wake,
        }
    }

    /// Another device of the same make with the same id, beside it.
    pub(crate) fn twin(&mut self, now: Moment, radio: &Radio) -> Self {
        let options = LabelOptions {
            label: self.id,
            panel: self.panel(),
            wake: Duration::from_micros(self.wake.period_us),
            station: None,
            shows: None,
            refresh: Some(self.refresh),
            memory: self.memory,
        };
        let seed = self.dice.below(u64::MAX);
        let mut twin = Self::new(&options, Picture::white(self.panel()), seed, now);
        twin.device = Device::Twin;
        twin.set_link(Some(self.link.clone()), radio);
        twin
    }

    pub(crate) fn id(&self) -> LabelId {
        self.id
    }

    pub(crate) fn due(&self) -> Moment {
        self.due
    }

    pub(crate) fn panel(&self) -> Panel {
        self.frame_buffer.planes.panel()
    }

    /// From now on its station is reached over another way, or the air is another.
    pub(crate) fn set_link(&mut self, link: Option<Link>, radio: &Radio) {
        if let Some(link) = link {
            self.link = link;
        }
        let lost = self.link.mean_loss(radio.options.bursts.as_ref());
        self.idle = (lost > 0.0).then(|| Box::new(radio.idle_poll(EXCHANGE_TRIES_MAX, lost)));
    }

    /// What a wake without anything to do costs: `usual` where nothing is special.
    pub(crate) fn idle(&self, usual: Airtime) -> Airtime {
        self.idle.as_deref().copied().unwrap_or(usual)
    }

    /// Billionths of the time in which it called while it had nothing to say, if that is over.
    pub(crate) fn stop_idle_calls(&mut self) -> u64 {
        if self.quiet_since.is_some() { 0 } else { std::mem::take(&mut self.idle_calls) }
    }

    /// `idle` is what a wake without anything to do usually costs.
    pub(crate) fn state(&self, now: Moment, station: &StationId, idle: Airtime) -> LabelState {
        let idle_wakes = self.idle_wakes(now);
        let battery = self.battery.after(self.idle(idle).time, idle_wakes);
        LabelState {
            label: self.id,
            panel: self.panel(),
            station: station.clone(),
            edition: self.frame_buffer.edition,
            digest: self.frame_buffer.planes.digest(),
            planes: self.glass(),
            displayed_at: self.displayed_at,
            wakes: self.wakes + idle_wakes,
            woke_at: self.woke_at(now),
            battery_mv: battery.voltage(now),
            spent_nc: battery.spent_nc(now),
            temperature_c: self.temperature_c,
            fault: self.fault,
            light: self.light,
            identified: self.identified,
        }
    }

    pub(crate) fn set_temperature(&mut self, temperature_c: i8) {
        self.temperature_c = temperature_c;
    }

    /// From now on so much leaks through its battery, in nA.
    pub(crate) fn leak(&mut self, now: Moment, leak_na: u64) {
        self.battery.leak(now, leak_na);
    }

    /// A new battery. It forgets everything.
    pub(crate) fn replace_battery(&mut self, now: Moment) -> Option<Observation> {
        self.battery = Battery::new(between(&mut self.dice, 3_000, 3_050), now);
        self.set_fault(now, Some(Fault::Reset))
    }

    /// Whether it neither wakes nor answers.
    fn is_silent(&self, now: Moment) -> bool {
        self.fault == Some(Fault::Deaf) || self.battery.is_empty(now)
    }

    /// So much of its battery goes at once, in millionths.
    pub(crate) fn drain(&mut self, millionths: u64) {
        self.battery.drain(millionths);
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
        self.under_page = None;
        self.kept.clear();
        self.sleep(now);
        Some(self.observation(now))
    }

    /// Wakes up again whenever its crystal says so. What it did meanwhile goes to the books.
    pub(crate) fn rouse(&mut self, now: Moment, idle: Airtime, counters: &mut Counters) {
        let wakes = self.idle_wakes(now);
        self.woke_at = self.woke_at(now);
        if self.quiet_since.take().is_some() {
            let idle = self.idle(idle);
            self.wakes += wakes;
            self.battery = self.battery.after(idle.time, wakes);
            counters.count_idle(wakes, idle.bytes);
            self.sleep(now);
        }
    }

    /// Wakes since it has been quiet.
    pub(crate) fn idle_wakes(&self, now: Moment) -> u64 {
        self.quiet_since.map_or(0, |since| self.wakes_between(since, now))
    }

    fn woke_at(&self, now: Moment) -> Option<Moment> {
        if self.idle_wakes(now) > 0 { self.wake.last(now) } else { self.woke_at }
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    pub(crate) fn edition(&self) -> Edition {
        self.frame_buffer.edition
    }

    /// What it is at while it does not sleep.
    pub(crate) fn busy_with(&self) -> Option<Activity> {
        match self.phase {
            Phase::Asleep | Phase::Calling { .. } | Phase::Polling => None,
            Phase::Receiving { .. } => Some(Activity::Receiving),
            Phase::Refreshing(_) => Some(Activity::Refreshing),
        }
    }

    pub(crate) fn voltage(&self, now: Moment, idle: Airtime) -> Millivolts {
        self.battery.after(self.idle(idle).time, self.idle_wakes(now)).voltage(now)
    }

    /// Whether it woke after `from` and by `to`, and had nothing to say.
    pub(crate) fn is_heard_between(&self, from: Moment, to: Moment) -> bool {
        self.quiet_since.is_some_and(|since| self.wakes_between(since.max(from), to) > 0)
    }

    fn wakes_between(&self, from: Moment, to: Moment) -> u64 {
        let wakes = self.wake.count(to).saturating_sub(self.wake.count(from));
        if self.is_silent(from) { 0 } else { wakes }
    }

    /// Sleeps on until there is something to do, or something to say by then.
    fn doze(&mut self, now: Moment, until: Moment) {
        self.phase = Phase::Asleep;
        let switches = self.kept.values().filter_map(|kept| kept.due);
        let news = self.wake.next(until - Duration::from_micros(1));
        self.due = switches.chain([news]).min().unwrap_or(news).max(now);
        self.quiet_since = Some(now);
    }

    /// Acts at the moment that was due.
    pub(crate) fn act(&mut self, now: Moment, air: &mut Air<'_>) -> Option<Observation> {
        let observation = self.go(now, air);
        air.station.channel().remove_idle(self.idle_calls);
        let is_calling = self.quiet_since.is_some() && !self.is_silent(now);
        self.idle_calls = if is_calling { radio::idle_calls(self.wake.period_us) } else { 0 };
        air.station.channel().add_idle(self.idle_calls);
        observation
    }

    fn go(&mut self, now: Moment, air: &mut Air<'_>) -> Option<Observation> {
        self.rouse(now - Duration::from_micros(1), air.idle, air.counters);
        match std::mem::replace(&mut self.phase, Phase::Asleep) {
            Phase::Refreshing(picture) => return self.show(now, picture, air),
            _ if self.battery.is_empty(now) => self.doze(now, now + DEAF_LOOK),
            // By its own crystal: it needs nobody for that.
            Phase::Asleep if self.activate(now) => {}
            _ if self.fault == Some(Fault::Deaf) => self.doze(now, now + DEAF_LOOK),
            Phase::Asleep => {
                self.wakes += 1;
                self.woke_at = Some(now);
                air.counters.wakes += 1;
                if air.radio.options.collisions {
                    self.call(now, 0, air);
                } else {
                    self.poll(now, air);
                }
            }
            Phase::Calling { start, tries } => self.called(now, start, tries, air),
            Phase::Polling => self.poll(now, air),
            Phase::Receiving { offer, tries, missing } => self.receive(now, offer, (tries, missing), air),
        }
        None
    }

    fn sleep(&mut self, now: Moment) {
        self.phase = Phase::Asleep;
        self.quiet_since = None;
        let switches = self.kept.values().filter_map(|kept| kept.due);
        self.due = switches.chain([self.wake.next(now)]).min().unwrap_or(now).max(now);
    }

    fn go_on(&mut self, at: Moment, phase: Phase) {
        self.phase = phase;
        self.due = at;
    }

    /// Reports to the station and looks at what it offers.
    fn poll(&mut self, now: Moment, air: &mut Air<'_>) {
        match self.exchange(now, air) {
            Some(took) => self.talk(now, took, air),
            None => self.sleep(now),
        }
    }

    /// The station hears it, which took so long.
    fn talk(&mut self, now: Moment, took: Duration, air: &mut Air<'_>) {
        if let Some((offer, status)) = self.outcome.take() {
            air.station.handle_outcome(now, self.id, &offer, status);
        }
        let report = self.report(now);
        let answer = air.station.handle_poll(now, &report);
        if answer.heard == Heard::Taken {
            self.reason = Reason::Regular;
        }
        if let Some(time) = answer.time {
            self.set_clock(now, time);
        }
        if answer.heard != Heard::NotTaken && answer.offer.is_none() && answer.commands.is_empty() {
            return self.doze(now, air.station.quiet_until(now, self.id));
        }
        let (mut refresh, mut pinged) = (None, false);
        for (number, action) in answer.commands {
            pinged |= action == Action::Ping;
            let (status, shows) = self.obey(now, action);
            refresh = shows.or(refresh);
            if self.exchange(now, air).is_some() {
                air.station.handle_done(now, self.id, number, status);
            }
        }
        match answer.offer {
            Some(offer) => self.consider(now, now + took, offer, answer.time, air),
            None => match refresh {
                Some(picture) => self.begin_refresh(now, picture),
                None if pinged => self.go_on(now + took, Phase::Polling),
                None => self.sleep(now),
            },
        }
    }

    fn report(&mut self, now: Moment) -> Report {
        let check_in = self.check_in(now);
        let slot = |(slot, kept): (&u8, &Kept)| {
            let Picture { edition, ref planes } = kept.picture;
            let digest = planes.digest();
            Slot { slot: *slot, edition, digest, activate_at: kept.activate_at }
        };
        Report { check_in, encodings: self.memory.encodings, slots: self.kept.iter().map(slot).collect() }
    }

    fn check_in(&mut self, now: Moment) -> CheckIn {
        CheckIn {
            label: self.id,
            panel: self.panel(),
            reason: self.reason,
            edition: self.frame_buffer.edition,
            digest: self.frame_buffer.planes.digest(),
            battery_mv: self.battery.voltage(now),
            rssi_dbm: self.link.rssi_dbm.saturating_sub(2).saturating_add(between(&mut self.dice, 0, 4)),
            temperature_c: self.temperature_c,
            firmware: FIRMWARE,
        }
    }

    pub(crate) fn observation(&self, at: Moment) -> Observation {
        let Picture { edition, ref planes } = self.frame_buffer;
        Observation { at, label: self.id, edition, digest: planes.digest(), device: self.device }
    }
}

/// A small number from `low` to `high`, both included.
fn between<T: TryFrom<u64>>(dice: &mut Dice, low: u64, high: u64) -> T {
    let number = low + dice.below(high - low + 1);
    T::try_from(number).ok().expect("the bounds fit the type")
}
