//! What pictures cost on the air, by encoding: whole, and as a change of price alone.
//!
//! Labels of all panels, drawn by the renderer that ships, with product names that the compact coder was not
//! trained on. Whatever is packed is unpacked again, by the simulator's decoder, and compared.
//!
//! What labels of OpenEPaperLink fetch is held, image by image, against references: zlib at level 9 with the same window,
//! by the library that we use and by the C library as Python carries it; and Group 5 as `reference` writes it. No file of
//! these labels may end with a block of 4,096 bytes, so that a reference that does is a byte longer, too.

#![allow(clippy::print_stdout, reason = "a benchmark's report")]

mod reference;

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
use gondola_drivers::openepaperlink::wire::BLOCK_BYTES;
use gondola_protocol::Planes;
use gondola_protocol::message::Encoding;
use gondola_simulator::decode::decode;
use gondola_simulator::openepaperlink::{Maker, Model, file};
use serde_json::json;

/// Bytes of the header before planes in a radio label's file.
const HEADER_BYTES: usize = 6;

/// Labels that are measured: 20 of each panel.
const LABELS: usize = 480;

/// Labels that the model without memory limits learns from.
const LABELS_TO_LEARN: usize = 1_200;

/// Sizes in bytes and times in microseconds, by encoding.
#[derive(Default)]
struct Figures {
    bytes: BTreeMap<&'static str, Vec<usize>>,
    encode_us: BTreeMap<&'static str, Vec<f64>>,
    /// Radio labels' ZLIB files.
    zlib_files: Vec<File>,
    /// Radio labels' Group 5 files against the reference's.
    group5: Against,
}

/// A file of ours, and what it packs.
struct File {
    bytes: usize,
    /// Header and planes.
    plain: Vec<u8>,
}

/// Our bytes against a reference's.
#[derive(Default, Clone, Copy)]
struct Against {
    images: usize,
    ours: usize,
    reference: usize,
    /// Images of which ours is larger, and by how much the most.
    larger: usize,
    larger_by: usize,
    /// Images of which either ends with a whole block but for the byte that prevents it.
    padded: usize,
}

impl Against {
    /// Notes an image, whose reference is a file of that many bytes before it is kept from ending with a block.
    fn add(&mut self, ours: usize, reference: usize) {
        let is_whole = |bytes: usize| bytes.is_multiple_of(BLOCK_BYTES);
        self.padded += usize::from(is_whole(reference) || is_whole(ours - 1));
        let reference = reference + usize::from(is_whole(reference));
        self.images += 1;
        self.ours += ours;
        self.reference += reference;
        self.larger += usize::from(ours > reference);
        self.larger_by = self.larger_by.max(ours.saturating_sub(reference));
    }

    fn report(self, name: &str) -> serde_json::Value {
        let Self { images, ours, reference, larger, larger_by, padded } = self;
        println!(
            "{images} radio labels: {ours} bytes, {name} {reference}; larger: {larger}, by {larger_by} bytes at most; a \
             byte keeps {padded} from ending with a block"
        );
        json!({
            "images": images, "bytes": ours, "reference_bytes": reference, "larger": larger, "larger_by_max": larger_by,
            "padded": padded,
        })
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
        let (bytes, plain) = (pack().bytes.len(), headed(planes));
        match packing {
            Packing::Group5 { .. } => {
                let rows = &plain[HEADER_BYTES..];
                self.group5.add(bytes, HEADER_BYTES + reference::group5(rows, usize::from(panel.width())).len());
            }
            _ => self.zlib_files.push(File { bytes, plain }),
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
    let own = figures.zlib_files.iter().map(|file| zlib_4k(&file.plain).len()).collect();
    let against_zlib = against(&figures.zlib_files, own).report("zlib -9 in 4 KiB");
    let c = reference::c_zlib(figures.zlib_files.iter().map(|file| &file.plain[..]))?;
    let against_c_zlib = against(&figures.zlib_files, c).report("the same by the C library");
    let against_group5 = figures.group5.report("Group 5 by the reference");
    let (full, change) = unlimited(&labels)?;
    println!("without memory limits: {full:.0} bytes ({}), delta {change:.0} ({})", ratio(full), ratio(change));
    let report = json!({
        "median_bytes": bytes,
        "encode_us": encode_us,
        "oepl_zlib": against_zlib,
        "oepl_c_zlib": against_c_zlib,
        "oepl_group5": against_group5,
        "ratio_full": ratio(as_float(bytes["compact"])),
        "ratio_delta": ratio(as_float(bytes["delta_compact"])),
        "ratio_full_unlimited": ratio(full),
        "ratio_delta_unlimited": ratio(change),
    });
    println!("{report}");
    Ok(())
}

/// Our files against streams of so many bytes; the size before a stream is the file's, whoever packs it.
fn against(files: &[File], streams: Vec<usize>) -> Against {
    let mut against = Against::default();
    files.iter().zip(streams).for_each(|(file, stream)| against.add(file.bytes, 4 + stream));
    against
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

/// What a radio label's file packs: a header, and the planes without an empty last one.
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
