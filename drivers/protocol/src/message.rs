//! What the frames say: sessions, and the shelflink messages inside their data frames.
//!
//! Integers are little-endian. A list is preceded by its length as `u16`. The README of this crate is
//! the specification; the pinned bytes in the tests are its test vectors.

use bytes::{BufMut, Bytes};

use crate::auth::Nonce;
use crate::id::{Edition, LabelId, Millivolts, SequenceNumber, SessionId, StationId, TransferNumber};
use crate::moment::Moment;
use crate::panel::Panel;
use crate::planes::Digest;

mod reader;
#[cfg(test)]
mod tests;
mod version2;

use reader::Reader;
pub use version2::{
    Action, Clock, Command, Credits, FIRMWARE_MAX, Firmware, Knock, LightColour, Pattern, Refusal, Report, SLOTS_MAX,
    Slot, Staged, is_unsealed,
};

/// The lowest protocol version that this crate speaks.
pub const VERSION_MIN: u8 = 1;

/// The highest protocol version that this crate speaks.
pub const VERSION_MAX: u8 = 2;

/// Why a frame's payload is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The payload ends inside a field.
    #[error("message dropped: it ends inside `{0}`")]
    Truncated(&'static str),
    /// Bytes follow the last field.
    #[error("message dropped: {0} bytes follow its last field")]
    Trailing(usize),
    /// A kind that no version up to ours knows.
    #[error("message dropped: kind 0x{0:02x} is not one of version {VERSION_MAX}")]
    Kind(u8),
    /// A field's value is out of its range.
    #[error("message dropped: `{field}` {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A frame's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The controller opens a session; everything of an older one is void.
    Hello(Hello),
    /// The station answers the hello.
    Welcome(Welcome),
    /// A numbered message, either way.
    Data {
        /// The session that it belongs to.
        session: SessionId,
        /// Its place in this direction of the session.
        sequence: SequenceNumber,
        /// A [`Downlink`] to a station, an [`Uplink`] to a controller.
        body: Bytes,
    },
    /// Everything below `next` has arrived, in order.
    Ack {
        /// The session that it belongs to.
        session: SessionId,
        /// The sequence number that the receiver waits for.
        next: SequenceNumber,
    },
    /// Version 2: the controller opens a session with a station that has a key.
    Knock(Knock),
    /// Version 2: the station answers the knock with its half of the session's key.
    Challenge {
        /// The knock's session.
        session: SessionId,
        /// The station's half of the session's key.
        nonce: Nonce,
    },
    /// Version 2: the controller proves with its seal that it holds the station's key.
    Answer {
        /// The knock's session.
        session: SessionId,
    },
    /// Version 2: the station turns a controller away.
    Refused {
        /// The session that was asked for.
        session: SessionId,
        /// Why.
        refusal: Refusal,
    },
    /// Version 2: a station that connected to its controller says who it is, before anything else.
    Announce(StationId),
}

/// The controller opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Names the session; random or counting, never the last one.
    pub session: SessionId,
    /// Lowest version that the controller speaks.
    pub version_min: u8,
    /// Highest version that the controller speaks.
    pub version_max: u8,
    /// The controller's time, microseconds since the Unix epoch.
    pub time: Moment,
}

/// The station answers a hello, and says what it can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The hello's session.
    pub session: SessionId,
    /// The version that the session speaks, within the hello's range.
    pub version: u8,
    /// The station's name.
    pub station: StationId,
    /// Counts the station's starts: another epoch means that it forgot everything.
    pub epoch: u32,
    /// Encodings that it passes on, a bit each: bit n for the encoding with code n.
    pub encodings: u8,
    /// Data frames that it takes before an ack, 1 to 32.
    pub window: u8,
    /// Largest frame payload that it takes, at least 1,024, at most [`crate::frame::PAYLOAD_MAX`].
    pub payload_max: u32,
    /// Transfers that it holds for sleeping labels at once, at least 1.
    pub transfers_max: u16,
    /// Bytes of picture data that it holds at once.
    pub bytes_max: u32,
}

/// How a picture's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The planes as they are.
    Raw,
    /// Raw deflate (RFC 1951) with a window of at most 4 KiB.
    Deflate,
    /// A whole picture, predicted pixel by pixel from a trained model: see [`crate::compact`].
    Compact,
    /// The same, predicted also from the picture that the label shows.
    Delta,
}

impl Encoding {
    /// Every encoding, in the order of its wire code.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Deflate, Self::Compact, Self::Delta];

    /// The bit of this encoding in [`Welcome::encodings`].
    #[must_use]
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The three lanes in which transfers wait at a station; a lower code goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody stands before the label: binding, commands.
    Interactive,
    /// A price changed.
    Price,
    /// Everything else.
    Routine,
}

impl Lane {
    /// Every lane, in the order of its wire code.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Price, Self::Routine];
}

/// One picture for one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Names it in cancels and statuses.
    pub number: TransferNumber,
    /// Whom it is for.
    pub label: LabelId,
    /// The panel that the picture was made for.
    pub panel: Panel,
    /// The picture's running number; a label refuses one below its own.
    pub edition: Edition,
    /// Digest of the planes. The label compares it with the digest of what it decoded.
    pub digest: Digest,
    /// How it waits.
    pub lane: Lane,
    /// How `data` is packed.
    pub encoding: Encoding,
    /// The packed planes.
    pub data: Bytes,
}

/// What a controller tells a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downlink {
    /// Pictures to hold until their labels wake.
    Batch(Vec<Transfer>),
    /// Transfers that are no longer wanted.
    Cancel(Vec<TransferNumber>),
    /// The controller's time, microseconds since the Unix epoch.
    TimeSync(Moment),
    /// Version 2: pictures to be shown later.
    Stage(Vec<Staged>),
    /// Version 2: an action for a group of labels.
    Command(Command),
}

/// What became of one transfer. Each transfer that a station received gets exactly one status, within
/// the session that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The label has taken all of it. What the glass shows is told by its next check-in.
    Delivered,
    /// It was cancelled before the label took it.
    Cancelled,
    /// The station has no room for it.
    NoRoom,
    /// The label did not come for it within the station's patience.
    Expired,
    /// The label holds a higher edition.
    OlderEdition,
    /// The label could not decode it, or the digest of what it decoded is another one.
    Undecodable,
    /// The label's panel is not the transfer's.
    WrongPanel,
    /// The station does not pass on this encoding.
    UnknownEncoding,
    /// Version 2: the label keeps the picture in its slot.
    Staged,
    /// Version 2: the label cannot do that, or keeps nothing in that slot.
    Unsupported,
}

impl Status {
    /// Every status, in the order of its wire code.
    pub const ALL: [Self; 10] = [
        Self::Delivered,
        Self::Cancelled,
        Self::NoRoom,
        Self::Expired,
        Self::OlderEdition,
        Self::Undecodable,
        Self::WrongPanel,
        Self::UnknownEncoding,
        Self::Staged,
        Self::Unsupported,
    ];
}

/// Why a label reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its regular wake-up.
    Regular,
    /// It was switched on or reset.
    Boot,
    /// It has just refreshed its display: `digest` and `edition` are what the glass now shows.
    Displayed,
    /// Somebody pressed its button.
    Button,
    /// Version 2: it was told to report.
    Answered,
}

impl Reason {
    /// Every reason, in the order of its wire code.
    pub const ALL: [Self; 5] = [Self::Regular, Self::Boot, Self::Displayed, Self::Button, Self::Answered];
}

/// A label's wake-up report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckIn {
    /// Who reports.
    pub label: LabelId,
    /// Its display.
    pub panel: Panel,
    /// Why.
    pub reason: Reason,
    /// Edition of what it shows; 0 when it has shown nothing yet.
    pub edition: Edition,
    /// Digest that it computed from the planes it shows.
    pub digest: Digest,
    /// Battery voltage under load.
    pub battery_mv: Millivolts,
    /// Signal strength at the station in dBm.
    pub rssi_dbm: i8,
    /// Temperature at the label in degrees Celsius.
    pub temperature_c: i8,
    /// Firmware version as the vendor counts it.
    pub firmware: u16,
}

/// What a station tells the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uplink {
    /// What became of transfers.
    Statuses(Vec<(TransferNumber, Status)>),
    /// Check-ins that say something new.
    CheckIns(Vec<CheckIn>),
    /// Labels heard since the last presence whose check-ins said nothing new.
    Presence(Vec<LabelId>),
    /// Version 2: check-ins with what the labels keep, in place of [`Self::CheckIns`].
    Reports(Vec<Report>),
    /// Version 2: the station's clock, in answer to a time sync.
    Clock(Clock),
    /// Version 2: what the station holds at once from now on.
    Credits(Credits),
    /// Version 2: labels' firmware, in answer to [`Action::Firmware`].
    Firmware(Vec<(LabelId, Firmware)>),
}

const HELLO: u8 = 0x01;
const WELCOME: u8 = 0x02;
const DATA: u8 = 0x03;
const ACK: u8 = 0x04;
const BATCH: u8 = 0x10;
const CANCEL: u8 = 0x11;
const TIME_SYNC: u8 = 0x12;
const STATUSES: u8 = 0x20;
const CHECK_INS: u8 = 0x21;
const PRESENCE: u8 = 0x22;

/// Bytes that a data frame spends around its body.
pub const DATA_OVERHEAD: usize = 9;

/// Bytes that a batch spends beside its transfers.
pub const BATCH_OVERHEAD: usize = 3;

impl Frame {
    /// The payload's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Hello(hello) => hello.encode(&mut out),
            Self::Welcome(welcome) => welcome.encode(&mut out),
            Self::Data { session, sequence, body } => {
                out.reserve(DATA_OVERHEAD + body.len());
                out.put_u8(DATA);
                out.put_u32_le(session.0);
                out.put_u32_le(sequence.0);
                out.put_slice(body);
            }
            Self::Ack { session, next } => {
                out.put_u8(ACK);
                out.put_u32_le(session.0);
                out.put_u32_le(next.0);
            }
            Self::Knock(knock) => version2::encode_knock(knock, &mut out),
            Self::Challenge { session, nonce } => {
                out.put_u8(version2::CHALLENGE);
                out.put_u32_le(session.0);
                out.put_slice(&nonce.0);
            }
            Self::Answer { session } => {
                out.put_u8(version2::ANSWER);
                out.put_u32_le(session.0);
            }
            Self::Refused { session, refusal } => {
                out.put_u8(version2::REFUSED);
                out.put_u32_le(session.0);
                out.put_u8(*refusal as u8);
            }
            Self::Announce(station) => version2::encode_announce(station, &mut out),
        }
        out
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// See [`MessageError`]; the body of a data frame is not looked at.
    pub fn decode(payload: &Bytes) -> Result<Self, MessageError> {
        let mut reader = Reader { rest: payload.clone() };
        let frame = match reader.u8("kind")? {
            HELLO => Self::Hello(Hello::decode(&mut reader)?),
            WELCOME => Self::Welcome(Welcome::decode(&mut reader)?),
            DATA => Self::Data {
                session: SessionId(reader.u32("session")?),
                sequence: SequenceNumber(reader.u32("sequence")?),
                body: std::mem::take(&mut reader.rest),
            },
            ACK => Self::Ack { session: SessionId(reader.u32("session")?), next: SequenceNumber(reader.u32("next")?) },
            version2::KNOCK => Self::Knock(version2::decode_knock(&mut reader)?),
            version2::CHALLENGE => {
                Self::Challenge { session: SessionId(reader.u32("session")?), nonce: Nonce(reader.array("nonce")?) }
            }
            version2::ANSWER => Self::Answer { session: SessionId(reader.u32("session")?) },
            version2::REFUSED => Self::Refused {
                session: SessionId(reader.u32("session")?),
                refusal: reader.code("refusal", &Refusal::ALL)?,
            },
            version2::ANNOUNCE => Self::Announce(reader.station()?),
            other => return Err(MessageError::Kind(other)),
        };
        reader.end(frame)
    }
}

impl Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(HELLO);
        out.put_u32_le(self.session.0);
        out.put_u8(self.version_min);
        out.put_u8(self.version_max);
        out.put_u64_le(self.time.as_micros());
    }

    fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        Ok(Self {
            session: SessionId(reader.u32("session")?),
            version_min: reader.u8("version_min")?,
            version_max: reader.u8("version_max")?,
            time: reader.moment("time")?,
        })
    }
}

impl Welcome {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(WELCOME);
        out.put_u32_le(self.session.0);
        out.put_u8(self.version);
        put_name(&self.station, out);
        out.put_u32_le(self.epoch);
        out.put_u8(self.encodings);
        out.put_u8(self.window);
        out.put_u32_le(self.payload_max);
        out.put_u16_le(self.transfers_max);
        out.put_u32_le(self.bytes_max);
    }

    fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        let welcome = Self {
            session: SessionId(reader.u32("session")?),
            version: reader.u8("version")?,
            station: reader.station()?,
            epoch: reader.u32("epoch")?,
            encodings: reader.u8("encodings")?,
            window: reader.u8("window")?,
            payload_max: reader.u32("payload_max")?,
            transfers_max: reader.u16("transfers_max")?,
            bytes_max: reader.u32("bytes_max")?,
        };
        let in_range = |field, ok: bool, reason: &str| {
            if ok { Ok(()) } else { Err(MessageError::Field { field, reason: reason.to_owned() }) }
        };
        in_range("window", (1..=32).contains(&welcome.window), "is not 1 to 32")?;
        in_range("transfers_max", welcome.transfers_max > 0, "is 0")?;
        let payload_max = usize::try_from(welcome.payload_max).unwrap_or(usize::MAX);
        let payloads = 1_024..=crate::frame::PAYLOAD_MAX;
        in_range("payload_max", payloads.contains(&payload_max), "is not 1,024 to 98,304")?;
        Ok(welcome)
    }
}

impl Transfer {
    /// Bytes of a transfer in a batch beside its data.
    pub const OVERHEAD: usize = 47;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32_le(self.number.0);
        out.put_u64_le(self.label.0);
        encode_panel(self.panel, out);
        out.put_u64_le(self.edition.0);
        out.put_slice(&self.digest.0);
        out.put_u8(self.lane as u8);
        out.put_u8(self.encoding as u8);
        out.put_u32_le(u32::try_from(self.data.len()).expect("a frame's payload is below 96 KiB"));
        out.put_slice(&self.data);
    }

    fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        Ok(Self {
            number: TransferNumber(reader.u32("number")?),
            label: LabelId(reader.u64("label")?),
            panel: reader.panel()?,
            edition: Edition(reader.u64("edition")?),
            digest: reader.digest()?,
            lane: reader.code("lane", &Lane::ALL)?,
            encoding: reader.code("encoding", &Encoding::ALL)?,
            data: {
                let length = reader.u32("data")?;
                reader.bytes("data", usize::try_from(length).unwrap_or(usize::MAX))?
            },
        })
    }
}

impl Downlink {
    /// The message's bytes: the body of a data frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Batch(transfers) => {
                put_list(BATCH, transfers, &mut out, Transfer::encode);
            }
            Self::Cancel(numbers) => {
                put_list(CANCEL, numbers, &mut out, |number, out| out.put_u32_le(number.0));
            }
            Self::TimeSync(time) => {
                out.put_u8(TIME_SYNC);
                out.put_u64_le(time.as_micros());
            }
            Self::Stage(staged) => put_list(version2::STAGE, staged, &mut out, Staged::encode),
            Self::Command(command) => command.encode(&mut out),
        }
        out.into()
    }

    /// Reads the body of a data frame that came from a controller.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn decode(body: &Bytes) -> Result<Self, MessageError> {
        let mut reader = Reader { rest: body.clone() };
        let message = match reader.u8("kind")? {
            BATCH => Self::Batch(reader.list(Transfer::decode)?),
            CANCEL => Self::Cancel(reader.list(|reader| Ok(TransferNumber(reader.u32("number")?)))?),
            TIME_SYNC => Self::TimeSync(reader.moment("time")?),
            version2::STAGE => Self::Stage(reader.list(Staged::decode)?),
            version2::COMMAND => Self::Command(Command::decode(&mut reader)?),
            other => return Err(MessageError::Kind(other)),
        };
        reader.end(message)
    }
}

impl CheckIn {
    /// Bytes of a check-in in its list.
    pub const LENGTH: usize = 44;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.label.0);
        encode_panel(self.panel, out);
        out.put_u8(self.reason as u8);
        out.put_u64_le(self.edition.0);
        out.put_slice(&self.digest.0);
        out.put_u16_le(self.battery_mv.0);
        out.put_i8(self.rssi_dbm);
        out.put_i8(self.temperature_c);
        out.put_u16_le(self.firmware);
    }

    fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        Ok(Self {
            label: LabelId(reader.u64("label")?),
            panel: reader.panel()?,
            reason: reader.code("reason", &Reason::ALL)?,
            edition: Edition(reader.u64("edition")?),
            digest: reader.digest()?,
            battery_mv: Millivolts(reader.u16("battery_mv")?),
            rssi_dbm: reader.u8("rssi_dbm")?.cast_signed(),
            temperature_c: reader.u8("temperature_c")?.cast_signed(),
            firmware: reader.u16("firmware")?,
        })
    }
}

impl Uplink {
    /// The message's bytes: the body of a data frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::Statuses(statuses) => {
                put_list(STATUSES, statuses, &mut out, |(number, status), out| {
                    out.put_u32_le(number.0);
                    out.put_u8(*status as u8);
                });
            }
            Self::CheckIns(check_ins) => put_list(CHECK_INS, check_ins, &mut out, CheckIn::encode),
            Self::Presence(labels) => {
                put_list(PRESENCE, labels, &mut out, |label, out| out.put_u64_le(label.0));
            }
            Self::Reports(reports) => put_list(version2::REPORTS, reports, &mut out, Report::encode),
            Self::Clock(Clock { told, station }) => {
                out.put_u8(version2::CLOCK);
                out.put_u64_le(told.as_micros());
                out.put_u64_le(station.as_micros());
            }
            Self::Credits(Credits { transfers_max, bytes_max }) => {
                out.put_u8(version2::CREDITS);
                out.put_u16_le(*transfers_max);
                out.put_u32_le(*bytes_max);
            }
            Self::Firmware(labels) => {
                put_list(version2::FIRMWARE, labels, &mut out, |(label, firmware), out| {
                    out.put_u64_le(label.0);
                    firmware.encode(out);
                });
            }
        }
        out.into()
    }

    /// Reads the body of a data frame that came from a station.
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn decode(body: &Bytes) -> Result<Self, MessageError> {
        let mut reader = Reader { rest: body.clone() };
        let message = match reader.u8("kind")? {
            STATUSES => Self::Statuses(
                reader
                    .list(|reader| Ok((TransferNumber(reader.u32("number")?), reader.code("status", &Status::ALL)?)))?,
            ),
            CHECK_INS => Self::CheckIns(reader.list(CheckIn::decode)?),
            PRESENCE => Self::Presence(reader.list(|reader| Ok(LabelId(reader.u64("label")?)))?),
            version2::REPORTS => Self::Reports(reader.list(Report::decode)?),
            version2::CLOCK => Self::Clock(Clock { told: reader.moment("told")?, station: reader.moment("station")? }),
            version2::CREDITS => Self::Credits(Credits {
                transfers_max: reader.u16("transfers_max")?,
                bytes_max: reader.u32("bytes_max")?,
            }),
            version2::FIRMWARE => {
                Self::Firmware(reader.list(|reader| Ok((LabelId(reader.u64("label")?), Firmware::decode(reader)?)))?)
            }
            other => return Err(MessageError::Kind(other)),
        };
        reader.end(message)
    }
}

fn encode_panel(panel: Panel, out: &mut Vec<u8>) {
    out.put_u8(panel.colours() as u8);
    out.put_u16_le(panel.width());
    out.put_u16_le(panel.height());
}

fn put_name(station: &StationId, out: &mut Vec<u8>) {
    let name = station.as_str();
    out.put_u8(u8::try_from(name.len()).expect("a station's name has at most 32 bytes"));
    out.put_slice(name.as_bytes());
}

fn put_list<T>(kind: u8, items: &[T], out: &mut Vec<u8>, put: impl FnMut(&T, &mut Vec<u8>)) {
    out.put_u8(kind);
    put_items(items, out, put);
}

fn put_items<T>(items: &[T], out: &mut Vec<u8>, mut put: impl FnMut(&T, &mut Vec<u8>)) {
    out.put_u16_le(u16::try_from(items.len()).expect("a frame of 96 KiB holds fewer than 65,536 items"));
    for item in items {
        put(item, out);
    }
}
