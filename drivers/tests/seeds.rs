//! Link and session under fire: a head and the simulator's station over a line that loses, repeats, reorders,
//! corrupts and delays frames, while the station loses power and the connection is cut. One seed decides everything.
//!
//! Whatever happens, each accepted picture and action settles exactly once, and by the word of the session that brought
//! it; no frame leaves beyond the window that the station has acknowledged in this session, which a stale ack would let
//! it; room keeps its bounds; and what is said to be delivered was on the glass.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees only its #[test] functions as such")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use gondola_drivers::Action;
use gondola_drivers::{Ahead, Head, HeadEvent, HeadOptions, Outcome, Picture};
use gondola_protocol::auth::{SEAL_BYTES, StationKey};
use gondola_protocol::frame::FrameDecoder;
use gondola_protocol::message::{Frame, Lane, LightColour, Pattern, Status, Uplink, is_unsealed};
use gondola_protocol::{Edition, LabelId, Moment, Panel, Planes, SessionId, StationId, TransferNumber};
use gondola_simulator::{LabelMemory, LabelOptions, RadioOptions, StationOptions, World, WorldOptions};

/// Seeds of an ordinary run; `GONDOLA_SEEDS` asks for more, and the nightly tests do for 100,000.
const SEEDS: u64 = 10_000;

/// Labels of the shop.
const LABELS: u64 = 3;

/// How long things go wrong.
const FAULTS: Duration = Duration::from_secs(20);

/// After that everything is settled within: the next time sync, which a station that restarted unnoticed does not
/// expect, giving the session up, a connection, and some wakes. It is far less unless every other sign was lost.
const SETTLES_WITHIN: Duration = Duration::from_secs(700);

/// Wait before a connection is made again.
const RECONNECT: Duration = Duration::from_millis(500);

/// Splitmix64, by S. Vigna.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// How bad the line is, in percent.
#[derive(Clone, Copy)]
struct Weather {
    lost: u64,
    repeated: u64,
    corrupted: u64,
    delay_ms: u64,
}

const CALM: Weather = Weather { lost: 0, repeated: 0, corrupted: 0, delay_ms: 2 };

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Station,
    Controller,
}

/// What became of one request.
#[derive(Debug)]
struct Request {
    label: u64,
    edition: Option<u64>,
    outcomes: Vec<Outcome>,
}

struct Run {
    dice: Dice,
    weather: Weather,
    now: Moment,
    head: Head,
    world: World,
    station: StationId,
    sessions: u32,
    /// When the connection is made again; none while it stands.
    reconnect_at: Option<Moment>,
    /// Frames under way by arrival; the number keeps two of one instant apart.
    under_way: BTreeMap<(Moment, u64), (To, Bytes)>,
    frames: u64,
    requests: BTreeMap<TransferNumber, Request>,
    shown: BTreeSet<(u64, u64)>,
    transfers_max: usize,
    window: u32,
    is_keyed: bool,
    /// The highest ack that the station has sent, by session.
    acked: BTreeMap<SessionId, u32>,
    /// Every status that the station has sent in the session that stands.
    told: BTreeSet<(TransferNumber, u8)>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let now = Moment::from_secs(1_000);
        let key = dice.percent(40).then_some(StationKey([7; 32]));
        let version_max = if dice.percent(25) && key.is_none() { 1 } else { 2 };
        let station = StationOptions {
            window: u8::try_from(1 + dice.below(6)).unwrap(),
            transfers_max: u16::try_from(1 + dice.below(6)).unwrap(),
            version_max,
            key,
            ..StationOptions::default()
        };
        let label = |id| LabelOptions {
            label: LabelId(id),
            panel: panel(),
            wake: Duration::from_secs(2),
            station: None,
            shows: None,
            refresh: Some(Duration::from_millis(300)),
            memory: LabelMemory::default(),
        };
        let (id, transfers_max) = (station.id.clone(), usize::from(station.transfers_max));
        let (window, is_keyed) = (u32::from(station.window), key.is_some());
        let labels = (0..LABELS).map(label).collect();
        let weather = Weather {
            lost: dice.below(35),
            repeated: dice.below(20),
            corrupted: dice.below(15),
            delay_ms: 1 + dice.below(900),
        };
        Self {
            head: Head::new(id.clone(), HeadOptions { key, ..HeadOptions::default() }),
            world: World::new(
                WorldOptions { seed, loss: 0.0, radio: RadioOptions::default(), stations: vec![station], labels },
                now,
            ),
            weather,
            dice,
            now,
            station: id,
            sessions: 0,
            reconnect_at: Some(now),
            under_way: BTreeMap::new(),
            frames: 0,
            requests: BTreeMap::new(),
            shown: BTreeSet::new(),
            transfers_max,
            window,
            is_keyed,
            acked: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    fn settled(&self) -> bool {
        self.requests.values().all(|request| !request.outcomes.is_empty())
    }

    fn go(&mut self) {
        let stop = self.now + FAULTS;
        while self.now < stop {
            self.meddle();
            let pause = Duration::from_millis(1 + self.dice.below(1_500));
            self.pass(self.now + pause);
        }
        self.weather = CALM;
        let deadline = self.now + SETTLES_WITHIN;
        while !self.settled() {
            assert!(self.now < deadline, "not settled: {:?}", self.requests);
            self.pass(self.now + Duration::from_secs(1));
        }
        // The last refresh ends, and nothing settles twice.
        self.pass(self.now + Duration::from_secs(2));
        self.check();
    }

    /// Somebody wants something, or something breaks.
    fn meddle(&mut self) {
        match self.dice.below(20) {
            0 => self.world.reboot(self.now, &self.station),
            1 => self.cut(),
            2..=4 => {
                let number = TransferNumber(u32::try_from(self.dice.below(1 + self.requests.len() as u64)).unwrap());
                self.head.cancel(self.now, number);
            }
            5..=7 => self.command(),
            choice => self.picture(choice < 10),
        }
        self.pump();
    }

    fn request(&mut self, edition: Option<u64>) -> (TransferNumber, u64) {
        let number = TransferNumber(u32::try_from(self.requests.len()).unwrap());
        let label = self.dice.below(LABELS);
        self.requests.insert(number, Request { label, edition, outcomes: Vec::new() });
        (number, label)
    }

    fn picture(&mut self, is_ahead: bool) {
        let edition = 1 + self.requests.len() as u64;
        let (number, label) = self.request(Some(edition));
        let byte = u8::try_from(edition % 251).unwrap();
        let planes = Planes::new(panel(), vec![byte; panel().picture_bytes()]).unwrap();
        let lane = Lane::ALL[usize::try_from(self.dice.below(3)).unwrap()];
        let picture = Picture {
            number,
            label: LabelId(label),
            edition: Edition(edition),
            lane,
            planes,
            held: None,
            encodings: u8::MAX,
            packed: None,
        };
        let submitted = if is_ahead {
            let activate_at = self.now + Duration::from_millis(self.dice.below(20_000));
            self.head.stage(self.now, picture, Ahead { slot: 1, activate_at })
        } else {
            self.head.submit(self.now, picture)
        };
        if submitted.is_err() {
            self.requests.remove(&number);
        }
    }

    fn command(&mut self) {
        let (number, label) = self.request(None);
        let flash = Action::Flash { colour: LightColour::new(1).unwrap(), pattern: Pattern::Slow, seconds: 5 };
        let actions = [Action::Ping, flash, Action::Identify, Action::Firmware, Action::Drop { slot: 1 }];
        let action = actions[usize::try_from(self.dice.below(actions.len() as u64)).unwrap()];
        let lane = Lane::Interactive;
        if self.head.command(self.now, action, lane, vec![(number, LabelId(label))]).is_err() {
            self.requests.remove(&number);
        }
    }

    fn cut(&mut self) {
        self.world.disconnect(self.now, &self.station);
        self.head.disconnected(self.now);
        self.reconnect_at = Some(self.now + RECONNECT);
        // A closed stream brings nothing more; a serial line may.
        if self.dice.percent(50) {
            self.under_way.clear();
        }
    }

    /// Lets time pass until `end`.
    fn pass(&mut self, end: Moment) {
        self.pump();
        loop {
            let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let due = [self.head.poll_timeout(), self.world.poll_timeout(), arrival, self.reconnect_at];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            self.head.handle_timeout(self.now);
            self.world.handle_timeout(self.now);
            if self.head.wants_disconnect() && self.reconnect_at.is_none() {
                self.cut();
            }
            if self.reconnect_at.is_some_and(|at| at <= self.now) {
                self.reconnect_at = None;
                self.sessions += 1;
                self.told.clear();
                self.world.connect(self.now, &self.station);
                self.head.connected(self.now, SessionId(self.sessions));
            }
            while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                match entry.remove() {
                    (To::Station, bytes) => self.world.handle_bytes(self.now, &self.station, &bytes),
                    (To::Controller, bytes) => self.head.handle_bytes(self.now, &bytes),
                }
            }
            self.pump();
        }
        self.now = end;
    }

    /// Moves what is ready to the line, and hears what the head has to tell.
    fn pump(&mut self) {
        while let Some(bytes) = self.head.poll_transmit() {
            self.check_window(&bytes);
            self.carry(To::Station, &bytes);
        }
        while let Some(bytes) = self.world.poll_transmit(&self.station) {
            self.note(&bytes);
            self.carry(To::Controller, &bytes);
        }
        while let Some(event) = self.head.poll_event() {
            if let HeadEvent::Outcome { number, outcome } = event {
                let request = self.requests.get_mut(&number).expect("an outcome of an accepted request");
                // The rest the head may say itself.
                if let Outcome::Status(status @ (Status::Delivered | Status::Staged | Status::Expired)) = outcome {
                    assert!(self.told.contains(&(number, status as u8)), "{number}: {status:?}, by nobody's word");
                }
                request.outcomes.push(outcome);
            }
        }
        while let Some(observation) = self.world.poll_observation() {
            self.shown.insert((observation.label.0, observation.edition.0));
        }
        assert!(self.head.room().transfers <= self.transfers_max);
        let in_flight = self.requests.values().filter(|request| request.outcomes.is_empty()).count();
        assert!(in_flight <= self.transfers_max, "{in_flight} in flight");
    }

    /// What one end put on the line, its seal aside.
    fn read(&self, bytes: &Bytes) -> Frame {
        let mut payloads = Vec::new();
        FrameDecoder::default().read(bytes, |payload| payloads.push(payload.unwrap()));
        let payload = &payloads[0];
        let sealed = if self.is_keyed && !is_unsealed(payload) { SEAL_BYTES } else { 0 };
        Frame::decode(&payload.slice(..payload.len() - sealed)).unwrap()
    }

    fn check_window(&self, bytes: &Bytes) {
        if let Frame::Data { session, sequence, .. } = self.read(bytes) {
            let acked = self.acked.get(&session).copied().unwrap_or_default();
            assert!(
                sequence.0 < acked + self.window,
                "frame {sequence} of session {session} with {acked} acknowledged"
            );
        }
    }

    fn note(&mut self, bytes: &Bytes) {
        match self.read(bytes) {
            Frame::Ack { session, next } => {
                let acked = self.acked.entry(session).or_default();
                *acked = next.0.max(*acked);
            }
            Frame::Data { session: SessionId(session), body, .. } if session == self.sessions => {
                if let Ok(Uplink::Statuses(statuses)) = Uplink::decode(&body) {
                    self.told.extend(statuses.into_iter().map(|(number, status)| (number, status as u8)));
                }
            }
            _ => {}
        }
    }

    fn carry(&mut self, to: To, bytes: &Bytes) {
        let Weather { lost, repeated, corrupted, delay_ms } = self.weather;
        if self.dice.percent(lost) {
            return;
        }
        // Some come again long after, when another session stands.
        let late = if self.dice.percent(30) { 12 } else { 1 };
        for delays in [1, late].into_iter().take(1 + usize::from(self.dice.percent(repeated))) {
            let mut bytes = bytes.to_vec();
            if self.dice.percent(corrupted) {
                let at = usize::try_from(self.dice.below(bytes.len() as u64)).unwrap();
                bytes[at] ^= 1 << self.dice.below(8);
            }
            self.frames += 1;
            let arrival = self.now + Duration::from_millis(self.dice.below(delays * delay_ms));
            self.under_way.insert((arrival, self.frames), (to, bytes.into()));
        }
    }

    fn check(&self) {
        for (number, request) in &self.requests {
            assert_eq!(request.outcomes.len(), 1, "request {number}: {request:?}");
            if let (Some(edition), Outcome::Status(Status::Delivered)) = (request.edition, request.outcomes[0]) {
                assert!(self.shown.contains(&(request.label, edition)), "request {number} was never on the glass");
            }
        }
    }
}

fn panel() -> Panel {
    "bw-16x8".parse().unwrap()
}

/// Runs a seed, and says how to run it again when it fails.
fn check(seed: u64) {
    struct Tell(u64);

    impl Drop for Tell {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("again: GONDOLA_SEED={} cargo test -p gondola-drivers --test seeds", self.0);
            }
        }
    }

    let told = Tell(seed);
    Run::new(seed).go();
    drop(told);
}

fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, not a number")))
}

#[test]
fn every_request_settles_once_whatever_happens() {
    if let Some(seed) = number_in("GONDOLA_SEED") {
        return check(seed);
    }
    let (seeds, threads) = (number_in("GONDOLA_SEEDS").unwrap_or(SEEDS), 2);
    std::thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || (first..seeds).step_by(2).for_each(check));
        }
    });
}

#[test]
fn a_hello_that_comes_again_opens_no_session_at_a_station_that_restarted_meanwhile() {
    check(1_189);
}

#[test]
fn a_restart_that_nothing_else_tells_is_noticed_at_the_next_time_sync() {
    check(73_519);
}
