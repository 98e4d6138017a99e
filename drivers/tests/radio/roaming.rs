//! Two radios on two channels, a head for each, and labels that go from one to the other, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_drivers::Action;
use gondola_drivers::head::{HeadEvent, Outcome, Picture, Wake};
use gondola_drivers::openepaperlink::line::{BAUD_FAST, LineOptions};
use gondola_drivers::openepaperlink::{LabelTypes, RadioHead, RadioOptions};
use gondola_protocol::message::{Lane, Status};
use gondola_protocol::{Digest, Edition, LabelId, Moment, Planes, TransferNumber};
use gondola_simulator::openepaperlink::{Hall, Model, SiteOptions, TagOptions};

use crate::shop::{label, picture};

const MINUTE: Duration = Duration::from_mins(1);

/// How well a label hears the two radios: near the first, near the second, between them.
const NEAR_FRONT: [u8; 2] = [180, 0];
const NEAR_BACK: [u8; 2] = [0, 180];
const CLOSER_TO_BACK: [u8; 2] = [90, 200];

/// What the controller knows of a label.
#[derive(Debug)]
struct Known {
    model: Model,
    desired: Planes,
    edition: Edition,
    heard_by: usize,
    under_way: Option<(usize, TransferNumber)>,
    proof_by: Option<Moment>,
    /// What it has proven, and through which radio.
    proven: Option<(Digest, usize)>,
    /// Why it woke when it was first heard by its radio of now.
    came_because: Option<Wake>,
}

struct Rooms {
    now: Moment,
    heads: [RadioHead; 2],
    hall: Hall,
    known: BTreeMap<LabelId, Known>,
    last: u32,
}

impl Rooms {
    fn new(seed: u64, loss: f64) -> Self {
        let now = Moment::from_secs(1_000);
        let heads = [11, 15].map(|channel| {
            let line = LineOptions { channel, power: 10, baud: BAUD_FAST };
            let options = RadioOptions { line, label_types: LabelTypes::default() };
            let mut head = RadioHead::new(options);
            head.connected(now);
            head
        });
        let hall = Hall::new(now, SiteOptions { seed, loss, radio: Default::default() }, 2);
        Self { now, heads, hall, known: BTreeMap::new(), last: 0 }
    }

    fn add(&mut self, number: u64, model: u8, qualities: [u8; 2]) {
        let (id, model) = (label(number), Model::of(model).unwrap());
        let options = TagOptions { label: id, model, firmware: 0x29, fault: None };
        self.hall.add(self.now, options, &qualities, Duration::from_millis(4_000 + number * 7_919 % 56_000));
        let known = Known {
            model,
            desired: picture(model.panel(), id.0, 0),
            edition: Edition(1),
            heard_by: 0,
            under_way: None,
            proof_by: None,
            proven: None,
            came_because: None,
        };
        self.known.insert(id, known);
    }

    fn change_all(&mut self, content: u64) {
        let ids: Vec<LabelId> = self.known.keys().copied().collect();
        for id in ids {
            let known = self.known.get_mut(&id).unwrap();
            known.desired = picture(known.model.panel(), id.0, content);
            known.edition = Edition(known.edition.0 + 1);
            known.proof_by = None;
            self.plan(id);
        }
    }

    /// Sends what is desired through the radio that last heard the label; what another one has is withdrawn before.
    fn plan(&mut self, id: LabelId) {
        let known = self.known.get_mut(&id).unwrap();
        if known.proven.is_some_and(|(digest, _)| digest == known.desired.digest())
            || known.proof_by.is_some_and(|until| until > self.now)
        {
            return;
        }
        if let Some((station, number)) = known.under_way {
            if station != known.heard_by {
                self.heads[station].cancel(self.now, number);
            }
            return;
        }
        self.last += 1;
        let (number, planes) = (TransferNumber(self.last), known.desired.clone());
        let picture = Picture {
            number,
            label: id,
            edition: known.edition,
            lane: Lane::Price,
            planes,
            held: None,
            encodings: u8::MAX,
            packed: None,
        };
        if self.heads[known.heard_by].submit(self.now, picture).is_ok() {
            known.under_way = Some((known.heard_by, number));
        }
    }

    #[track_caller]
    fn settle(&mut self, within: Duration) {
        let until = self.now + within;
        loop {
            let is_open = |known: &Known| known.proven.map(|(digest, _)| digest) != Some(known.desired.digest());
            let open: Vec<LabelId> = self.known.iter().filter(|(_, known)| is_open(known)).map(|(id, _)| *id).collect();
            if open.is_empty() {
                break;
            }
            assert!(self.now < until, "{open:?} do not settle");
            self.step(until);
        }
        for (id, known) in &self.known {
            assert_eq!(self.hall.label(*id).unwrap().planes, known.desired, "{id}");
        }
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step(until);
        }
    }

    fn step(&mut self, until: Moment) {
        self.exchange();
        let next = self.heads.iter().map(RadioHead::poll_timeout).chain([self.hall.poll_timeout()]);
        self.now = next.flatten().min().unwrap_or(until).max(self.now).min(until);
        self.hall.handle_timeout(self.now);
        for head in &mut self.heads {
            if head.poll_timeout().is_some_and(|at| at <= self.now) {
                head.handle_timeout(self.now);
            }
        }
        self.exchange();
    }

    fn exchange(&mut self) {
        loop {
            let mut has_moved = false;
            for station in 0..2 {
                let (head, site) = (&mut self.heads[station], self.hall.radio(station));
                if let Some(bytes) = site.poll_transmit(head.baud()) {
                    head.handle_bytes(self.now, &bytes);
                    has_moved = true;
                }
                while let Some(packing) = head.poll_packing() {
                    head.packed(self.now, packing.run());
                }
                while let Some(bytes) = head.poll_transmit() {
                    site.handle_bytes(self.now, &bytes, head.baud());
                    has_moved = true;
                }
                if head.wants_disconnect() {
                    head.disconnected(self.now);
                }
                self.hear(station);
            }
            if !has_moved {
                return;
            }
        }
    }

    fn hear(&mut self, station: usize) {
        while let Some(event) = self.heads[station].poll_event() {
            match event {
                HeadEvent::Outcome { number, outcome } => self.hear_outcome(number, outcome),
                HeadEvent::CheckIn(proof) => {
                    let glass = self.hall.label(proof.label).unwrap().planes;
                    assert_eq!(glass.digest(), proof.digest, "{} proves what it does not show", proof.label);
                    let known = self.known.get_mut(&proof.label).unwrap();
                    (known.proven, known.proof_by) = (Some((proof.digest, station)), None);
                }
                HeadEvent::Heard(said) => {
                    let known = self.known.get_mut(&said.label).unwrap();
                    if known.heard_by != station || known.came_because.is_none() {
                        known.came_because = Some(said.wake);
                    }
                    known.heard_by = station;
                    self.plan(said.label);
                }
                HeadEvent::Present(id) => self.plan(id),
                _ => {}
            }
        }
    }

    fn hear_outcome(&mut self, number: TransferNumber, outcome: Outcome) {
        let found = self.known.iter_mut().find(|(_, known)| known.under_way.is_some_and(|(_, of)| of == number));
        let Some((id, known)) = found else { return };
        let id = *id;
        known.under_way = None;
        match outcome {
            Outcome::Taken { proof_by } => known.proof_by = Some(proof_by),
            Outcome::Lost | Outcome::Status(Status::Cancelled) => self.plan(id),
            Outcome::Status(_) => {}
        }
    }

    fn proven_by(&self, number: u64) -> Option<usize> {
        self.known[&label(number)].proven.map(|(_, station)| station)
    }
}

/// Six labels near either radio, of both makers.
fn twelve(loss: f64) -> Rooms {
    let mut rooms = Rooms::new(61, loss);
    for number in 0..12 {
        let model = if number % 4 < 2 { 0x01 } else { 0x33 };
        rooms.add(number, model, if number % 2 == 0 { NEAR_FRONT } else { NEAR_BACK });
    }
    rooms.run_for(2 * MINUTE);
    rooms.change_all(1);
    rooms.settle(20 * MINUTE);
    rooms
}

#[test]
fn each_label_is_served_by_the_radio_that_it_is_with() {
    let rooms = twelve(0.05);
    for number in 0..12 {
        assert_eq!(rooms.proven_by(number), Some(usize::try_from(number % 2).unwrap()), "label {number}");
    }
}

#[test]
fn a_label_that_is_carried_to_another_radio_is_served_there() {
    let mut rooms = twelve(0.05);
    for number in [0, 2, 4] {
        rooms.hall.carry(label(number), &NEAR_BACK);
    }
    rooms.change_all(2);
    // A label looks for another radio after eight or twelve check-ins without an answer, further and further apart.
    rooms.settle(75 * MINUTE);
    for number in 0..12 {
        let expected = usize::from(number % 2 == 1 || number < 6);
        assert_eq!(rooms.proven_by(number), Some(expected), "label {number}");
    }
    assert_eq!(rooms.known[&label(0)].came_because, Some(Wake::Found));
}

#[test]
fn a_label_that_changes_its_radio_before_it_was_proven_is_proven_by_the_other_one() {
    let mut rooms = twelve(0.0);
    rooms.change_all(2);
    // An M3 is asked for its proof five minutes after it has taken its picture.
    rooms.run_for(4 * MINUTE);
    let moved = label(2);
    assert_eq!(rooms.hall.label(moved).unwrap().planes, rooms.known[&moved].desired);
    assert!(rooms.known[&moved].proof_by.is_some(), "it has taken it and not proven it");
    rooms.hall.carry(moved, &NEAR_BACK);
    rooms.settle(120 * MINUTE);
    assert_eq!(rooms.proven_by(2), Some(1));
}

#[test]
fn a_label_that_is_told_to_look_around_goes_to_the_radio_that_it_hears_best() {
    let mut rooms = twelve(0.0);
    for number in [0, 2] {
        rooms.hall.carry(label(number), &CLOSER_TO_BACK);
    }
    rooms.run_for(5 * MINUTE);
    assert_eq!([0, 2].map(|number| rooms.hall.radio_of(label(number))), [Some(0); 2], "nobody told them");
    for number in [0, 2] {
        let told = vec![(TransferNumber(90_000 + number), label(number.into()))];
        rooms.heads[0].command(rooms.now, Action::Scan, told).unwrap();
    }
    rooms.run_for(5 * MINUTE);
    rooms.change_all(2);
    rooms.settle(20 * MINUTE);
    assert_eq!([0, 2].map(|number| rooms.proven_by(number)), [Some(1); 2]);
}

#[test]
fn the_labels_of_a_radio_that_is_gone_are_served_by_another_one() {
    let mut rooms = twelve(0.0);
    for number in (0..12).step_by(2) {
        rooms.hall.carry(label(number), &[180, 60]);
    }
    rooms.hall.radio(0).switch_off();
    rooms.change_all(2);
    rooms.settle(90 * MINUTE);
    assert!((0..12).all(|number| rooms.proven_by(number) == Some(1)));
}
