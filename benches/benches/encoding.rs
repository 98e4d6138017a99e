//! What pictures cost on the air, by encoding: whole, and as a change of price alone.
//!
//! Labels of all panels, drawn by the renderer that ships, with product names that the compact coder was not
//! trained on. Whatever is packed is unpacked again, by the simulator's decoder, and compared.

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use gondola_bench::corpus::{Corpus, Label, Set};
use gondola_bench::learner::{Learner, Unlimited};
use gondola_bench::{median, timed};
use gondola_drivers::encode::compact::{compact, delta};
use gondola_drivers::encode::deflate::deflate;
use gondola_drivers::openepaperlink::LabelType;
use gondola_drivers::openepaperlink::label_type::{Offered, Packing, Rotation};
use gondola_drivers::openepaperlink::payload::{self, Variant};
use gondola_protocol::Planes;
use gondola_protocol::message::Encoding;
use gondola_simulator::decode::decode;
use gondola_simulator::openepaperlink::{Maker, Model, file};
use serde_json::json;

/// Labels that are measured: 20 of each panel.
const LABELS: usize = 480;

/// Labels that the model without memory limits learns from.
const LABELS_TO_LEARN: usize = 1_200;

/// Sizes in bytes and times in microseconds, by encoding.
#[derive(Default)]
struct Figures {
    bytes: BTreeMap<&'static str, Vec<usize>>,
    encode_us: BTreeMap<&'static str, Vec<f64>>,
    /// A radio label's ZLIB file against what [`zlib_4k`] makes of the same header and planes.
    radio_zlib: Against,
}

/// Our bytes against a reference's.
#[derive(Default)]
struct Against {
    images: usize,
    ours: usize,
    reference: usize,
    /// Images of which ours is larger.
    larger: usize,
}

impl Against {
    fn add(&mut self, ours: usize, reference: usize) {
        self.images += 1;
        self.ours += ours;
        self.reference += reference;
        self.larger += usize::from(ours > reference);
    }
}

impl Figures {
    /// Packs, notes what it took, and has it compared.
    fn measure<T: AsRef<[u8]>>(&mut self, name: &'static str, pack: impl Fn() -> T, compare: impl Fn(&[u8])) {
        let (took, packed) = timed(pack);
        compare(packed.as_ref());
        self.bytes.entry(name).or_default().push(packed.as_ref().len());
        self.encode_us.entry(name).or_default().push(took.as_secs_f64() * 1e6);
    }

    fn label(&mut self, label: &Label) {
        let Label { before, after } = label;
        let by_label = |encoding| move |packed: &[u8]| assert_eq!(decode(encoding, packed, before).as_ref(), Ok(after));
        let change = difference(before, after);
        self.measure("raw", || after.bytes().clone(), by_label(Encoding::Raw));
        self.measure("zlib9", || zlib(after.bytes()), |packed| assert_eq!(unzlib(packed), after.bytes()[..]));
        self.measure("deflate4k", || deflate(after.bytes()), by_label(Encoding::Deflate));
        self.measure("compact", || compact(after), by_label(Encoding::Compact));
        for (name, packing) in RADIO_PACKINGS {
            self.radio(name, packing, after);
        }
        self.measure("delta_zlib9", || zlib(&change), |packed| assert_eq!(unzlib(packed), change));
        self.measure("delta_compact", || delta(after, before).unwrap_or_default(), by_label(Encoding::Delta));
    }
}

/// What labels of OpenEPaperLink can unpack.
const RADIO_PACKINGS: [(&str, Packing); 2] =
    [("oepl_zlib4k", Packing::Zlib { since: 0 }), ("oepl_group5", Packing::Group5 { since: 0 })];

impl Figures {
    /// The same for a label of OpenEPaperLink, on the panels that can be such a label's: rows of whole bytes.
    fn radio(&mut self, name: &'static str, packing: Packing, planes: &Planes) {
        let (panel, upright) = (planes.panel(), Rotation::None);
        if !panel.width().is_multiple_of(8) {
            return;
        }
        let label_type = LabelType {
            id: 0,
            name: String::new(),
            panel,
            rotation: upright,
            packing,
            offered: Offered::Kept,
            has_button: false,
            has_light: false,
        };
        let model = Model {
            id: 0,
            size: (panel.width(), panel.height()),
            turns: 0,
            colours: panel.colours(),
            maker: Maker::Efr32,
        };
        let pack = || payload::pack(planes, &label_type, 0, Variant::default()).expect("the panel is the type's");
        let kind = pack().kind.code();
        let compare = |packed: &[u8]| assert_eq!(file::read(model, kind, packed).as_ref(), Ok(planes));
        self.measure(name, || pack().bytes, compare);
        if matches!(packing, Packing::Zlib { .. }) {
            // The size before the stream is the file's, whoever packs it.
            self.radio_zlib.add(pack().bytes.len(), 4 + zlib_4k(&headed(planes)).len());
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let labels: Vec<Label> = Corpus::new(Set::Measure, 2)?.take(LABELS).collect();
    let mut figures = Figures::default();
    // Once for the caches, once for the figures.
    for _ in 0..2 {
        figures = Figures::default();
        labels.iter().for_each(|label| figures.label(label));
    }
    let bytes: BTreeMap<_, _> = figures.bytes.iter_mut().map(|(name, bytes)| (*name, median(bytes))).collect();
    let encode_us: BTreeMap<_, _> =
        figures.encode_us.iter_mut().map(|(name, us)| (*name, median(us).round())).collect();
    println!("{LABELS} labels, medians");
    for (name, bytes) in &bytes {
        println!("{name:>14} {bytes:>7} bytes {:>7} us", encode_us[name]);
    }
    let ratio = |size: f64| (size / as_float(bytes["zlib9"]) * 1000.0).round() / 1000.0;
    let Against { images, ours, reference, larger } = figures.radio_zlib;
    println!("ZLIB files of {images} radio labels: {ours} bytes, zlib -9 in 4 KiB {reference}; larger: {larger}");
    let (full, change) = unlimited(&labels)?;
    println!("without memory limits: {full:.0} bytes ({}), delta {change:.0} ({})", ratio(full), ratio(change));
    let report = json!({
        "median_bytes": bytes,
        "encode_us": encode_us,
        "oepl_zlib_images": images,
        "oepl_zlib_bytes": ours,
        "oepl_zlib_reference_bytes": reference,
        "oepl_zlib_larger": larger,
        "ratio_full": ratio(as_float(bytes["compact"])),
        "ratio_delta": ratio(as_float(bytes["delta_compact"])),
        "ratio_full_unlimited": ratio(full),
        "ratio_delta_unlimited": ratio(change),
    });
    println!("{report}");
    Ok(())
}

/// What the same model takes without its memory limits, the head of a delta included: a whole picture, and a change.
fn unlimited(labels: &[Label]) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let train: Vec<Label> = Corpus::new(Set::Train, 1)?.take(LABELS_TO_LEARN).collect();
    let mut learner = Learner::<Unlimited>::default();
    learner.learn(&train);
    let mut full: Vec<f32> = labels.iter().map(|label| learner.bytes(&label.after, None)).collect();
    let mut change: Vec<f32> = labels.iter().map(|label| learner.bytes(&label.after, Some(&label.before))).collect();
    Ok((f64::from(median(&mut full)) + 1.0, f64::from(median(&mut change)) + 5.0))
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes every byte")
}

/// Level 9 with a window of 4 KiB.
fn zlib_4k(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() * 2 + 128);
    let status = Compress::new_with_window_bits(Compression::new(9), true, 12).compress_vec(
        bytes,
        &mut packed,
        FlushCompress::Finish,
    );
    assert!(matches!(status, Ok(Status::StreamEnd)), "it fits");
    packed
}

/// What a radio label's ZLIB file packs: a header of six bytes, and the planes without an empty last one.
fn headed(planes: &Planes) -> Vec<u8> {
    let panel = planes.panel();
    let is_empty = planes.bytes()[panel.plane_bytes()..].iter().all(|byte| *byte == 0);
    let count: u8 = if is_empty { 1 } else { 2 };
    let [[w0, w1], [h0, h1]] = [panel.width(), panel.height()].map(u16::to_le_bytes);
    let planes = &planes.bytes()[..panel.plane_bytes() * usize::from(count)];
    [&[6, w0, w1, h0, h1, count][..], planes].concat()
}

fn unzlib(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed).read_to_end(&mut bytes).expect("it was just packed");
    bytes
}

/// The pixels that change.
fn difference(before: &Planes, after: &Planes) -> Vec<u8> {
    before.bytes().iter().zip(after.bytes()).map(|(before, after)| before ^ after).collect()
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn as_float(size: usize) -> f64 {
    size as f64
}
