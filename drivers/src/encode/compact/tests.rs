//! What is packed is unpacked by the simulator's decoder, which shares nothing with the encoder but the format.

use gondola_protocol::message::Encoding;
use gondola_protocol::{Colours, Panel};
use gondola_simulator::decode::decode;
use proptest::prelude::*;

use super::*;

/// Packs a picture, whole and as a delta, and answers the two sizes.
#[track_caller]
fn check(planes: &Planes, held: &Planes) -> (usize, usize) {
    let packed = compact(planes);
    assert_eq!(decode(Encoding::Compact, &packed, held).as_ref(), Ok(planes));
    assert_eq!(compact_within(planes, packed.len()).as_ref(), Some(&packed));
    assert_eq!(packed.len().checked_sub(1).and_then(|fewer| compact_within(planes, fewer)), None);
    let change = delta(planes, held).unwrap();
    assert_eq!(decode(Encoding::Delta, &change, held).as_ref(), Ok(planes));
    (packed.len(), change.len())
}

/// A picture whose bytes `byte` makes from their number.
fn picture(id: &str, byte: impl Fn(usize) -> u8) -> Planes {
    let panel: Panel = id.parse().unwrap();
    let pixels = match panel.width() % 8 {
        0 => 0xFF,
        used => !(0xFF_u8 >> used),
    };
    let last = panel.row_bytes() - 1;
    let masked = |at: usize| byte(at) & if at % panel.row_bytes() == last { pixels } else { 0xFF };
    Planes::new(panel, (0..panel.picture_bytes()).map(masked).collect::<Vec<_>>()).unwrap()
}

/// Noise: the top byte of a multiplicative hash of the byte's number.
fn noise(at: usize) -> u8 {
    (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[1]
}

#[test]
fn plain_pictures_take_next_to_nothing() {
    let white = picture("bwr-296x128", |_| 0);
    assert_eq!(check(&white, &white), (0, BASE_BYTES));
    let bars = picture("bwr-296x128", |at| if at < 4_736 { [0xF0, 0x3C, 0, 0xFF, 0x81][at % 37 % 5] } else { 0 });
    let (whole, change) = check(&bars, &bars);
    assert!(whole < 120, "{whole}");
    assert_eq!(change, BASE_BYTES);
}

#[test]
fn pictures_that_nobody_draws_are_packed_all_the_same() {
    for id in ["bw-250x122", "bwr-296x128", "bwy-13x40", "bwry-101x57", "bw-1x1", "bwry-8x1", "bw-3200x2"] {
        let (noise, ink) = (picture(id, noise), picture(id, |_| 0xFF));
        let checkers = picture(id, |at| [0xAA, 0x55][at % 2]);
        for (planes, held) in [(&noise, &ink), (&ink, &noise), (&checkers, &noise), (&noise, &checkers)] {
            let (whole, _) = check(planes, held);
            assert!(whole <= 4 * planes.bytes().len() + 8, "{id}: {whole}");
        }
    }
}

#[test]
fn a_delta_is_against_a_picture_of_the_same_panel() {
    assert_eq!(delta(&picture("bw-16x8", |_| 0), &picture("bwr-16x8", |_| 0)), None);
}

#[test]
fn a_delta_against_another_picture_is_refused() {
    let [a, b, c] = [1, 2, 3].map(|seed| picture("bw-64x16", |at| noise(at + seed)));
    let change = delta(&b, &a).unwrap();
    assert!(decode(Encoding::Delta, &change, &c).is_err());
}

/// Pictures with strokes and surfaces, whose planes are related.
fn drawn() -> impl Strategy<Value = (Planes, Planes)> {
    let panel = (prop::sample::select(&Colours::ALL[..]), 1..70_u16, 1..24_u16);
    let runs = prop::collection::vec((any::<u8>(), 1..40_usize), 1..60);
    (panel, runs.clone(), runs).prop_map(|((colours, width, height), first, second)| {
        let id = format!("{}-{width}x{height}", colours.as_str());
        let [first, second] = [first, second].map(|runs| {
            let bytes: Vec<u8> = runs.into_iter().flat_map(|(byte, count)| vec![byte; count]).collect();
            picture(&id, |at| bytes[at % bytes.len()])
        });
        // Every other byte changes.
        let changed = picture(&id, |at| if at % 2 == 0 { first.bytes()[at] } else { second.bytes()[at] });
        (first, changed)
    })
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked((held, planes) in drawn()) {
        check(&planes, &held);
    }

    #[test]
    fn packed_bits_come_out_again(bits in prop::collection::vec((1..65_536_u32, any::<bool>()), 0..2_000)) {
        let mut out = Out::default();
        let mut encoder = RangeEncoder::new(&mut out);
        for (ones, bit) in &bits {
            encoder.push(*ones, *bit);
        }
        let packed = encoder.finish();
        // The interval that the packed number lies in, narrowed bit by bit: nothing of the encoder's carries.
        let mut rest = packed.iter().copied().chain(std::iter::repeat(0));
        let mut code = (0..4).fold(0_u32, |code, _| code << 8 | u32::from(rest.next().unwrap()));
        let mut range = u32::MAX;
        for (ones, bit) in bits {
            let upper = (range >> 16) * ones;
            let lower = range - upper;
            prop_assert_eq!(code >= lower, bit);
            (code, range) = if bit { (code - lower, upper) } else { (code, lower) };
            while range < 1 << 24 {
                (code, range) = (code << 8 | u32::from(rest.next().unwrap()), range << 8);
            }
        }
    }
}
