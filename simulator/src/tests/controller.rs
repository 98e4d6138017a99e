//! A shop on a bench: one station, and a controller that knows only the wire crate.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use gondola_protocol::frame::{self, FrameDecoder};
use gondola_protocol::message::{
    CheckIn, Clock, Credits, Downlink, Encoding, Firmware, Frame, Hello, Lane, Report, Status, Transfer, Uplink,
    VERSION_MIN, Welcome,
};
use gondola_protocol::{Edition, LabelId, Moment, Panel, Planes, SequenceNumber, SessionId, StationId, TransferNumber};

use crate::label::{LabelMemory, LabelOptions, LabelState};
use crate::radio::RadioOptions;
use crate::station::StationOptions;
use crate::world::{World, WorldOptions};

/// Longer than the station's, so that the two do not march in step.
const RESEND_AFTER: Duration = Duration::from_millis(450);

pub(super) const LABEL: LabelId = LabelId(1);

pub(super) fn panel() -> Panel {
    "bwr-296x128".parse().unwrap()
}

/// Options for `count` labels that wake every five seconds around one station.
pub(super) fn shop(seed: u64, loss: f64, count: u64) -> WorldOptions {
    let label = |id| LabelOptions {
        label: LabelId(id),
        panel: panel(),
        wake: Duration::from_secs(5),
        station: None,
        shows: None,
        refresh: None,
        memory: LabelMemory::default(),
    };
    WorldOptions {
        seed,
        loss,
        radio: RadioOptions::default(),
        stations: vec![StationOptions::default()],
        labels: (1..=count).map(label).collect(),
    }
}

/// A picture that differs for each `mark`, with ink in both planes.
pub(super) fn picture(mark: u8) -> Planes {
    let size = panel().picture_bytes();
    let byte = |at: usize| if at % 37 < 12 { mark } else { u8::try_from(at % 5).unwrap() };
    Planes::new(panel(), (0..size).map(byte).collect::<Vec<u8>>()).unwrap()
}

pub(super) fn deflated(planes: &Planes) -> Bytes {
    let mut compress = Compress::new_with_window_bits(Compression::best(), false, 12);
    let mut out = Vec::with_capacity(planes.bytes().len() + 1_024);
    compress.compress_vec(planes.bytes(), &mut out, FlushCompress::Finish).unwrap();
    out.into()
}

pub(super) fn transfer(number: u32, label: LabelId, edition: u64, planes: &Planes) -> Transfer {
    Transfer {
        number: TransferNumber(number),
        label,
        panel: planes.panel(),
        edition: Edition(edition),
        digest: planes.digest(),
        lane: Lane::Price,
        encoding: Encoding::Deflate,
        data: deflated(planes),
    }
}

/// A shop, its controller and their time.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) now: Moment,
    pub(super) station: StationId,
    pub(super) controller: Controller,
    /// What hellos offer.
    pub(super) version_max: u8,
    /// Every frame that the station sent.
    pub(super) trace: Vec<(Moment, Bytes)>,
}

impl Bench {
    /// Connected and welcomed.
    pub(super) fn new(options: WorldOptions) -> Self {
        Self::speaking(1, options)
    }

    /// The same in a version.
    pub(super) fn speaking(version_max: u8, options: WorldOptions) -> Self {
        let station = options.stations[0].id.clone();
        let world = World::new(options, Moment::ZERO);
        let controller = Controller::default();
        let mut bench = Self { world, now: Moment::ZERO, station, controller, version_max, trace: Vec::new() };
        bench.world.connect(bench.now, &bench.station);
        bench.hello(1);
        bench
    }

    /// Opens a session and waits for the welcome.
    pub(super) fn hello(&mut self, session: u32) {
        self.controller = Controller::of(session);
        while self.controller.welcome.is_none() {
            let hello = Hello {
                session: SessionId(session),
                version_min: VERSION_MIN,
                version_max: self.version_max,
                time: self.now,
            };
            self.raw(&Frame::Hello(hello));
            self.run(Duration::from_millis(800));
        }
    }

    /// Sends one frame once.
    pub(super) fn raw(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        frame::encode(&frame.encode(), &mut bytes);
        self.world.handle_bytes(self.now, &self.station, &bytes);
    }

    /// Sends a message, again until it is acknowledged.
    pub(super) fn send(&mut self, message: &Downlink) {
        let frame = self.controller.send(self.now, message);
        self.raw(&frame);
        self.exchange();
    }

    pub(super) fn send_batch(&mut self, transfers: impl IntoIterator<Item = Transfer>) {
        self.send(&Downlink::Batch(transfers.into_iter().collect()));
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.exchange();
            let due = [self.world.poll_timeout(), self.controller.resend_at].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            self.world.handle_timeout(self.now);
            for frame in self.controller.overdue(self.now) {
                self.raw(&frame);
            }
        }
        self.now = until;
        self.world.handle_timeout(until);
        self.exchange();
    }

    /// Lets time pass until `done`, two minutes at most.
    #[track_caller]
    pub(super) fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let start = self.now;
        while !done(self) {
            assert!(self.now.since(start) < Duration::from_secs(120), "nothing came of it in two minutes");
            self.run(Duration::from_millis(100));
        }
    }

    pub(super) fn label(&self, label: LabelId) -> LabelState {
        self.world.labels().find(|state| state.label == label).unwrap()
    }

    /// The statuses of this session, without their moments.
    #[track_caller]
    pub(super) fn check_statuses(&self, expected: &[(u32, Status)]) {
        let expected: Vec<_> = expected.iter().map(|(number, status)| (TransferNumber(*number), *status)).collect();
        assert_eq!(self.controller.statuses, expected);
    }

    fn exchange(&mut self) {
        while let Some(bytes) = self.world.poll_transmit(&self.station) {
            self.trace.push((self.now, bytes.clone()));
            for answer in self.controller.receive(self.now, &bytes) {
                self.raw(&answer);
            }
        }
    }
}

/// The controller's end of a session.
#[derive(Default)]
pub(super) struct Controller {
    session: SessionId,
    decoder: FrameDecoder,
    next: u32,
    unacked: VecDeque<(u32, Bytes)>,
    resend_at: Option<Moment>,
    expected: u32,
    pub(super) welcome: Option<Welcome>,
    pub(super) statuses: Vec<(TransferNumber, Status)>,
    pub(super) check_ins: Vec<CheckIn>,
    pub(super) reports: Vec<Report>,
    pub(super) clocks: Vec<(Moment, Clock)>,
    pub(super) credits: Vec<Credits>,
    pub(super) firmware: Vec<(LabelId, Firmware)>,
    pub(super) presences: Vec<(Moment, Vec<LabelId>)>,
    /// Data frames that arrived again.
    pub(super) repeated: usize,
}

impl Controller {
    /// The controller's end of a session before its hello.
    pub(super) fn of(session: u32) -> Self {
        Self { session: SessionId(session), ..Self::default() }
    }

    pub(super) fn send(&mut self, now: Moment, message: &Downlink) -> Frame {
        let (sequence, body) = (self.next, message.encode());
        self.unacked.push_back((sequence, body.clone()));
        self.next += 1;
        self.resend_at.get_or_insert(now + RESEND_AFTER);
        Frame::Data { session: self.session, sequence: SequenceNumber(sequence), body }
    }

    fn overdue(&mut self, now: Moment) -> Vec<Frame> {
        if self.resend_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.resend_at = (!self.unacked.is_empty()).then(|| now + RESEND_AFTER);
        let session = self.session;
        let frame = |(sequence, body): &(u32, Bytes)| Frame::Data {
            session,
            sequence: SequenceNumber(*sequence),
            body: body.clone(),
        };
        self.unacked.iter().map(frame).collect()
    }

    pub(super) fn receive(&mut self, now: Moment, bytes: &[u8]) -> Vec<Frame> {
        let mut payloads = Vec::new();
        self.decoder.read(bytes, |payload| payloads.push(payload.unwrap()));
        let frames = payloads.iter().map(|payload| Frame::decode(payload).unwrap());
        frames.filter_map(|frame| self.handle(now, frame)).collect()
    }

    fn handle(&mut self, now: Moment, frame: Frame) -> Option<Frame> {
        match frame {
            Frame::Welcome(welcome) => self.welcome = Some(welcome).filter(|it| it.session == self.session),
            Frame::Ack { session, next } if session == self.session => {
                while self.unacked.front().is_some_and(|(sequence, _)| *sequence < next.0) {
                    self.unacked.pop_front();
                    self.resend_at = (!self.unacked.is_empty()).then(|| now + RESEND_AFTER);
                }
            }
            Frame::Data { session, sequence, body } if session == self.session => {
                if sequence.0 == self.expected {
                    self.expected += 1;
                    self.deliver(now, Uplink::decode(&body).unwrap());
                } else {
                    self.repeated += 1;
                }
                return Some(Frame::Ack { session, next: SequenceNumber(self.expected) });
            }
            _ => {}
        }
        None
    }

    fn deliver(&mut self, now: Moment, message: Uplink) {
        match message {
            Uplink::Statuses(statuses) => self.statuses.extend(statuses),
            Uplink::CheckIns(check_ins) => self.check_ins.extend(check_ins),
            Uplink::Presence(labels) => self.presences.push((now, labels)),
            Uplink::Reports(reports) => {
                self.check_ins.extend(reports.iter().map(|report| report.check_in.clone()));
                self.reports.extend(reports);
            }
            Uplink::Clock(clock) => self.clocks.push((now, clock)),
            Uplink::Credits(credits) => self.credits.push(credits),
            Uplink::Firmware(labels) => self.firmware.extend(labels),
        }
    }
}
