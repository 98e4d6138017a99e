//! A site behind a pseudo-terminal: what a real serial port shows of it, at either speed. Dropping the port unplugs it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gondola_protocol::{LabelId, Moment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_serial::{SerialPort, SerialStream};
use tokio_util::sync::CancellationToken;

use super::site::Site;
use crate::screen::{self, Scale};

/// Bytes taken from the line at once.
const READ_MAX: usize = 4_096;

/// Somebody else may act on the site at any time: it is looked at so often.
const LOOK_PERIOD: Duration = Duration::from_millis(5);

/// How often pictures of glasses are looked after.
const SCREENS_PERIOD: Duration = Duration::from_millis(500);

/// The radio's end of a serial line.
#[derive(Debug)]
pub struct Port {
    radio: SerialStream,
    /// Held open, so that the line is there although nobody has opened it.
    host: SerialStream,
    /// A name that leads to the host's end while the line is plugged in.
    link: Option<PathBuf>,
}

impl Port {
    /// Plugs a line in.
    ///
    /// # Errors
    /// The system has no pseudo-terminal.
    pub fn open() -> io::Result<Self> {
        let (radio, host) = SerialStream::pair().map_err(io::Error::from)?;
        Ok(Self { radio, host, link: None })
    }

    /// Plugs a line in whose host's end is found under a name; a symbolic link of that name is replaced.
    ///
    /// # Errors
    /// The system has no pseudo-terminal, or does not let the name be made; something else has it already.
    pub fn open_at(link: &Path) -> io::Result<Self> {
        let mut port = Self::open()?;
        if link.is_symlink() {
            std::fs::remove_file(link)?;
        }
        std::os::unix::fs::symlink(port.path(), link)?;
        port.link = Some(link.to_owned());
        Ok(port)
    }

    /// The system's name of the host's end.
    #[must_use]
    pub fn path(&self) -> String {
        self.host.name().unwrap_or_default()
    }

    /// Moves bytes and time until `shutdown`, or until the line breaks.
    ///
    /// # Errors
    /// The line's.
    pub async fn run(
        mut self,
        site: &Mutex<Site>,
        clock: impl Fn() -> Moment,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(READ_MAX);
        loop {
            let now = clock();
            // Both ends of a pseudo-terminal tell the speed that the host has set.
            let baud = self.radio.baud_rate().map_err(io::Error::from)?;
            let (out, wake) = {
                let mut site = lock(site);
                site.handle_timeout(now);
                (site.poll_transmit(baud), site.poll_timeout())
            };
            if let Some(out) = out {
                self.radio.write_all(&out).await?;
            }
            let wait = wake.map_or(LOOK_PERIOD, |at| at.since(clock()).min(LOOK_PERIOD));
            tokio::select! {
                biased;
                // Cancel-safe: it only reads the token.
                () = shutdown.cancelled() => return Ok(()),
                // Cancel-safe: `read_buf` has read nothing when another arm wins.
                read = self.radio.read_buf(&mut bytes) => {
                    read?;
                    let baud = self.radio.baud_rate().map_err(io::Error::from)?;
                    lock(site).handle_bytes(clock(), &bytes, baud);
                    bytes.clear();
                }
                // Cancel-safe: the sleep is made anew.
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Writes what each label shows to `directory` as `<label>.png`, and again whenever its glass has changed, until it is
/// dropped.
///
/// # Errors
/// A file cannot be written.
pub async fn keep_screens(site: &Mutex<Site>, directory: &Path) -> io::Result<()> {
    let mut written: BTreeMap<LabelId, u32> = BTreeMap::new();
    loop {
        let changed: Vec<_> = {
            let site = lock(site);
            site.labels().filter(|(label, state)| written.get(label) != Some(&state.refreshes)).collect()
        };
        for (label, state) in changed {
            std::fs::write(directory.join(format!("{label}.png")), screen::png(&state.planes, Scale::ONE))?;
            written.insert(label, state.refreshes);
        }
        tokio::time::sleep(SCREENS_PERIOD).await;
    }
}

/// A panic elsewhere leaves a site as whole as it was.
fn lock(site: &Mutex<Site>) -> MutexGuard<'_, Site> {
    site.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // It leads nowhere any more.
            let _ = std::fs::remove_file(link);
        }
    }
}
