//! A TCP client: the controller connects, the station listens.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Stream, TlsClient};

/// Longer than any answer within a shop's network takes, shorter than the system's two minutes for an
/// address that nobody has.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Connects to `host:port`, name lookup included.
pub(super) async fn connect(address: &str) -> io::Result<Stream> {
    in_time(async {
        let stream = TcpStream::connect(address).await?;
        // Frames are whole messages already: waiting to join them only delays acks.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream) as Stream)
    })
    .await
}

/// The same, and the handshake.
pub(super) async fn connect_tls(address: &str, tls: &TlsClient) -> io::Result<Stream> {
    let stream = connect(address).await?;
    in_time(tls.wrap(address, stream)).await
}

async fn in_time(connecting: impl Future<Output = io::Result<Stream>>) -> io::Result<Stream> {
    let unanswered = |_| {
        let text = format!("no answer to the connection request within {} s", CONNECT_MAX.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    timeout(CONNECT_MAX, connecting).await.map_err(unanswered)?
}
