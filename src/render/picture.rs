//! Pictures in the inks of a panel: scaled, and each pixel given the ink that serves the whole best.

use std::collections::VecDeque;
use std::rc::Rc;

use gondola_protocol::{Colours, Ink};
use image::RgbImage;
use image::imageops::{FilterType, resize};

use super::draw::to_i32;
use super::mask::Mask;
use super::text::Room;
use crate::template::Picture;
use crate::template::scene::Image;
use crate::template::style::Dither;

/// Most drawn pictures kept; those of the largest common panel have 150 KB each.
const DRAWN_MAX: usize = 32;

/// A picture as one mask for each ink.
pub(super) type Inked = Vec<(Ink, Mask)>;

/// The pictures that were drawn before, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    drawn: VecDeque<(Key, Rc<Inked>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    picture: [u8; 16],
    width: u32,
    height: u32,
    dither: Dither,
    colours: Colours,
}

/// Columns and rows of a picture in a room: as large as it is, or smaller where there is less room.
pub(super) fn contained(picture: &Picture, room: Room) -> (i32, i32) {
    let (width, height) = (i64::from(picture.pixels().width()), i64::from(picture.pixels().height()));
    let room_width = room.width.map_or(width, i64::from).clamp(0, width);
    let room_height = room.height.map_or(height, i64::from).clamp(0, height);
    let (wide, high) = if room_width * height <= room_height * width {
        (room_width, height * room_width / width)
    } else {
        (width * room_height / height, room_height)
    };
    let side = |length: i64| i32::try_from(length).expect("a picture has some thousand pixels");
    (side(wide), side(high))
}

impl Pictures {
    /// A picture in so many columns and rows.
    pub(super) fn inked(&mut self, image: &Image, (width, height): (u32, u32), colours: Colours) -> Rc<Inked> {
        let key = Key { picture: image.picture.hash(), width, height, dither: image.dither, colours };
        if let Some((_, inked)) = self.drawn.iter().find(|(drawn, _)| *drawn == key) {
            return Rc::clone(inked);
        }
        if self.drawn.len() >= DRAWN_MAX {
            self.drawn.pop_front();
        }
        let scaled = resize(image.picture.pixels(), width, height, FilterType::Triangle);
        let inked = Rc::new(inked(&scaled, image.dither, colours));
        self.drawn.push_back((key, Rc::clone(&inked)));
        inked
    }
}

fn inked(picture: &RgbImage, dither: Dither, colours: Colours) -> Inked {
    let inks: Vec<Ink> = match dither {
        Dither::None => picture.pixels().map(|pixel| nearest(shades(pixel.0), colours)).collect(),
        Dither::Ordered => ordered(picture, colours),
        Dither::Diffusion => diffused(picture, colours),
    };
    let (width, height) = (to_i32(picture.width()), to_i32(picture.height()));
    let drawn = |x: i32, y: i32| inks[usize::try_from(y * width + x).expect("a picture has some million pixels")];
    let mask = |ink: Ink| (ink, Mask::from_fn(width, height, |x, y| drawn(x, y) == ink));
    let visible = [Ink::Black, Ink::Red, Ink::Yellow].into_iter().filter(|ink| colours.has(*ink));
    visible.map(mask).collect()
}

fn shades(pixel: [u8; 3]) -> [i32; 3] {
    pixel.map(i32::from)
}

/// What an ink looks like, red, green, blue.
const fn look(ink: Ink) -> [i32; 3] {
    match ink {
        Ink::White => [255, 255, 255],
        Ink::Black => [0, 0, 0],
        Ink::Red => [255, 0, 0],
        Ink::Yellow => [255, 255, 0],
    }
}

/// The panel's ink that is nearest to a colour, by brightness and by hue: a grey is never red.
fn nearest(color: [i32; 3], colours: Colours) -> Ink {
    let apart = |[red, green, blue]: [i32; 3]| {
        let brightness = (2 * red + 5 * green + blue) / 8;
        [brightness, red - brightness, blue - brightness]
    };
    let wanted = apart(color);
    let distance = |ink: Ink| -> i32 {
        apart(look(ink)).iter().zip(wanted).map(|(drawn, wanted)| (drawn - wanted) * (drawn - wanted)).sum()
    };
    let inks = [Ink::White, Ink::Black, Ink::Red, Ink::Yellow].into_iter().filter(|ink| colours.has(*ink));
    inks.min_by_key(|ink| distance(*ink)).expect("every panel has black and white")
}

/// Ordered dither (Bayer 1973): a threshold that repeats every 8 pixels each way.
fn ordered(picture: &RgbImage, colours: Colours) -> Vec<Ink> {
    let ink = |(x, y, pixel): (u32, u32, &image::Rgb<u8>)| {
        let offset = threshold(x % 8, y % 8) * 4 - 126;
        nearest(shades(pixel.0).map(|shade| shade + offset), colours)
    };
    picture.enumerate_pixels().map(ink).collect()
}

/// The place of a pixel in Bayer's 8 by 8 matrix, 0 to 63: the bits of `x ^ y` and `y`, interleaved and reversed.
fn threshold(x: u32, y: u32) -> i32 {
    let interleaved = (0..3).fold(0, |bits, bit| bits << 2 | ((x ^ y) >> bit & 1) << 1 | (y >> bit & 1));
    i32::try_from(interleaved).expect("six bits fit")
}

/// Error diffusion (Floyd and Steinberg 1976), left to right.
fn diffused(picture: &RgbImage, colours: Colours) -> Vec<Ink> {
    let width = usize::try_from(picture.width()).expect("a row is shorter than memory");
    let mut inks = Vec::with_capacity(width * 2);
    // What is carried to this row and the next, in sixteenths; one column more at both sides.
    let mut here = vec![[0_i32; 3]; width + 2];
    for row in picture.rows() {
        let mut below = vec![[0_i32; 3]; width + 2];
        for (x, pixel) in row.enumerate() {
            let mut wanted = shades(pixel.0);
            for (shade, carried) in wanted.iter_mut().zip(here[x + 1]) {
                *shade = (*shade + carried / 16).clamp(0, 255);
            }
            let ink = nearest(wanted, colours);
            for (channel, (wanted, drawn)) in wanted.iter().zip(look(ink)).enumerate() {
                let error = wanted - drawn;
                here[x + 2][channel] += error * 7;
                below[x][channel] += error * 3;
                below[x + 1][channel] += error * 5;
                below[x + 2][channel] += error;
            }
            inks.push(ink);
        }
        here = below;
    }
    inks
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Of a plain area of 32 by 32 pixels in one shade of grey, how many are black.
    #[track_caller]
    fn check_black(dither: Dither, grey: u8, expected: std::ops::RangeInclusive<usize>) {
        let plain = RgbImage::from_pixel(32, 32, Rgb([grey; 3]));
        let inks: Vec<Ink> = match dither {
            Dither::Ordered => ordered(&plain, Colours::BlackRedYellow),
            _ => diffused(&plain, Colours::BlackRedYellow),
        };
        let black = inks.iter().filter(|ink| **ink == Ink::Black).count();
        assert!(expected.contains(&black), "{black} of 1024");
        assert!(inks.iter().all(|ink| matches!(ink, Ink::Black | Ink::White)), "a grey has no hue");
    }

    #[test]
    fn a_grey_is_as_black_as_it_is_dark() {
        for dither in [Dither::Ordered, Dither::Diffusion] {
            check_black(dither, 0, 1024..=1024);
            check_black(dither, 64, 740..=800);
            check_black(dither, 128, 480..=540);
            check_black(dither, 255, 0..=0);
        }
    }

    #[test]
    fn every_place_of_the_pattern_stands_once() {
        let mut places: Vec<i32> = (0..64).map(|at| threshold(at % 8, at / 8)).collect();
        places.sort_unstable();
        assert_eq!(places, (0..64).collect::<Vec<i32>>());
    }

    #[test]
    fn colours_go_to_their_inks_where_the_panel_has_them() {
        let nearest = |color, colours| nearest(color, colours);
        assert_eq!(nearest([220, 20, 30], Colours::BlackRed), Ink::Red);
        assert_eq!(nearest([240, 200, 40], Colours::BlackRedYellow), Ink::Yellow);
        assert_eq!(nearest([220, 20, 30], Colours::Black), Ink::Black);
        assert_eq!(nearest([255, 230, 80], Colours::Black), Ink::White);
    }
}
