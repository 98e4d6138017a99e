//! A label of that hardware: its state, and what it decides by itself. What happens on the air is the site's.

use std::time::Duration;

use gondola_protocol::{LabelId, Moment, Planes};
use md5::{Digest as _, Md5};

use super::file;
use super::model::{Maker, Model};
use super::radio::{BUFFER, Offer};

/// Bytes of a block.
pub(super) const BLOCK: usize = 4_096;

/// Bytes of a part of a block.
pub(super) const PART: usize = 99;

/// Parts of a full block.
pub(super) const PARTS: usize = BUFFER.div_ceil(PART);

/// The shortest time that a label sleeps by itself.
const SLEEP_MIN: Duration = Duration::from_secs(40);

/// The longest, for a label that is hardly answered.
const SLEEP_MAX: Duration = Duration::from_secs(600);

/// Tries of a check-in, and of which an average is kept.
pub(super) const TRIES_MAX: u32 = 14;

/// A label tells everything about itself this often; in between it only says that it is there.
const LONG_REPORT_PERIOD: Duration = Duration::from_secs(300);

/// Silent check-ins after which an M3 looks for a radio on all channels. An M2 does so when its average says that it is
/// hardly answered at all.
const SILENT_MAX: u32 = 12;

/// How well a label hears a radio near by.
pub(super) const QUALITY: u8 = 180;

/// Pictures that an M3 keeps.
const CACHE_MAX: usize = 3;

/// What an M2 takes for one picture: two planes and a header.
const SLOT_MORE: usize = 64;

/// How a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagOptions {
    /// Its address.
    pub label: LabelId,
    /// Its model.
    pub model: Model,
    /// Its firmware.
    pub firmware: u16,
    /// What is wrong with it.
    pub fault: Option<TagFault>,
}

/// What can be wrong with a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagFault {
    /// It has no room for a picture, and says that it has it.
    ConfirmsUnread,
    /// It fetches a picture, finds it damaged, throws it away, and says that it has it; so many times.
    ThrowsAway(u32),
}

/// What can be seen of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagState {
    /// What its glass shows.
    pub planes: Planes,
    /// How often it was driven.
    pub refreshes: u32,
    /// How often it blinked.
    pub flashes: u32,
    /// Check-ins.
    pub check_ins: u32,
    /// How often it was sent away.
    pub cancelled: u32,
    /// Whether it sleeps until somebody wakes it.
    pub sleeps_deep: bool,
}

/// What a label is doing.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    pub(super) offer: Offer,
    /// Blocks that it has.
    pub(super) file: Vec<u8>,
    /// Parts of the next one.
    pub(super) parts: Vec<bool>,
    pub(super) bytes: Vec<u8>,
    /// Attempts at the next one.
    pub(super) attempts: u32,
}

impl Fetch {
    fn new(offer: Offer) -> Self {
        Self { offer, file: Vec::new(), parts: Vec::new(), bytes: Vec::new(), attempts: 0 }
    }

    pub(super) fn block(&self) -> u8 {
        u8::try_from(self.file.len() / BLOCK).unwrap_or(u8::MAX)
    }

    /// Bytes of the next block.
    pub(super) fn block_bytes(&self) -> usize {
        (size(self.offer) - self.file.len()).min(BLOCK)
    }

    /// Begins the next block, or the same anew.
    pub(super) fn begin_block(&mut self) {
        self.parts = vec![false; (self.block_bytes() + 4).div_ceil(PART)];
        self.bytes = vec![0; BUFFER];
    }

    pub(super) fn is_block_whole(&self) -> bool {
        self.parts.iter().all(|part| *part)
    }

    /// The block that was received, if it is sound.
    pub(super) fn sound_block(&self) -> Option<&[u8]> {
        let (header, data) = self.bytes.split_first_chunk::<4>()?;
        let [s0, s1, c0, c1] = *header;
        let block = data.get(..self.block_bytes())?;
        let sum = block.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        let is_sound = usize::from(u16::from_le_bytes([s0, s1])) == block.len() && sum == u16::from_le_bytes([c0, c1]);
        is_sound.then_some(block)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.file.len() >= size(self.offer)
    }
}

fn size(offer: Offer) -> usize {
    usize::try_from(offer.size).unwrap_or(usize::MAX)
}

/// What a label does about an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nothing.
    Nothing,
    /// It fetches it.
    Fetch,
    /// It says that it has it, whether or not it does.
    Confirm,
}

#[derive(Debug)]
pub(super) struct Tag {
    pub(super) options: TagOptions,
    planes: Planes,
    shown: Option<u64>,
    /// Files of an M3 by version.
    cache: Vec<(u64, u8, Vec<u8>)>,
    pub(super) fetch: Option<Fetch>,
    pub(super) channel: Option<u8>,
    pub(super) away_until: Moment,
    /// How well it hears its radio.
    pub(super) quality: u8,
    /// Averages the tries of the last check-ins.
    tries: [u32; 8],
    silent: u32,
    told_long_at: Option<Moment>,
    wake_reason: u8,
    /// How it sleeps after the visit that goes on.
    next: u16,
    refreshes: u32,
    flashes: u32,
    check_ins: u32,
    pub(super) cancelled: u32,
    sleeps_deep: bool,
    /// Counts its wakes: what was planned for an earlier one is over.
    pub(super) generation: u64,
}

impl Tag {
    pub(super) fn new(options: TagOptions) -> Self {
        Self {
            planes: Planes::white(options.model.panel()),
            options,
            shown: None,
            cache: Vec::new(),
            fetch: None,
            channel: None,
            away_until: Moment::ZERO,
            quality: QUALITY,
            tries: [0; 8],
            silent: 0,
            told_long_at: None,
            wake_reason: 0xFC,
            next: 0,
            refreshes: 0,
            flashes: 0,
            check_ins: 0,
            cancelled: 0,
            sleeps_deep: false,
            generation: 0,
        }
    }

    pub(super) fn state(&self) -> TagState {
        TagState {
            planes: self.planes.clone(),
            refreshes: self.refreshes,
            flashes: self.flashes,
            check_ins: self.check_ins,
            cancelled: self.cancelled,
            sleeps_deep: self.sleeps_deep,
        }
    }

    pub(super) fn is_deaf(&self, now: Moment) -> bool {
        self.sleeps_deep || now < self.away_until || self.quality == 0
    }

    /// Somebody presses its button.
    pub(super) fn press(&mut self) {
        self.sleeps_deep = false;
        self.wake_reason = 4;
    }

    /// Somebody changes its battery: it draws its own picture, and its memory is gone.
    pub(super) fn restart(&mut self) {
        let Self { options, channel, generation, check_ins, refreshes, quality, .. } = *self;
        *self = Self { channel, quality, generation, check_ins, refreshes: refreshes + 1, ..Self::new(options) };
    }

    /// What it says when it checks in.
    pub(super) fn report(&mut self, now: Moment, channel: u8, temperature: i8) -> [u8; 21] {
        self.check_ins += 1;
        let is_long = self.options.model.maker == Maker::Efr32
            || self.wake_reason != 0
            || self.told_long_at.is_none_or(|at| now.since(at) > LONG_REPORT_PERIOD);
        let mut report = [0; 21];
        if is_long {
            self.told_long_at = Some(now);
            let mv = 2_950_u16.to_le_bytes();
            let firmware = self.options.firmware.to_le_bytes();
            report[1] = self.quality;
            // In dBm; -61 for a label near by.
            report[2] = (i8::try_from(self.quality / 3).unwrap_or(0) - 121).cast_unsigned();
            report[3] = temperature.cast_unsigned();
            report[4..6].copy_from_slice(&mv);
            report[6] = self.options.model.id;
            report[7] = self.wake_reason;
            report[8] = 3;
            report[9..11].copy_from_slice(&firmware);
            report[11] = channel;
        }
        report
    }

    /// It was answered, after so many tries that were not.
    pub(super) fn answered(&mut self, tries: u32) {
        self.wake_reason = 0;
        self.silent = 0;
        self.tries.rotate_left(1);
        self.tries[7] = tries;
    }

    /// It was not answered at all.
    pub(super) fn unanswered(&mut self) {
        self.silent += 1;
        self.tries.rotate_left(1);
        self.tries[7] = TRIES_MAX;
        let has_lost = match self.options.model.maker {
            Maker::Zbs => self.tries.iter().all(|tries| *tries == TRIES_MAX),
            Maker::Efr32 => self.silent >= SILENT_MAX,
        };
        if has_lost {
            self.channel = None;
            self.silent = 0;
        }
    }

    /// It found a radio again.
    pub(super) const fn joined(&mut self, channel: u8) {
        self.channel = Some(channel);
        self.wake_reason = 0xFD;
    }

    pub(super) fn consider(&mut self, offer: Option<Offer>) -> Choice {
        let Some(offer) = offer else {
            self.next = 0;
            return Choice::Nothing;
        };
        let obeys = offer.kind == 0 || self.options.model.maker == Maker::Zbs;
        self.next = if obeys { offer.next } else { 0 };
        match offer.kind {
            0 => return Choice::Nothing,
            0xAF => return Choice::Confirm,
            _ => {}
        }
        let holds =
            self.shown == Some(offer.version) || self.cache.iter().any(|(version, ..)| *version == offer.version);
        if holds || self.throws_away_unread(offer) {
            return Choice::Confirm;
        }
        let goes_on = self.options.model.maker == Maker::Zbs
            && self.fetch.as_ref().is_some_and(|fetch| fetch.offer.version == offer.version);
        if !goes_on {
            self.fetch = Some(Fetch::new(offer));
        }
        if let Some(fetch) = &mut self.fetch {
            fetch.attempts = 0;
            fetch.begin_block();
        }
        Choice::Fetch
    }

    fn throws_away_unread(&self, offer: Offer) -> bool {
        let is_too_large = size(offer) > self.options.model.plane_bytes() * 2 + SLOT_MORE;
        let asks_for_more = offer.argument & 3 != 0;
        match self.options.model.maker {
            Maker::Zbs => is_too_large || self.options.fault == Some(TagFault::ConfirmsUnread),
            Maker::Efr32 => asks_for_more || self.options.fault == Some(TagFault::ConfirmsUnread),
        }
    }

    /// Whether the file that it has fetched is what it was offered. An M3 finds none that ends with its block.
    pub(super) fn is_file_sound(&mut self) -> bool {
        if let Some(TagFault::ThrowsAway(times @ 1..)) = &mut self.options.fault {
            *times -= 1;
            return false;
        }
        let Some(fetch) = &self.fetch else { return false };
        let md5: [u8; 16] = Md5::digest(&fetch.file).into();
        let is_trapped = self.options.model.maker == Maker::Efr32 && fetch.file.len().is_multiple_of(BLOCK);
        md5[..8] == fetch.offer.version.to_le_bytes() && !is_trapped
    }

    /// It has a sound file, or what it takes for one: it is in its memory from now on.
    pub(super) fn store(&mut self) {
        if let Some(Fetch { offer, file, .. }) = self.fetch.take() {
            if self.cache.len() >= CACHE_MAX {
                self.cache.remove(0);
            }
            self.cache.push((offer.version, offer.kind, file));
        }
    }

    /// It has confirmed the offer, and does what is to be done. Answers whether it is out of service for a while.
    pub(super) fn carry_out(&mut self, offer: Offer) -> bool {
        if offer.kind == 0xAF {
            match offer.argument {
                0 => self.wake_reason = 0xFC,
                1 => self.channel = None,
                3 => self.sleeps_deep = true,
                4 => self.flashes += 1,
                _ => {}
            }
            return false;
        }
        let is_shown = self.shown == Some(offer.version);
        if is_shown && self.options.model.maker == Maker::Zbs {
            return false;
        }
        let Some((version, kind, file)) = self.cache.iter().find(|(version, ..)| *version == offer.version) else {
            return false;
        };
        // A file that is no picture leaves the glass as it is.
        let Ok(planes) = file::read(self.options.model, *kind, file) else { return false };
        (self.planes, self.shown) = (planes, Some(*version));
        self.refreshes += 1;
        if self.options.model.maker == Maker::Zbs {
            // It has room for what it shows, and no more.
            self.cache.retain(|(version, ..)| Some(*version) == self.shown);
        }
        true
    }

    /// How long it sleeps. After a visit that failed it is its own master.
    pub(super) fn sleep(&self, has_failed: bool) -> Duration {
        match self.next {
            0 => self.own_sleep(),
            _ if has_failed => self.own_sleep(),
            next if next & 0x8000 != 0 => Duration::from_secs(u64::from(next & 0x7FFF)),
            next => Duration::from_secs(u64::from(next) * 60),
        }
    }

    fn own_sleep(&self) -> Duration {
        match self.options.model.maker {
            Maker::Zbs => {
                let tries: u32 = self.tries.iter().sum();
                SLEEP_MIN + (SLEEP_MAX - SLEEP_MIN) * tries / (8 * TRIES_MAX)
            }
            Maker::Efr32 if self.silent >= 8 => SLEEP_MIN * 3,
            Maker::Efr32 if self.silent >= 4 => SLEEP_MIN * 2,
            Maker::Efr32 => SLEEP_MIN,
        }
    }
}
