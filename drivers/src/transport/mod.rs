//! The ways to a station: each yields a byte stream, and none knows what the bytes mean.

use std::fmt;
use std::io;

use tokio::net::TcpStream;

mod tcp;

/// How a station is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// We connect to it over TCP, at `host:port`.
    Tcp(String),
}

impl Transport {
    /// Makes one attempt to connect.
    ///
    /// # Errors
    /// The system's, or a time-out.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        match self {
            Self::Tcp(address) => tcp::connect(address).await,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
        }
    }
}
