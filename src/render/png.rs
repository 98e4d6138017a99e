//! Planes to PNG and back, for people and for golden pictures.

use std::io::Cursor;

use gondola_protocol::{Colours, Ink, Panel, Planes};
use image::{ImageFormat, Rgb, RgbImage};

/// Largest enlargement: the largest panel at 8 is 25,600 pixels wide, as much as viewers open.
const SCALE_MAX: u32 = 8;

/// A PNG that is no picture of a panel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PngError {
    /// Not a PNG.
    #[error("it is not a PNG that can be read: {0}")]
    Unreadable(String),
    /// Another size.
    #[error("it has {found_width}x{found_height} pixels, not those of {panel}")]
    Size {
        /// The panel.
        panel: Panel,
        /// Its width.
        found_width: u32,
        /// Its height.
        found_height: u32,
    },
    /// A colour that is no ink of the panel.
    #[error("its pixel at ({x}, {y}) is no ink of {panel}")]
    Color {
        /// The panel.
        panel: Panel,
        /// Column.
        x: u16,
        /// Row.
        y: u16,
    },
}

/// How an ink looks on a screen.
const fn shade(ink: Ink) -> Rgb<u8> {
    match ink {
        Ink::White => Rgb([255, 255, 255]),
        Ink::Black => Rgb([0, 0, 0]),
        Ink::Red => Rgb([255, 0, 0]),
        Ink::Yellow => Rgb([255, 255, 0]),
    }
}

/// A picture as PNG, each of its pixels a square of `scale` pixels, 1 to 8.
#[must_use]
pub fn encode(planes: &Planes, scale: u32) -> Vec<u8> {
    let scale = scale.clamp(1, SCALE_MAX);
    let panel = planes.panel();
    let (width, height) = (u32::from(panel.width()) * scale, u32::from(panel.height()) * scale);
    let side = |pixel: u32| u16::try_from(pixel / scale).expect("a pixel of the panel has its coordinates");
    let picture = RgbImage::from_fn(width, height, |x, y| shade(planes.ink(side(x), side(y))));
    let mut png = Vec::new();
    picture.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).expect("a Vec takes every byte");
    png
}

/// The picture of a PNG that [`encode`] wrote at scale 1.
///
/// # Errors
/// Not a PNG, another size, or a colour that is no ink of the panel.
pub fn decode(png: &[u8], panel: Panel) -> Result<Planes, PngError> {
    let picture = image::load_from_memory_with_format(png, ImageFormat::Png)
        .map_err(|error| PngError::Unreadable(error.to_string()))?
        .into_rgb8();
    if (picture.width(), picture.height()) != (u32::from(panel.width()), u32::from(panel.height())) {
        return Err(PngError::Size { panel, found_width: picture.width(), found_height: picture.height() });
    }
    let mut bytes = vec![0; panel.picture_bytes()];
    for y in 0..panel.height() {
        for x in 0..panel.width() {
            let pixel = picture.get_pixel(u32::from(x), u32::from(y));
            let inks = [Ink::White, Ink::Black, Ink::Red, Ink::Yellow];
            let ink = inks.into_iter().find(|ink| panel.colours().has(*ink) && shade(*ink) == *pixel);
            let ink = ink.ok_or(PngError::Color { panel, x, y })?;
            let at = usize::from(y) * panel.row_bytes() + usize::from(x / 8);
            let bit = 0x80 >> (x % 8);
            if ink == Ink::Black || (ink == Ink::Yellow && panel.colours() == Colours::BlackRedYellow) {
                bytes[at] |= bit;
            }
            if matches!(ink, Ink::Red | Ink::Yellow) {
                bytes[panel.plane_bytes() + at] |= bit;
            }
        }
    }
    Ok(Planes::new(panel, bytes).expect("the planes have the panel's size and no ink in the padding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_back_from_its_png() {
        for (panel, bytes) in [("bw-9x1", vec![0xA5, 0x80]), ("bwry-4x1", vec![0b0101_0000, 0b0011_0000])] {
            let planes = Planes::new(panel.parse().unwrap(), bytes).unwrap();
            assert_eq!(decode(&encode(&planes, 1), planes.panel()), Ok(planes));
        }
    }

    #[test]
    fn another_size_and_another_colour_are_refused() {
        let red = Planes::new("bwr-1x1".parse().unwrap(), vec![0, 0x80]).unwrap();
        let error = decode(&encode(&red, 1), "bw-1x1".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "its pixel at (0, 0) is no ink of bw-1x1");
        let error = decode(&encode(&red, 2), red.panel()).unwrap_err();
        assert_eq!(error.to_string(), "it has 2x2 pixels, not those of bwr-1x1");
        assert!(matches!(decode(b"no", red.panel()), Err(PngError::Unreadable(_))));
    }
}
