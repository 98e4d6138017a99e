//! QR codes (ISO/IEC 18004) and, through `datamatrix`, Data Matrix (ISO/IEC 16022).

use std::cell::RefCell;
use std::rc::Rc;

use datamatrix::{DataMatrix, SymbolList};
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use super::{CodeError, count, qr, runs};
use crate::render::draw::to_u32;
use crate::render::mask::Mask;
use crate::template::style::Level;

/// Light squares around a QR code.
const QR_QUIET: i32 = 4;
/// Light squares around a Data Matrix: the standard wants 1, scanners on a busy label want more.
const DATA_MATRIX_QUIET: i32 = 2;

/// A square code, and the light around it.
#[derive(Debug)]
pub(in crate::render) struct Squares {
    /// Its rows of dark and light.
    rows: Vec<Vec<bool>>,
    pub(in crate::render) quiet: i32,
    /// Its masks at the modules at which it was drawn.
    masks: RefCell<Vec<(u16, Rc<Mask>)>>,
}

impl Squares {
    fn new(rows: Vec<Vec<bool>>, quiet: i32) -> Self {
        Self { rows, quiet, masks: RefCell::default() }
    }

    /// Modules of a side with the light at both ends.
    pub(super) fn side(&self) -> i32 {
        count(&self.rows) + 2 * self.quiet
    }

    /// Its dark modules, each so many pixels wide and high.
    pub(in crate::render) fn mask(&self, module: u16) -> Rc<Mask> {
        let mut kept = self.masks.borrow_mut();
        if let Some((_, mask)) = kept.iter().find(|(drawn, _)| *drawn == module) {
            return Rc::clone(mask);
        }
        let mask = Rc::new(self.drawn(i32::from(module)));
        kept.push((module, Rc::clone(&mask)));
        mask
    }

    fn drawn(&self, module: i32) -> Mask {
        let side = count(&self.rows) * module;
        let mut mask = Mask::blank(side, side);
        for (y, row) in (0..).zip(&self.rows) {
            for run in runs(row) {
                let corner = Point::new(run.start, y) * module;
                mask.fill(
                    Rectangle::new(corner, Size::new(to_u32((run.end - run.start) * module), to_u32(module))),
                    true,
                );
            }
        }
        mask
    }
}

pub(super) fn qr(content: &str, level: Level) -> Result<Squares, CodeError> {
    Ok(Squares::new(qr::rows(content, level)?, QR_QUIET))
}

pub(super) fn data_matrix(content: &str) -> Result<Squares, CodeError> {
    let squares = SymbolList::default().enforce_square();
    let code = DataMatrix::encode_str(content, squares).map_err(|_| CodeError::Long)?;
    let bitmap = code.bitmap();
    let rows = bitmap.bits().chunks_exact(bitmap.width()).map(<[bool]>::to_vec).collect();
    Ok(Squares::new(rows, DATA_MATRIX_QUIET))
}
