//! The specification's test vectors are what the code makes.

use bytes::Bytes;
use gondola_drivers::encode;
use gondola_protocol::auth::{Nonce, Sealer, SessionKey, StationKey};
use gondola_protocol::frame;
use gondola_protocol::message::{
    Action, CheckIn, Clock, Command, Credits, Downlink, Encoding, Firmware, Frame, Hello, Knock, Lane, LightColour,
    Pattern, Reason, Refusal, Report, Slot, Staged, Status, Transfer, Uplink, Welcome,
};
use gondola_protocol::{
    Digest, Edition, LabelId, Millivolts, Moment, Planes, SequenceNumber, SessionId, TransferNumber,
};

const SPECIFICATION: &str = include_str!("../protocol/README.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The specification names these bytes, spaces between its fields aside.
#[track_caller]
fn check(bytes: &[u8]) {
    let named = SPECIFICATION.split('`').any(|span| span.replace(' ', "") == hex(bytes));
    assert!(named, "the specification does not name {}", hex(bytes));
}

#[track_caller]
fn check_stream(frame: &Frame) {
    let mut stream = Vec::new();
    frame::encode(&frame.encode(), &mut stream);
    check(&stream);
}

fn label() -> LabelId {
    LabelId(0x0000_021B_6D40_3B1E)
}

fn panel() -> gondola_protocol::Panel {
    "bwr-296x128".parse().expect("a panel")
}

fn transfer() -> Transfer {
    Transfer {
        number: TransferNumber(7),
        label: label(),
        panel: panel(),
        edition: Edition(1_795_536_000_123),
        digest: Digest([0xD1; 16]),
        lane: Lane::Price,
        encoding: Encoding::Deflate,
        data: Bytes::from_static(&[1, 2, 3]),
    }
}

fn check_in() -> CheckIn {
    CheckIn {
        label: label(),
        panel: panel(),
        reason: Reason::Displayed,
        edition: Edition(1_795_536_000_123),
        digest: Digest([0xD1; 16]),
        battery_mv: Millivolts(2_950),
        rssi_dbm: -61,
        temperature_c: 21,
        firmware: 0x0102,
    }
}

#[test]
fn frames() {
    let session = SessionId(9);
    let hello = Frame::Hello(Hello { session, version_min: 1, version_max: 1, time: Moment::from_micros(0x0102_0304) });
    check(&hello.encode());
    check_stream(&hello);
    let welcome = welcome();
    check(&welcome.encode());
    check_stream(&welcome);
    let data = Frame::Data { session, sequence: SequenceNumber(2), body: Bytes::from_static(&[0xAA]) };
    check(&data.encode());
    let ack = Frame::Ack { session, next: SequenceNumber(3) };
    check(&ack.encode());
    check_stream(&ack);
    let sync = Downlink::TimeSync(Moment::from_micros(5)).encode();
    check_stream(&Frame::Data { session, sequence: SequenceNumber(0), body: sync });
    let presence = Uplink::Presence(vec![]).encode();
    check_stream(&Frame::Data { session, sequence: SequenceNumber(0), body: presence });
}

fn welcome() -> Frame {
    Frame::Welcome(Welcome {
        session: SessionId(9),
        version: 1,
        station: "front".parse().expect("a name"),
        epoch: 3,
        encodings: 0b11,
        window: 8,
        payload_max: 98_304,
        transfers_max: 64,
        bytes_max: 262_144,
    })
}

#[test]
fn frames_of_version_2() {
    let (session, controller, station) = (SessionId(9), Nonce([0xC1; 16]), Nonce([0x51; 16]));
    let time = Moment::from_micros(0x0102_0304);
    check(&Frame::Knock(Knock { session, version_min: 2, version_max: 2, time, nonce: controller }).encode());
    check(&Frame::Challenge { session, nonce: station }.encode());
    check(&Frame::Refused { session, refusal: Refusal::WrongKey }.encode());
    check(&Frame::Announce("front".parse().expect("a name")).encode());
    let key = SessionKey::new(&StationKey([0x4B; 32]), session, controller, station);
    for (sealer, frame) in [(Sealer::Controller, Frame::Answer { session }), (Sealer::Station, welcome())] {
        let mut payload = frame.encode();
        key.seal(sealer, &mut payload);
        check(&payload);
    }
}

#[test]
fn messages_of_version_2() {
    let staged = Staged { slot: 1, activate_at: Moment::from_micros(0x0102_0304), transfer: transfer() };
    check(&Downlink::Stage(vec![staged]).encode());
    let colour = LightColour::new(3).expect("a colour");
    let (one, two) = ((TransferNumber(7), LabelId(1)), (TransferNumber(8), LabelId(2)));
    let flash = Action::Flash { colour, pattern: Pattern::Fast, seconds: 300 };
    for (action, labels) in [(flash, vec![one, two]), (Action::Drop { slot: 1 }, vec![one])] {
        check(&Downlink::Command(Command { action, lane: Lane::Interactive, labels }).encode());
    }
    let activate_at = Moment::from_micros(5);
    let slot = Slot { slot: 1, edition: Edition(0x0102_0304), digest: Digest([0xD2; 16]), activate_at };
    let check_in = CheckIn { reason: Reason::Answered, ..check_in() };
    check(&Uplink::Reports(vec![Report { check_in, encodings: 3, slots: vec![slot] }]).encode());
    check(&Uplink::Clock(Clock { told: activate_at, station: Moment::from_micros(0x0102_0304) }).encode());
    check(&Uplink::Credits(Credits { transfers_max: 64, bytes_max: 262_144 }).encode());
    check(&Uplink::Firmware(vec![(LabelId(1), Firmware::new("shelf 1.2").expect("a text"))]).encode());
    check(
        &Uplink::Statuses(vec![(TransferNumber(7), Status::Staged), (TransferNumber(8), Status::Unsupported)]).encode(),
    );
}

#[test]
fn framing() {
    for payload in [&b"123456789"[..], &[0, 1, 0]] {
        let mut stream = Vec::new();
        frame::encode(payload, &mut stream);
        check(&stream);
    }
}

#[test]
fn messages() {
    check(&Downlink::Batch(vec![transfer()]).encode());
    check(&Downlink::Cancel(vec![TransferNumber(7)]).encode());
    check(&Downlink::TimeSync(Moment::from_micros(5)).encode());
    check(&Uplink::Statuses(vec![(TransferNumber(7), Status::Expired)]).encode());
    check(&Uplink::CheckIns(vec![check_in()]).encode());
    check(&Uplink::Presence(vec![LabelId(1)]).encode());
}

#[test]
fn digests() {
    for id in ["bw-250x122", "bwr-296x128"] {
        check(&Planes::white(id.parse().expect("a panel")).digest().0);
    }
}

#[test]
fn compact() {
    let rows = [[0; 3], [0x3C, 0x42, 0x20], [0x42, 0x66, 0x20], [0x42, 0x5A, 0xE0], [0x3C, 0x42, 0x20]];
    let colour = [[0xFF, 0xFF, 0xE0], [0, 0x42, 0], [0; 3], [0; 3], [0, 0, 0x20]];
    let panel = "bwry-19x5".parse().expect("a panel");
    let white = Planes::white(panel);
    let p = Planes::new(panel, [rows, colour].concat().concat()).expect("a picture");
    check(p.bytes());
    check(&encode::compact::compact(&p));
    check(&encode::compact::delta(&p, &white).expect("one panel"));
    check(&encode::compact::delta(&white, &p).expect("one panel"));
    check(&encode::compact::delta(&p, &p).expect("one panel"));
    assert_eq!(encode::compact::compact(&Planes::white("bw-250x122".parse().expect("a panel"))), Bytes::new());
}

#[test]
fn deflate() {
    let planes = Planes::white("bw-250x122".parse().expect("a panel"));
    let packed = [0xed, 0xc1, 0x81, 0, 0, 0, 0, 0xc3, 0xa0, 0xf9, 0x53, 0x1f, 0xe1, 0x02, 0x55, 0x01, 0, 0, 0, 0xcf, 0];
    check(&packed);
    let mut inflated = Vec::with_capacity(planes.bytes().len() + 1);
    let status = flate2::Decompress::new(false).decompress_vec(&packed, &mut inflated, flate2::FlushDecompress::Finish);
    assert_eq!(status.ok(), Some(flate2::Status::StreamEnd));
    assert_eq!(inflated, planes.bytes()[..]);
}
