//! A TCP client: the controller connects, the station listens.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Stream;

/// Longer than any answer within a shop's network takes, shorter than the system's two minutes for an
/// address that nobody has.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Connects to `host:port`, name lookup included.
pub(super) async fn connect(address: &str) -> io::Result<Stream> {
    let unanswered = |_| {
        let text = format!("no answer to the connection request within {} s", CONNECT_MAX.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    let stream = timeout(CONNECT_MAX, TcpStream::connect(address)).await.map_err(unanswered)??;
    // Frames are whole messages already: waiting to join them only delays acks.
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
