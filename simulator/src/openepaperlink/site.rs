//! One radio and its labels, in virtual time: bytes of the serial line in and out, and what the glasses show.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::{LabelId, Moment};

use super::radio::{BUFFER, BlockAnswer, Later, Offer, ROUND, Radio, RadioOptions};
use super::tag::{Choice, PART, PARTS, TRIES_MAX, Tag, TagOptions, TagState};
use crate::dice::{Dice, Loss};

/// From one try to the next.
const TRY: Duration = Duration::from_millis(15);

/// Tries of a request, and of a confirmation.
const REQUESTS_MAX: u32 = 10;
const CONFIRMATIONS_MAX: u32 = 16;

/// From one part of a block to the next.
const PART_PITCH: Duration = Duration::from_millis(5);

/// Attempts at one block.
const ATTEMPTS_MAX: u32 = 5;

/// How long a glass takes to change.
const REFRESH: Duration = Duration::from_secs(6);

/// How long a label sleeps before it looks for a radio again.
const LOST_SLEEP: Duration = Duration::from_secs(40);

/// A site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SiteOptions {
    /// Decides everything.
    pub seed: u64,
    /// Share of packets on the air that are lost.
    pub loss: f64,
    /// Its radio.
    pub radio: RadioOptions,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Check-ins that were heard.
    pub check_ins: u64,
    /// Labels that were sent away.
    pub cancels: u64,
    /// Blocks that were sent as they had been before, because nothing came in time.
    pub stale_blocks: u64,
    /// Blocks that were sent.
    pub blocks: u64,
    /// Confirmations of labels.
    pub confirmations: u64,
    /// Bytes of the line that were lost because nobody read it.
    pub overrun: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Round,
    Minute,
    Later(Later),
    /// A label wakes.
    Wake(LabelId, u64),
    /// A label asks for a block.
    Request(LabelId, u64),
    /// The radio sends what it has.
    Transmit(LabelId, u64),
    /// A label has heard what there was.
    Heard(LabelId, u64),
    /// A label says that it has the offer.
    Confirm(LabelId, u64, Offer),
}

/// The site.
#[derive(Debug)]
pub struct Site {
    options: SiteOptions,
    now: Moment,
    radio: Radio,
    tags: BTreeMap<LabelId, Tag>,
    dice: Dice,
    events: BTreeMap<(Moment, u64), Event>,
    numbered: u64,
    next_round: Option<Moment>,
    counters: Counters,
    is_on: bool,
}

impl Site {
    /// A radio that has just been switched on, and no label.
    #[must_use]
    pub fn new(now: Moment, options: SiteOptions) -> Self {
        let mut site = Self {
            options,
            now,
            radio: Radio::new(options.radio),
            tags: BTreeMap::new(),
            dice: Dice::of_site(options.seed),
            events: BTreeMap::new(),
            numbered: 0,
            next_round: None,
            counters: Counters::default(),
            is_on: true,
        };
        site.radio.restart();
        site.at(now + Duration::from_secs(60), Event::Minute);
        site
    }

    /// Adds a label that wakes first after `wakes_in`.
    pub fn add(&mut self, now: Moment, options: TagOptions, wakes_in: Duration) {
        self.tags.insert(options.label, Tag::new(options));
        self.at(now + wakes_in, Event::Wake(options.label, 0));
    }

    /// What can be seen of a label.
    #[must_use]
    pub fn label(&self, label: LabelId) -> Option<TagState> {
        self.tags.get(&label).map(Tag::state)
    }

    /// Every label.
    pub fn labels(&self) -> impl Iterator<Item = (LabelId, TagState)> + '_ {
        self.tags.iter().map(|(label, tag)| (*label, tag.state()))
    }

    /// What was counted.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        Counters { overrun: self.radio.overrun, ..self.counters }
    }

    /// Slots in use.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.radio.slots()
    }

    /// The speed of the radio's end of the line.
    #[must_use]
    pub const fn baud(&self) -> u32 {
        self.radio.baud
    }

    /// From now on this share of packets is lost.
    pub const fn set_loss(&mut self, loss: f64) {
        self.options.loss = loss;
    }

    /// The radio is switched off and on.
    pub fn restart_radio(&mut self) {
        self.radio.restart();
        self.events.retain(|_, event| !matches!(event, Event::Later(_)));
    }

    /// The radio is switched off, and stays so.
    pub fn switch_off(&mut self) {
        self.restart_radio();
        self.radio.take_output();
        self.is_on = false;
    }

    /// The labels that have lost their radio.
    pub(super) fn lost(&self) -> impl Iterator<Item = LabelId> + '_ {
        self.tags.iter().filter(|(_, tag)| tag.channel.is_none()).map(|(label, _)| *label)
    }

    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// A label has found another radio.
    pub(super) fn let_go(&mut self, label: LabelId) -> Option<Tag> {
        self.tags.remove(&label)
    }

    /// A label has found this radio, and sleeps before it says so.
    pub(super) fn take_in(&mut self, now: Moment, mut tag: Tag) {
        tag.generation += 1;
        let (label, generation) = (tag.options.label, tag.generation);
        self.tags.insert(label, tag);
        self.at(now + LOST_SLEEP, Event::Wake(label, generation));
    }

    /// How well a label hears the radio from now on, 0 to 255; not at all at 0.
    pub(super) fn set_quality(&mut self, label: LabelId, quality: u8) {
        if let Some(tag) = self.tags.get_mut(&label) {
            tag.quality = quality;
        }
    }

    /// A label cannot be heard until then.
    pub fn carry_away(&mut self, label: LabelId, until: Moment) {
        if let Some(tag) = self.tags.get_mut(&label) {
            tag.away_until = until;
        }
    }

    /// Somebody presses a label's button.
    pub fn press(&mut self, now: Moment, label: LabelId) {
        self.wake_up(now, label, Tag::press);
    }

    /// Somebody changes a label's battery.
    pub fn change_battery(&mut self, now: Moment, label: LabelId) {
        self.wake_up(now, label, Tag::restart);
    }

    fn wake_up(&mut self, now: Moment, label: LabelId, change: impl Fn(&mut Tag)) {
        let Some(tag) = self.tags.get_mut(&label) else { return };
        change(tag);
        tag.generation += 1;
        let generation = tag.generation;
        self.at(now, Event::Wake(label, generation));
    }

    /// Takes bytes from the line that were sent at a speed. At another one than the radio's they are noise.
    pub fn handle_bytes(&mut self, now: Moment, bytes: &[u8], baud: u32) {
        self.handle_timeout(now);
        if !self.is_on {
            return;
        }
        if baud == self.radio.baud {
            self.radio.receive(now, bytes);
        } else {
            self.radio.receive(now, &garbled(bytes));
        }
        self.plan_round();
    }

    /// The radio reads the line once in each of its rounds.
    fn plan_round(&mut self) {
        let Some(arrival) = self.radio.next_arrival() else { return };
        let mut round = self.next_round.unwrap_or(self.now + ROUND);
        while round < arrival {
            round += ROUND;
        }
        self.next_round = Some(round);
        // Behind no number: two rounds at one moment are one.
        self.events.insert((round, 0), Event::Round);
    }

    /// The next bytes for the line, as they are read at a speed.
    pub fn poll_transmit(&mut self, baud: u32) -> Option<Bytes> {
        let out = self.radio.take_output();
        match out.is_empty() {
            true => None,
            false if baud == self.radio.baud => Some(out.into()),
            false => Some(garbled(&out).into()),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Lets everything happen that is due by `now`. Whoever wants the line's bytes at their moments does not skip any
    /// of [`poll_timeout`](Self::poll_timeout)'s.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            self.now = entry.key().0;
            let event = entry.remove();
            self.happen(event);
            for (after, later) in std::mem::take(&mut self.radio.later) {
                self.at(self.now + after, Event::Later(later));
            }
        }
        self.now = self.now.max(now);
    }

    fn at(&mut self, at: Moment, event: Event) {
        self.numbered += 1;
        self.events.insert((at, self.numbered), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Round => {
                self.next_round = Some(self.now + ROUND);
                self.radio.round(self.now);
                self.plan_round();
            }
            Event::Minute => {
                self.radio.minute();
                self.at(self.now + Duration::from_secs(60), Event::Minute);
            }
            Event::Later(later) => self.radio.do_later(later),
            Event::Wake(label, generation) => self.if_current(label, generation, Self::check_in),
            Event::Request(label, generation) => self.if_current(label, generation, Self::request),
            Event::Transmit(label, generation) => {
                let (block, is_fresh) = self.radio.transmit();
                self.counters.blocks += 1;
                self.counters.stale_blocks += u64::from(!is_fresh);
                self.if_current(label, generation, |site, label| site.hear_parts(label, &block));
            }
            Event::Heard(label, generation) => self.if_current(label, generation, Self::judge_block),
            Event::Confirm(label, generation, offer) => {
                self.if_current(label, generation, |site, label| site.confirm(label, offer));
            }
        }
    }

    fn if_current(&mut self, label: LabelId, generation: u64, act: impl FnOnce(&mut Self, LabelId)) {
        if self.tags.get(&label).is_some_and(|tag| tag.generation == generation) {
            act(self, label);
        }
    }

    /// Lets a label go on after a while.
    fn go_on(&mut self, label: LabelId, after: Duration, event: impl Fn(LabelId, u64) -> Event) {
        let Some(tag) = self.tags.get(&label) else { return };
        let event = event(label, tag.generation);
        self.at(self.now + after, event);
    }

    fn sleep(&mut self, label: LabelId, has_failed: bool, more: Duration) {
        let Some(tag) = self.tags.get(&label) else { return };
        let sleep = tag.sleep(has_failed);
        // Its clock is off by up to a thousandth, and its program takes its time.
        let off = self.dice.below(2 + u64::try_from(sleep.as_micros() / 500).unwrap_or(0));
        let sleep = sleep - sleep / 1_000 + Duration::from_micros(off) + Duration::from_millis(self.dice.below(30));
        self.go_on(label, sleep + more, Event::Wake);
    }

    /// How many tries it takes until a packet and its answer get through; none when all are lost. Each packet that
    /// gets through is heard, even if its answer is lost.
    fn exchange(&mut self, tries_max: u32, mut heard: impl FnMut(&mut Self)) -> Option<u32> {
        let loss = Loss(self.options.loss);
        (0..tries_max).find(|_| {
            if self.dice.loses(loss) {
                return false;
            }
            heard(self);
            !self.dice.loses(loss)
        })
    }

    fn check_in(&mut self, label: LabelId) {
        let (now, channel) = (self.now, self.radio.channel);
        let Some(tag) = self.tags.get_mut(&label) else { return };
        tag.generation += 1;
        let is_deaf = tag.is_deaf(now) || !self.is_on;
        if tag.channel.is_none() && !is_deaf {
            tag.joined(channel);
        }
        if is_deaf || tag.channel != Some(channel) {
            tag.unanswered();
            let has_lost = tag.channel.is_none();
            return match has_lost {
                true => self.go_on(label, LOST_SLEEP, Event::Wake),
                false => self.sleep(label, true, Duration::ZERO),
            };
        }
        let temperature = 18 + i8::try_from(self.dice.below(6)).unwrap_or(0);
        let report = tag.report(now, channel, temperature);
        let mut offer = None;
        let tries = self.exchange(TRIES_MAX, |site| {
            site.counters.check_ins += 1;
            offer = site.radio.check_in(label, &report);
        });
        let Some(tag) = self.tags.get_mut(&label) else { return };
        let Some(tries) = tries else {
            tag.unanswered();
            return self.sleep(label, true, TRY * TRIES_MAX);
        };
        tag.answered(tries);
        let after = TRY * (tries + 1);
        match (tag.consider(offer), offer) {
            (Choice::Fetch, Some(_)) => self.go_on(label, after, Event::Request),
            (Choice::Confirm, Some(offer)) => {
                self.go_on(label, after, |label, generation| Event::Confirm(label, generation, offer));
            }
            _ => self.sleep(label, false, after),
        }
    }

    /// A label asks for what it lacks of its next block.
    fn request(&mut self, label: LabelId) {
        let Some(fetch) = self.tags.get(&label).and_then(|tag| tag.fetch.as_ref()) else { return };
        let (what, is_partial) = ((fetch.offer.version, fetch.block()), fetch.parts.iter().any(|part| *part));
        let (mut answer, now) = (None, self.now);
        let tries = self.exchange(REQUESTS_MAX, |site| {
            answer = Some(site.radio.block_request(now, label, what, is_partial));
        });
        match (tries, answer) {
            (Some(tries), Some(BlockAnswer::Wait(wait))) => self.go_on(label, wait + TRY * tries, Event::Transmit),
            (Some(_), Some(BlockAnswer::Cancel)) => {
                self.counters.cancels += 1;
                if let Some(tag) = self.tags.get_mut(&label) {
                    tag.cancelled += 1;
                }
                self.sleep(label, true, Duration::ZERO);
            }
            _ => self.try_again(label),
        }
    }

    /// The radio sends as many parts as a full block has, over and over those that were asked for.
    fn hear_parts(&mut self, label: LabelId, block: &[u8]) {
        let loss = Loss(self.options.loss);
        let Some(fetch) = self.tags.get_mut(&label).and_then(|tag| tag.fetch.as_mut()) else { return };
        let asked: Vec<usize> = (0..fetch.parts.len()).filter(|part| !fetch.parts[*part]).collect();
        for part in asked.iter().cycle().take(if asked.is_empty() { 0 } else { PARTS }) {
            if !self.dice.loses(loss) {
                let bytes = part * PART..((part + 1) * PART).min(BUFFER);
                fetch.bytes[bytes.clone()].copy_from_slice(&block[bytes]);
                fetch.parts[*part] = true;
            }
        }
        self.go_on(label, PART_PITCH * u32::try_from(PARTS).unwrap_or(42), Event::Heard);
    }

    fn judge_block(&mut self, label: LabelId) {
        let Some(tag) = self.tags.get_mut(&label) else { return };
        let Some(fetch) = &mut tag.fetch else { return };
        if !fetch.is_block_whole() {
            return self.try_again(label);
        }
        let Some(block) = fetch.sound_block().map(<[u8]>::to_vec) else {
            fetch.begin_block();
            return self.try_again(label);
        };
        fetch.file.extend(block);
        fetch.attempts = 0;
        if !fetch.is_whole() {
            fetch.begin_block();
            return self.go_on(label, TRY, Event::Request);
        }
        let offer = fetch.offer;
        if tag.is_file_sound() {
            tag.store();
        } else {
            tag.fetch = None;
        }
        self.go_on(label, TRY, |label, generation| Event::Confirm(label, generation, offer));
    }

    fn try_again(&mut self, label: LabelId) {
        let Some(fetch) = self.tags.get_mut(&label).and_then(|tag| tag.fetch.as_mut()) else { return };
        fetch.attempts += 1;
        if fetch.attempts < ATTEMPTS_MAX {
            self.go_on(label, TRY, Event::Request);
        } else {
            self.sleep(label, true, Duration::ZERO);
        }
    }

    /// A label says that it has everything, and then does what it has to do, heard or not.
    fn confirm(&mut self, label: LabelId, offer: Offer) {
        self.exchange(CONFIRMATIONS_MAX, |site| {
            site.counters.confirmations += 1;
            site.radio.complete(label);
        });
        let Some(tag) = self.tags.get_mut(&label) else { return };
        let is_busy = tag.carry_out(offer);
        if !tag.state().sleeps_deep {
            self.sleep(label, false, if is_busy { REFRESH } else { Duration::ZERO });
        }
    }
}

/// Bytes that were read at another speed than they were sent at.
fn garbled(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte.rotate_left(3) | 0x80).collect()
}
