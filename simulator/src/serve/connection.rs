//! The ways to a station, and the connections to it: bytes to the world's task and from it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gondola_protocol::StationId;
use gondola_protocol::frame;
use gondola_protocol::message::Frame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_serial::{SerialPort, SerialStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connection, FRAMES_MAX, Request, mqtt};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// After a failed accept or connection (no descriptors left, a controller that is away) the station rests, instead of
/// spinning.
const PAUSE: Duration = Duration::from_millis(200);

/// Linux's flag for a terminal that is opened without becoming the process's own (asm-generic/fcntl.h).
const O_NOCTTY: i32 = 0o400;

/// What all connections share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) requests: mpsc::Sender<Request>,
    /// Told when a connection has taken all that was on its way to it.
    pub(super) drained: Arc<Notify>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Tells connections apart.
    pub(super) numbers: Arc<AtomicU64>,
}

/// A connection as its station has it: what goes out, and when it is over.
pub(super) struct Line {
    station: StationId,
    number: u64,
    shared: Shared,
    pub(super) frames: mpsc::Receiver<Bytes>,
    pub(super) end: CancellationToken,
}

impl Shared {
    /// Tells the world of a new connection; an older one ends by that. None when the world has ended.
    pub(super) async fn open(&self, station: &StationId) -> Option<Line> {
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let end = self.stop.child_token();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { number, frames: sender, end: end.clone() };
        self.requests.send(Request::Opened { station: station.clone(), connection }).await.ok()?;
        Some(Line { station: station.clone(), number, shared: self.clone(), frames, end })
    }
}

impl Line {
    /// Hands the world what the controller said. Answers whether the world is still there.
    pub(super) async fn hear(&self, bytes: Bytes) -> bool {
        let Self { station, number, shared, .. } = self;
        shared.requests.send(Request::Bytes { station: station.clone(), number: *number, bytes }).await.is_ok()
    }

    /// Everything that was on its way has left.
    pub(super) fn drained(&self) {
        if self.frames.is_empty() {
            self.shared.drained.notify_one();
        }
    }

    pub(super) async fn close(self) {
        let Self { station, number, shared, .. } = self;
        // Refused only when the world has ended.
        let _ = shared.requests.send(Request::Ended { station, number }).await;
    }

    /// Carries bytes both ways until one side ends.
    pub(super) async fn carry(mut self, stream: impl AsyncRead + AsyncWrite + Send) {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let mut buffer = BytesMut::new();
        let end = self.end.clone();
        let mut out = Bytes::new();
        loop {
            buffer.reserve(READ_BYTES);
            tokio::select! {
                biased;
                // Cancel-safe: cancellation is a state.
                () = end.cancelled() => break,
                // Cancel-safe: `write_buf` has written nothing when another arm wins.
                written = writing.write_buf(&mut out), if !out.is_empty() => match written {
                    Ok(1..) => {
                        if out.is_empty() {
                            self.drained();
                        }
                    }
                    Ok(0) | Err(_) => break,
                },
                // Cancel-safe: a frame that was not taken stays.
                frame = self.frames.recv(), if out.is_empty() => match frame {
                    Some(frame) => out = frame,
                    None => break,
                },
                // Cancel-safe: `read_buf` has read nothing when another arm wins.
                read = reading.read_buf(&mut buffer) => {
                    if !matches!(read, Ok(1..)) || !self.hear(buffer.split().freeze()).await {
                        break;
                    }
                }
            }
        }
        self.close().await;
    }
}

/// Accepts controllers until the shop closes; each new one replaces the one before.
pub(super) async fn accept(shared: Shared, station: StationId, listener: TcpListener) {
    loop {
        let stream = tokio::select! {
            biased;
            // Cancel-safe: cancellation is a state.
            () = shared.stop.cancelled() => return,
            // Cancel-safe: a connection that was not accepted stays in the backlog.
            accepted = listener.accept() => accepted,
        };
        match stream {
            Ok((stream, _)) => {
                at_once(&station, &stream);
                let Some(line) = shared.open(&station).await else { return };
                shared.tasks.spawn(line.carry(stream));
            }
            Err(error) => {
                tracing::warn!(base_station = %station, %error, "cannot accept a controller");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Connects to its controller again and again, and says who it is.
pub(super) async fn dial(shared: Shared, station: StationId, address: String) {
    let mut announcement = Vec::new();
    frame::encode(&Frame::Announce(station.clone()).encode(), &mut announcement);
    let connect = async || -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&address).await?;
        at_once(&station, &stream);
        stream.write_all(&announcement).await?;
        Ok(stream)
    };
    let again = async {
        loop {
            if let Ok(stream) = connect().await {
                let Some(line) = shared.open(&station).await else { return };
                line.carry(stream).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    until_stopped(&shared.stop, again).await;
}

/// Waits at a broker's topics, and goes back there whenever the broker was away.
pub(super) async fn behind_broker(shared: Shared, station: StationId, place: mqtt::Place) {
    let again = async {
        loop {
            if let Err(error) = mqtt::serve(&shared, &station, &place).await {
                tracing::debug!(base_station = %station, %error, "no connection to the broker");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    until_stopped(&shared.stop, again).await;
}

/// A pseudo-terminal: the station's end, and the other one under a name that a controller opens.
pub(super) struct Pty {
    station: SerialStream,
    /// Kept open, so that the station does not see an end while no controller has it open.
    _other: File,
    link: PathBuf,
}

impl Pty {
    /// Makes a pair and lets `link` lead to the other end.
    pub(super) fn open(link: &Path) -> io::Result<Self> {
        let (station, pair) = SerialStream::pair().map_err(io::Error::from)?;
        let name = pair.name().ok_or_else(|| io::Error::other("the pseudo-terminal has no name"))?;
        // Not as a serial port, which would keep the controller out.
        let other = File::options().read(true).write(true).custom_flags(O_NOCTTY).open(&name)?;
        match std::fs::remove_file(link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(name, link)?;
        Ok(Self { station, _other: other, link: link.to_owned() })
    }

    pub(super) async fn serve(self, shared: Shared, station: StationId) {
        if let Some(line) = shared.open(&station).await {
            line.carry(self.station).await;
        }
        // It leads nowhere any more.
        let _ = std::fs::remove_file(&self.link);
    }
}

async fn until_stopped(stop: &CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        // Both arms end the task.
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Acks are small and awaited: they do not wait to be joined with others.
fn at_once(station: &StationId, stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(base_station = %station, %error, "cannot switch off Nagle's algorithm");
    }
}
