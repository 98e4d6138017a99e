//! From a base station's configuration to the way its task reaches it: addresses, keys, and the ports at which
//! stations come in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gondola_drivers::head::HeadOptions;
use gondola_drivers::openepaperlink::line::BAUD_SLOW;
use gondola_drivers::transport::tls::TlsError;
use gondola_drivers::transport::{MqttTopic, Reception, TlsClient, TlsServer};
use gondola_drivers::{StationOptions, Transport};
use gondola_protocol::auth::{KeyError, StationKey};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use super::store::News;
use crate::config::{Driver, StationConfig, Transport as Way};

/// Speed of a serial line for which none is configured: what most adapters and modules come with.
const BAUD: u32 = 115_200;

/// Why a base station cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum StationError {
    /// A file that it needs cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its key is none.
    #[error("cannot use the key in {path}", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Its certificates are none.
    #[error("cannot use the certificates or the key in {path}", path = .path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// Nobody can come in.
    #[error("cannot listen on {address} for base stations")]
    Listen {
        /// The configured address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A transport that the configuration should have refused.
    #[error("it has no transport")]
    Transport,
    /// A type of label that the configuration should have refused.
    #[error("{0}")]
    LabelType(String),
}

impl StationError {
    /// What a person can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "does the file exist, and may this user read it?",
            Self::Key { .. } => "the file holds the key alone: 64 hexadecimal digits",
            Self::Tls { .. } => "the file holds PEM: lines between -----BEGIN and -----END",
            Self::Listen { .. } => "is another program using the port?",
            Self::Transport | Self::LabelType(_) => "check the configuration with `gondola check`",
        }
    }
}

/// The ports at which stations come in, by address: several stations, of several stores, may share one. The first one's
/// certificate is shown to all.
#[derive(Debug, Default)]
pub(super) struct Entrance {
    receptions: BTreeMap<String, Reception>,
}

impl Entrance {
    /// What a station's task works by. Opens a port if the station comes to us and nobody else does so there yet.
    ///
    /// # Errors
    /// See [`StationError`].
    pub(super) async fn admit(
        &mut self,
        config: &StationConfig,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<StationOptions, StartError> {
        let options = async {
            if config.driver == Driver::Openepaperlink {
                return radio(config);
            }
            let head = HeadOptions { key: read_key(config)?, ..HeadOptions::default() };
            let (transport, head) = self.transport(config, head, tasks, shutdown).await?;
            Ok(StationOptions { id: config.id.clone(), transport, head: head.into() })
        };
        options.await.map_err(|source| StartError::Station { station: config.id.clone(), source })
    }

    /// Tells a store whom the ports turn away at which its stations come in, until its inbox closes.
    pub(super) fn watch(&self, config: &[StationConfig], news: &mpsc::Sender<News>, tasks: &TaskTracker) {
        let ports: BTreeSet<&String> = config.iter().filter_map(|station| station.transport.listen.as_ref()).collect();
        for reception in ports.into_iter().filter_map(|port| self.receptions.get(port)) {
            let (mut strangers, news) = (reception.turned_away(), news.clone());
            tasks.spawn(async move {
                loop {
                    let stranger = tokio::select! {
                        // Both are cancel-safe: a name that was not read stays.
                        () = news.closed() => return,
                        stranger = strangers.recv() => stranger,
                    };
                    let sent = match stranger {
                        Ok(station) => news.send(News::TurnedAway(station)).await,
                        Err(RecvError::Lagged(_)) => Ok(()),
                        Err(RecvError::Closed) => return,
                    };
                    if sent.is_err() {
                        return;
                    }
                }
            });
        }
    }

    async fn transport(
        &mut self,
        config: &StationConfig,
        head: HeadOptions,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<(Transport, HeadOptions), StationError> {
        let Way { tcp, listen, serial, baud, mqtt, ca_file, certificate_file, private_key_file, .. } =
            config.transport.clone();
        let trusted = ca_file.map(trust).transpose()?;
        if let Some(address) = tcp {
            let transport = match trusted {
                Some(tls) => Transport::Tls(address, tls),
                None => Transport::Tcp(address),
            };
            return Ok((transport, head));
        }
        if let Some(path) = serial {
            let baud = baud.unwrap_or(BAUD);
            return Ok((Transport::Serial { path, baud, reset: None }, head.at_baud(baud)));
        }
        if let Some(topic) = mqtt.and_then(|place| place.parse::<MqttTopic>().ok()) {
            return Ok((Transport::Mqtt(topic, trusted), head));
        }
        let address = listen.ok_or(StationError::Transport)?;
        let reception = match self.receptions.get(&address) {
            Some(reception) => reception.clone(),
            None => {
                let shown = certificate_file.zip(private_key_file);
                let tls = shown.map(|(certificate, key)| show(certificate, key)).transpose()?;
                let opened = Reception::open(&address, tls, tasks, shutdown.clone()).await;
                let reception = opened.map_err(|source| StationError::Listen { address: address.clone(), source })?;
                tracing::info!(address = %reception.address(), "waiting for base stations");
                self.receptions.insert(address, reception.clone());
                reception
            }
        };
        Ok((Transport::Incoming(reception.expect(config.id.clone())), head))
    }
}

/// A radio's line is opened at the lower speed; its head raises it.
fn radio(config: &StationConfig) -> Result<StationOptions, StationError> {
    let path = config.transport.serial.clone().ok_or(StationError::Transport)?;
    let head = config.radio_options().map_err(StationError::LabelType)?;
    let reset = config.transport.reset.map(Into::into);
    let transport = Transport::Serial { path, baud: BAUD_SLOW, reset };
    Ok(StationOptions { id: config.id.clone(), transport, head: head.into() })
}

fn read_key(config: &StationConfig) -> Result<Option<StationKey>, StationError> {
    let Some(path) = config.key_file.clone() else { return Ok(None) };
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    text.parse().map(Some).map_err(|source| StationError::Key { path, source })
}

fn trust(path: PathBuf) -> Result<TlsClient, StationError> {
    TlsClient::trusting(&read(&path)?).map_err(|source| StationError::Tls { path, source })
}

fn show(path: PathBuf, key: PathBuf) -> Result<TlsServer, StationError> {
    TlsServer::showing(&read(&path)?, &read(&key)?).map_err(|source| StationError::Tls { path, source })
}

fn read(path: &Path) -> Result<Vec<u8>, StationError> {
    std::fs::read(path).map_err(|source| StationError::File { path: path.to_owned(), source })
}
