//! Stations that connect to us: one port for many of them, and the stream of each for its task.
//!
//! A station says its name first. Nobody is believed for that: the session's welcome, and its key if it has one,
//! decide who it is. A name that is not configured is turned away and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gondola_protocol::StationId;
use gondola_protocol::frame::FrameDecoder;
use gondola_protocol::message::Frame;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{Stream, TlsServer};

/// A station that connects says its name within this time.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(5);

/// An announcement on the stream: a name of 32 characters, its frame, and room for noise before it.
const ANNOUNCE_BYTES_MAX: usize = 128;

/// Connections that have not said their name yet; others wait in the system's own queue.
const UNNAMED_MAX: usize = 64;

/// Strangers that are named in the log: a shop's worth. Others are only counted.
const STRANGERS_TOLD_MAX: usize = 256;

/// After a failed accept (no descriptors left, for example) the port rests, instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The streams of one station that comes to us. One waits at most: a station that connects again while its older
/// connection still stands is let in when that one ends, which silence brings about.
#[derive(Debug)]
pub struct Incoming {
    /// Where it comes in, for people.
    at: String,
    streams: mpsc::Receiver<Stream>,
}

impl Incoming {
    /// Streams that somebody in this process hands over; `at` is their name for people.
    #[must_use]
    pub fn channel(at: impl Into<String>) -> (mpsc::Sender<Stream>, Self) {
        let (sender, streams) = mpsc::channel(1);
        (sender, Self { at: at.into(), streams })
    }

    /// Waits for the station. A port that was closed brings nobody any more.
    pub(super) async fn next(&mut self) -> io::Result<Stream> {
        match self.streams.recv().await {
            Some(stream) => Ok(stream),
            None => std::future::pending().await,
        }
    }
}

impl fmt::Display for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at)
    }
}

/// A port at which stations come in.
#[derive(Debug, Clone)]
pub struct Reception {
    address: SocketAddr,
    desk: Arc<Desk>,
}

/// What the port's tasks share.
#[derive(Debug, Default)]
struct Desk {
    tls: Option<TlsServer>,
    /// Who is expected.
    guests: Mutex<BTreeMap<StationId, mpsc::Sender<Stream>>>,
    /// Who was turned away and named in the log.
    told: Mutex<BTreeSet<StationId>>,
    strangers: AtomicU64,
    /// Told of each name that is turned away.
    watchers: Watchers,
}

/// Whoever wants to know whom the port turns away.
#[derive(Debug)]
struct Watchers(broadcast::Sender<StationId>);

impl Default for Watchers {
    fn default() -> Self {
        Self(broadcast::channel(STRANGERS_TOLD_MAX).0)
    }
}

impl Reception {
    /// Opens a port, until `shutdown`, for streams through TLS or not. Port 0 takes a free one.
    ///
    /// # Errors
    /// The system's.
    pub async fn open(
        address: &str,
        tls: Option<TlsServer>,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let desk = Arc::new(Desk { tls, ..Desk::default() });
        let reception = Self { address: listener.local_addr()?, desk };
        tasks.spawn(accept(listener, Arc::clone(&reception.desk), tasks.clone(), shutdown));
        Ok(reception)
    }

    /// The port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets a station in from now on.
    #[must_use]
    pub fn expect(&self, station: StationId) -> Incoming {
        let (sender, incoming) = Incoming::channel(format!("listening port {}", self.address));
        lock(&self.desk.guests).insert(station, sender);
        incoming
    }

    /// The names of those that are turned away from now on. One that reads too slowly misses some.
    #[must_use]
    pub fn turned_away(&self) -> broadcast::Receiver<StationId> {
        self.desk.watchers.0.subscribe()
    }

    /// Connections that were turned away: another name than those expected, or none.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.desk.strangers.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>, tasks: TaskTracker, shutdown: CancellationToken) {
    let unnamed = Arc::new(Semaphore::new(UNNAMED_MAX));
    loop {
        let Ok(place) = Arc::clone(&unnamed).acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            // Cancel-safe: it only reads the token.
            () = shutdown.cancelled() => return,
            // Cancel-safe: a connection that was not accepted stays in the system's queue.
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (desk, shutdown) = (Arc::clone(&desk), shutdown.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        biased;
                        // Both arms end the task.
                        () = shutdown.cancelled() => {}
                        () = receive(&desk, stream, peer) => {}
                    }
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a base station");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Reads who it is and hands the stream to its task.
async fn receive(desk: &Desk, stream: TcpStream, peer: SocketAddr) {
    let named = timeout(ANNOUNCE_WAIT, announced(desk.tls.as_ref(), stream)).await.ok().flatten();
    let Some((station, stream)) = named else {
        desk.strangers.fetch_add(1, Ordering::Relaxed);
        debug!(%peer, "a connection without a base station's name was closed");
        return;
    };
    let guest = lock(&desk.guests).get(&station).cloned();
    match guest {
        Some(guest) if guest.try_send(stream).is_ok() => {}
        Some(_) => debug!(%station, %peer, "the base station's older connection still stands"),
        None => {
            desk.strangers.fetch_add(1, Ordering::Relaxed);
            // Nobody may want to know.
            let _ = desk.watchers.0.send(station.clone());
            let mut told = lock(&desk.told);
            if told.len() < STRANGERS_TOLD_MAX && told.insert(station.clone()) {
                warn!(%station, %peer, hint = "add it to the configuration, or switch it off",
                    "an unknown base station was turned away");
            }
        }
    }
}

/// The station behind a connection, with the stream behind its announcement.
async fn announced(tls: Option<&TlsServer>, stream: TcpStream) -> Option<(StationId, Stream)> {
    // Frames are whole messages already: waiting to join them only delays acks.
    stream.set_nodelay(true).ok()?;
    let mut stream: Stream = match tls {
        Some(tls) => tls.wrap(stream).await.ok()?,
        None => Box::new(stream),
    };
    let station = announcement(&mut stream).await?;
    Some((station, stream))
}

/// The first frame, if it is an announcement.
async fn announcement(stream: &mut Stream) -> Option<StationId> {
    let mut decoder = FrameDecoder::default();
    let mut found = None;
    for _ in 0..ANNOUNCE_BYTES_MAX {
        // One by one: what comes behind the frame belongs to the session.
        let byte = stream.read_u8().await.ok()?;
        decoder.read(&[byte], |payload| found = payload.ok());
        if let Some(payload) = &found {
            return match Frame::decode(payload) {
                Ok(Frame::Announce(station)) => Some(station),
                _ => None,
            };
        }
    }
    None
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves a map as whole as it was.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
