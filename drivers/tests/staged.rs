//! A promotion for a whole store, in virtual time: sent ahead, and on every glass within a second of its moment.

#![allow(clippy::unwrap_used, reason = "a test may; clippy sees only its #[test] functions as such")]

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::{Ahead, Head, HeadEvent, HeadOptions, Outcome, Picture};
use gondola_protocol::message::{Lane, Status};
use gondola_protocol::{Edition, LabelId, Moment, Panel, Planes, SessionId, StationId, TransferNumber};
use gondola_simulator::{LabelMemory, LabelOptions, RadioOptions, StationOptions, World, WorldOptions};

const LABELS: u64 = 2_000;

const STATIONS: u64 = 4;

const REFRESH: Duration = Duration::from_secs(3);

/// Wait before a connection is made again.
const RECONNECT: Duration = Duration::from_secs(1);

const MINUTE: Duration = Duration::from_secs(60);

fn panel() -> Panel {
    "bwr-296x128".parse().unwrap()
}

/// A store's stations, their heads, and who still has to keep the promotion.
struct Store {
    now: Moment,
    world: World,
    heads: BTreeMap<StationId, Head>,
    sessions: u32,
    /// When a connection is made again.
    reconnects: BTreeMap<StationId, Moment>,
    activate_at: Moment,
    picture: Planes,
    /// Labels without a confirmed stage.
    missing: BTreeMap<StationId, Vec<LabelId>>,
    under_way: BTreeMap<TransferNumber, (StationId, LabelId)>,
    number: u32,
    staged: usize,
    lost: usize,
    drifts_ppb: Vec<i64>,
}

impl Store {
    fn new(loss: f64, activate_after: Duration) -> Self {
        let now = Moment::from_secs(1_000_000);
        let station = |number| StationOptions { id: station(number), ..StationOptions::default() };
        let label = |id| LabelOptions {
            label: LabelId(id),
            panel: panel(),
            wake: Duration::from_secs(60),
            station: None,
            shows: None,
            refresh: Some(REFRESH),
            memory: LabelMemory::default(),
        };
        let options = WorldOptions {
            seed: 7,
            loss,
            radio: RadioOptions::default(),
            stations: (0..STATIONS).map(station).collect(),
            labels: (0..LABELS).map(label).collect(),
        };
        let mut missing: BTreeMap<StationId, Vec<LabelId>> = BTreeMap::new();
        for id in 0..LABELS {
            missing.entry(self::station(id % STATIONS)).or_default().push(LabelId(id));
        }
        let heads: BTreeMap<_, _> =
            missing.keys().map(|id| (id.clone(), Head::new(id.clone(), HeadOptions::default()))).collect();
        Self {
            reconnects: heads.keys().map(|id| (id.clone(), now)).collect(),
            world: World::new(options, now),
            heads,
            now,
            sessions: 0,
            activate_at: now + activate_after,
            picture: Planes::new(panel(), vec![0x5A; panel().picture_bytes()]).unwrap(),
            missing,
            under_way: BTreeMap::new(),
            number: 0,
            staged: 0,
            lost: 0,
            drifts_ppb: Vec::new(),
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.pump();
        loop {
            let heads = self.heads.values().map(Head::poll_timeout);
            let due = heads.chain([self.world.poll_timeout(), self.reconnects.values().min().copied()]);
            let Some(next) = due.flatten().min().filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            self.heads.values_mut().for_each(|head| head.handle_timeout(self.now));
            self.world.handle_timeout(self.now);
            self.reconnect();
            self.pump();
        }
        self.now = end;
    }

    fn reconnect(&mut self) {
        for (id, head) in &mut self.heads {
            if head.wants_disconnect() {
                self.world.disconnect(self.now, id);
                head.disconnected(self.now);
                self.reconnects.insert(id.clone(), self.now + RECONNECT);
            }
            if self.reconnects.get(id).is_some_and(|at| *at <= self.now) {
                self.reconnects.remove(id);
                self.sessions += 1;
                self.world.connect(self.now, id);
                head.connected(self.now, SessionId(self.sessions));
            }
        }
    }

    fn pump(&mut self) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            let mut events = Vec::new();
            for (id, head) in &mut self.heads {
                while let Some(bytes) = head.poll_transmit() {
                    moved = true;
                    self.world.handle_bytes(self.now, id, &bytes);
                }
                while let Some(bytes) = self.world.poll_transmit(id) {
                    moved = true;
                    head.handle_bytes(self.now, &bytes);
                }
                events.extend(std::iter::from_fn(|| head.poll_event()).map(|event| (id.clone(), event)));
            }
            for (id, event) in events {
                self.handle(&id, event);
            }
        }
        self.fill();
    }

    fn handle(&mut self, station: &StationId, event: HeadEvent) {
        match event {
            HeadEvent::Outcome { number, outcome } => {
                let Some((station, label)) = self.under_way.remove(&number) else { return };
                match outcome {
                    Outcome::Status(Status::Staged) => self.staged += 1,
                    Outcome::Lost => {
                        self.lost += 1;
                        self.missing.entry(station).or_default().push(label);
                    }
                    other => panic!("label {label}: {other:?}"),
                }
            }
            HeadEvent::Clock(report) => {
                let certain = |drift: i64| drift.abs() - report.uncertainty_ppb;
                self.drifts_ppb.extend(report.drift_ppb.map(certain));
            }
            HeadEvent::Down(reason) => assert!(self.world.counters().reboots > 0, "`{station}`: {reason}"),
            _ => {}
        }
    }

    /// Hands over as many stages as each station has room for.
    fn fill(&mut self) {
        for (id, labels) in &mut self.missing {
            let head = self.heads.get_mut(id).unwrap();
            while let Some(label) = labels.pop() {
                let number = TransferNumber(self.number);
                let (edition, lane) = (Edition(5), Lane::Routine);
                let (planes, encodings) = (self.picture.clone(), u8::MAX);
                let picture = Picture { number, label, edition, lane, planes, held: None, encodings, packed: None };
                if head.stage(self.now, picture, Ahead { slot: 1, activate_at: self.activate_at }).is_err() {
                    labels.push(label);
                    break;
                }
                self.number += 1;
                self.under_way.insert(number, (id.clone(), label));
            }
        }
    }
}

fn station(number: u64) -> StationId {
    format!("station-{number}").parse().unwrap()
}

#[test]
fn two_thousand_labels_switch_within_a_second_although_a_station_restarts() {
    let mut store = Store::new(0.02, 30 * MINUTE);
    store.run(MINUTE);
    assert!(store.staged < 2_000, "it is under way");
    store.world.reboot(store.now, &station(1));
    store.run(24 * MINUTE);
    // Again, when every label has what it needs: nothing is sent for it.
    assert_eq!((store.staged, store.missing.values().flatten().count()), (2_000, 0));
    assert!(store.lost > 0, "what the station held was lost");
    store.world.reboot(store.now, &station(2));
    store.run(4 * MINUTE);
    assert!(store.world.labels().all(|label| label.displayed_at.is_none()), "nobody was early");
    store.run(2 * MINUTE);
    let early = store.activate_at - Duration::from_secs(1);
    let mut worst = Duration::ZERO;
    for label in store.world.labels() {
        let began = label.displayed_at.expect("it shows the promotion") - REFRESH;
        assert!(began >= early, "label {} began at {began}", label.label);
        worst = worst.max(began.since(store.activate_at)).max(store.activate_at.since(began));
        assert_eq!(label.planes, store.picture);
    }
    assert!(worst <= Duration::from_secs(1), "{worst:?}");
    // 20 ppm, and what the drift itself adds on the way.
    let allowed_ppb = 21_000;
    assert!(!store.drifts_ppb.is_empty() && store.drifts_ppb.iter().all(|drift| *drift < allowed_ppb));
}

#[test]
fn a_promotion_that_is_called_off_is_never_shown() {
    let mut store = Store::new(0.0, 20 * MINUTE);
    store.run(10 * MINUTE);
    assert_eq!(store.staged, 2_000);
    for number in 0..STATIONS {
        let head = store.heads.get_mut(&station(number)).unwrap();
        let labels = (number..LABELS).step_by(usize::try_from(STATIONS).unwrap()).map(LabelId);
        let first = store.number;
        let labels: Vec<_> = labels.zip(first..).map(|(label, number)| (TransferNumber(number), label)).collect();
        store.number += u32::try_from(labels.len()).unwrap();
        // As many as it has room for, and then the rest.
        let (some, rest) = labels.split_at(250);
        head.command(store.now, Action::Drop { slot: 1 }, Lane::Routine, some.to_vec()).unwrap();
        store.run(2 * MINUTE);
        let head = store.heads.get_mut(&station(number)).unwrap();
        head.command(store.now, Action::Drop { slot: 1 }, Lane::Routine, rest.to_vec()).unwrap();
    }
    store.run(15 * MINUTE);
    assert!(store.world.labels().all(|label| label.displayed_at.is_none()));
}
