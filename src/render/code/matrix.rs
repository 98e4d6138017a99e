//! QR codes (ISO/IEC 18004) and Data Matrix (ISO/IEC 16022), through `fast_qr` and `datamatrix`.

use datamatrix::{DataMatrix, SymbolList};
use fast_qr::{ECL, QRBuilder};

use super::CodeError;
use crate::template::style::Level;

/// Light squares around a QR code.
const QR_QUIET: i32 = 4;
/// Light squares around a Data Matrix: the standard wants 1, scanners on a busy label want more.
const DATA_MATRIX_QUIET: i32 = 2;

/// A square code: its rows of dark and light, and the light around it.
#[derive(Debug)]
pub(in crate::render) struct Squares {
    pub(in crate::render) rows: Vec<Vec<bool>>,
    pub(in crate::render) quiet: i32,
}

impl Squares {
    /// Modules of a side with the light at both ends.
    pub(super) fn side(&self) -> i32 {
        i32::try_from(self.rows.len()).expect("a code has some 200 modules") + 2 * self.quiet
    }
}

pub(super) fn qr(content: &str, level: Level) -> Result<Squares, CodeError> {
    let level = match level {
        Level::Low => ECL::L,
        Level::Medium => ECL::M,
        Level::Quartile => ECL::Q,
        Level::High => ECL::H,
    };
    let code = QRBuilder::new(content).ecl(level).build().map_err(|_| CodeError::Long)?;
    let row = |y: usize| code[y].iter().map(|module| module.value()).collect();
    Ok(Squares { rows: (0..code.size).map(row).collect(), quiet: QR_QUIET })
}

pub(super) fn data_matrix(content: &str) -> Result<Squares, CodeError> {
    let squares = SymbolList::default().enforce_square();
    let code = DataMatrix::encode_str(content, squares).map_err(|_| CodeError::Long)?;
    let bitmap = code.bitmap();
    let rows = bitmap.bits().chunks_exact(bitmap.width()).map(<[bool]>::to_vec).collect();
    Ok(Squares { rows, quiet: DATA_MATRIX_QUIET })
}
