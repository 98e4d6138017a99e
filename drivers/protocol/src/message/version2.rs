//! What version 2 adds: keyed sessions, pictures sent ahead, commands, and what labels and stations tell of
//! themselves. The layouts of version 1 are unchanged.

use bytes::{BufMut, Bytes};

use super::{CheckIn, Lane, MessageError, Reader, Transfer};
use crate::auth::Nonce;
use crate::id::{Edition, LabelId, SessionId, StationId, TransferNumber};
use crate::moment::Moment;
use crate::planes::Digest;

pub(super) const KNOCK: u8 = 0x05;
pub(super) const CHALLENGE: u8 = 0x06;
pub(super) const ANSWER: u8 = 0x07;
pub(super) const REFUSED: u8 = 0x08;
pub(super) const ANNOUNCE: u8 = 0x09;
pub(super) const STAGE: u8 = 0x13;
pub(super) const COMMAND: u8 = 0x14;
pub(super) const REPORTS: u8 = 0x23;
pub(super) const CLOCK: u8 = 0x24;
pub(super) const CREDITS: u8 = 0x25;
pub(super) const FIRMWARE: u8 = 0x26;

/// Pictures that a label keeps beside the one it shows.
pub const SLOTS_MAX: u8 = 7;

/// Longest firmware text.
pub const FIRMWARE_MAX: usize = 32;

/// The controller opens a session with a station whose key it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// As in a hello.
    pub session: SessionId,
    /// Lowest version that the controller speaks, at least 2.
    pub version_min: u8,
    /// Highest version that the controller speaks.
    pub version_max: u8,
    /// The controller's time, microseconds since the Unix epoch.
    pub time: Moment,
    /// The controller's half of the session's key.
    pub nonce: Nonce,
}

/// Why a station turns a controller away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It speaks no version of the hello's range.
    Version,
    /// It has a key, and the controller said hello instead of knocking.
    KeyRequired,
    /// It has another key, or none.
    WrongKey,
    /// It knows no such session: it has restarted, or another controller has opened one.
    UnknownSession,
}

impl Refusal {
    /// Every refusal, in the order of its wire code.
    pub const ALL: [Self; 4] = [Self::Version, Self::KeyRequired, Self::WrongKey, Self::UnknownSession];
}

/// A picture sent ahead: the label keeps it and shows it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Where the label keeps it, 1 to [`SLOTS_MAX`]; what was there is gone.
    pub slot: u8,
    /// When the label shows it by itself; [`Moment::ZERO`] for a page, which waits for a command.
    pub activate_at: Moment,
    /// The picture.
    pub transfer: Transfer,
}

impl Staged {
    /// Bytes before the transfer.
    pub const OVERHEAD: usize = 9;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.slot);
        out.put_u64_le(self.activate_at.as_micros());
        self.transfer.encode(out);
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        Ok(Self {
            slot: reader.slot()?,
            activate_at: reader.moment("activate_at")?,
            transfer: Transfer::decode(reader)?,
        })
    }
}

/// How a label's light blinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// On all the time.
    Steady,
    /// Once a second.
    Slow,
    /// Four times a second.
    Fast,
}

impl Pattern {
    /// Every pattern, in the order of its wire code.
    pub const ALL: [Self; 3] = [Self::Steady, Self::Slow, Self::Fast];
}

/// The colour of a label's light: a bit each for red (1), green (2) and blue (4); 0 is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LightColour(u8);

impl LightColour {
    /// A colour from its bits; none above 7.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits <= 7 { Some(Self(bits)) } else { None }
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// What a label is told to do at its next wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Report, with [`Reason::Answered`](super::Reason::Answered).
    Ping,
    /// Show its own address for 30 s, then the picture again. Its digest stays the picture's.
    Identify,
    /// Blink.
    Flash {
        /// In which colour.
        colour: LightColour,
        /// How.
        pattern: Pattern,
        /// For how long, in seconds.
        seconds: u16,
    },
    /// Show what is in a slot, until told otherwise; 0 is the picture of the last transfer.
    Page {
        /// The slot, 0 to [`SLOTS_MAX`].
        slot: u8,
    },
    /// Drive the glass anew with the picture that it shows.
    Refresh,
    /// Tell its firmware's name and version.
    Firmware,
    /// Forget what is in a slot: the switch to it is off.
    Drop {
        /// The slot, 1 to [`SLOTS_MAX`].
        slot: u8,
    },
}

impl Action {
    fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::Ping => out.put_u8(0),
            Self::Identify => out.put_u8(1),
            Self::Flash { colour, pattern, seconds } => {
                out.put_slice(&[2, colour.bits(), pattern as u8]);
                out.put_u16_le(seconds);
            }
            Self::Page { slot } => out.put_slice(&[3, slot]),
            Self::Refresh => out.put_u8(4),
            Self::Firmware => out.put_u8(5),
            Self::Drop { slot } => out.put_slice(&[6, slot]),
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        let outside = |field, reason: &str| MessageError::Field { field, reason: reason.to_owned() };
        Ok(match reader.u8("action")? {
            0 => Self::Ping,
            1 => Self::Identify,
            2 => Self::Flash {
                colour: LightColour::new(reader.u8("colour")?).ok_or_else(|| outside("colour", "is above 7"))?,
                pattern: reader.code("pattern", &Pattern::ALL)?,
                seconds: reader.u16("seconds")?,
            },
            3 => match reader.u8("slot")? {
                slot if slot <= SLOTS_MAX => Self::Page { slot },
                _ => return Err(outside("slot", "is above 7")),
            },
            4 => Self::Refresh,
            5 => Self::Firmware,
            6 => Self::Drop { slot: reader.slot()? },
            other => return Err(outside("action", &format!("{other} is not known"))),
        })
    }
}

/// One action for a group of labels. Each label has a number of its own, which gets one status, like a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub action: Action,
    /// How it waits.
    pub lane: Lane,
    /// Who is to do it.
    pub labels: Vec<(TransferNumber, LabelId)>,
}

impl Command {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(COMMAND);
        self.action.encode(out);
        out.put_u8(self.lane as u8);
        super::put_items(&self.labels, out, |(number, label), out| {
            out.put_u32_le(number.0);
            out.put_u64_le(label.0);
        });
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        Ok(Self {
            action: Action::decode(reader)?,
            lane: reader.code("lane", &Lane::ALL)?,
            labels: reader.list(|reader| Ok((TransferNumber(reader.u32("number")?), LabelId(reader.u64("label")?))))?,
        })
    }
}

/// A picture that a label keeps in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which one, 1 to [`SLOTS_MAX`].
    pub slot: u8,
    /// The picture's running number.
    pub edition: Edition,
    /// Digest that the label computed from the planes it keeps.
    pub digest: Digest,
    /// When it will show it by itself; [`Moment::ZERO`] for a page.
    pub activate_at: Moment,
}

/// A check-in of version 2: what the label shows, what it keeps, and what it can decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// As in version 1.
    pub check_in: CheckIn,
    /// Encodings that the label decodes, a bit each as in [`Welcome::encodings`](super::Welcome::encodings).
    pub encodings: u8,
    /// What it keeps, by slot.
    pub slots: Vec<Slot>,
}

impl Report {
    /// Bytes of a report at most.
    pub const LENGTH_MAX: usize = CheckIn::LENGTH + 2 + SLOTS_MAX as usize * 33;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.check_in.encode(out);
        out.put_u8(self.encodings);
        out.put_u8(u8::try_from(self.slots.len()).expect("a label has at most 7 slots"));
        for Slot { slot, edition, digest, activate_at } in &self.slots {
            out.put_u8(*slot);
            out.put_u64_le(edition.0);
            out.put_slice(&digest.0);
            out.put_u64_le(activate_at.as_micros());
        }
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        let check_in = CheckIn::decode(reader)?;
        let encodings = reader.u8("encodings")?;
        let count = reader.u8("slots")?;
        if count > SLOTS_MAX {
            return Err(MessageError::Field { field: "slots", reason: "are more than 7".to_owned() });
        }
        let slot = |reader: &mut Reader| {
            Ok(Slot {
                slot: reader.slot()?,
                edition: Edition(reader.u64("edition")?),
                digest: reader.digest()?,
                activate_at: reader.moment("activate_at")?,
            })
        };
        let slots = (0..count).map(|_| slot(reader)).collect::<Result<Vec<_>, MessageError>>()?;
        Ok(Self { check_in, encodings, slots })
    }
}

/// A station's clock, told in answer to each time sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The time in the time sync.
    pub told: Moment,
    /// What the station's own clock said when the time sync came: microseconds since its start, never set.
    pub station: Moment,
}

/// What a station holds at once from now on, in place of what its welcome said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credits {
    /// Transfers.
    pub transfers_max: u16,
    /// Bytes of picture data.
    pub bytes_max: u32,
}

/// A label's firmware: 1 to [`FIRMWARE_MAX`] printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware(String);

impl Firmware {
    /// A firmware's name and version; none for a text that does not fit.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|byte| (0x20..0x7F).contains(&byte));
        (printable && (1..=FIRMWARE_MAX).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::try_from(self.0.len()).expect("a firmware's text has at most 32 bytes"));
        out.put_slice(self.0.as_bytes());
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self, MessageError> {
        let length = usize::from(reader.u8("firmware")?);
        let text = reader.bytes("firmware", length)?;
        let refused = || MessageError::Field {
            field: "firmware",
            reason: format!("is not 1 to {FIRMWARE_MAX} printable ASCII characters"),
        };
        std::str::from_utf8(&text).ok().and_then(Self::new).ok_or_else(refused)
    }
}

/// Puts a knock's fields.
pub(super) fn encode_knock(knock: &Knock, out: &mut Vec<u8>) {
    out.put_u8(KNOCK);
    out.put_u32_le(knock.session.0);
    out.put_u8(knock.version_min);
    out.put_u8(knock.version_max);
    out.put_u64_le(knock.time.as_micros());
    out.put_slice(&knock.nonce.0);
}

pub(super) fn decode_knock(reader: &mut Reader) -> Result<Knock, MessageError> {
    Ok(Knock {
        session: SessionId(reader.u32("session")?),
        version_min: reader.u8("version_min")?,
        version_max: reader.u8("version_max")?,
        time: reader.moment("time")?,
        nonce: Nonce(reader.array("nonce")?),
    })
}

pub(super) fn encode_announce(station: &StationId, out: &mut Vec<u8>) {
    out.put_u8(ANNOUNCE);
    super::put_name(station, out);
}

/// Whether a payload of this kind is never sealed, not even in a keyed session.
#[must_use]
pub fn is_unsealed(payload: &Bytes) -> bool {
    matches!(payload.first(), Some(&(KNOCK | CHALLENGE | REFUSED | ANNOUNCE)))
}

#[cfg(test)]
mod tests {
    use super::super::{Downlink, Encoding, Frame, Reason, Uplink};
    use super::*;
    use crate::id::Millivolts;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected.replace(' ', ""));
    }

    /// Encodes to the bytes, and reads them back.
    #[track_caller]
    fn check_frame(frame: &Frame, expected: &str) {
        check(&frame.encode(), expected);
        assert_eq!(Frame::decode(&frame.encode().into()).as_ref(), Ok(frame));
    }

    #[track_caller]
    fn check_down(message: &Downlink, expected: &str) {
        check(&message.encode(), expected);
        assert_eq!(Downlink::decode(&message.encode()).as_ref(), Ok(message));
    }

    #[track_caller]
    fn check_up(message: &Uplink, expected: &str) {
        check(&message.encode(), expected);
        assert_eq!(Uplink::decode(&message.encode()).as_ref(), Ok(message));
    }

    /// Pinned: firmware in shops reads the same. Do not change; a new version gets a new test.
    #[test]
    fn version_2_frames_are_pinned() {
        let session = SessionId(9);
        let knock = Knock {
            session,
            version_min: 2,
            version_max: 2,
            time: Moment::from_micros(0x0102_0304),
            nonce: Nonce([0xC1; 16]),
        };
        let nonce = "c1".repeat(16);
        check_frame(&Frame::Knock(knock), &format!("05 09000000 02 02 0403020100000000 {nonce}"));
        let challenge = Frame::Challenge { session, nonce: Nonce([0x51; 16]) };
        check_frame(&challenge, &format!("06 09000000 {}", "51".repeat(16)));
        check_frame(&Frame::Answer { session }, "07 09000000");
        check_frame(&Frame::Refused { session, refusal: Refusal::WrongKey }, "08 09000000 02");
        check_frame(&Frame::Announce("front".parse().unwrap()), "09 05 66726f6e74");
    }

    /// Pinned: firmware in shops reads the same. Do not change; a new version gets a new test.
    #[test]
    fn version_2_messages_to_stations_are_pinned() {
        let transfer = Transfer {
            number: TransferNumber(7),
            label: LabelId(0x0000_021B_6D40_3B1E),
            panel: "bwr-296x128".parse().unwrap(),
            edition: Edition(1_795_536_000_123),
            digest: Digest([0xD1; 16]),
            lane: Lane::Price,
            encoding: Encoding::Deflate,
            data: Bytes::from_static(&[1, 2, 3]),
        };
        let staged = Staged { slot: 1, activate_at: Moment::from_micros(0x0102_0304), transfer };
        let digest = "d1".repeat(16);
        check_down(
            &Downlink::Stage(vec![staged]),
            &format!(
                "13 0100 01 0403020100000000 07000000 1e3b406d1b020000 0128018000 7b14490ea2010000 {digest} 01 01 \
                 03000000 010203"
            ),
        );
        let actions = [
            (Action::Ping, "00"),
            (Action::Identify, "01"),
            (
                Action::Flash { colour: LightColour::new(3).unwrap(), pattern: Pattern::Fast, seconds: 300 },
                "02 03 02 2c01",
            ),
            (Action::Page { slot: 2 }, "03 02"),
            (Action::Refresh, "04"),
            (Action::Firmware, "05"),
            (Action::Drop { slot: 1 }, "06 01"),
        ];
        for (action, bytes) in actions {
            let labels = vec![(TransferNumber(7), LabelId(1)), (TransferNumber(8), LabelId(2))];
            let command = Downlink::Command(Command { action, lane: Lane::Interactive, labels });
            let labels = "0200 07000000 0100000000000000 08000000 0200000000000000";
            check_down(&command, &format!("14 {bytes} 00 {labels}"));
        }
    }

    /// Pinned: firmware in shops reads the same. Do not change; a new version gets a new test.
    #[test]
    fn version_2_messages_to_controllers_are_pinned() {
        let check_in = CheckIn {
            label: LabelId(0x0000_021B_6D40_3B1E),
            panel: "bwr-296x128".parse().unwrap(),
            reason: Reason::Answered,
            edition: Edition(1_795_536_000_123),
            digest: Digest([0xD1; 16]),
            battery_mv: Millivolts(2_950),
            rssi_dbm: -61,
            temperature_c: 21,
            firmware: 0x0102,
        };
        let slot = Slot {
            slot: 1,
            edition: Edition(0x0102_0304),
            digest: Digest([0xD2; 16]),
            activate_at: Moment::from_micros(5),
        };
        let (shown, kept) = ("d1".repeat(16), "d2".repeat(16));
        check_up(
            &Uplink::Reports(vec![Report { check_in, encodings: 3, slots: vec![slot] }]),
            &format!(
                "23 0100 1e3b406d1b020000 0128018000 04 7b14490ea2010000 {shown} 860b c3 15 0201 03 01 01 \
                 0403020100000000 {kept} 0500000000000000"
            ),
        );
        let clock = Clock { told: Moment::from_micros(5), station: Moment::from_micros(0x0102_0304) };
        check_up(&Uplink::Clock(clock), "24 0500000000000000 0403020100000000");
        check_up(&Uplink::Credits(Credits { transfers_max: 64, bytes_max: 262_144 }), "25 4000 00000400");
        let firmware = Firmware::new("shelf 1.2").unwrap();
        check_up(&Uplink::Firmware(vec![(LabelId(1), firmware)]), "26 0100 0100000000000000 09 7368656c6620312e32");
        let statuses = vec![
            (TransferNumber(7), super::super::Status::Staged),
            (TransferNumber(8), super::super::Status::Unsupported),
        ];
        check_up(&Uplink::Statuses(statuses), "20 0200 07000000 08 08000000 09");
    }

    #[test]
    fn values_out_of_their_range_are_named() {
        #[track_caller]
        fn check(bytes: &[u8], expected: &str) {
            let error = Downlink::decode(&Bytes::copy_from_slice(bytes)).unwrap_err();
            assert_eq!(error.to_string(), format!("message dropped: {expected}"));
        }
        check(&[COMMAND, 9], "`action` 9 is not known");
        check(&[COMMAND, 2, 8], "`colour` is above 7");
        check(&[COMMAND, 3, 8], "`slot` is above 7");
        check(&[COMMAND, 6, 0], "`slot` is not 1 to 7");
        check(&[STAGE, 1, 0, 9], "`slot` is not 1 to 7");
        let error = Uplink::decode(&Bytes::from_static(&[FIRMWARE, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7])).unwrap_err();
        let text = "message dropped: `firmware` is not 1 to 32 printable ASCII characters";
        assert_eq!(error.to_string(), text);
    }
}
