//! What a glass shows, as a PNG with exact pixels.

use std::io::Cursor;

use gondola_protocol::{Ink, Panel, Planes};
use image::{ImageFormat, Rgb, RgbImage};

/// Largest factor by which a picture is enlarged.
pub const SCALE_MAX: u8 = 16;

/// Pixels of the largest picture: 12 million are 36 MB while it is made.
const PIXELS_MAX: u64 = 12_000_000;

/// How many times as wide and high as the panel a picture becomes, 1 to [`SCALE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale(u8);

impl Scale {
    /// A pixel of the glass is a pixel of the picture.
    pub const ONE: Self = Self(1);

    /// The factor for pictures of `panel`.
    ///
    /// # Errors
    /// See [`ScaleError`].
    pub fn new(factor: u8, panel: Panel) -> Result<Self, ScaleError> {
        if factor == 0 || factor > SCALE_MAX {
            return Err(ScaleError::Range(factor));
        }
        let pixels = u64::from(panel.width()) * u64::from(panel.height()) * u64::from(factor) * u64::from(factor);
        if factor > 1 && pixels > PIXELS_MAX { Err(ScaleError::Pixels(pixels)) } else { Ok(Self(factor)) }
    }
}

/// A factor that makes no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// Out of range.
    #[error("scale {0} is not 1 to {SCALE_MAX}")]
    Range(u8),
    /// The picture would be too large.
    #[error("a picture of {0} pixels is above {PIXELS_MAX}; use a smaller scale")]
    Pixels(u64),
}

/// The colour of an ink on a screen.
#[must_use]
pub const fn rgb(ink: Ink) -> [u8; 3] {
    match ink {
        Ink::White => [0xFF, 0xFF, 0xFF],
        Ink::Black => [0, 0, 0],
        Ink::Red => [0xFF, 0, 0],
        Ink::Yellow => [0xFF, 0xFF, 0],
    }
}

/// A PNG of `planes`: white, black, red and yellow, nothing between.
#[must_use]
pub fn png(planes: &Planes, scale: Scale) -> Vec<u8> {
    let panel = planes.panel();
    let factor = u32::from(scale.0);
    let picture = RgbImage::from_fn(u32::from(panel.width()) * factor, u32::from(panel.height()) * factor, |x, y| {
        let at = |side: u32| u16::try_from(side / factor).expect("a panel's side fits 16 bits");
        Rgb(rgb(planes.ink(at(x), at(y))))
    });
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png).expect("an RGB picture is always a PNG in memory");
    out.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_exact_at_any_scale() {
        let panel: Panel = "bwry-4x2".parse().unwrap();
        let planes = Planes::new(panel, vec![0b0101_0000, 0, 0b0011_0000, 0]).unwrap();
        for factor in [1, 3] {
            let png = png(&planes, Scale::new(factor, panel).unwrap());
            let picture = image::load_from_memory(&png).unwrap().into_rgb8();
            let factor = u32::from(factor);
            assert_eq!(picture.dimensions(), (4 * factor, 2 * factor));
            for (x, y, pixel) in picture.enumerate_pixels() {
                let at = |side: u32| u16::try_from(side / factor).unwrap();
                let ink = planes.ink(at(x), at(y));
                assert_eq!(pixel.0, rgb(ink), "{x},{y}");
            }
        }
    }

    #[test]
    fn scales_are_bounded() {
        let poster = "bw-3200x3200".parse().unwrap();
        assert_eq!(Scale::new(0, poster), Err(ScaleError::Range(0)));
        assert_eq!(Scale::new(17, poster), Err(ScaleError::Range(17)));
        assert_eq!(Scale::new(2, poster), Err(ScaleError::Pixels(40_960_000)));
        assert_eq!(Scale::new(1, poster), Ok(Scale::ONE));
    }
}
