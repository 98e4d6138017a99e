//! What a head tells its owner, and what it can take.

use std::fmt;

use gondola_protocol::frame::FrameError;
use gondola_protocol::message::{CheckIn, Encoding, Firmware, MessageError, Reason, Slot, Status, Welcome};
use gondola_protocol::{LabelId, Millivolts, Moment, Panel, TransferNumber};

pub use crate::clock::ClockReport;
use crate::session::DownReason;

/// What a station takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Transfers at once.
    pub transfers: usize,
    /// Bytes of packed pictures at once.
    pub bytes: usize,
    /// Whether it takes pictures that are sent ahead.
    pub stages: bool,
    /// Encodings that it passes on, a bit each.
    pub encodings: u8,
}

impl From<&Welcome> for Capacity {
    fn from(welcome: &Welcome) -> Self {
        Self {
            transfers: usize::from(welcome.transfers_max),
            bytes: usize::try_from(welcome.bytes_max).unwrap_or(usize::MAX),
            stages: welcome.version >= 2,
            encodings: welcome.encodings,
        }
    }
}

/// What a station can take now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Pictures.
    pub transfers: usize,
    /// Bytes of packed pictures. What a picture packs to is known once it is submitted; to be, it needs room for its
    /// raw bytes.
    pub bytes: usize,
}

/// What became of a picture: exactly one for each that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The station's word, or the head's own when the picture never left it.
    Status(Status),
    /// The session ended before the station said: the label may or may not have it.
    Lost,
    /// The label says that it has it, which this hardware must be asked for again before it is a proof.
    Taken {
        /// When the proof, a check-in with the picture's digest, should have come.
        proof_by: Moment,
    },
}

/// Why a label woke and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// It was time.
    Regular,
    /// It was switched on or reset.
    Boot,
    /// Its watchdog had bitten, so that it started anew.
    Watchdog,
    /// It has just refreshed its display.
    Displayed,
    /// It was told to report.
    Answered,
    /// Somebody pressed a button; they are counted from 1.
    Button(u8),
    /// Somebody held a phone to it.
    Nfc,
    /// One of its pins changed.
    Pin,
    /// It was woken by radio.
    Radio,
    /// It had lost its station and has found this one.
    Found,
    /// Its firmware could not be replaced.
    UpdateFailed,
    /// For a reason of the vendor's, by its number.
    Other(u8),
}

impl Wake {
    /// Whether it has forgotten everything but, perhaps, its glass.
    #[must_use]
    pub const fn has_started(self) -> bool {
        matches!(self, Self::Boot | Self::Watchdog)
    }
}

/// One word, as REST has it: `regular`, `button_1`, `other_9`.
impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Regular => "regular",
            Self::Boot => "boot",
            Self::Watchdog => "watchdog",
            Self::Displayed => "displayed",
            Self::Answered => "answered",
            Self::Button(number) => return write!(f, "button_{number}"),
            Self::Nfc => "nfc",
            Self::Pin => "pin",
            Self::Radio => "radio",
            Self::Found => "found",
            Self::UpdateFailed => "update_failed",
            Self::Other(number) => return write!(f, "other_{number}"),
        };
        f.write_str(word)
    }
}

impl From<Reason> for Wake {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Regular => Self::Regular,
            Reason::Boot => Self::Boot,
            Reason::Displayed => Self::Displayed,
            Reason::Button => Self::Button(1),
            Reason::Answered => Self::Answered,
        }
    }
}

/// What a label says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// Who reports.
    pub label: LabelId,
    /// Its display.
    pub panel: Panel,
    /// Why.
    pub wake: Wake,
    /// Battery voltage.
    pub battery_mv: Millivolts,
    /// Signal strength in dBm.
    pub rssi_dbm: i8,
    /// Quality of the link, 0 to 255, where it is measured.
    pub lqi: Option<u8>,
    /// Temperature at the label in degrees Celsius.
    pub temperature_c: i8,
    /// Firmware version as the vendor counts it.
    pub firmware: u16,
}

impl From<&CheckIn> for Telemetry {
    fn from(check_in: &CheckIn) -> Self {
        let CheckIn { label, panel, reason, battery_mv, rssi_dbm, temperature_c, firmware, .. } = *check_in;
        Self { label, panel, wake: reason.into(), battery_mv, rssi_dbm, lqi: None, temperature_c, firmware }
    }
}

/// What a head tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadEvent {
    /// The station can be used.
    Up {
        /// What it takes.
        capacity: Capacity,
        /// How often it has started, where it says so.
        epoch: Option<u32>,
    },
    /// The session is over; an [`Outcome::Lost`] per picture in flight came before.
    Down(DownReason),
    /// The room grew: look again.
    Room(Room),
    /// A picture that was accepted takes so many bytes at its station, and not as many as it has.
    Packed {
        /// The picture.
        number: TransferNumber,
        /// Its packed bytes.
        bytes: usize,
    },
    /// A label reported.
    CheckIn(CheckIn),
    /// What a label keeps and can decode; its check-in came before.
    Keeps {
        /// The label.
        label: LabelId,
        /// Encodings that it decodes, a bit each.
        encodings: u8,
        /// Pictures sent ahead, by slot.
        slots: Vec<Slot>,
    },
    /// A label reported, and cannot say what it shows.
    Heard(Telemetry),
    /// A label was heard and had nothing new to say.
    Present(LabelId),
    /// What a label's firmware calls itself.
    Firmware(LabelId, Firmware),
    /// How the station's clock runs.
    Clock(ClockReport),
    /// What became of a picture.
    Outcome {
        /// The picture.
        number: TransferNumber,
        /// Its end.
        outcome: Outcome,
    },
    /// Something was no good and was dropped.
    Dropped(Dropped),
}

/// A frame, message or picture that was no good. `Display` gives the full sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// Bytes that are no frame.
    #[error("{0}")]
    Frame(FrameError),
    /// A frame that is no message.
    #[error("{0}")]
    Message(MessageError),
    /// Only controllers open sessions.
    #[error("hello dropped: it came from the station's end; is this a loop, or another controller?")]
    Hello,
    /// A frame in a keyed session whose seal is not the station's.
    #[error("frame dropped: its seal is not the station's; does somebody else write to the line?")]
    Forged,
    /// A status that does not belong to a picture in flight.
    #[error("status dropped: transfer {0} is not in flight; did the station report it twice?")]
    Unawaited(TransferNumber),
    /// A label of OpenEPaperLink of a type that nobody has described.
    #[error("label {label} is of type {label_type:02X}, which is not known; describe it in the configuration")]
    LabelType {
        /// Which label.
        label: LabelId,
        /// Its type.
        label_type: u8,
    },
    /// A picture that the station can never take.
    #[error("picture for label {label} dropped: it has {bytes} bytes, the station takes {bytes_max} at once")]
    Oversize {
        /// Whom it was for.
        label: LabelId,
        /// Its bytes.
        bytes: usize,
        /// The station's limit on such bytes.
        bytes_max: usize,
    },
}

/// What a head has counted since it was made, all sessions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions that opened.
    pub sessions: u64,
    /// Frames put on the wire, repeated ones included.
    pub frames_sent: u64,
    /// Frames that arrived whole.
    pub frames_received: u64,
    /// Data frames put on the wire again.
    pub retransmissions: u64,
    /// Bytes put on the wire.
    pub bytes_sent: u64,
    /// Bytes that arrived.
    pub bytes_received: u64,
    /// Frames, messages and statuses that were no good.
    pub frames_dropped: u64,
    /// Frames of no session or of another one.
    pub stale_frames: u64,
    /// Acks that acknowledged nothing new.
    pub unawaited_acks: u64,
    /// Of `frames_dropped`, those with a seal that is not the station's.
    pub frames_forged: u64,
    /// Sessions that did not open because what answers is another station, or cannot prove that it is ours.
    pub impostors: u64,
    /// Pictures packed, by the code of their [`Encoding`].
    pub pictures_by_encoding: [u64; Encoding::ALL.len()],
}
