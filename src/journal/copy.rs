//! A copy of a journal that may be written to meanwhile.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use super::directory::Directory;
use super::segment::{Contents, Form, Lines, checkpoint_name};

/// Copies a journal's files to a directory, which is made: of the segment that is written to every whole line. Whoever
/// copies verifies what came of it.
///
/// # Errors
/// The operating system's; also that a file is not there any more because it was compressed or dropped meanwhile.
pub fn copy(from: &Arc<dyn Directory>, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let Contents { segments, checkpoints, .. } = Contents::of(from.as_ref())?;
    let whole = segments.iter().filter(|segment| segment.form == Form::Sealed).map(|segment| segment.name());
    for name in checkpoints.iter().map(|sequence| checkpoint_name(*sequence)).chain(whole) {
        let mut file = File::create_new(to.join(&name))?;
        io::copy(&mut from.read(&name)?, &mut file)?;
        file.sync_all()?;
    }
    for segment in segments.iter().filter(|segment| segment.form == Form::Open) {
        let name = segment.name();
        let mut lines = Lines::new(from.read(&name)?, Form::Open);
        let mut file = BufWriter::new(File::create_new(to.join(&name))?);
        while let Ok(Some(line)) = lines.next() {
            file.write_all(line)?;
            file.write_all(b"\n")?;
        }
        file.into_inner()?.sync_all()?;
    }
    Ok(())
}
