//! What we pack, unpacked as labels do: any picture, on every model, in every form and variant.

use gondola_drivers::openepaperlink::group5;
use gondola_drivers::openepaperlink::label_type::{LabelType, LabelTypes, Packing};
use gondola_drivers::openepaperlink::payload::{self, Variant};
use gondola_drivers::openepaperlink::wire::DataKind;
use gondola_protocol::{Panel, Planes};
use gondola_simulator::openepaperlink::{Model, decode_group5, file};
use proptest::prelude::*;

/// A picture from runs of ink, of which most labels consist: `(length, byte)`.
fn planes(panel: Panel, runs: &[(usize, u8)]) -> Planes {
    let bytes = runs.iter().flat_map(|(length, byte)| std::iter::repeat_n(*byte, *length));
    let mut bytes: Vec<u8> = bytes.cycle().take(panel.picture_bytes()).collect();
    bytes.resize(panel.picture_bytes(), 0);
    let padding = u8::try_from(0xFF_u32 << ((8 - panel.width() % 8) % 8) & 0xFF).unwrap();
    bytes.chunks_exact_mut(panel.row_bytes()).for_each(|row| *row.last_mut().unwrap() &= padding);
    Planes::new(panel, bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_model_reads_what_is_packed_for_it(
        model in prop::sample::select(&Model::ALL[..]),
        packing in prop::sample::select(vec![
            Packing::Raw, Packing::Zlib { since: 0 }, Packing::Group5 { since: 0 },
        ]),
        runs in prop::collection::vec((1_usize..90, prop::sample::select(vec![0_u8, 0xFF, 0x3C, 0x01, 0xAA])), 1..40),
        variant in 0_u8..4,
    ) {
        let known = LabelTypes::default().get(model.id).unwrap().clone();
        prop_assert_eq!(known.panel, model.panel());
        let planes = planes(model.panel(), &runs);
        let label_type = LabelType { packing, ..known };
        let payload = payload::pack(&planes, &label_type, 0, Variant(variant)).unwrap();
        let shown = file::read(model, payload.kind.code(), &payload.bytes);
        let is_raw = matches!(payload.kind, DataKind::Raw1 | DataKind::Raw2);
        prop_assert!(is_raw || packing != Packing::Raw);
        prop_assert_eq!(shown, Ok(planes));
    }

    #[test]
    fn rows_of_any_kind_go_through_group_5(
        width in 1_usize..40, rows in prop::collection::vec(prop::collection::vec(any::<u8>(), 40), 1..30),
    ) {
        let rows: Vec<u8> = rows.iter().flat_map(|row| row[..width].to_vec()).collect();
        let packed = group5::encode(&rows, width * 8).unwrap();
        prop_assert_eq!(decode_group5(&packed, width * 8, rows.len() / width), Ok(rows));
    }

    #[test]
    fn no_bits_are_too_strange_for_a_label(packed in prop::collection::vec(any::<u8>(), 0..400), width in 1_usize..100) {
        let _ = decode_group5(&packed, width * 8, 50);
        for model in Model::ALL {
            for kind in [0x20, 0x21, 0x30, 0x31, 0x99] {
                let _ = file::read(model, kind, &packed);
            }
        }
    }
}

#[test]
fn group_5_is_pinned() {
    // A white row (all zeros, which Group 5 calls black) against one of ones: a run of none, then all 16: two runs.
    // 001, 01 (short, long), 000, 10000; the second row is as the first: 1, 1.
    assert_eq!(group5::encode(&[0; 4], 16), Some(vec![0b0010_1000, 0b1000_0110]));
    // All ones, as the row above the first: one bit each.
    assert_eq!(group5::encode(&[0xFF; 4], 16), Some(vec![0b1100_0000]));
    assert_eq!(group5::encode(&[0xAA; 176], 1_408), None, "more changes than labels have room for");
    assert_eq!(group5::encode(&[0; 256], 2_048), None, "wider than labels can count");
}
