//! The bytes on the line and in the payloads, pinned: radios and labels in shops read the same. Do not change.

use bytes::{BufMut, BytesMut};
use gondola_protocol::message::{LightColour, Pattern};
use gondola_protocol::{LabelId, Planes};
use md5::{Digest, Md5};
use proptest::prelude::*;

use super::label_type::{LabelType, LabelTypes, Rotation};
use super::order::{Light, Order};
use super::payload::{self, Payload, Variant};
use super::reader::Reader;
use crate::head::Wake;

use super::wire::{
    Command, DataKind, Info, NextCheckIn, Offer, Reply, Report, Said, Slot, Version, block_reply, checksum,
};

const LABEL: LabelId = LabelId(0x0000_021B_6D40_3B1E);

/// Bytes from hexadecimal digits.
fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn check_command(command: Command, token: &[u8], expected: &str) {
    let mut out = BytesMut::new();
    command.encode(&mut out);
    assert_eq!((&out[..4], hex(&out[4..]).as_str()), (token, expected));
}

/// What a reader makes of bytes.
fn said(bytes: &[u8]) -> Vec<Said> {
    let (mut reader, mut said) = (Reader::default(), Vec::new());
    reader.read(bytes, |one| said.push(one));
    said
}

/// A payload of the golden vectors: 4,736 bytes that count.
fn counting() -> Vec<u8> {
    (0..=255).cycle().take(4_736).collect()
}

fn counting_version() -> Version {
    let md5 = Md5::digest(counting());
    assert_eq!(hex(&md5), "29a3398aa5994868a685afb883b71623");
    Version(u64::from_le_bytes(md5[..8].try_into().unwrap()))
}

#[test]
fn commands_are_pinned() {
    let offer = Offer {
        version: counting_version(),
        size: 4_736,
        kind: DataKind::Raw1,
        argument: 0,
        next: NextCheckIn::LabelDecides,
    };
    let arm = |offer| Command::Arm(Slot { offer, minutes: 20, label: LABEL });
    check_command(arm(offer), b"SDA>", "6629a3398aa5994868801200002000000014001e3b406d1b020000");
    check_command(Command::Free(LABEL), b"CXD>", "230000000000000000000000000000000000001e3b406d1b020000");
    check_command(Command::Channel { channel: 15, power: 10 }, b"SCP>", "190f0a00");
    let idle = Offer::nothing(NextCheckIn::Minutes(10));
    check_command(arm(idle), b"SDA>", "4100000000000000000000000000000a0014001e3b406d1b020000");
    let light = Light::from_bytes(bytes("813c130ae4530a03a30a0200").try_into().unwrap());
    check_command(arm(Order::Flash(light).offer()), b"SDA>", "b7813c130ae4530a03a30a0200af04000014001e3b406d1b020000");
    for (command, token) in [(Command::Ping, b"RDY?"), (Command::Info, b"NFO?"), (Command::HighSpeed, b"HSPD")] {
        check_command(command, token, "");
    }
    let in_seconds = Offer::nothing(NextCheckIn::Seconds(300));
    check_command(arm(in_seconds), b"SDA>", "e400000000000000000000000000002c8114001e3b406d1b020000");
}

#[test]
fn blocks_are_pinned() {
    let payload = counting();
    for (block, header) in [(&payload[..4_096], "aabaaa52"), (&payload[4_096..], "2aa86ab4")] {
        let reply = block_reply(block);
        assert_eq!((&reply[..3], reply.len()), (&b">D>"[..], 3 + 4_132));
        assert_eq!(hex(&reply[3..7]), header);
        let data: Vec<u8> = reply[7..7 + block.len()].iter().map(|byte| byte ^ 0xAA).collect();
        assert_eq!(data, block);
        assert!(reply[7 + block.len()..3 + 4_100].iter().all(|byte| *byte == 0x55));
        assert_eq!(reply[3 + 4_100..], [0xF5; 32]);
    }
}

#[test]
fn what_the_radio_says_is_pinned() {
    let mut request = b"RQB>".to_vec();
    request.extend(bytes("a129a3398aa5994868011e3b406d1b020000"));
    assert_eq!(said(&request), [Said::BlockRequest { label: LABEL, version: counting_version(), block: 1 }]);

    let mut check_in = b"ADR>".to_vec();
    check_in.extend(bytes("a81e3b406d1b02000000b4c315860b33fc0327000f000000000000000000"));
    let report = Report {
        label: LABEL,
        lqi: 180,
        rssi_dbm: -61,
        temperature_c: 21,
        battery_mv: 2_950,
        label_type: 0x33,
        wake: Wake::Boot,
        capabilities: 3,
        firmware: 0x27,
        channel: 15,
    };
    assert_eq!(said(&check_in), [Said::CheckIn(report)]);

    let burst = b"ACK>TYP>C6VER>001FMAC>1122334455667788ZCH>19SCH>255ZPW>0APEN>00NOP>FA";
    let info = [
        Info::Radio(0xC6),
        Info::Firmware(0x1F),
        Info::Address(0x1122_3344_5566_7788),
        Info::Channel(0x19),
        Info::Power(10),
        Info::SlotsWithData(0),
        Info::SlotsWithout(250),
    ];
    let expected: Vec<Said> =
        std::iter::once(Said::Reply(Reply::Ack)).chain(info.into_iter().map(Said::Info)).collect();
    assert_eq!(said(burst), expected);
}

/// A message of one label.
fn about(token: &[u8], label: LabelId) -> Vec<u8> {
    let mut body = vec![0];
    body.put_u64_le(label.0);
    body[0] = checksum(&body);
    [token, &body].concat()
}

#[test]
fn words_are_found_in_noise_and_damage_costs_one_message() {
    let complete = about(b"XFC>", LABEL);
    let noise = b"ets Jun  8 2016\r\nSending parts: XXXX....BUSY!IGNORED".to_vec();
    assert_eq!(
        said(&[&noise[..], &complete, b"FORCED", b"NOQ>"].concat()),
        [Said::Complete(LABEL), Said::Reply(Reply::Full)]
    );
    // A byte lost: what swallowed the next message gives it back.
    let damaged = [&about(b"XTO>", LABEL)[..12], &complete, b"ACK>"].concat();
    assert_eq!(said(&damaged), [Said::Complete(LABEL), Said::Reply(Reply::Ack)]);
    // A label's own message is as long as it says; a token in it is none.
    let mut own = about(b"TRD>", LABEL);
    own.extend(b"\x05ACK>!");
    own[4] = 0;
    let sum = checksum(&own[4..]);
    own[4] = sum;
    assert_eq!(said(&[&own[..], b"NOK>"].concat()), [Said::Returned(LABEL), Said::Reply(Reply::Nok)]);
}

#[test]
fn a_message_that_does_not_end_is_given_up() {
    let (mut reader, mut found) = (Reader::default(), Vec::new());
    reader.read(b"ADR>RQB>ACK>", |one| found.push(one));
    assert!(found.is_empty() && reader.is_within_message());
    reader.give_up_message(|one| found.push(one));
    assert_eq!((found, reader.is_within_message()), (vec![Said::Reply(Reply::Ack)], false));
}

#[test]
fn a_light_blinks_as_it_is_told() {
    let light = |bits, pattern, seconds| Light::new(LightColour::new(bits).unwrap(), pattern, seconds);
    let bytes_of = |light| Order::Flash(light).offer().version.0.to_le_bytes();
    assert_eq!(bytes_of(light(1, Pattern::Slow, 10)), [0x81, 0xE0, 0x11, 9, 0, 0, 0, 0]);
    assert_eq!(bytes_of(light(6, Pattern::Fast, 10)), [0x81, 0x1F, 0x11, 1, 0, 0, 0, 0]);
    assert_eq!(bytes_of(light(0, Pattern::Fast, 10))[0], 0x80);
    // Ten flashes; more than can be said are 255.
    assert_eq!(Order::Flash(light(1, Pattern::Slow, 10)).offer().size.to_le_bytes(), [0, 0, 10, 0]);
    assert_eq!(Order::Flash(light(1, Pattern::Slow, 600)).offer().size.to_le_bytes()[2], 255);
}

/// One pixel of ink at the top left.
fn corner(panel: &str) -> Planes {
    let panel: gondola_protocol::Panel = panel.parse().unwrap();
    let mut bytes = vec![0; panel.picture_bytes()];
    bytes[0] = 0x80;
    Planes::new(panel, bytes).unwrap()
}

fn kind(id: u8) -> LabelType {
    LabelTypes::default().get(id).unwrap().clone()
}

/// The raw payload of a picture with ink at the top left, and where in it that ink is: row, byte, bit.
#[track_caller]
fn check_corner(id: u8, row_bytes: usize, expected: (usize, usize, u8)) {
    let kind = kind(id);
    let raw = LabelType { packing: super::label_type::Packing::Raw, ..kind.clone() };
    let payload = payload::pack(&corner(&kind.panel.to_string()), &raw, 0, Variant::default()).unwrap();
    let (at, byte) = payload.bytes.iter().enumerate().find(|(_, byte)| **byte != 0).unwrap();
    assert_eq!((at / row_bytes, at % row_bytes, *byte), expected);
    assert_eq!(payload.kind, DataKind::Raw1, "the colour's plane is empty");
}

#[test]
fn pictures_lie_as_their_panels_do() {
    check_corner(0x01, 16, (295, 0, 0x80));
    check_corner(0x33, 21, (0, 20, 0x01));
    check_corner(0x00, 19, (0, 0, 0x80));
    check_corner(0x2E, 120, (671, 119, 0x01));
}

#[test]
fn the_header_and_the_window_of_zlib_are_pinned() {
    let kind = kind(0x33);
    let payload = payload::pack(&corner("bwr-384x168"), &kind, 0x27, Variant::default()).unwrap();
    assert_eq!(payload.kind, DataKind::Zlib);
    // 6 + 384 * 168 / 8 bytes; a zlib stream with a window of 4 KiB.
    assert_eq!(hex(&payload.bytes[..6]), "861f000048c7");
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&payload.bytes[4..]), &mut plain).unwrap();
    assert_eq!(hex(&plain[..6]), "06a800800101");
    assert_eq!(plain.len(), 8_070);
}

#[test]
fn a_form_is_chosen_by_type_and_firmware() {
    let packed =
        |id: u8, firmware| payload::pack(&corner(&kind(id).panel.to_string()), &kind(id), firmware, Variant(0));
    let kind_of = |id, firmware| packed(id, firmware).unwrap().kind;
    assert_eq!(kind_of(0x01, 0x28), DataKind::Raw1);
    assert_eq!(kind_of(0x01, 0x29), DataKind::Group5);
    assert_eq!(kind_of(0x33, 0x26), DataKind::Raw1);
    assert_eq!(kind_of(0x33, 0x27), DataKind::Zlib);
    assert_eq!(payload::pack(&corner("bwr-296x128"), &kind(0x33), 0x27, Variant(0)), None);
}

#[test]
fn no_payload_is_of_whole_blocks_and_variants_differ() {
    let mut seed = 1_u32;
    for length in 0..3_000 {
        let panel: gondola_protocol::Panel = "bwr-384x168".parse().unwrap();
        let mut bytes = vec![0; panel.picture_bytes()];
        // Noise of every length: some of it packs to whole blocks.
        for byte in &mut bytes[..length + 2_500] {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = seed.to_be_bytes()[0];
        }
        let planes = Planes::new(panel, bytes).unwrap();
        if length % 100 == 0 || (1_500..1_700).contains(&length) {
            let [first, second] =
                [0, 1].map(|variant| payload::pack(&planes, &kind(0x33), 0x27, Variant(variant)).unwrap());
            assert!(!first.bytes.len().is_multiple_of(4_096) && !second.bytes.len().is_multiple_of(4_096));
            assert_ne!(first.version, second.version);
        }
    }
}

fn payload_of(bytes: Vec<u8>) -> Payload {
    Payload { kind: DataKind::Raw1, bytes: bytes.into(), version: Version(0) }
}

#[test]
fn blocks_are_counted_from_0() {
    let payload = payload_of(counting());
    assert_eq!((payload.blocks(), payload.block(1).map(<[u8]>::len), payload.block(2)), (2, Some(640), None));
}

proptest! {
    #[test]
    fn a_rotation_loses_no_ink(bits in prop::collection::vec(any::<bool>(), 24 * 16), rotation in 0_usize..4) {
        let panel: gondola_protocol::Panel = "bw-24x16".parse().unwrap();
        let mut bytes = vec![0; 48];
        for (at, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            bytes[at / 8] |= 0x80 >> (at % 8);
        }
        let planes = Planes::new(panel, bytes.clone()).unwrap();
        let kind = LabelType {
            panel,
            rotation: Rotation::ALL[rotation],
            packing: super::label_type::Packing::Raw,
            ..kind(0x27)
        };
        let payload = payload::pack(&planes, &kind, 0, Variant::default()).unwrap();
        let ink = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
        prop_assert_eq!(ink(&payload.bytes), ink(&bytes));
    }

    #[test]
    fn what_is_said_does_not_depend_on_the_pieces(noise in prop::collection::vec(any::<u8>(), 0..60), cut in 0_usize..100) {
        let all = [&noise[..], &about(b"XFC>", LABEL), &noise, b"ACK>"].concat();
        let (mut reader, mut pieces) = (Reader::default(), Vec::new());
        let (first, second) = all.split_at(cut.min(all.len()));
        for piece in [first, second] {
            reader.read(piece, |one| pieces.push(one));
        }
        prop_assert_eq!(pieces, said(&all));
    }
}
