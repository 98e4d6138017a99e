use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn transfer() -> Transfer {
    Transfer {
        number: TransferNumber(7),
        label: LabelId(0x0000_021B_6D40_3B1E),
        panel: "bwr-296x128".parse().unwrap(),
        edition: Edition(1_795_536_000_123),
        digest: Digest([0xD1; 16]),
        lane: Lane::Price,
        encoding: Encoding::Deflate,
        data: Bytes::from_static(&[1, 2, 3]),
    }
}

fn check_in() -> CheckIn {
    CheckIn {
        label: LabelId(0x0000_021B_6D40_3B1E),
        panel: "bwr-296x128".parse().unwrap(),
        reason: Reason::Displayed,
        edition: Edition(1_795_536_000_123),
        digest: Digest([0xD1; 16]),
        battery_mv: Millivolts(2_950),
        rssi_dbm: -61,
        temperature_c: 21,
        firmware: 0x0102,
    }
}

fn welcome() -> Welcome {
    Welcome {
        session: SessionId(9),
        version: 1,
        station: "front".parse().unwrap(),
        epoch: 3,
        encodings: 0b11,
        window: 8,
        payload_max: 98_304,
        transfers_max: 64,
        bytes_max: 262_144,
    }
}

/// Pinned: firmware in shops reads the same. Do not change; a new version gets a new test.
#[test]
fn version_1_frames_are_pinned() {
    let hello = Hello { session: SessionId(9), version_min: 1, version_max: 1, time: Moment::from_micros(0x0102_0304) };
    assert_eq!(hex(&Frame::Hello(hello).encode()), "010900000001010403020100000000");
    assert_eq!(
        hex(&Frame::Welcome(welcome()).encode()),
        "0209000000010566726f6e74030000000308008001004000000004 00".replace(' ', "")
    );
    let data = Frame::Data { session: SessionId(9), sequence: SequenceNumber(2), body: Bytes::from_static(&[0xAA]) };
    assert_eq!(hex(&data.encode()), "030900000002000000aa");
    let ack = Frame::Ack { session: SessionId(9), next: SequenceNumber(3) };
    assert_eq!(hex(&ack.encode()), "040900000003000000");
}

/// Pinned: firmware in shops reads the same. Do not change; a new version gets a new test.
#[test]
fn version_1_messages_are_pinned() {
    let digest = "d1".repeat(16);
    assert_eq!(
        hex(&Downlink::Batch(vec![transfer()]).encode()),
        format!("100100070000001e3b406d1b0200000128018000{}{digest}010103000000010203", "7b14490ea2010000")
    );
    assert_eq!(hex(&Downlink::Cancel(vec![TransferNumber(7)]).encode()), "11010007000000");
    assert_eq!(hex(&Downlink::TimeSync(Moment::from_micros(5)).encode()), "120500000000000000");
    let statuses = Uplink::Statuses(vec![(TransferNumber(7), Status::Expired)]);
    assert_eq!(hex(&statuses.encode()), "2001000700000003");
    assert_eq!(
        hex(&Uplink::CheckIns(vec![check_in()]).encode()),
        format!("2101001e3b406d1b020000012801800002{}{digest}860bc3150201", "7b14490ea2010000")
    );
    assert_eq!(hex(&Uplink::Presence(vec![LabelId(1)]).encode()), "2201000100000000000000");
}

#[test]
fn lengths_are_as_stated() {
    let batch = Downlink::Batch(vec![transfer()]).encode();
    assert_eq!(batch.len(), BATCH_OVERHEAD + Transfer::OVERHEAD + 3);
    assert_eq!(Uplink::CheckIns(vec![check_in()]).encode().len(), 3 + CheckIn::LENGTH);
    let data = Frame::Data { session: SessionId(0), sequence: SequenceNumber(0), body: batch.clone() };
    assert_eq!(data.encode().len(), DATA_OVERHEAD + batch.len());
}

#[test]
fn messages_are_read_back() {
    for message in [
        Downlink::Batch(vec![transfer(), transfer()]),
        Downlink::Cancel(vec![]),
        Downlink::TimeSync(Moment::from_secs(1)),
    ] {
        assert_eq!(Downlink::decode(&message.encode()), Ok(message));
    }
    for message in [
        Uplink::Statuses(Status::ALL.map(|status| (TransferNumber(1), status)).to_vec()),
        Uplink::CheckIns(vec![check_in()]),
        Uplink::Presence(vec![LabelId(1), LabelId(2)]),
    ] {
        assert_eq!(Uplink::decode(&message.encode()), Ok(message));
    }
    let frame = Frame::Welcome(welcome());
    assert_eq!(Frame::decode(&frame.encode().into()), Ok(frame));
}

#[test]
fn wrong_messages_are_named() {
    fn check(bytes: &[u8], expected: &str) {
        let error = Uplink::decode(&Bytes::copy_from_slice(bytes)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    check(&[], "message dropped: it ends inside `kind`");
    check(&[0x77], "message dropped: kind 0x77 is not one of version 2");
    check(&[STATUSES, 1, 0, 7, 0], "message dropped: it ends inside `number`");
    check(&[STATUSES, 1, 0, 7, 0, 0, 0, 99], "message dropped: `status` 99 is not one of version 2");
    check(&[STATUSES, 0, 0, 1, 2], "message dropped: 2 bytes follow its last field");
    let small = Welcome { payload_max: 10, ..welcome() };
    let error = Frame::decode(&Frame::Welcome(small).encode().into()).unwrap_err();
    assert_eq!(error.to_string(), "message dropped: `payload_max` is not 1,024 to 98,304");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop::num::u8::ANY, 0..300)) {
        let bytes = Bytes::from(bytes);
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(Bytes::from(frame.encode()), bytes.clone());
        }
        if let Ok(message) = Downlink::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes.clone());
        }
        if let Ok(message) = Uplink::decode(&bytes) {
            prop_assert_eq!(message.encode(), bytes);
        }
    }
}
