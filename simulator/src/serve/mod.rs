//! The shell over the world: TCP ports, pseudo-terminals, brokers; real time.
//!
//! One task owns the world. Each connection holds a bounded channel to it and one from it; a controller
//! that does not read holds up its own frames alone, which the station then drops as line noise would.
//! No decision worth a test is made here.

mod connection;
mod control;
pub mod mqtt;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use gondola_protocol::message::Credits;
use gondola_protocol::{LabelId, Moment, Planes, StationId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Pty, Shared};
use crate::config::{Config, ConfigError, Way};
use crate::counters::Counters;
use crate::faults::{Fault, FaultError};
use crate::label::LabelState;
use crate::world::{Observation, Sight, World};

/// Requests to the world's task that wait: enough for a burst from every connection, small against memory.
const REQUESTS_MAX: usize = 256;

/// Frames on their way to a connection: a window and its acks.
const FRAMES_MAX: usize = 64;

/// Why a simulated shop cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration contradicts itself.
    #[error("the simulated shop's configuration is wrong")]
    Config(#[from] ConfigError),
    /// A port cannot be had.
    #[error("cannot listen on {listen} for {what}: {reason}; {hint}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// ``base station `front` `` or `the control API`.
        what: String,
        /// Why, in the system's words without its number.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// A pseudo-terminal cannot be had.
    #[error("cannot offer base station `{station}` on a pseudo-terminal; can {path} be written?")]
    Pty {
        /// The station.
        station: StationId,
        /// The name that should lead to it.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The world's task panicked.
    #[error("the simulated world broke down; its panic message says where, and it is a bug")]
    World(#[source] tokio::task::JoinError),
    /// The control API's listener failed.
    #[error("the control API stopped")]
    Control(#[source] io::Error),
}

impl ServeError {
    fn listen(listen: SocketAddr, what: String, error: &io::Error) -> Self {
        let (reason, hint) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "address in use".to_owned(),
                "is another simulator running? choose another port, or 0 for any free one",
            ),
            io::ErrorKind::AddrNotAvailable => {
                ("this machine does not have that address".to_owned(), "use 127.0.0.1 or 0.0.0.0")
            }
            io::ErrorKind::PermissionDenied => ("permission denied".to_owned(), "use a port above 1023"),
            _ => (error.to_string(), "choose another address"),
        };
        Self::Listen { listen, what, reason, hint }
    }
}

/// The world's task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated shop has closed")]
pub struct Closed;

/// A question to the world, or a change, that carries its own way back.
type Question = Box<dyn FnOnce(&mut World, Moment) + Send>;

/// What others ask of the task that owns the world.
enum Request {
    /// A controller has connected to a station; an older connection ends by that.
    Opened { station: StationId, connection: Connection },
    /// Bytes from a controller.
    Bytes { station: StationId, number: u64, bytes: Bytes },
    /// A connection has ended.
    Ended { station: StationId, number: u64 },
    /// A question, or a change, from the same process.
    Ask(Question),
}

/// The world's end of a connection.
struct Connection {
    /// Tells connections to one station apart.
    number: u64,
    frames: mpsc::Sender<Bytes>,
    /// Ends the connection's task.
    end: CancellationToken,
}

/// Reads and changes a world that is being served.
#[derive(Clone)]
pub struct Handle {
    shared: Shared,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// Every label, in the order of the configuration.
    ///
    /// # Errors
    /// Here and below: [`Closed`] once the shop is no longer served.
    pub async fn labels(&self) -> Result<Vec<LabelState>, Closed> {
        self.ask(|world, _| world.labels().collect()).await
    }

    /// One label; none for one that is not in the shop.
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn label(&self, label: LabelId) -> Result<Option<LabelState>, Closed> {
        self.ask(move |world, _| world.label(label)).await
    }

    /// The whole shop at a glance.
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn sight(&self) -> Result<Sight, Closed> {
        self.ask(|world, _| world.sight()).await
    }

    /// What is on a label's glass; none for a label that is not in the shop.
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn screen(&self, label: LabelId) -> Result<Option<Planes>, Closed> {
        self.ask(move |world, _| world.screen(label)).await
    }

    /// What has happened since the start.
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn counters(&self) -> Result<Counters, Closed> {
        self.ask(|world, _| world.counters()).await
    }

    /// The changes of glasses since the last call; see [`World::poll_observation`] for how many are kept.
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn observations(&self) -> Result<Vec<Observation>, Closed> {
        self.ask(|world, _| std::iter::from_fn(|| world.poll_observation()).collect()).await
    }

    /// Sets a label's fault, or clears it.
    ///
    /// # Errors
    /// See [`Handle::labels`]; inside, [`FaultError`].
    pub async fn set_fault(&self, label: LabelId, fault: Option<Fault>) -> Result<Result<(), FaultError>, Closed> {
        self.ask(move |world, now| world.set_fault(now, label, fault)).await
    }

    /// Takes a stream from the same process as a station's connection; an older one ends by that.
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn attach(
        &self,
        station: &StationId,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> Result<(), Closed> {
        let line = self.shared.open(station).await.ok_or(Closed)?;
        self.shared.tasks.spawn(line.carry(stream));
        Ok(())
    }

    /// A station loses power for a moment; see [`World::reboot`].
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn reboot(&self, station: &StationId) -> Result<(), Closed> {
        let station = station.clone();
        self.ask(move |world, now| world.reboot(now, &station)).await
    }

    /// A station loses its power, or has it again; see [`World::set_power`].
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn set_power(&self, station: &StationId, is_on: bool) -> Result<(), Closed> {
        let station = station.clone();
        self.ask(move |world, now| world.set_power(now, &station, is_on)).await
    }

    /// From now on so much is lost; see [`World::set_loss`].
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn set_loss(&self, loss: f64) -> Result<(), Closed> {
        self.ask(move |world, now| world.set_loss(now, loss)).await
    }

    /// It is warmer or colder at a label from now on.
    ///
    /// # Errors
    /// See [`Handle::labels`]; inside, [`FaultError`].
    pub async fn set_temperature(&self, label: LabelId, celsius: i8) -> Result<Result<(), FaultError>, Closed> {
        self.ask(move |world, now| world.set_temperature(now, label, celsius)).await
    }

    /// So many percent of a label's battery are gone at once.
    ///
    /// # Errors
    /// See [`Handle::labels`]; inside, [`FaultError`].
    pub async fn drain_battery(&self, label: LabelId, percent: u8) -> Result<Result<(), FaultError>, Closed> {
        self.ask(move |world, now| world.drain_battery(now, label, u64::from(percent) * 10_000)).await
    }

    /// The stations, in the order of the configuration.
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn stations(&self) -> Result<Vec<StationId>, Closed> {
        self.ask(|world, _| world.stations().cloned().collect()).await
    }

    /// What a station holds at once changes; see [`World::set_credits`].
    ///
    /// # Errors
    /// See [`Handle::labels`].
    pub async fn set_credits(&self, station: &StationId, credits: Credits) -> Result<(), Closed> {
        let station = station.clone();
        self.ask(move |world, now| world.set_credits(now, &station, credits)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut World, Moment) -> T + Send + 'static,
    ) -> Result<T, Closed> {
        let (sender, receiver) = oneshot::channel();
        let ask = move |world: &mut World, now| {
            // Nobody waits for the answer any more: fine.
            let _ = sender.send(question(world, now));
        };
        self.shared.requests.send(Request::Ask(Box::new(ask))).await.map_err(|_| Closed)?;
        receiver.await.map_err(|_| Closed)
    }
}

/// A simulated shop whose ports are bound, ready to run.
pub struct Serving {
    config: Config,
    stations: Vec<(StationId, Bound)>,
    control: Option<(TcpListener, SocketAddr)>,
    shared: Shared,
    requests: mpsc::Receiver<Request>,
}

/// How a station is reached, with what that takes.
enum Bound {
    Listen(TcpListener, SocketAddr),
    Dial(String),
    Pty(Pty),
    Mqtt(mqtt::Place),
    /// By [`Handle::attach`] alone.
    Nowhere,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Serving {
    /// Takes every port that the configuration names.
    ///
    /// # Errors
    /// A configuration that contradicts itself, or a port that cannot be had.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        config.check()?;
        let mut stations = Vec::new();
        for station in &config.base_stations {
            let id = station.id.clone();
            let bound = match station.way()? {
                Way::Listen(address) => {
                    let (listener, address) = listen(address, format!("base station `{id}`")).await?;
                    Bound::Listen(listener, address)
                }
                Way::Dial(address) => Bound::Dial(address),
                Way::Pty(link) => {
                    let refused =
                        |source| ServeError::Pty { station: id.clone(), path: link.display().to_string(), source };
                    Bound::Pty(Pty::open(&link).map_err(refused)?)
                }
                Way::Mqtt(place) => Bound::Mqtt(place),
                Way::Nowhere => Bound::Nowhere,
            };
            stations.push((id, bound));
        }
        let control = match config.control {
            Some(address) => Some(listen(address, "the control API".to_owned()).await?),
            None => None,
        };
        let (sender, requests) = mpsc::channel(REQUESTS_MAX);
        let shared = Shared {
            requests: sender,
            drained: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            numbers: Arc::default(),
        };
        Ok(Self { config, stations, control, shared, requests })
    }

    /// The stations that listen, with their addresses.
    pub fn station_addrs(&self) -> impl Iterator<Item = (&StationId, SocketAddr)> {
        self.stations.iter().filter_map(|(id, bound)| match bound {
            Bound::Listen(_, address) => Some((id, *address)),
            _ => None,
        })
    }

    /// Where the control API listens, if there is one.
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(|(_, address)| *address)
    }

    /// Reads and changes the world while it runs; what is asked before waits for the start.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    /// Serves until `shutdown` is cancelled. The shop opens at the clock's time.
    ///
    /// # Errors
    /// A control API that fails; the rest is shut down then.
    pub async fn run(
        self,
        clock: impl Fn() -> Moment + Clone + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        let Shared { tasks, stop, drained, .. } = self.shared.clone();
        // Whatever ends this, the tasks end with it.
        let _guard = stop.clone().drop_guard();
        for (station, bound) in self.stations {
            let shared = self.shared.clone();
            match bound {
                Bound::Listen(listener, address) => {
                    tracing::info!(base_station = %station, %address, "base station is listening");
                    tasks.spawn(connection::accept(shared, station, listener));
                }
                Bound::Dial(address) => {
                    tasks.spawn(connection::dial(shared, station, address));
                }
                Bound::Pty(pty) => {
                    tasks.spawn(pty.serve(shared, station));
                }
                Bound::Mqtt(place) => {
                    tasks.spawn(connection::behind_broker(shared, station, place));
                }
                Bound::Nowhere => {}
            }
        }
        let handle = Handle { shared: self.shared };
        let world = World::new(self.config.world_options(), clock());
        let served = Served { world, clock, connections: Vec::new(), requests: self.requests, drained };
        let world = tasks.spawn(served.run(stop.clone()));
        let ended = {
            let stop = stop.clone();
            async move {
                tokio::select! { () = shutdown.cancelled() => {}, () = stop.cancelled() => {} }
            }
        };
        let result = match self.control {
            Some((listener, address)) => {
                tracing::info!(%address, "control API is listening");
                let serving = control::serve(listener, handle, stop.clone());
                tokio::select! {
                    biased;
                    // Both arms end the service.
                    () = ended => Ok(()),
                    served = serving => served.map_err(ServeError::Control),
                }
            }
            None => {
                ended.await;
                Ok(())
            }
        };
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        world.await.map_err(ServeError::World).and(result)
    }
}

/// Serves a simulated shop until `shutdown` is cancelled.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    config: Config,
    clock: impl Fn() -> Moment + Clone + Send + Sync + 'static,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    Serving::bind(config).await?.run(clock, shutdown).await
}

async fn listen(address: SocketAddr, what: String) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error: io::Error| ServeError::listen(address, what, &error))
}

/// The task that owns the world.
struct Served<C> {
    world: World,
    clock: C,
    /// At most one for each station.
    connections: Vec<(StationId, Connection)>,
    requests: mpsc::Receiver<Request>,
    /// A connection has taken all that was on its way to it.
    drained: Arc<Notify>,
}

impl<C: Fn() -> Moment> Served<C> {
    async fn run(mut self, stop: CancellationToken) {
        // Should the world panic, everything else ends too.
        let _guard = stop.clone().drop_guard();
        loop {
            let now = (self.clock)();
            self.world.handle_timeout(now);
            self.transmit();
            // A world always has labels that will wake; the hour is for the type.
            let wait = self.world.poll_timeout().map_or(std::time::Duration::from_secs(3_600), |due| due.since(now));
            tokio::select! {
                biased;
                // Cancel-safe: cancellation is a state.
                () = stop.cancelled() => return,
                // Cancel-safe: a request stays in the channel. The handles keep the channel open.
                Some(request) = self.requests.recv() => self.handle(request),
                // Cancel-safe: a permit that was not taken stays.
                () = self.drained.notified() => {}
                // Cancel-safe: the next turn computes the wait anew.
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn handle(&mut self, request: Request) {
        let now = (self.clock)();
        match request {
            Request::Opened { station, connection } => {
                self.forget(&station);
                self.world.connect(now, &station);
                tracing::info!(base_station = %station, "controller connected");
                self.connections.push((station, connection));
            }
            Request::Bytes { station, number, bytes } if self.is_current(&station, number) => {
                self.world.handle_bytes(now, &station, &bytes);
            }
            Request::Ended { station, number } if self.is_current(&station, number) => {
                self.forget(&station);
                self.world.disconnect(now, &station);
                tracing::info!(base_station = %station, "controller disconnected");
            }
            // From a connection that was replaced.
            Request::Bytes { .. } | Request::Ended { .. } => {}
            Request::Ask(question) => question(&mut self.world, now),
        }
    }

    fn is_current(&self, station: &StationId, number: u64) -> bool {
        self.connections.iter().any(|(id, connection)| id == station && connection.number == number)
    }

    fn forget(&mut self, station: &StationId) {
        self.connections.retain(|(id, connection)| {
            if id == station {
                connection.end.cancel();
            }
            id != station
        });
    }

    /// Moves frames as far as each connection has room; the rest waits in its station.
    fn transmit(&mut self) {
        for (station, connection) in &self.connections {
            while let Ok(place) = connection.frames.try_reserve() {
                let Some(frame) = self.world.poll_transmit(station) else { break };
                place.send(frame);
            }
        }
    }
}
