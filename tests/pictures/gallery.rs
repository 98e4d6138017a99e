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

/// What the pages show of an element: the name of its picture, and what stands in a template of 148 by 64 pixels.
const ELEMENTS: [(&str, &str); 10] = [
    (
        "box",
        r#"<box gap="4" padding="4" grow="1" align="center" justify="space-between">
  <box width="40" height="32" background="red"/><box width="30" height="20" border="2" radius="6"/><box width="40" height="40" background="black" radius="20"/></box>"#,
    ),
    (
        "text",
        r#"<box direction="column" padding="3 6" gap="2"><text size="28..14" lines="2" weight="bold" overflow="shrink">加州开心果 Pistachios</text>
  <text size="12" shrink="0">é ü ß € ㎡ ℃</text></box>"#,
    ),
    (
        "price",
        r#"<box padding="6" grow="1" align="end"><price size="64..24" unit="kg" color="red">59.90</price></box>"#,
    ),
    (
        "barcode",
        r#"<box padding="4" grow="1" align="center" justify="center"><barcode type="ean13" height="52">6901234567892</barcode></box>"#,
    ),
    (
        "code128",
        r#"<box padding="4" grow="1" align="center" justify="center"><barcode type="code128" height="40">Y20391</barcode></box>"#,
    ),
    (
        "qrcode",
        r#"<box grow="1" align="center" justify="center"><qrcode module="2" level="l">gondola.example</qrcode></box>"#,
    ),
    (
        "datamatrix",
        r#"<box grow="1" align="center" justify="center"><datamatrix module="4..2">6901234567892</datamatrix></box>"#,
    ),
    (
        "image",
        r#"<box padding="4" gap="8" grow="1" align="center" justify="center"><image src="sun.png" width="56" height="56"/><image src="sun.png" width="56" height="56" dither="ordered"/></box>"#,
    ),
    (
        "rule",
        r#"<box direction="column" padding="12" gap="8"><rule/><rule height="3" color="red"/><rule height="6"/></box>"#,
    ),
    (
        "badge",
        r#"<box padding="8" gap="6" align="center"><badge size="16">新品</badge><badge size="20..14" background="red" radius="4" padding="2 8">-20%</badge></box>"#,
    ),
];

/// A directory with a template for each element, and a picture to show.
pub(crate) fn reference(directory: &Path) -> Vec<&'static str> {
    std::fs::create_dir(directory.join("images")).unwrap();
    let shade = |x: u32, y: u32| {
        let (dx, dy) = (x.abs_diff(60), y.abs_diff(60));
        let light = u8::try_from(255_u32.saturating_sub((dx * dx + dy * dy) / 15)).unwrap();
        if dx * dx + dy * dy < 900 { Rgb([255, light / 4, 0]) } else { Rgb([light; 3]) }
    };
    write(&RgbImage::from_fn(120, 120, shade), &directory.join("images/sun.png"));
    for (name, inside) in ELEMENTS {
        let template = format!("<template name=\"{name}\">{inside}</template>");
        std::fs::write(directory.join(format!("{name}.xml")), template).unwrap();
    }
    std::fs::write(directory.join("rules.toml"), "[[rule]]\ntemplate = \"box\"\n").unwrap();
    ELEMENTS.map(|(name, _)| name).to_vec()
}
