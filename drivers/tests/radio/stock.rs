//! The access point that the hardware comes with, as far as it is published how it goes about things: one command at a
//! time, every label's picture in its slot at once, twenty minutes of life, and what ran out is forgotten. Beside it,
//! ours: the same labels, pictures and radio.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gondola_drivers::openepaperlink::LabelTypes;
use gondola_drivers::openepaperlink::payload::{self, Payload, Variant};
use gondola_drivers::openepaperlink::reader::Reader;
use gondola_drivers::openepaperlink::wire::{Command, NextCheckIn, Offer, Reply, Said, Slot, block_reply};
use gondola_protocol::{LabelId, Moment, Planes};
use gondola_simulator::openepaperlink::{Model, Site, SiteOptions, TagOptions};

use crate::shop::{Shop, label, picture};

/// M2 of 2.9 inches.
const MODEL: u8 = 0x01;
const LABELS: u64 = 100;

/// How long the shop has been running when its prices change.
const BEFORE: Duration = Duration::from_mins(25);

/// After this whoever has not got the picture does not get it.
const PATIENCE: Duration = Duration::from_hours(2);

/// How long a command waits for its answer.
const ANSWER_MAX: Duration = Duration::from_millis(200);

/// What labels without work are told: to come again in 10 minutes, which is how it comes; or nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idle {
    TenMinutes,
    AsTheyLike,
}

struct Stock {
    now: Moment,
    site: Site,
    baud: u32,
    reader: Reader,
    commands: VecDeque<Command>,
    /// A block to send, at first its token alone.
    block: Option<Bytes>,
    waits_until: Option<Moment>,
    sending_block: bool,
    items: BTreeMap<LabelId, Payload>,
    expected: BTreeMap<LabelId, Moment>,
    idle: Idle,
    next_look: Moment,
    lost: usize,
}

impl Stock {
    fn new(idle: Idle) -> Self {
        let now = Moment::from_secs(1_000);
        let options = SiteOptions { seed: 61, loss: 0.0, radio: Default::default() };
        let mut stock = Self {
            now,
            site: Site::new(now, options),
            baud: 115_200,
            reader: Reader::default(),
            commands: VecDeque::from([Command::HighSpeed]),
            block: None,
            waits_until: None,
            sending_block: false,
            items: BTreeMap::new(),
            expected: BTreeMap::new(),
            idle,
            next_look: now,
            lost: 0,
        };
        for number in 0..LABELS {
            let model = Model::of(MODEL).unwrap();
            let options = TagOptions { label: label(number), model, firmware: 0x29, fault: None };
            stock.site.add(now, options, Duration::from_millis(4_000 + number * 7_919 % 56_000));
        }
        stock.run_for(Duration::from_millis(150));
        stock.baud = 2_000_000;
        stock.commands.push_back(Command::Channel { channel: 11, power: 10 });
        stock.run_for(Duration::from_millis(850));
        stock
    }

    fn slot(label: LabelId, offer: Offer, minutes: u16) -> Command {
        Command::Arm(Slot { offer, minutes, label })
    }

    fn offer(&mut self, id: LabelId) {
        let Some(payload) = self.items.get(&id) else { return };
        let size = u32::try_from(payload.bytes.len()).unwrap();
        let offer =
            Offer { version: payload.version, size, kind: payload.kind, argument: 0, next: NextCheckIn::LabelDecides };
        self.commands.push_back(Self::slot(id, offer, 20));
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step(until);
        }
    }

    fn step(&mut self, until: Moment) {
        let next = [self.site.poll_timeout(), self.waits_until, Some(self.next_look)];
        self.now = next.into_iter().flatten().min().unwrap().clamp(self.now, until);
        self.site.handle_timeout(self.now);
        while let Some(bytes) = self.site.poll_transmit(self.baud) {
            let mut said = Vec::new();
            self.reader.read(&bytes, |one| said.push(one));
            said.into_iter().for_each(|one| self.hear(one));
        }
        if self.next_look <= self.now {
            self.next_look = self.now + Duration::from_secs(1);
            self.look();
        }
        if self.waits_until.is_some_and(|until| until <= self.now) {
            (self.waits_until, self.sending_block) = (None, false);
        }
        self.send();
    }

    /// Labels without work are told to sleep shortly before they come.
    fn look(&mut self) {
        if self.idle == Idle::AsTheyLike {
            return;
        }
        let soon = self.now + Duration::from_secs(30);
        let due: Vec<LabelId> = self.expected.iter().filter(|(_, at)| **at <= soon).map(|(id, _)| *id).collect();
        for id in due {
            self.expected.insert(id, self.now + Duration::from_mins(10));
            if !self.items.contains_key(&id) {
                self.commands.push_back(Self::slot(id, Offer::nothing(NextCheckIn::Minutes(10)), 20));
            }
        }
    }

    fn send(&mut self) {
        if self.waits_until.is_some() {
            return;
        }
        if self.block.is_some() {
            self.sending_block = true;
            self.site.handle_bytes(self.now, b">D>", self.baud);
        } else if let Some(command) = self.commands.pop_front() {
            let mut bytes = BytesMut::new();
            command.encode(&mut bytes);
            self.site.handle_bytes(self.now, &bytes, self.baud);
        } else {
            return;
        }
        self.waits_until = Some(self.now + ANSWER_MAX);
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Reply(Reply::Ack) => {
                self.waits_until = None;
                if std::mem::take(&mut self.sending_block)
                    && let Some(block) = self.block.take()
                {
                    self.site.handle_bytes(self.now, &block.slice(3..), self.baud);
                }
            }
            Said::CheckIn(report) => {
                self.expected.insert(report.label, self.now + Duration::from_secs(40));
                self.offer(report.label);
            }
            Said::BlockRequest { label, version, block } => {
                let payload = self.items.get(&label).filter(|payload| payload.version == version);
                self.block = payload.and_then(|payload| payload.block(block)).map(block_reply);
            }
            Said::Complete(label) => drop(self.items.remove(&label)),
            Said::TimedOut(label) => self.lost += usize::from(self.items.remove(&label).is_some()),
            _ => {}
        }
    }

    /// How long it takes until every label that gets its picture shows it, how many do not, and how often a label was
    /// sent away.
    fn measure(idle: Idle, away: u64) -> (Duration, usize, u64) {
        let mut stock = Self::new(idle);
        stock.run_for(BEFORE);
        let kind = LabelTypes::default().get(MODEL).unwrap().clone();
        let (start, cancels) = (stock.now, stock.site.counters().cancels);
        for number in 0..away {
            stock.site.carry_away(label(number), start + Duration::from_mins(30));
        }
        let mut wanted: BTreeMap<LabelId, Planes> = BTreeMap::new();
        for id in (0..LABELS).map(label) {
            let planes = picture(kind.panel, id.0, 1);
            let payload = payload::pack(&planes, &kind, 0x29, Variant::default()).unwrap();
            assert_eq!(payload.blocks(), 1);
            stock.items.insert(id, payload);
            stock.offer(id);
            wanted.insert(id, planes);
        }
        let mut all_at = start;
        let mut waiting = wanted.len();
        while waiting > stock.lost && stock.now < start + PATIENCE {
            stock.step(start + PATIENCE);
            let still = wanted.iter().filter(|(id, planes)| stock.site.label(**id).unwrap().planes != **planes).count();
            if still < waiting {
                (waiting, all_at) = (still, stock.now);
            }
        }
        (all_at.since(start), waiting, stock.site.counters().cancels - cancels)
    }
}

fn ours(away: u64) -> (Duration, Duration, u64) {
    let mut shop = Shop::new(61, 0.0);
    (0..LABELS).for_each(|number| shop.add(number, MODEL));
    shop.run_for(BEFORE);
    let (start, cancels) = (shop.now, shop.site.counters().cancels);
    for number in 0..away {
        shop.site.carry_away(label(number), start + Duration::from_mins(30));
    }
    shop.change_all(1);
    let shown = shop.show(PATIENCE);
    let cancels = shop.site.counters().cancels - cancels;
    shop.settle(PATIENCE);
    (shown.since(start), shop.now.since(start), cancels)
}

#[test]
fn a_hundred_labels_are_updated_in_half_the_time_and_none_is_lost() {
    let [by_default, at_its_best] = [Idle::TenMinutes, Idle::AsTheyLike].map(|idle| Stock::measure(idle, 0));
    let (shown, proven, cancels) = ours(0);
    println!("stock access point: {by_default:?}; labels that come when they like: {at_its_best:?}");
    println!("gondola: shown after {shown:?}, proven after {proven:?}, {cancels} sent away");
    let ratio = |(time, ..): (Duration, usize, u64)| time.as_secs_f64() / shown.as_secs_f64();
    println!("{:.2} times as fast, {:.2} times as the other at its best", ratio(by_default), ratio(at_its_best));
    assert!(ratio(by_default) >= 2.0 && ratio(at_its_best) > 1.0);
}

#[test]
fn labels_that_were_away_for_half_an_hour_are_lost_to_the_one_and_not_to_the_other() {
    let (_, lost, _) = Stock::measure(Idle::AsTheyLike, 10);
    assert!(lost >= 10, "{lost}");
    ours(10);
}
