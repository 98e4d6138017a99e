//! A serial line. A line that was unplugged ends the stream; it is opened again like any other. One of the adapter's
//! pins may be wired to the reset of what hangs on the line.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;
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

/// The adapter's pin that is wired to a reset. It resets while it is asserted, which is when its level is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetPin {
    /// Request to send.
    Rts,
    /// Data terminal ready.
    Dtr,
}

/// How long a reset is held: far longer than a microcontroller needs.
const RESET: Duration = Duration::from_millis(100);

impl ResetPin {
    /// Lets what hangs on the line run, after a reset or without. The system asserts both pins when it opens a line.
    async fn release(self, line: &mut SerialStream, reset: Reset) -> io::Result<()> {
        // The other one first: where both go to a circuit that chooses what is started, both together do nothing.
        self.other().set(line, false)?;
        if reset == Reset::Held {
            self.set(line, true)?;
            sleep(RESET).await;
        }
        self.set(line, false)
    }

    const fn other(self) -> Self {
        match self {
            Self::Rts => Self::Dtr,
            Self::Dtr => Self::Rts,
        }
    }

    fn set(self, line: &mut SerialStream, is_asserted: bool) -> io::Result<()> {
        let (name, set) = match self {
            Self::Rts => ("RTS", line.write_request_to_send(is_asserted)),
            Self::Dtr => ("DTR", line.write_data_terminal_ready(is_asserted)),
        };
        set.map_err(|error| io::Error::other(format!("the adapter cannot move its {name} pin: {error}")))
    }
}

/// Whether a line is to be opened with a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// Held for a moment, for whatever did not answer before.
    Held,
    /// As short as the system makes it.
    Brief,
}

/// Opens a line: 8 data bits, no parity, 1 stop bit, no flow control.
pub(super) async fn open(
    path: &str,
    baud: u32,
    speed: &LineSpeed,
    reset: (Option<ResetPin>, Reset),
) -> io::Result<Stream> {
    let mut line = tokio_serial::new(path, baud).open_native_async().map_err(io::Error::from)?;
    if let (Some(pin), reset) = reset {
        pin.release(&mut line, reset).await?;
    }
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
