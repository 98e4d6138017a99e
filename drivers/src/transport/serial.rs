//! A serial line. A line that was unplugged ends the stream; it is opened again like any other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{SerialPort, SerialPortBuilderExt, SerialStream};

use super::Stream;

/// At which speed a serial line runs: whoever drives the line changes it, and the line follows before it next moves a
/// byte. Other ways to a station know no speed.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineSpeed(Arc<AtomicU32>);

impl LineSpeed {
    pub(crate) fn set(&self, baud: u32) {
        self.0.store(baud, Ordering::Relaxed);
    }
}

/// Opens a line: 8 data bits, no parity, 1 stop bit, no flow control.
pub(super) fn open(path: &str, baud: u32, speed: &LineSpeed) -> io::Result<Stream> {
    let line = tokio_serial::new(path, baud).open_native_async().map_err(io::Error::from)?;
    speed.set(baud);
    Ok(Box::new(Line { line, baud, speed: speed.clone() }))
}

struct Line {
    line: SerialStream,
    baud: u32,
    speed: LineSpeed,
}

impl Line {
    fn follow(&mut self) -> io::Result<()> {
        let wanted = self.speed.0.load(Ordering::Relaxed);
        if wanted != self.baud {
            self.line.set_baud_rate(wanted).map_err(io::Error::from)?;
            self.baud = wanted;
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.follow()?;
        Pin::new(&mut self.line).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.follow()?;
        Pin::new(&mut self.line).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}
