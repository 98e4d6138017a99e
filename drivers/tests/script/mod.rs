//! What a hand-scripted station says, and how it reads what it is told.

use bytes::Bytes;
use gondola_drivers::Picture;
use gondola_protocol::frame::{self, FrameDecoder};
use gondola_protocol::message::{Frame, Lane, Uplink, Welcome};
use gondola_protocol::{Edition, LabelId, Planes, SequenceNumber, SessionId, TransferNumber};

/// A station that takes three transfers and 10,000 bytes at once, in frames of 4,096 bytes.
pub(crate) fn welcome(session: SessionId) -> Welcome {
    Welcome {
        session,
        version: 1,
        station: "front".parse().unwrap(),
        epoch: 1,
        encodings: 0b11,
        window: 2,
        payload_max: 4_096,
        transfers_max: 3,
        bytes_max: 10_000,
    }
}

/// A white picture of 3,904 bytes.
pub(crate) fn picture(number: u32) -> Picture {
    Picture {
        number: TransferNumber(number),
        label: LabelId(u64::from(number)),
        edition: Edition(7),
        lane: Lane::Price,
        planes: Planes::white("bw-250x122".parse().unwrap()),
        held: None,
        encodings: u8::MAX,
        packed: None,
    }
}

/// A frame as the stream carries it.
pub(crate) fn stream(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(&frame.encode(), &mut out);
    out
}

/// A message from the station.
pub(crate) fn uplink(session: SessionId, sequence: u32, message: &Uplink) -> Frame {
    Frame::Data { session, sequence: SequenceNumber(sequence), body: message.encode() }
}

/// The frames that end within `bytes`.
pub(crate) fn frames(decoder: &mut FrameDecoder, bytes: &[u8]) -> Vec<Frame> {
    let mut payloads: Vec<Bytes> = Vec::new();
    decoder.read(bytes, |payload| payloads.push(payload.unwrap()));
    payloads.iter().map(|payload| Frame::decode(payload).unwrap()).collect()
}
