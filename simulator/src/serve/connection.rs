//! A station's port, and the connections to it: bytes to the world's task and from it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gondola_protocol::StationId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connection, FRAMES_MAX, Request};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// After a failed accept (no descriptors left, for example) the port rests, instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections of one station share.
#[derive(Clone)]
pub(super) struct Port {
    pub(super) station: StationId,
    pub(super) requests: mpsc::Sender<Request>,
    /// Told when a connection has taken all that was on its way to it.
    pub(super) drained: Arc<Notify>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// Accepts controllers until the port stops; each new one replaces the one before.
pub(super) async fn accept(port: Port, listener: TcpListener) {
    let Port { station, requests, stop, tasks, .. } = &port;
    for number in 0_u64.. {
        let stream = tokio::select! {
            biased;
            // Cancel-safe: cancellation is a state.
            () = stop.cancelled() => return,
            // Cancel-safe: a connection that was not accepted stays in the backlog.
            accepted = listener.accept() => accepted,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(base_station = %station, %error, "cannot accept a controller");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (frames, to_write) = mpsc::channel(FRAMES_MAX);
        let end = stop.child_token();
        let connection = Connection { number, frames, end: end.clone() };
        if requests.send(Request::Opened { station: station.clone(), connection }).await.is_err() {
            return;
        }
        tasks.spawn(carry(port.clone(), number, stream, to_write, end));
    }
}

/// Carries bytes both ways until one side ends.
async fn carry(port: Port, number: u64, stream: TcpStream, frames: mpsc::Receiver<Bytes>, end: CancellationToken) {
    let station = port.station;
    // Acks are small and awaited: they do not wait to be joined with others.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(base_station = %station, %error, "cannot switch off Nagle's algorithm");
    }
    let (reading, writing) = stream.into_split();
    tokio::select! {
        biased;
        // Each arm ends the connection, so nothing is resumed after a cancelled one.
        () = end.cancelled() => {}
        () = read(&station, number, reading, &port.requests) => {}
        () = write(writing, frames, &port.drained) => {}
    }
    // Refused only when the world has ended.
    let _ = port.requests.send(Request::Ended { station, number }).await;
}

async fn read(station: &StationId, number: u64, mut stream: OwnedReadHalf, requests: &mpsc::Sender<Request>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let bytes = buffer.split().freeze();
        if requests.send(Request::Bytes { station: station.clone(), number, bytes }).await.is_err() {
            return;
        }
    }
}

async fn write(mut stream: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>, drained: &Notify) {
    while let Some(frame) = frames.recv().await {
        if stream.write_all(&frame).await.is_err() {
            return;
        }
        if frames.is_empty() {
            drained.notify_one();
        }
    }
}
