//! Contact sheets: the gallery of every template, and close-ups for whoever designs one.

use std::path::Path;

use gondola::render::png;
use gondola_protocol::Planes;
use image::{Rgb, RgbImage, imageops};

/// Pixels between pictures.
const GAP: u32 = 16;
/// What lies between the pictures.
const TABLE: Rgb<u8> = Rgb([214, 218, 222]);

/// Pictures side by side in rows that are at most so wide, each enlarged so many times.
pub(crate) fn sheet(pictures: &[Planes], width: u32, scale: u32) -> RgbImage {
    let pictures: Vec<RgbImage> = pictures
        .iter()
        .map(|planes| image::load_from_memory(&png::encode(planes, scale)).unwrap().into_rgb8())
        .collect();
    let mut places = Vec::new();
    let (mut x, mut y, mut row) = (GAP, GAP, 0);
    for picture in &pictures {
        if x > GAP && x + picture.width() + GAP > width {
            (x, y, row) = (GAP, y + row + GAP, 0);
        }
        places.push((x, y));
        x += picture.width() + GAP;
        row = row.max(picture.height());
    }
    let mut sheet = RgbImage::from_pixel(width, y + row + GAP, TABLE);
    for (picture, (x, y)) in pictures.iter().zip(places) {
        imageops::replace(&mut sheet, picture, i64::from(x), i64::from(y));
    }
    sheet
}

pub(crate) fn write(sheet: &RgbImage, path: &Path) {
    sheet.save(path).unwrap();
}
