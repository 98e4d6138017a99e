//! What a station holds for sleeping labels: at most one picture for each label and slot, and commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use gondola_protocol::message::{Action, Credits, Status, Transfer};
use gondola_protocol::{LabelId, Moment, TransferNumber};

/// A label that has not come for its picture in this time is probably gone from the shelf.
///
/// Longer than any sleep that makes sense in a shop (15 minutes), so that a label gets its chance.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// What became of a transfer.
pub(crate) type Settled = (TransferNumber, Status);

/// Where and when a picture is to be shown; slot 0 is the glass itself, at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) slot: u8,
    pub(crate) activate_at: Moment,
}

/// What a station holds, by label.
#[derive(Debug)]
pub(crate) struct Waiting {
    transfers_max: usize,
    bytes_max: usize,
    held: BTreeMap<Place, Held>,
    commands: BTreeMap<(LabelId, TransferNumber), Order>,
    /// The end of the station's patience with each of them.
    deadlines: BTreeSet<(Moment, LabelId, Work)>,
    bytes: usize,
    /// Labels that got work since somebody last asked: at most what one message brings.
    roused: Vec<LabelId>,
}

/// A label's slot.
type Place = (LabelId, u8);

/// What waits for a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Picture { slot: u8 },
    Command(TransferNumber),
}

#[derive(Debug)]
struct Held {
    transfer: Transfer,
    activate_at: Moment,
    deadline: Moment,
}

#[derive(Debug)]
struct Order {
    action: Action,
    deadline: Moment,
}

impl Waiting {
    pub(crate) fn new(transfers_max: usize, bytes_max: usize) -> Self {
        Self {
            transfers_max,
            bytes_max,
            held: BTreeMap::new(),
            commands: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            bytes: 0,
            roused: Vec::new(),
        }
    }

    /// What it may hold from now on. What it holds already stays.
    pub(crate) fn resize(&mut self, credits: &Credits) {
        self.transfers_max = usize::from(credits.transfers_max);
        self.bytes_max = usize::try_from(credits.bytes_max).unwrap_or(usize::MAX);
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len() + self.commands.len()
    }

    /// Picture data that it holds.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Labels that got work since the last call.
    pub(crate) fn take_roused(&mut self) -> Vec<LabelId> {
        std::mem::take(&mut self.roused)
    }

    /// The picture that a label is offered: the one for the glass before those that are sent ahead.
    pub(crate) fn of(&self, label: LabelId) -> Option<(Ahead, &Transfer)> {
        let mut slots = self.held.range((label, 0)..=(label, u8::MAX));
        slots.next().map(|((_, slot), held)| (Ahead { slot: *slot, activate_at: held.activate_at }, &held.transfer))
    }

    pub(crate) fn in_slot(&self, label: LabelId, slot: u8) -> Option<&Transfer> {
        self.held.get(&(label, slot)).map(|held| &held.transfer)
    }

    /// What a label is to do.
    pub(crate) fn commands(&self, label: LabelId) -> impl Iterator<Item = (TransferNumber, Action)> {
        let orders = self.commands.range((label, TransferNumber(0))..=(label, TransferNumber(u32::MAX)));
        orders.map(|((_, number), order)| (*number, order.action))
    }

    pub(crate) fn has_work(&self, label: LabelId) -> bool {
        self.of(label).is_some() || self.commands(label).next().is_some()
    }

    /// Takes a transfer in, and says what is settled by that: the lower edition of two for one slot at
    /// once, as nobody wants it any more; a transfer without room.
    pub(crate) fn add(&mut self, now: Moment, ahead: Ahead, mut transfer: Transfer) -> Vec<Settled> {
        let mut settled = Vec::new();
        let (label, slot) = (transfer.label, ahead.slot);
        if let Some(held) = self.in_slot(label, slot) {
            if held.edition > transfer.edition {
                return vec![(transfer.number, Status::Cancelled)];
            }
            settled.extend(self.remove(label, slot).map(|held| (held.number, Status::Cancelled)));
        }
        if self.len() >= self.transfers_max || self.bytes + transfer.data.len() > self.bytes_max {
            settled.push((transfer.number, Status::NoRoom));
            return settled;
        }
        // A copy: a slice would keep the whole frame that brought it.
        transfer.data = Bytes::copy_from_slice(&transfer.data);
        let deadline = now + PATIENCE;
        self.bytes += transfer.data.len();
        self.roused.push(label);
        self.deadlines.insert((deadline, label, Work::Picture { slot }));
        self.held.insert((label, slot), Held { transfer, activate_at: ahead.activate_at, deadline });
        settled
    }

    /// Takes an action in; settled at once when there is no room.
    pub(crate) fn order(
        &mut self,
        now: Moment,
        number: TransferNumber,
        label: LabelId,
        action: Action,
    ) -> Option<Settled> {
        if self.len() >= self.transfers_max {
            return Some((number, Status::NoRoom));
        }
        let deadline = now + PATIENCE;
        self.roused.push(label);
        self.deadlines.insert((deadline, label, Work::Command(number)));
        self.commands.insert((label, number), Order { action, deadline });
        None
    }

    pub(crate) fn remove(&mut self, label: LabelId, slot: u8) -> Option<Transfer> {
        let held = self.held.remove(&(label, slot))?;
        self.deadlines.remove(&(held.deadline, label, Work::Picture { slot }));
        self.bytes -= held.transfer.data.len();
        Some(held.transfer)
    }

    pub(crate) fn remove_command(&mut self, label: LabelId, number: TransferNumber) -> Option<Action> {
        let order = self.commands.remove(&(label, number))?;
        self.deadlines.remove(&(order.deadline, label, Work::Command(number)));
        Some(order.action)
    }

    /// Takes out those of `numbers` that still wait.
    pub(crate) fn cancel(&mut self, numbers: &BTreeSet<TransferNumber>) -> Vec<Settled> {
        let pictures =
            self.held.iter().map(|((label, slot), held)| (held.transfer.number, *label, Work::Picture { slot: *slot }));
        let commands = self.commands.keys().map(|(label, number)| (*number, *label, Work::Command(*number)));
        let unwanted: Vec<_> = pictures.chain(commands).filter(|(number, ..)| numbers.contains(number)).collect();
        for (_, label, work) in &unwanted {
            self.drop_work(*label, *work);
        }
        unwanted.into_iter().map(|(number, ..)| (number, Status::Cancelled)).collect()
    }

    /// Takes out those whose label did not come in time.
    pub(crate) fn expire(&mut self, now: Moment) -> Vec<Settled> {
        let mut settled = Vec::new();
        while let Some((deadline, label, work)) = self.deadlines.first().copied()
            && deadline <= now
        {
            settled.extend(self.drop_work(label, work).map(|number| (number, Status::Expired)));
        }
        settled
    }

    fn drop_work(&mut self, label: LabelId, work: Work) -> Option<TransferNumber> {
        match work {
            Work::Picture { slot } => self.remove(label, slot).map(|transfer| transfer.number),
            Work::Command(number) => self.remove_command(label, number).map(|_| number),
        }
    }

    /// When the next one expires.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|(deadline, ..)| *deadline)
    }
}
