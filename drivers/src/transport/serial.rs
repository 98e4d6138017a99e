//! A serial line. A line that was unplugged ends the stream; it is opened again like any other.

use std::io;

use tokio_serial::SerialPortBuilderExt;

use super::Stream;

/// Opens a line: 8 data bits, no parity, 1 stop bit, no flow control.
pub(super) fn open(path: &str, baud: u32) -> io::Result<Stream> {
    let line = tokio_serial::new(path, baud).open_native_async().map_err(io::Error::from)?;
    Ok(Box::new(line))
}
