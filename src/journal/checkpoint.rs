//! What a journal's records up to some position come to, so that a start need not read years of them.
//!
//! Records are folded by what they are about: of a label the registration, the binding, the last proof and its last
//! confirmation; of a product the prices that a struck-through price may still need; of a row that waited the last
//! verdict; of an alert that holds the last news. A checkpoint is a file of the entries that are left, with a hash over all of it, and is written whole or not
//! at all. It holds nothing that the segments before it did not: it can be made anew from them while they are kept.
//!
//! ```text
//! {"checkpoint":{"format":1,"store":"hz-001","position":{"sequence":52113,"hash":"…"},"at":"…"}}
//! {"position":{"sequence":8,"hash":"…"},"at":"…","entry":{…}}      as recorded
//! {"position":null,"at":"…","entry":{…}}                           several records in one
//! {"end":{"lines":4711,"hash":"<BLAKE3 of every line before>"}}
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read as _, Write};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use gondola_protocol::{LabelId, Moment, StoreId};
use jiff::Timestamp;
use memchr::{memchr, memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

use super::chain::{Hash32, Position, Record, timestamp};
use super::directory::{Directory, write_whole};
use super::entry::{CONFIRMED_MAX, Confirmed, Entry};
use super::segment::{FORMAT, checkpoint_name};
use crate::accounts::{ACTS_MAX, Change, TokenId};
use crate::alert::{self, Alert, Rule};
use crate::catalog::history::{History, PricePoint};
use crate::catalog::sku::Sku;
use crate::catalog::wire::RowKey;
use crate::fleet::accuracy;

/// Prices in one entry, as the core puts them out.
const POINTS_MAX: usize = 1_000;

/// A record, or what several came to: what a start reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// The record; none for what several came to.
    pub position: Option<Position>,
    /// When it was decided.
    pub at: Moment,
    /// What was decided or proven.
    pub entry: Entry,
}

impl From<Record> for Recalled {
    fn from(Record { position, at, entry }: Record) -> Self {
        Self { position: Some(position), at, entry }
    }
}

/// What a checkpoint covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// The newest record in it.
    pub position: Position,
    /// When that was decided.
    pub at: Moment,
}

/// Records, folded.
#[derive(Debug, Default)]
pub(super) struct Fold {
    labels: BTreeMap<LabelId, Folded>,
    prices: BTreeMap<Sku, History>,
    verdicts: BTreeMap<RowKey, Recalled>,
    /// The newest of the hours' samples, as many as a store looks back on.
    accuracy: VecDeque<Recalled>,
    /// The newest news of each alert that holds, and the newest of all alerts, as many as a store remembers.
    alerts: BTreeMap<(Rule, String), Recalled>,
    alert_news: VecDeque<Recalled>,
    accounts: Vec<Recalled>,
    /// The last use of each token.
    token_uses: BTreeMap<TokenId, Recalled>,
    /// The newest acts, as many as are remembered.
    acts: VecDeque<Recalled>,
}

/// What is left of a label's records.
#[derive(Debug)]
struct Folded {
    registered: Recalled,
    bound: Option<Recalled>,
    proof: Option<Recalled>,
    confirmed: Option<Confirmed>,
}

impl Fold {
    /// Takes in the next record.
    pub(super) fn take(&mut self, recalled: Recalled) {
        match &recalled.entry {
            Entry::Registered { label, .. } => match self.labels.get_mut(label) {
                Some(folded) => folded.registered = recalled,
                None => {
                    let folded = Folded { registered: recalled.clone(), bound: None, proof: None, confirmed: None };
                    self.labels.insert(*label, folded);
                }
            },
            Entry::Removed { label } => drop(self.labels.remove(label)),
            Entry::Bound { label, .. } => self.of(*label, |folded| folded.bound = Some(recalled.clone())),
            Entry::Unbound { label } => self.of(*label, |folded| folded.bound = None),
            Entry::Proof { label, .. } => self.of(*label, |folded| {
                folded.proof = Some(recalled.clone());
                folded.confirmed = None;
            }),
            Entry::Confirmed { labels } => {
                for confirmed in labels {
                    self.of(confirmed.label, |folded| folded.confirmed = Some(*confirmed));
                }
            }
            Entry::Prices { points } => {
                for point in points {
                    self.prices.entry(point.sku.clone()).or_default().restore(point.clone());
                }
            }
            Entry::Decided { row, .. } => drop(self.verdicts.insert(row.clone(), recalled)),
            Entry::Accuracy { .. } => push(&mut self.accuracy, recalled, accuracy::HOURS_MAX),
            Entry::Alert(alert) => self.take_alert(alert.clone(), recalled),
            Entry::Replaced { .. } => self.take_exchange(&recalled),
            Entry::Account(Change::Acted(_)) => push(&mut self.acts, recalled, ACTS_MAX),
            Entry::Account(Change::TokenUsed { token }) => drop(self.token_uses.insert(token.clone(), recalled)),
            Entry::Account(_) => self.accounts.push(recalled),
        }
    }

    fn take_alert(&mut self, alert: Alert, recalled: Recalled) {
        let key = (alert.rule, alert.subject);
        match alert.state {
            alert::State::Raised => drop(self.alerts.insert(key, recalled.clone())),
            alert::State::Cleared => drop(self.alerts.remove(&key)),
        }
        push(&mut self.alert_news, recalled, alert::NEWS_MAX);
    }

    /// An exchange comes to a registration and a binding of the new device, and to neither of the old one's.
    fn take_exchange(&mut self, recalled: &Recalled) {
        let Entry::Replaced { label, panel, with, with_panel, position, skus, template } = &recalled.entry else {
            return;
        };
        let part = |entry| Recalled { position: None, at: recalled.at, entry };
        let (skus, template) = (skus.clone(), template.clone());
        for entry in [
            Entry::Registered { label: *with, panel: *with_panel, position: position.clone() },
            Entry::Bound { label: *with, skus, template },
            Entry::Unbound { label: *label },
            Entry::Registered { label: *label, panel: *panel, position: Default::default() },
        ] {
            self.take(part(entry));
        }
    }

    /// A record about a label that is not registered says nothing any more.
    fn of(&mut self, label: LabelId, change: impl FnOnce(&mut Folded)) {
        if let Some(folded) = self.labels.get_mut(&label) {
            change(folded);
        }
    }

    /// What is left, in an order in which it can be taken up again.
    fn entries(&self, at: Moment) -> impl Iterator<Item = Recalled> {
        let labels = self.labels.values().flat_map(|folded| {
            let Folded { registered, bound, proof, .. } = folded;
            [Some(registered), bound.as_ref(), proof.as_ref()].into_iter().flatten().cloned()
        });
        let confirmed = grouped(self.labels.values().filter_map(|folded| folded.confirmed), CONFIRMED_MAX);
        let points = self.prices.iter().flat_map(|(sku, history)| history.points(sku));
        let points = grouped::<PricePoint>(points, POINTS_MAX);
        let folded = move |entry| Recalled { position: None, at, entry };
        labels
            .chain(confirmed.map(move |labels| folded(Entry::Confirmed { labels })))
            .chain(points.map(move |points| folded(Entry::Prices { points })))
            .chain(self.verdicts.values().cloned())
            .chain(self.accuracy.iter().cloned())
            .chain(self.alerts())
            .chain(self.accounts.iter().chain(self.token_uses.values()).chain(&self.acts).cloned())
    }

    /// The alerts that hold and are no news any more, then the news.
    fn alerts(&self) -> impl Iterator<Item = Recalled> {
        let number = |recalled: &Recalled| match &recalled.entry {
            Entry::Alert(alert) => alert.number,
            _ => 0,
        };
        let oldest = self.alert_news.front().map_or(u64::MAX, number);
        let mut held: Vec<&Recalled> = self.alerts.values().filter(|recalled| number(recalled) < oldest).collect();
        held.sort_unstable_by_key(|recalled| number(recalled));
        held.into_iter().chain(&self.alert_news).cloned()
    }

    /// Writes the checkpoint that covers every record taken so far.
    pub(super) fn write(&self, directory: &dyn Directory, store: &StoreId, covered: Covered) -> io::Result<()> {
        write_whole(directory, &checkpoint_name(covered.position.sequence), |out| {
            let mut out = Hashed { out: GzEncoder::new(out, Compression::default()), hasher: blake3::Hasher::new() };
            let Covered { position, at } = covered;
            let header = Header { format: FORMAT, store: store.clone(), position, at: timestamp(at) };
            out.line(&HeaderLine { checkpoint: header })?;
            let mut lines = 1;
            for Recalled { position, at, entry } in self.entries(at) {
                out.line(&Line { position, at: timestamp(at), entry })?;
                lines += 1;
            }
            let hash = Hash32(*out.hasher.finalize().as_bytes());
            out.line(&EndLine { end: End { lines, hash } })?;
            out.out.finish().map(drop)
        })
        .map(drop)
    }
}

/// Keeps the newest `max`.
fn push(kept: &mut VecDeque<Recalled>, recalled: Recalled, max: usize) {
    if kept.len() == max {
        kept.pop_front();
    }
    kept.push_back(recalled);
}

/// The items in lists of at most `count`.
fn grouped<T>(mut items: impl Iterator<Item = T>, count: usize) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || Some(items.by_ref().take(count).collect::<Vec<T>>()).filter(|group| !group.is_empty()))
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    checkpoint: Header,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    store: StoreId,
    position: Position,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Line {
    position: Option<Position>,
    at: Timestamp,
    entry: Entry,
}

#[derive(Serialize, Deserialize)]
struct EndLine {
    end: End,
}

#[derive(Serialize, Deserialize)]
struct End {
    lines: u64,
    hash: Hash32,
}

struct Hashed<W: Write> {
    out: GzEncoder<W>,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashed<W> {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.hasher.update(&line);
        self.out.write_all(&line)
    }
}

/// Why a checkpoint is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("checkpoint {name} cannot be used: {reason}")]
pub struct CheckpointError {
    /// The file.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A checkpoint that is, to its last byte, what was written.
pub(super) struct Checkpoint {
    name: String,
    pub(super) covered: Covered,
    text: Vec<u8>,
}

impl Checkpoint {
    /// Reads a checkpoint, and checks it.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what was written.
    pub(super) fn read(directory: &dyn Directory, store: &StoreId, sequence: u64) -> Result<Self, CheckpointError> {
        let name = checkpoint_name(sequence);
        let refused = |reason: String| CheckpointError { name: name.clone(), reason };
        let mut text = Vec::new();
        let read = directory.read(&name).and_then(|file| MultiGzDecoder::new(file).read_to_end(&mut text));
        read.map_err(|error| refused(error.to_string()))?;
        let covered = check(&text, store, sequence).map_err(refused)?;
        Ok(Self { covered, text, name })
    }

    /// Hands over what it holds.
    ///
    /// # Errors
    /// A line that is not understood.
    pub(super) fn recall(&self, recalled: &mut dyn FnMut(Recalled)) -> Result<(), CheckpointError> {
        let refused = |reason: String| CheckpointError { name: self.name.clone(), reason };
        for line in lines(&self.text).filter(|line| line.starts_with(br#"{"position""#)) {
            let read = serde_json::from_slice(line).map_err(|error| refused(error.to_string()));
            let Line { position, at, entry } = read?;
            recalled(Recalled { position, at: moment(at).map_err(refused)?, entry });
        }
        Ok(())
    }
}

/// What a checkpoint's text covers; or why it is not used.
fn check(text: &[u8], store: &StoreId, sequence: u64) -> Result<Covered, String> {
    let header = lines(text).next().ok_or("it is empty")?;
    let HeaderLine { checkpoint } = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    let Header { format, store: of, position, at } = checkpoint;
    if format != FORMAT {
        return Err(format!("it has format {format}, this gondola reads format {FORMAT}"));
    }
    if of != *store || position.sequence != sequence {
        return Err(format!("it calls itself the checkpoint of store `{of}` at record {}", position.sequence));
    }
    let whole = text.strip_suffix(b"\n").ok_or("it ends within a line")?;
    let last = memrchr(b'\n', whole).map_or(0, |newline| newline + 1);
    let EndLine { end } =
        serde_json::from_slice(&whole[last..]).map_err(|_| "it ends before its last line".to_owned())?;
    let before = &text[..last];
    let hash = Hash32(*blake3::hash(before).as_bytes());
    if hash != end.hash || memchr_iter(b'\n', before).count() as u64 != end.lines {
        return Err(format!("its lines were changed: their hash is {hash}, not {}", end.hash));
    }
    Ok(Covered { position, at: moment(at)? })
}

/// Each line with its newline.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = memchr(b'\n', text).map_or(text.len(), |newline| newline + 1);
        text.split_off(..length).filter(|line| !line.is_empty())
    })
}

fn moment(at: Timestamp) -> Result<Moment, String> {
    let micros = u64::try_from(at.as_microsecond()).map_err(|_| format!("{at} is before 1970"))?;
    Ok(Moment::from_micros(micros))
}
