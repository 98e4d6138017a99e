//! The types of labels that are driven, as data: what a report calls a type by a number.

use gondola_protocol::{Colours, Panel};

/// How the glass lies in the label: what turns a picture into the panel's own memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// As read.
    None,
    /// The panel is as wide as the picture is high; its first row is the picture's last column, from the top.
    Right,
    /// Upside down.
    Half,
    /// The panel is as wide as the picture is high; its first row is the picture's first column, from the bottom.
    Left,
}

impl Rotation {
    /// Every rotation, by the number that stands for it.
    pub const ALL: [Self; 4] = [Self::None, Self::Right, Self::Half, Self::Left];

    /// Width and height of the panel's own memory.
    #[must_use]
    pub const fn native(self, width: u16, height: u16) -> (u16, u16) {
        match self {
            Self::None | Self::Half => (width, height),
            Self::Right | Self::Left => (height, width),
        }
    }
}

/// What a label type can unpack, and from which firmware on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Nothing.
    Raw,
    /// zlib.
    Zlib {
        /// The first firmware that can.
        since: u16,
    },
    /// Group 5.
    Group5 {
        /// The first firmware that can.
        since: u16,
    },
}

/// What becomes of a picture that a label is offered although it holds it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The label says that it has it, and leaves its glass alone: it can be asked at any time.
    Kept,
    /// The label draws it again from its memory: that costs as much battery as a change of price.
    Redrawn,
}

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelType {
    /// What its reports call it.
    pub id: u8,
    /// What people call it.
    pub name: String,
    /// Its display, upright as read.
    pub panel: Panel,
    /// How the glass lies.
    pub rotation: Rotation,
    /// What it can unpack.
    pub packing: Packing,
    /// What a second offer does.
    pub offered: Offered,
    /// Whether it has a button.
    pub has_button: bool,
    /// Whether it has a light.
    pub has_light: bool,
}

/// Why a label type makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelTypeError {
    /// Rows would not end on a byte.
    #[error("label type {id:02X}: its panel's own rows have {width} pixels, which is no multiple of 8")]
    Width {
        /// The type.
        id: u8,
        /// Its rows' pixels.
        width: u16,
    },
}

impl LabelType {
    /// Width and height of the panel's own memory.
    #[must_use]
    pub const fn native(&self) -> (u16, u16) {
        self.rotation.native(self.panel.width(), self.panel.height())
    }

    /// Says what is wrong with it.
    ///
    /// # Errors
    /// See [`LabelTypeError`].
    pub const fn check(&self) -> Result<(), LabelTypeError> {
        match self.native() {
            (width, _) if !width.is_multiple_of(8) => Err(LabelTypeError::Width { id: self.id, width }),
            _ => Ok(()),
        }
    }

    /// Whether `firmware` of this type can unpack zlib.
    #[must_use]
    pub const fn has_zlib(&self, firmware: u16) -> bool {
        matches!(self.packing, Packing::Zlib { since } if firmware >= since)
    }

    /// Whether `firmware` of this type can unpack Group 5.
    #[must_use]
    pub const fn has_group5(&self, firmware: u16) -> bool {
        matches!(self.packing, Packing::Group5 { since } if firmware >= since)
    }
}

/// The types that a radio is driven with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelTypes(Vec<LabelType>);

impl Default for LabelTypes {
    /// The types that are known.
    fn default() -> Self {
        Self(KNOWN.iter().map(Row::label_type).collect())
    }
}

impl LabelTypes {
    /// Adds a type, in place of the one of its id if there is such a one.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn add(&mut self, added: LabelType) -> Result<(), LabelTypeError> {
        added.check()?;
        self.0.retain(|known| known.id != added.id);
        self.0.push(added);
        Ok(())
    }

    /// The type of that id.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&LabelType> {
        self.0.iter().find(|known| known.id == id)
    }

    /// Every type.
    pub fn iter(&self) -> impl Iterator<Item = &LabelType> {
        self.0.iter()
    }
}

/// A known type. `light` and `button` say what it has beside its glass.
struct Row {
    id: u8,
    name: &'static str,
    width: u16,
    height: u16,
    rotation: Rotation,
    colours: Colours,
    packing: Packing,
    offered: Offered,
    button: bool,
    light: bool,
}

impl Row {
    fn label_type(&self) -> LabelType {
        LabelType {
            id: self.id,
            name: self.name.to_owned(),
            panel: Panel::new(self.colours, self.width, self.height).expect("known panels are of sensible sizes"),
            rotation: self.rotation,
            packing: self.packing,
            offered: self.offered,
            has_button: self.button,
            has_light: self.light,
        }
    }
}

const BW: Colours = Colours::Black;
const BWR: Colours = Colours::BlackRed;
const BWY: Colours = Colours::BlackYellow;
const BWRY: Colours = Colours::BlackRedYellow;
const RIGHT: Rotation = Rotation::Right;
const HALF: Rotation = Rotation::Half;
const LEFT: Rotation = Rotation::Left;
const UP: Rotation = Rotation::None;
const G5: Packing = Packing::Group5 { since: 0x29 };
const ZLIB: Packing = Packing::Zlib { since: 0x27 };

/// What the seller calls M2.
const fn m2(
    id: u8,
    name: &'static str,
    size: (u16, u16),
    rotation: Rotation,
    colours: Colours,
    packing: Packing,
) -> Row {
    let (width, height) = size;
    let button = id != 0x05;
    Row { id, name, width, height, rotation, colours, packing, offered: Offered::Kept, button, light: false }
}

/// What the seller calls M3. `has` is some of `b` for a button and `l` for a light.
const fn m3(id: u8, name: &'static str, size: (u16, u16), rotation: Rotation, colours: Colours, has: &str) -> Row {
    let ((width, height), has) = (size, has.as_bytes());
    let button = matches!(has, [b'b', ..]);
    let light = matches!(has, [.., b'l']);
    Row { id, name, width, height, rotation, colours, packing: ZLIB, offered: Offered::Redrawn, button, light }
}

/// Panels of seven colours are not among them: a picture of ours has two planes at most.
const KNOWN: [Row; 19] = [
    m2(0x00, "M2 1.54\"", (152, 152), UP, BWR, G5),
    m2(0x01, "M2 2.9\"", (296, 128), RIGHT, BWR, G5),
    m2(0x02, "M2 4.2\"", (400, 300), UP, BWR, G5),
    m2(0x03, "M2 2.2\"", (212, 104), RIGHT, BWR, G5),
    m2(0x05, "M2 7.4\"", (640, 384), UP, BWR, ZLIB),
    m2(0x27, "M2 2.9\" BW", (296, 128), RIGHT, BW, G5),
    m3(0x2B, "M3 2.9\" BWRY", (384, 168), LEFT, BWRY, "l"),
    m3(0x2E, "M3 9.7\"", (960, 672), HALF, BWR, "b"),
    m3(0x2F, "M3 4.3\"", (522, 152), LEFT, BWR, "bl"),
    m3(0x30, "M3 1.6\"", (200, 200), UP, BWR, "b"),
    m3(0x31, "M3 2.2\"", (296, 160), LEFT, BWR, "bl"),
    m3(0x32, "M3 2.6\"", (360, 184), LEFT, BWR, ""),
    m3(0x33, "M3 2.9\"", (384, 168), LEFT, BWR, "bl"),
    m3(0x34, "M3 4.2\"", (400, 300), UP, BWR, "bl"),
    m3(0x36, "M3 7.5\"", (800, 480), UP, BWR, "bl"),
    m3(0x37, "M3 11.6\"", (960, 640), HALF, BWR, "b"),
    m3(0x3C, "M3 4.2\" BWY", (400, 300), UP, BWY, "bl"),
    // Whether these two draw a second offer again is not known: they are taken to.
    m3(0x61, "Hanshow 3.5\"", (384, 184), RIGHT, BWR, "l"),
    Row {
        id: 0x82,
        name: "Chroma 2.9\"",
        width: 296,
        height: 128,
        rotation: RIGHT,
        colours: BWR,
        packing: Packing::Raw,
        offered: Offered::Redrawn,
        button: false,
        light: false,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_known_type_makes_sense_and_has_its_own_number() {
        let types = LabelTypes::default();
        for known in types.iter() {
            assert_eq!(known.check(), Ok(()), "{}", known.name);
        }
        assert_eq!(types.iter().map(|known| known.id).collect::<BTreeSet<u8>>().len(), KNOWN.len());
    }

    #[test]
    fn what_a_type_can_depends_on_its_firmware() {
        let types = LabelTypes::default();
        let [small, large] = [0x01, 0x36].map(|id| types.get(id).unwrap());
        assert_eq!((small.has_group5(0x28), small.has_group5(0x29), small.has_zlib(0x29)), (false, true, false));
        assert_eq!((large.has_zlib(0x26), large.has_zlib(0x27), large.has_group5(0x40)), (false, true, false));
        assert_eq!((small.has_button, small.has_light), (true, false));
        assert_eq!((large.has_button, large.has_light), (true, true));
    }

    #[test]
    fn a_type_can_be_added_and_replaced() {
        let mut types = LabelTypes::default();
        let own = LabelType { panel: "bw-250x122".parse().unwrap(), rotation: UP, ..types.get(0x01).unwrap().clone() };
        let error = types.add(own.clone()).unwrap_err();
        assert_eq!(error.to_string(), "label type 01: its panel's own rows have 250 pixels, which is no multiple of 8");
        let own = LabelType { panel: "bw-248x122".parse().unwrap(), ..own };
        types.add(own.clone()).unwrap();
        assert_eq!((types.get(0x01), types.iter().count()), (Some(&own), KNOWN.len()));
    }
}
