//! Pictures beside the templates: logos and photos, read once when the templates load.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use image::{ImageFormat, ImageReader, Limits, RgbImage};

use super::error::{Problem, TemplateError};

/// The folder beside the templates.
const FOLDER: &str = "images";
/// Most pictures of a directory.
const PICTURES_MAX: usize = 64;
/// Largest file; a photo that fills the largest common panel has some 400 KiB.
const FILE_MAX: usize = 2 * 1024 * 1024;
/// Longest side: more than any panel's.
const SIDE_MAX: u32 = 4_096;

/// A picture in full colour, upright.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    name: String,
    hash: [u8; 16],
    pixels: RgbImage,
}

impl Picture {
    /// Reads a PNG. What it does not cover is white.
    fn decode(name: &str, bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.len() > FILE_MAX {
            return Err(Problem::TooLong { found: bytes.len(), expected: FILE_MAX });
        }
        let mut reader = ImageReader::with_format(std::io::Cursor::new(bytes), ImageFormat::Png);
        let mut limits = Limits::default();
        limits.max_image_width = Some(SIDE_MAX);
        limits.max_image_height = Some(SIDE_MAX);
        reader.limits(limits);
        let decoded = reader.decode().map_err(|error| Problem::Picture { why: error.to_string() })?.into_rgba8();
        let mut pixels = RgbImage::new(decoded.width(), decoded.height());
        for (from, to) in decoded.pixels().zip(pixels.pixels_mut()) {
            let [.., alpha] = from.0;
            for (shade, drawn) in from.0.iter().zip(&mut to.0) {
                let mixed = (u32::from(*shade) * u32::from(alpha) + 255 * u32::from(255 - alpha) + 127) / 255;
                *drawn = u8::try_from(mixed).expect("a mean of bytes is a byte");
            }
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
        Ok(Self { name: name.to_owned(), hash, pixels })
    }

    /// Its name as templates call it, with the ending.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its pixels.
    #[must_use]
    pub const fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// What tells it from another: of the file's bytes.
    #[must_use]
    pub const fn hash(&self) -> [u8; 16] {
        self.hash
    }
}

impl Hash for Picture {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.hash);
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}, {}x{})", self.name, self.pixels.width(), self.pixels.height())
    }
}

/// Pictures by the names that templates call them.
pub(super) type Pictures = BTreeMap<String, Arc<Picture>>;

/// Every `*.png` of the folder `images` in a directory; no folder is no pictures.
pub(super) fn read(directory: &Path) -> Result<Pictures, Vec<TemplateError>> {
    let folder = directory.join(FOLDER);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(Pictures::new()) };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    paths.sort();
    let mut errors = Vec::new();
    let mut refuse = |path: &Path, problem| {
        errors.push(TemplateError { file: path.display().to_string(), line: 1, column: 1, problem });
    };
    if paths.len() > PICTURES_MAX {
        refuse(&folder, Problem::TooMany { what: "pictures", expected: PICTURES_MAX });
        return Err(errors);
    }
    let mut pictures = Pictures::new();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = std::fs::read(path).map_err(|error| Problem::Picture { why: error.to_string() });
        match bytes.and_then(|bytes| Picture::decode(&name, &bytes)) {
            Ok(picture) => _ = pictures.insert(name, Arc::new(picture)),
            Err(problem) => refuse(path, problem),
        }
    }
    if errors.is_empty() { Ok(pictures) } else { Err(errors) }
}
