//! The radio: a program that reads a serial line now and then, keeps 250 slots, and answers labels from them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use gondola_protocol::{LabelId, Moment};

/// Slots that it has.
const SLOTS_MAX: usize = 250;

/// Bytes of the serial line that it can keep until it reads them.
const RECEIVED_MAX: usize = 8_000;

/// It reads the line once in each round of its program.
pub(super) const ROUND: Duration = Duration::from_millis(100);

/// What was begun on the line and does not go on for so long is dropped.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// After a label's request for a block no other label is served for so long.
const EXCLUSIVE: Duration = Duration::from_millis(1_200);

/// A block is not asked for again on the line within this.
const REQUEST_REST: Duration = Duration::from_millis(380);

/// How long a label is told to wait for a block, by the speed of the line, and when it is there already.
const WAIT_FAST: Duration = Duration::from_millis(140);
const WAIT_SLOW: Duration = Duration::from_millis(550);
const WAIT_BUFFERED: Duration = Duration::from_millis(30);

/// Before and after it changes its speed.
pub(super) const SPEED_REST: Duration = Duration::from_millis(100);

/// The speed at which it starts.
pub(super) const SLOW: u32 = 115_200;

/// The other one.
pub(super) const FAST: u32 = 2_000_000;

/// The channel on which it starts.
const CHANNEL_AT_START: u8 = 25;

/// A block with its header.
pub(super) const BUFFER: usize = 4_100;

/// How a radio is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RadioOptions {
    /// Built for the sub-GHz band, too: then its channel takes four bytes.
    pub is_sub_ghz: bool,
    /// Whether it says what nobody asked for.
    pub mutters: bool,
    /// Whether it knows the higher speed.
    pub has_high_speed: bool,
}

impl Default for RadioOptions {
    fn default() -> Self {
        Self { is_sub_ghz: true, mutters: true, has_high_speed: true }
    }
}

/// What a label is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) version: u64,
    pub(super) size: u32,
    pub(super) kind: u8,
    pub(super) argument: u8,
    pub(super) next: u16,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    offer: Offer,
    minutes: u16,
}

/// What the program expects on the line.
#[derive(Debug)]
enum Reading {
    /// A token; the last four bytes.
    Token([u8; 4]),
    /// So many bytes for a token.
    Struct([u8; 4], usize, Vec<u8>),
    /// A block.
    Block(Vec<u8>),
}

/// What a label's request for a block is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockAnswer {
    /// Not now.
    Cancel,
    /// After so long.
    Wait(Duration),
}

/// Something that the radio does later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Later {
    /// It changes its speed.
    Speed,
    /// It says so at the new one.
    SpeedDone,
}

#[derive(Debug)]
pub(super) struct Radio {
    options: RadioOptions,
    pub(super) baud: u32,
    pub(super) channel: u8,
    slots: BTreeMap<LabelId, Slot>,
    reading: Reading,
    last_byte: Moment,
    /// Pieces of the line that arrive at their moments.
    received: VecDeque<(Moment, Vec<u8>)>,
    line_free: Moment,
    /// The block that labels are sent, whatever is in it.
    pub(super) buffer: Vec<u8>,
    /// What is asked for, or has come.
    asked: Option<(u64, u8)>,
    /// Whether the block that was asked for has come.
    has_come: bool,
    asked_at: Option<Moment>,
    served: Option<(LabelId, Moment)>,
    /// Confirmations that were passed on since their label last checked in.
    confirmed: BTreeSet<LabelId>,
    out: Vec<u8>,
    pub(super) later: Vec<(Duration, Later)>,
    /// Bytes of the line that came when it had no room.
    pub(super) overrun: u64,
}

impl Radio {
    pub(super) fn new(options: RadioOptions) -> Self {
        Self {
            options,
            baud: SLOW,
            channel: CHANNEL_AT_START,
            slots: BTreeMap::new(),
            reading: Reading::Token([0; 4]),
            last_byte: Moment::ZERO,
            received: VecDeque::new(),
            line_free: Moment::ZERO,
            buffer: vec![0xFF; BUFFER],
            asked: None,
            has_come: false,
            asked_at: None,
            served: None,
            confirmed: BTreeSet::new(),
            out: Vec::new(),
            later: Vec::new(),
            overrun: 0,
        }
    }

    /// It starts, and has forgotten everything.
    pub(super) fn restart(&mut self) {
        let (options, overrun) = (self.options, self.overrun);
        *self = Self { overrun, ..Self::new(options) };
        self.mutter("ESP-ROM:esp32c6-20220919\r\nrst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n");
        self.out.extend(b"RES>");
        self.out.extend(b"RDY>");
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn mutter(&mut self, text: &str) {
        if self.options.mutters {
            self.out.extend(text.as_bytes());
        }
    }

    /// Bytes begin to come in at `now`, one after the other.
    pub(super) fn receive(&mut self, now: Moment, bytes: &[u8]) {
        let waiting: usize = self.received.iter().map(|(_, piece)| piece.len()).sum();
        let kept = bytes.len().min(RECEIVED_MAX.saturating_sub(waiting));
        self.overrun += (bytes.len() - kept) as u64;
        self.line_free = self.line_free.max(now);
        for piece in bytes[..kept].chunks(64) {
            self.line_free += Duration::from_micros(piece.len() as u64 * 10_000_000 / u64::from(self.baud));
            self.received.push_back((self.line_free, piece.to_vec()));
        }
    }

    /// Whether a round has something to read.
    pub(super) fn next_arrival(&self) -> Option<Moment> {
        self.received.front().map(|(at, _)| *at)
    }

    /// One round of its program: it reads what has come.
    pub(super) fn round(&mut self, now: Moment) {
        while let Some((at, piece)) = self.received.pop_front_if(|(at, _)| *at <= now) {
            if at.since(self.last_byte) > SILENCE_MAX {
                self.reading = Reading::Token([0; 4]);
            }
            self.last_byte = at;
            piece.into_iter().for_each(|byte| self.read(byte));
        }
    }

    fn read(&mut self, byte: u8) {
        let reading = std::mem::replace(&mut self.reading, Reading::Token([0; 4]));
        self.reading = match reading {
            Reading::Token([_, a, b, c]) => self.token([a, b, c, byte]),
            Reading::Struct(token, length, mut bytes) => {
                bytes.push(byte);
                if bytes.len() < length {
                    Reading::Struct(token, length, bytes)
                } else {
                    self.command(token, &bytes);
                    Reading::Token([0; 4])
                }
            }
            Reading::Block(mut bytes) => {
                bytes.push(byte ^ 0xAA);
                if bytes.len() < BUFFER {
                    Reading::Block(bytes)
                } else {
                    self.buffer = bytes;
                    self.has_come = true;
                    Reading::Token([0; 4])
                }
            }
        };
    }

    fn token(&mut self, token: [u8; 4]) -> Reading {
        if token[1..] == *b">D>" {
            self.out.extend(b"ACK>");
            return Reading::Block(Vec::with_capacity(BUFFER));
        }
        match &token {
            b"RDY?" | b"RSET" => self.out.extend(b"ACK>"),
            b"NFO?" => self.describe(),
            b"HSPD" if self.options.has_high_speed => {
                self.out.extend(b"ACK>");
                self.later.push((SPEED_REST, Later::Speed));
            }
            b"SCP>" => return Reading::Struct(token, if self.options.is_sub_ghz { 4 } else { 3 }, Vec::new()),
            b"SDA>" | b"CXD>" => return Reading::Struct(token, 27, Vec::new()),
            _ => return Reading::Token(token),
        }
        Reading::Token([0; 4])
    }

    fn describe(&mut self) {
        let with_data = self.slots.values().filter(|slot| slot.offer.kind != 0).count();
        let sub_ghz = if self.options.is_sub_ghz { "SCH>255" } else { "" };
        let text = format!(
            "ACK>TYP>C6VER>001FMAC>1122334455667788ZCH>{:02X}{sub_ghz}ZPW>0APEN>{with_data:02X}NOP>{:02X}",
            self.channel,
            self.slots.len() - with_data
        );
        self.out.extend(text.as_bytes());
    }

    fn command(&mut self, token: [u8; 4], bytes: &[u8]) {
        let sum = bytes[1..].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let reply: &[u8] = match &token {
            _ if sum != bytes[0] => b"NOK>",
            b"SCP>" if ![11, 15, 20, 25, 26, 27].contains(&bytes[1]) => b"NOK>",
            b"SCP>" => {
                self.channel = bytes[1];
                b"ACK>"
            }
            b"CXD>" => {
                self.slots.remove(&label(&bytes[19..]));
                b"ACK>"
            }
            _ => self.fill(bytes),
        };
        self.out.extend(reply);
    }

    fn fill(&mut self, bytes: &[u8]) -> &'static [u8] {
        let label = label(&bytes[19..]);
        if self.slots.len() >= SLOTS_MAX && !self.slots.contains_key(&label) {
            return b"NOQ>";
        }
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let offer = Offer {
            version: self::label(&bytes[1..]).0,
            size: u32::from_le_bytes([bytes[9], bytes[10], bytes[11], bytes[12]]),
            kind: bytes[13],
            argument: bytes[14],
            next: word(15),
        };
        match word(17) {
            0 => self.slots.remove(&label),
            minutes => self.slots.insert(label, Slot { offer, minutes }),
        };
        b"ACK>"
    }

    /// What is done later on the line.
    pub(super) fn do_later(&mut self, later: Later) {
        match later {
            Later::Speed => {
                self.baud = FAST;
                self.later.push((SPEED_REST, Later::SpeedDone));
            }
            Later::SpeedDone => self.out.extend(b"ACK>"),
        }
    }

    /// A minute has passed.
    pub(super) fn minute(&mut self) {
        let mut over = Vec::new();
        self.slots.retain(|label, slot| {
            slot.minutes -= 1;
            if slot.offer.next > 0 {
                slot.offer.next -= 1;
            }
            if slot.minutes == 0 && slot.offer.kind != 0 {
                over.push(*label);
            }
            slot.minutes > 0
        });
        for label in over {
            self.say(*b"XTO>", &label.0.to_le_bytes());
        }
    }

    /// A token and its struct.
    fn say(&mut self, token: [u8; 4], body: &[u8]) {
        self.out.extend(token);
        self.out.push(body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
        self.out.extend(body);
    }

    /// A label checks in: it is answered, and the line is told.
    pub(super) fn check_in(&mut self, label: LabelId, report: &[u8; 21]) -> Option<Offer> {
        self.confirmed.remove(&label);
        self.say(*b"ADR>", &[&label.0.to_le_bytes()[..], report].concat());
        self.slots.get(&label).map(|slot| slot.offer)
    }

    /// A label asks for a block; `is_partial` if it has a part of it.
    pub(super) fn block_request(
        &mut self,
        now: Moment,
        label: LabelId,
        (version, block): (u64, u8),
        is_partial: bool,
    ) -> BlockAnswer {
        let is_taken = self.served.is_some_and(|(other, at)| other != label && now.since(at) < EXCLUSIVE);
        if is_taken || self.slots.get(&label).is_none_or(|slot| slot.offer.kind == 0) {
            self.mutter("BUSY!\n");
            return BlockAnswer::Cancel;
        }
        self.served = Some((label, now));
        let wait = if self.baud == FAST { WAIT_FAST } else { WAIT_SLOW };
        if is_partial && self.asked == Some((version, block)) {
            return BlockAnswer::Wait(WAIT_BUFFERED);
        }
        if self.asked_at.is_none_or(|at| now.since(at) > REQUEST_REST) {
            self.asked = Some((version, block));
            self.has_come = false;
            self.asked_at = Some(now);
            self.say(*b"RQB>", &[&version.to_le_bytes()[..], &[block], &label.0.to_le_bytes()].concat());
        }
        BlockAnswer::Wait(wait)
    }

    /// The block as it goes on the air, and whether it is the one that was asked for.
    pub(super) fn transmit(&mut self) -> (Vec<u8>, bool) {
        self.mutter("Sending parts: XXXXXXXXXX..........\n");
        (self.buffer.clone(), self.has_come)
    }

    /// A label says that it has everything.
    pub(super) fn complete(&mut self, label: LabelId) {
        self.slots.remove(&label);
        if self.confirmed.insert(label) {
            self.say(*b"XFC>", &label.0.to_le_bytes());
        }
    }
}

fn label(bytes: &[u8]) -> LabelId {
    let (bytes, _) = bytes.split_first_chunk::<8>().expect("a struct has its fields");
    LabelId(u64::from_le_bytes(*bytes))
}
