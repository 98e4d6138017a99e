//! Codes that scan: every one that a scene holds is read back from its pixels by an independent decoder.

use gondola::template::Scene;
use gondola::template::scene::{Content, Node};
use gondola::template::style::Symbology;
use gondola_protocol::{Ink, Planes};

/// Picture pixels for one of the label's, as a camera sees it.
const SCALE: usize = 3;

/// The codes of a scene: what each says, and its symbology.
pub(crate) fn codes(scene: &Scene) -> Vec<(String, Symbology)> {
    fn collect(node: &Node, codes: &mut Vec<(String, Symbology)>) {
        match &node.content {
            Content::Box(children) => children.iter().for_each(|child| collect(child, codes)),
            Content::Code(code) => codes.push((code.content.clone(), code.symbology)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(scene.root(), &mut found);
    found
}

/// What a scanner reads in a picture that is aimed at a code of a symbology; nothing where there is none.
///
/// Aimed at one part after the other, because this decoder takes the first thing in a row that looks like a start
/// pattern, and gives the row up when no code follows: the strokes of a large price can look like one.
pub(crate) fn scanned(planes: &Planes, symbology: Symbology) -> Option<String> {
    let format = match symbology {
        Symbology::Ean13 => rxing::BarcodeFormat::EAN_13,
        Symbology::Ean8 => rxing::BarcodeFormat::EAN_8,
        Symbology::Upca => rxing::BarcodeFormat::UPC_A,
        Symbology::Code128 => rxing::BarcodeFormat::CODE_128,
        Symbology::Qr => rxing::BarcodeFormat::QR_CODE,
        Symbology::DataMatrix => rxing::BarcodeFormat::DATA_MATRIX,
    };
    let (width, height) = (usize::from(planes.panel().width()), usize::from(planes.panel().height()));
    // Eighths of the picture: left, top, right and bottom.
    let aims = [
        (0, 0, 8, 8),
        (4, 4, 8, 8),
        (3, 4, 8, 8),
        (5, 2, 8, 8),
        (4, 0, 8, 6),
        (0, 4, 8, 8),
        (0, 5, 8, 8),
        (0, 6, 8, 8),
        (1, 5, 7, 8),
        (0, 3, 8, 8),
        (4, 6, 8, 8),
        (3, 6, 8, 8),
        (5, 1, 8, 6),
    ];
    aims.into_iter().find_map(|(left, top, right, bottom)| {
        let columns = width * left / 8..width * right / 8;
        let rows = height * top / 8..height * bottom / 8;
        read(planes, columns, rows, format)
    })
}

fn read(
    planes: &Planes,
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    format: rxing::BarcodeFormat,
) -> Option<String> {
    let (width, height) = (columns.len() * SCALE, rows.len() * SCALE);
    let mut luma = Vec::with_capacity(width * height);
    for y in 0..height {
        luma.extend((0..width).map(|x| {
            let at = |start: usize, pixel: usize| u16::try_from(start + pixel / SCALE).unwrap();
            match planes.ink(at(columns.start, x), at(rows.start, y)) {
                Ink::White => 255,
                Ink::Black | Ink::Red | Ink::Yellow => 0,
            }
        }));
    }
    let side = |length: usize| u32::try_from(length).unwrap();
    let found = rxing::helpers::detect_in_luma(luma, side(width), side(height), Some(format));
    found.ok().map(|found| found.getText().to_owned())
}
