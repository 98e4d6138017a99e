//! A shelf label: it sleeps, wakes, asks its station, takes pictures and shows them.
//!
//! It never echoes a digest that it was told: what it reports is computed from what it decoded.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::message::{Action, CheckIn, Encoding, Lane, LightColour, Pattern, Reason, Report, Slot, Status};
use gondola_protocol::{Colours, Digest, Edition, LabelId, Millivolts, Moment, Panel, Planes, StationId};

use crate::battery::Battery;
use crate::counters::Counters;
use crate::decode::DecodeMemory;
use crate::dice::Dice;
use crate::faults::{Fault, invert};
use crate::link::Link;
use crate::radio::{self, Airtime, BLOCK_BYTES, Radio};
use crate::station::{Heard, Offer, Station};
use crate::world::{Activity, Observation};

/// A short message is tried this often before the label goes back to sleep.
pub(crate) const EXCHANGE_TRIES_MAX: u32 = 3;

/// A block is asked for this often within one wake; what has arrived is kept for the next.
const BLOCK_TRIES_MAX: u32 = 4;

/// Crystals are this many parts per million fast or slow at most.
const DRIFT_PPM_MAX: u64 = 20;

/// Below this ink moves more slowly.
const COLD_C: i32 = 15;

/// A label that neither wakes nor answers is looked at this often.
const DEAF_LOOK: Duration = Duration::from_secs(15 * 60);

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
    /// What it shows at first, as edition 0; none for white.
    pub shows: Option<Planes>,
    /// How long its display takes to change at 15 °C and above; none for 0.8 s in black and white, 3 s with a colour, 15 s
    /// with two.
    pub refresh: Option<Duration>,
    /// What it has room for.
    pub memory: LabelMemory,
}

/// What a label has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelMemory {
    /// Pictures that it keeps for later. Of more it says that it cannot.
    pub pictures: u8,
    /// Encodings that it decodes, a bit each.
    pub encodings: u8,
}

impl Default for LabelMemory {
    /// Seven pictures and every encoding.
    fn default() -> Self {
        Self { pictures: 7, encodings: Encoding::ALL.iter().fold(0, |bits, encoding| bits | encoding.bit()) }
    }
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
    /// When it woke up last; none before the first time.
    pub woke_at: Option<Moment>,
    /// Its battery.
    pub battery_mv: Millivolts,
    /// What it has taken from its battery, in nanocoulombs.
    pub spent_nc: u64,
    /// Its temperature.
    pub temperature_c: i8,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// The last blinking that it was told.
    pub light: Option<Light>,
    /// Times that it showed its address.
    pub identified: u64,
}

/// A label's light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Light {
    /// In which colour.
    pub colour: LightColour,
    /// How it blinks.
    pub pattern: Pattern,
    /// When it goes out.
    pub until: Moment,
}

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
        Self::first(Planes::white(panel))
    }

    /// What a label shows at first.
    pub(crate) fn first(planes: Planes) -> Self {
        Self { digest: planes.digest(), planes, edition: Edition(0) }
    }
}

/// A picture that waits in a slot.
#[derive(Debug)]
struct Kept {
    picture: Picture,
    /// When it is to be shown, by the controller's clock; zero for a page.
    activate_at: Moment,
    /// The same by the label's own crystal, as far as it knows the time.
    due: Option<Moment>,
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
    /// Hears whether the station heard it, where labels call at the same time.
    Calling { start: Moment, tries: u32 },
    /// Hears the end of a block that it asked for, of which so many radio frames are missing.
    Receiving { offer: Offer, tries: u32, missing: usize },
    /// Ends a refresh of its display.
    Refreshing(Picture),
}

/// When a label wakes: its own crystal, its own phase.
#[derive(Debug)]
struct WakeClock {
    first: Moment,
    period_us: u64,
    /// The crystal's ticks in a true second, in millionths.
    ppm: u64,
}

impl WakeClock {
    fn new(start: Moment, wake: Duration, dice: &mut Dice) -> Self {
        let nominal_us = u64::try_from(wake.as_micros()).unwrap_or(u64::MAX).max(1);
        let million = 1_000_000;
        let ppm = million - DRIFT_PPM_MAX + dice.below(2 * DRIFT_PPM_MAX + 1);
        let drifted = u128::from(nominal_us) * u128::from(ppm) / u128::from(million);
        let period_us = u64::try_from(drifted).unwrap_or(u64::MAX).max(1);
        Self { first: start + Duration::from_micros(dice.below(period_us)), period_us, ppm }
    }

    /// Wake-ups up to and with `now`.
    fn count(&self, now: Moment) -> u64 {
        if now < self.first { 0 } else { (now.as_micros() - self.first.as_micros()) / self.period_us + 1 }
    }

    /// The last wake-up up to and with `now`.
    fn last(&self, now: Moment) -> Option<Moment> {
        let before = self.count(now).checked_sub(1)?;
        Some(self.first + Duration::from_micros(before.saturating_mul(self.period_us)))
    }

    /// When the crystal has counted `span` from `now` on.
    fn after(&self, now: Moment, span: Duration) -> Moment {
        let drifted = span.as_micros() * u128::from(self.ppm) / 1_000_000;
        now + Duration::from_micros(u64::try_from(drifted).unwrap_or(u64::MAX))
    }

    /// The first wake-up after `now`.
    fn next(&self, now: Moment) -> Moment {
        self.first + Duration::from_micros(self.count(now).saturating_mul(self.period_us))
    }
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
            digest: self.frame_buffer.digest,
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

    /// Begins to show the picture whose moment has come, if there is one. One that is older than what the glass
    /// shows is dropped.
    fn activate(&mut self, now: Moment) -> bool {
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

    fn begin_refresh(&mut self, now: Moment, picture: Picture) {
        let span = self.refresh_time();
        self.battery.refresh(span);
        self.go_on(now + span, Phase::Refreshing(picture));
    }

    /// Ink moves slowly in the cold: below 15 °C a refresh takes a tenth longer for each degree.
    fn refresh_time(&self) -> Duration {
        let degrees = u32::try_from(COLD_C - i32::from(self.temperature_c)).unwrap_or(0);
        self.refresh + self.refresh * degrees / 10
    }

    /// The station's word for the time: what waits for its moment is set by it.
    fn set_clock(&mut self, now: Moment, time: Moment) {
        for kept in self.kept.values_mut().filter(|kept| kept.activate_at > Moment::ZERO) {
            kept.due = Some(self.wake.after(now, kept.activate_at.since(time)));
        }
    }

    fn go_on(&mut self, at: Moment, phase: Phase) {
        self.phase = phase;
        self.due = at;
    }

    /// Calls the station, as whoever else wakes may do at the same time.
    fn call(&mut self, now: Moment, tries: u32, air: &mut Air<'_>) {
        let airtime = Radio::exchange(&mut self.dice);
        air.counters.count_air(None, airtime.bytes);
        self.battery.send(airtime.time);
        let start = air.station.channel().call(now, self.id, &mut self.dice);
        self.go_on(start + airtime.time, Phase::Calling { start, tries });
    }

    /// It hears an answer, or calls again.
    fn called(&mut self, now: Moment, start: Moment, tries: u32, air: &mut Air<'_>) {
        let is_spoiled = air.station.channel().is_spoiled(start, self.id, &mut self.dice);
        air.counters.collisions += u64::from(is_spoiled);
        if self.is_answered(now, air) && !is_spoiled {
            self.talk(now, Duration::ZERO, air);
        } else if tries + 1 < EXCHANGE_TRIES_MAX {
            let again = now + radio::backoff(&mut self.dice);
            self.call(again, tries + 1, air);
        } else {
            self.sleep(now);
        }
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

    /// What a page shows, from now on: a slot's picture, or with slot 0 that of the last transfer. None where nothing
    /// is kept for that.
    fn turn_to(&mut self, slot: u8) -> Option<Picture> {
        if slot == 0 {
            return Some(self.under_page.take().unwrap_or_else(|| self.frame_buffer.clone()));
        }
        let page = self.kept.get(&slot).filter(|kept| kept.activate_at == Moment::ZERO)?;
        self.under_page.get_or_insert_with(|| self.frame_buffer.clone());
        Some(page.picture.clone())
    }

    /// Does what it was told, and answers what it shows anew for that; if it is not heard, it is told the same again.
    fn obey(&mut self, now: Moment, action: Action) -> (Status, Option<Picture>) {
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

    fn report(&mut self, now: Moment) -> Report {
        let check_in = self.check_in(now);
        let slot = |(slot, kept): (&u8, &Kept)| {
            let Picture { edition, digest, .. } = kept.picture;
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
            digest: self.frame_buffer.digest,
            battery_mv: self.battery.voltage(now),
            rssi_dbm: self.link.rssi_dbm.saturating_sub(2).saturating_add(between(&mut self.dice, 0, 4)),
            temperature_c: self.temperature_c,
            firmware: FIRMWARE,
        }
    }

    /// A picture is refused before any of it is sent where its header is enough to know.
    fn consider(&mut self, now: Moment, at: Moment, offer: Offer, time: Option<Moment>, air: &mut Air<'_>) {
        if offer.ahead.slot > 0 && time.is_none() {
            // Nobody knows when it is to be shown; the station soon will.
            return self.sleep(now);
        }
        if let Some(refusal) = self.refusal(&offer, air) {
            self.tell(now, offer, refusal, air);
            return self.sleep(now);
        }
        let bytes = match self.partial.take() {
            Some(partial) if partial.offer.continues(&offer) => partial.bytes,
            _ => Vec::new(),
        };
        self.partial = Some(Partial { offer, bytes });
        self.ask(at, offer, (0, usize::MAX), air);
    }

    /// Why it does not want a picture.
    fn refusal(&self, offer: &Offer, air: &Air<'_>) -> Option<Status> {
        let slot = offer.ahead.slot;
        let has_room = slot == 0 || self.kept.contains_key(&slot) || self.kept.len() < self.memory.pictures.into();
        if offer.panel != self.panel() {
            Some(Status::WrongPanel)
        } else if offer.encoding.bit() & self.memory.encodings == 0 {
            Some(Status::UnknownEncoding)
        } else if !has_room {
            Some(Status::Unsupported)
        } else if offer.edition < self.frame_buffer.edition && !air.radio.ignores_editions {
            Some(Status::OlderEdition)
        } else {
            None
        }
    }

    /// Asks for the next block, or for what is missing of it; its end is heard after its time on the air.
    fn ask(&mut self, at: Moment, offer: Offer, (tries, missing): (u32, usize), air: &mut Air<'_>) {
        let start = self.partial.as_ref().map_or(0, |partial| partial.bytes.len());
        let block = offer.length.saturating_sub(start).min(BLOCK_BYTES);
        let missing = missing.min(radio::parts(block));
        let airtime = Radio::block(block.min(radio::bytes_of_parts(missing)), &mut self.dice);
        let waited = self.spend(at, airtime, Some(offer.lane), air);
        self.go_on(at + waited + airtime.time, Phase::Receiving { offer, tries, missing });
    }

    fn receive(&mut self, now: Moment, offer: Offer, (tries, missing): (u32, usize), air: &mut Air<'_>) {
        let Some(partial) = &mut self.partial else { return self.sleep(now) };
        let Some(block) = air.station.block(self.id, &offer, partial.bytes.len()) else {
            // Cancelled, or a newer one came: asks what is wanted now.
            return self.go_on(now, Phase::Polling);
        };
        let bursts = air.radio.options.bursts.as_ref();
        let lost = if self.dice.loses(air.radio.loss) {
            missing
        } else {
            self.link.parts_lost(now, missing, bursts, &mut self.dice)
        };
        if lost > 0 {
            air.counters.blocks_lost += 1;
            if tries + 1 == BLOCK_TRIES_MAX {
                return self.sleep(now);
            }
            return self.ask(now, offer, (tries + 1, lost), air);
        }
        partial.bytes.extend_from_slice(&block);
        if partial.bytes.len() < offer.length {
            return self.ask(now, offer, (0, usize::MAX), air);
        }
        let bytes = std::mem::take(&mut partial.bytes);
        self.partial = None;
        self.take(now, offer, bytes, air);
    }

    /// All of a picture has arrived.
    fn take(&mut self, now: Moment, offer: Offer, bytes: Vec<u8>, air: &mut Air<'_>) {
        let Picture { planes, digest, .. } = &self.frame_buffer;
        let decoded = air.decoded.decode(offer.encoding, bytes, planes, *digest);
        let picture = decoded.map(|(planes, digest)| Picture { planes, digest, edition: offer.edition });
        let Some(picture) = picture.filter(|picture| picture.digest == offer.digest) else {
            self.tell(now, offer, Status::Undecodable, air);
            return self.sleep(now);
        };
        let time = air.station.time(now).filter(|_| offer.ahead.slot > 0);
        if let Some(time) = time
            && (offer.ahead.activate_at > time || offer.ahead.activate_at == Moment::ZERO)
        {
            let kept = Kept { picture, activate_at: offer.ahead.activate_at, due: None };
            self.kept.insert(offer.ahead.slot, kept);
            self.set_clock(now, time);
            self.tell(now, offer, Status::Staged, air);
            // What it keeps is news.
            return self.go_on(now, Phase::Polling);
        }
        self.tell(now, offer, Status::Delivered, air);
        self.under_page = None;
        self.begin_refresh(now, picture);
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
        if self.exchange(now, air).is_some() {
            air.station.handle_outcome(now, self.id, &offer, status);
        } else {
            self.outcome = Some((offer, status));
        }
    }

    /// A short message and its answer, tried a few times: the time that it took, or none if all were lost.
    fn exchange(&mut self, now: Moment, air: &mut Air<'_>) -> Option<Duration> {
        let mut took = Duration::ZERO;
        for _ in 0..EXCHANGE_TRIES_MAX {
            let airtime = Radio::exchange(&mut self.dice);
            took += self.spend(now + took, airtime, None, air) + airtime.time;
            if self.is_answered(now + took, air) {
                return Some(took);
            }
        }
        None
    }

    /// Whether a message comes through, and its answer.
    fn is_answered(&mut self, now: Moment, air: &Air<'_>) -> bool {
        let is_heard = self.fault != Some(Fault::Mute) && air.station.is_on();
        let is_lost = self.dice.loses(air.radio.loss)
            || self.link.loses_exchange(now, air.radio.options.bursts.as_ref(), &mut self.dice);
        !is_lost && is_heard
    }

    /// Takes the air for something, for a picture of a lane or for a short message. Answers how long that has to
    /// wait: the station says when its turn comes, and the label sleeps until then.
    fn spend(&mut self, now: Moment, airtime: Airtime, lane: Option<Lane>, air: &mut Air<'_>) -> Duration {
        air.counters.count_air(lane, airtime.bytes);
        self.battery.send(airtime.time);
        // Nobody has to wait for the turn of those whom a station without power does not hear.
        if air.station.is_on() { air.station.occupy(now, airtime, lane.is_some()) } else { Duration::ZERO }
    }
}

/// A small number from `low` to `high`, both included.
fn between<T: TryFrom<u64>>(dice: &mut Dice, low: u64, high: u64) -> T {
    let number = low + dice.below(high - low + 1);
    T::try_from(number).ok().expect("the bounds fit the type")
}
