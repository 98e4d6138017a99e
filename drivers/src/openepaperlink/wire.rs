//! What is said on the line between us and a radio: four-letter tokens with fixed payloads.
//!
//! All numbers are little-endian and all structs packed. A struct's checksum is its first byte: the sum of all others,
//! modulo 256.

use bytes::{BufMut, Bytes, BytesMut};
use gondola_protocol::LabelId;

use crate::head::Wake;

/// Bytes of a block: what a label asks for at once.
pub const BLOCK_BYTES: usize = 4_096;

/// Bytes of a slot on the line.
pub const SLOT_BYTES: usize = 27;

/// What the radio XORs a block with.
const BLOCK_MASK: u8 = 0xAA;

/// What fills a short block up: 0xFF once it is unmasked.
const BLOCK_PADDING: u8 = 0x55;

/// Follows a block unmasked, and kicks the radio out of it should bytes have been lost.
const BLOCK_END: [u8; 32] = [0xF5; 32];

/// The channels that radios and labels of every kind have: the radio cannot do 26, and some labels have no 27.
pub const CHANNELS: [u8; 4] = [11, 15, 20, 25];

/// The sum of all bytes but the first.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().skip(1).fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// What identifies a payload to a label: the first eight bytes of its MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// When a label shall come again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NextCheckIn {
    /// As it sees fit.
    #[default]
    LabelDecides,
    /// In so many minutes, 1 to 32,767.
    Minutes(u16),
    /// In so many seconds, 1 to 32,767.
    Seconds(u16),
}

impl NextCheckIn {
    const fn code(self) -> u16 {
        match self {
            Self::LabelDecides => 0,
            Self::Minutes(minutes) => minutes & 0x7FFF,
            Self::Seconds(seconds) => 0x8000 | (seconds & 0x7FFF),
        }
    }
}

/// What kind of data waits for a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// None: the slot only tells the label when to come again.
    None,
    /// One plane, as it is.
    Raw1,
    /// Two planes, as they are.
    Raw2,
    /// A size, and a zlib stream of header and planes.
    Zlib,
    /// A header, and the planes packed as Group 5.
    Group5,
    /// An order: there is nothing to fetch.
    Order,
}

impl DataKind {
    /// Its code on the line and in the air.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0x00,
            Self::Raw1 => 0x20,
            Self::Raw2 => 0x21,
            Self::Zlib => 0x30,
            Self::Group5 => 0x31,
            Self::Order => 0xAF,
        }
    }
}

/// What the radio tells a label that checks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Which data; for an order, the first eight bytes of what comes with it.
    pub version: Version,
    /// How many bytes; for an order, the rest of what comes with it.
    pub size: u32,
    /// What kind of data.
    pub kind: DataKind,
    /// More about it: 0 for a picture that is drawn in full at once; the order's code.
    pub argument: u8,
    /// When to come again.
    pub next: NextCheckIn,
}

impl Offer {
    /// Nothing but when to come again.
    #[must_use]
    pub const fn nothing(next: NextCheckIn) -> Self {
        Self { version: Version(0), size: 0, kind: DataKind::None, argument: 0, next }
    }

    /// An order with the 12 bytes that come with it.
    #[must_use]
    pub fn order(code: u8, with: [u8; 12]) -> Self {
        let [first @ .., a, b, c, d] = with;
        Self {
            version: Version(u64::from_le_bytes(first)),
            size: u32::from_le_bytes([a, b, c, d]),
            kind: DataKind::Order,
            argument: code,
            next: NextCheckIn::LabelDecides,
        }
    }
}

/// One label's slot in the radio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// What the label is told.
    pub offer: Offer,
    /// How many minutes the radio keeps it; not 0, which is a free slot.
    pub minutes: u16,
    /// Whose it is.
    pub label: LabelId,
}

impl Slot {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut out = [0; SLOT_BYTES];
        let mut rest = &mut out[1..];
        rest.put_u64_le(self.offer.version.0);
        rest.put_u32_le(self.offer.size);
        rest.put_u8(self.offer.kind.code());
        rest.put_u8(self.offer.argument);
        rest.put_u16_le(self.offer.next.code());
        rest.put_u16_le(self.minutes);
        rest.put_u64_le(self.label.0);
        out[0] = checksum(&out);
        out
    }
}

/// What the radio is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Say that you are there.
    Ping,
    /// Say who you are.
    Info,
    /// Go on at 2,000,000 baud.
    HighSpeed,
    /// Use this channel and this power.
    ///
    /// Always the form of four bytes, with the sub-GHz channel off: a radio built for that band waits for the fourth,
    /// and any other ignores it.
    Channel {
        /// One of [`CHANNELS`].
        channel: u8,
        /// 10 is usual.
        power: u8,
    },
    /// Fill a label's slot, or overwrite it.
    Arm(Slot),
    /// Free a label's slot.
    Free(LabelId),
}

impl Command {
    /// Its bytes on the line.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Ping => out.put_slice(b"RDY?"),
            Self::Info => out.put_slice(b"NFO?"),
            Self::HighSpeed => out.put_slice(b"HSPD"),
            Self::Channel { channel, power } => {
                let mut bytes = [0, *channel, *power, 0];
                bytes[0] = checksum(&bytes);
                out.put_slice(b"SCP>");
                out.put_slice(&bytes);
            }
            Self::Arm(slot) => {
                out.put_slice(b"SDA>");
                out.put_slice(&slot.encode());
            }
            Self::Free(label) => {
                let offer = Offer::nothing(NextCheckIn::LabelDecides);
                out.put_slice(b"CXD>");
                out.put_slice(&Slot { offer, minutes: 0, label: *label }.encode());
            }
        }
    }
}

/// The answer to a request for a block: token, header, data and filler in one piece, because the radio sends what it
/// has when its time is up, and waiting for the token's acknowledgement would lose it.
///
/// # Panics
/// With no byte or with more than [`BLOCK_BYTES`].
#[must_use]
pub fn block_reply(block: &[u8]) -> Bytes {
    assert!((1..=BLOCK_BYTES).contains(&block.len()), "a block of {} bytes", block.len());
    let size = u16::try_from(block.len()).expect("a block is below 64 KiB");
    let sum = block.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    let mut out = BytesMut::with_capacity(3 + 4 + BLOCK_BYTES + BLOCK_END.len());
    out.put_slice(b">D>");
    let header = size.to_le_bytes().into_iter().chain(sum.to_le_bytes());
    out.extend(header.chain(block.iter().copied()).map(|byte| byte ^ BLOCK_MASK));
    out.put_bytes(BLOCK_PADDING, BLOCK_BYTES - block.len());
    out.put_slice(&BLOCK_END);
    out.freeze()
}

/// What the radio answers a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Ack,
    /// Not done: the command was damaged, or makes no sense.
    Nok,
    /// Not done: every slot is taken.
    Full,
}

/// A label's report, as the radio passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Who reports.
    pub label: LabelId,
    /// How well the label heard the radio's last packet.
    pub lqi: u8,
    /// The same in dBm; 0 in a short report, of which every field is 0.
    pub rssi_dbm: i8,
    /// At the label, in degrees Celsius.
    pub temperature_c: i8,
    /// Of its battery.
    pub battery_mv: u16,
    /// Which type of label it is.
    pub label_type: u8,
    /// Why it woke.
    pub wake: Wake,
    /// What it can do, a bit each.
    pub capabilities: u8,
    /// Its firmware.
    pub firmware: u16,
    /// On which channel.
    pub channel: u8,
}

impl Report {
    /// Whether the label only said that it is there.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.rssi_dbm == 0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [_, _, _, _, _, _, _, _, _, _, lqi, rssi, temperature, mv0, mv1, kind, woke, can, fw0, fw1, channel, ..] =
            *bytes
        else {
            return None;
        };
        Some(Self {
            label: label_at(bytes, 1)?,
            lqi,
            rssi_dbm: rssi.cast_signed(),
            temperature_c: temperature.cast_signed(),
            battery_mv: u16::from_le_bytes([mv0, mv1]),
            label_type: kind,
            wake: wake(woke),
            capabilities: can,
            firmware: u16::from_le_bytes([fw0, fw1]),
            channel,
        })
    }
}

/// What a report calls the reason why its label woke.
const fn wake(code: u8) -> Wake {
    match code {
        0x00 => Wake::Regular,
        0x02 => Wake::Pin,
        0x03 => Wake::Nfc,
        0x04 => Wake::Button(1),
        0x05 => Wake::Button(2),
        0x0F => Wake::Radio,
        0xE0 => Wake::UpdateFailed,
        0xFC => Wake::Boot,
        0xFD => Wake::Found,
        0xFE => Wake::Watchdog,
        other => Wake::Other(other),
    }
}

/// A line of the radio's description of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Info {
    /// Which kind of radio: 0xC6 for an ESP32-C6 or H2.
    Radio(u8),
    /// Its firmware.
    Firmware(u16),
    /// Its address.
    Address(u64),
    /// Its channel.
    Channel(u8),
    /// Its power.
    Power(u8),
    /// Slots in use with data.
    SlotsWithData(u8),
    /// Slots in use without; the description's last line.
    SlotsWithout(u8),
}

/// What the radio says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// An answer to a command.
    Reply(Reply),
    /// It has started: every slot is empty.
    Booted,
    /// A line of its description.
    Info(Info),
    /// A label checked in, and has been answered from its slot already.
    CheckIn(Report),
    /// A label wants a block, at once.
    BlockRequest {
        /// Who.
        label: LabelId,
        /// Of which data.
        version: Version,
        /// Which block.
        block: u8,
    },
    /// A label says that it has everything. Nobody says what that was: the slot is free now.
    Complete(LabelId),
    /// A slot's time ran out: it is free now.
    TimedOut(LabelId),
    /// A label sent something by itself.
    Returned(LabelId),
}

/// The address that begins at a byte.
pub(super) fn label_at(bytes: &[u8], at: usize) -> Option<LabelId> {
    Some(LabelId(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)))
}
