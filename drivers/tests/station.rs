//! The station's task against a scripted listener.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees only its #[test] functions as such")]

use std::error::Error;
use std::time::Duration;

use gondola_drivers::{
    DownReason, HeadEvent, HeadOptions, Outage, Outcome, StationHandle, StationOptions, StationOrder, Transport, spawn,
};
use gondola_protocol::frame::FrameDecoder;
use gondola_protocol::message::{Downlink, Frame, Status, Uplink};
use gondola_protocol::{Moment, SequenceNumber, SessionId, StationId, TransferNumber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use script::{frames, picture, stream, uplink, welcome};

mod script;

/// No step of a test takes longer, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A station's task, and the listener that it connects to.
struct Stage {
    listener: TcpListener,
    address: String,
    handle: StationHandle,
    events: mpsc::Receiver<(StationId, HeadEvent)>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Stage {
    async fn new(head: HeadOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, events) = mpsc::channel(16);
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let transport = Transport::Tcp(address.clone());
        let options = StationOptions { id: "front".parse().unwrap(), transport, head: head.into() };
        let handle = spawn(options, &tracker, shutdown.clone(), clock(), sender);
        Self { listener, address, handle, events, tracker, shutdown }
    }

    /// What the task tells next, beside what pictures pack to.
    async fn event(&mut self) -> HeadEvent {
        loop {
            let (station, event) = timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("a task");
            assert_eq!(station.as_str(), "front");
            if !matches!(event, HeadEvent::Packed { .. }) {
                return event;
            }
        }
    }

    /// Accepts the next connection and answers its hello.
    async fn accept(&mut self) -> Peer {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("a connection").unwrap();
        let mut peer = Peer { stream, decoder: FrameDecoder::default(), read: Vec::new(), session: SessionId(0) };
        let Frame::Hello(hello) = peer.next().await else { panic!("no hello") };
        peer.session = hello.session;
        peer.send(&Frame::Welcome(welcome(hello.session))).await;
        assert!(matches!(self.event().await, HeadEvent::Up { .. }));
        assert!(matches!(self.event().await, HeadEvent::Room(_)));
        peer
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        timeout(PATIENCE, self.tracker.wait()).await.expect("the task ends");
    }
}

/// The scripted end of a connection.
struct Peer {
    stream: TcpStream,
    decoder: FrameDecoder,
    read: Vec<Frame>,
    session: SessionId,
}

impl Peer {
    async fn next(&mut self) -> Frame {
        while self.read.is_empty() {
            let mut bytes = [0; 4_096];
            let length = timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("bytes").unwrap();
            assert!(length > 0, "the controller closed the connection");
            self.read = frames(&mut self.decoder, &bytes[..length]);
        }
        self.read.remove(0)
    }

    /// The next message, acknowledged; the controller's own acks are passed over.
    async fn message(&mut self) -> Downlink {
        loop {
            if let Frame::Data { session, sequence, body } = self.next().await {
                self.send(&Frame::Ack { session, next: SequenceNumber(sequence.0 + 1) }).await;
                return Downlink::decode(&body).unwrap();
            }
        }
    }

    async fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&stream(frame)).await.unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test of the shell that is given a clock")]
fn clock() -> impl Fn() -> Moment + Send + Sync + 'static {
    let start = std::time::Instant::now();
    move || Moment::from_secs(1_000) + start.elapsed()
}

#[tokio::test]
async fn a_picture_goes_to_the_station_and_its_status_comes_back() {
    let mut stage = Stage::new(HeadOptions::default()).await;
    let mut peer = stage.accept().await;
    assert!(matches!(peer.message().await, Downlink::TimeSync(_)));
    stage.handle.try_order(StationOrder::Submit(picture(1))).unwrap();
    let Downlink::Batch(transfers) = peer.message().await else { panic!("no batch") };
    assert_eq!(transfers[0].number, TransferNumber(1));
    let delivered = Uplink::Statuses(vec![(TransferNumber(1), Status::Delivered)]);
    peer.send(&uplink(peer.session, 0, &delivered)).await;
    let outcome = Outcome::Status(Status::Delivered);
    assert_eq!(stage.event().await, HeadEvent::Outcome { number: TransferNumber(1), outcome });
    assert!(matches!(stage.event().await, HeadEvent::Room(_)));
    let Frame::Ack { next, .. } = peer.next().await else { panic!("no ack") };
    assert_eq!(next, SequenceNumber(1));
    assert_eq!(stage.handle.counters().sessions, 1);
    stage.stop().await;
}

#[tokio::test]
async fn a_dropped_connection_is_made_again_with_a_new_session() {
    let mut stage = Stage::new(HeadOptions::default()).await;
    let mut peer = stage.accept().await;
    assert!(matches!(peer.message().await, Downlink::TimeSync(_)));
    stage.handle.try_order(StationOrder::Submit(picture(1))).unwrap();
    assert!(matches!(peer.message().await, Downlink::Batch(_)));
    let first = peer.session;
    drop(peer);
    let lost = |number| HeadEvent::Outcome { number: TransferNumber(number), outcome: Outcome::Lost };
    assert_eq!(stage.event().await, lost(1));
    assert_eq!(stage.event().await, HeadEvent::Down(DownReason::Disconnected));
    stage.handle.try_order(StationOrder::Submit(picture(2))).unwrap();
    assert_eq!(stage.event().await, lost(2), "there is no room while the station is down");
    assert_ne!(stage.accept().await.session, first);
    stage.stop().await;
}

#[tokio::test]
async fn a_station_that_never_answers_is_told_of_in_words_a_person_can_act_on() {
    let head = HeadOptions { hello_timeout: Duration::from_millis(2), ..HeadOptions::default() };
    let mut stage = Stage::new(head).await;
    let HeadEvent::Down(reason) = stage.event().await else { panic!("not down") };
    let transport = stage.address.clone();
    let outage = Outage { station: "front".parse().unwrap(), transport, reason };
    assert_eq!(outage.to_string(), format!("base station `front` did not answer on {}", stage.address));
    assert_eq!(outage.source().unwrap().to_string(), "5 hellos sent, each waited 2 ms");
    assert_eq!(outage.hint(), "is it a shelflink station, and does another program use the port?");
    stage.stop().await;
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_an_event() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (sender, mut events) = mpsc::channel(16);
    let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let transport = Transport::Tcp(free.to_string());
    let options = StationOptions { id: "front".parse().unwrap(), transport, head: HeadOptions::default().into() };
    let _handle = spawn(options, &tracker, shutdown.clone(), clock(), sender);
    let (_, event) = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert!(
        matches!(event, HeadEvent::Down(DownReason::NoConnection(ref cause)) if cause.contains("refused")),
        "{event:?}"
    );
    shutdown.cancel();
    tracker.close();
    timeout(PATIENCE, tracker.wait()).await.expect("the task ends");
}

#[tokio::test]
async fn a_stop_sends_what_is_ready_and_closes_the_connection() {
    let mut stage = Stage::new(HeadOptions::default()).await;
    let mut peer = stage.accept().await;
    let handle = stage.handle.clone();
    stage.stop().await;
    assert!(matches!(peer.message().await, Downlink::TimeSync(_)));
    let closed = timeout(PATIENCE, peer.stream.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert!(handle.try_order(StationOrder::Cancel(TransferNumber(1))).is_err());
}
