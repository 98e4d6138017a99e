//! `gondola journal`

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use gondola_protocol::{LabelId, Moment, StoreId};
use serde_json::json;

use super::{Ended, UsageError};
use crate::catalog::sku::Sku;
use crate::journal::{DIR_NAME, Directory, DiskDirectory, Flaw, JournalReader, Record, Verified, keeper, verify};
use crate::storage::{DataDir, View, store_dir};

/// Look at stores' journals.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Journal {
    /// Read every record and check that the chain of hashes is whole. A running controller is not disturbed.
    Verify {
        #[command(flatten)]
        stores: Stores,
    },
    /// Print records, oldest first, each checked on the way. A running controller is not disturbed.
    Show(Show),
    /// Make what is derived from the journals anew: their checkpoints and the views. The controller must not run.
    Rebuild {
        #[command(flatten)]
        stores: Stores,
    },
}

/// Which journals.
#[derive(Debug, clap::Args)]
pub(super) struct Stores {
    /// The configuration that names data directory and stores.
    #[arg(long, value_name = "FILE", required_unless_present = "data_dir", conflicts_with = "data_dir")]
    config: Option<PathBuf>,
    /// A data directory, with every store in it.
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
    /// One store alone.
    #[arg(long, value_name = "ID")]
    store: Option<StoreId>,
}

/// Which records, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    stores: Stores,
    /// Records about this label.
    #[arg(long, value_name = "ID")]
    label: Option<LabelId>,
    /// Records that name this product.
    #[arg(long, value_name = "SKU")]
    sku: Option<Sku>,
    /// Records from then on, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<jiff::Timestamp>,
    /// Records before then, RFC 3339.
    #[arg(long, value_name = "TIME")]
    until: Option<jiff::Timestamp>,
    /// One JSON object per line instead of sentences.
    #[arg(long)]
    json: bool,
}

impl Journal {
    pub(super) fn run(self) -> anyhow::Result<Ended> {
        match self {
            Self::Verify { stores } => verify_all(&stores),
            Self::Show(show) => show.run(),
            Self::Rebuild { stores } => rebuild_all(&stores),
        }
    }
}

impl Stores {
    /// The data directory and the stores in it that are meant.
    fn named(&self) -> anyhow::Result<(PathBuf, Vec<StoreId>)> {
        let (data_dir, mut stores) = match (&self.config, &self.data_dir) {
            (Some(config), _) => {
                let config = super::config(config)?;
                let stores = config.store.iter().map(|store| store.id.clone()).collect();
                (config.data_dir, stores)
            }
            (None, data_dir) => {
                let data_dir = data_dir.clone().unwrap_or_default();
                let stores = stores_in(&data_dir)?;
                (data_dir, stores)
            }
        };
        if let Some(store) = &self.store {
            if !stores.contains(store) {
                let there = stores.iter().map(StoreId::as_str).collect::<Vec<_>>().join(", ");
                return Err(UsageError::Value(format!("there is no store `{store}`; there are {there}")).into());
            }
            stores.retain(|named| named == store);
        }
        Ok((data_dir, stores))
    }
}

fn stores_in(data_dir: &Path) -> anyhow::Result<Vec<StoreId>> {
    let stores = data_dir.join("stores");
    let entries = std::fs::read_dir(&stores).with_context(|| format!("cannot read {}", stores.display()))?;
    let mut found: Vec<StoreId> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    found.sort();
    Ok(found)
}

fn directory(data_dir: &Path, store: &StoreId) -> anyhow::Result<Arc<dyn Directory>> {
    let path = store_dir(data_dir, store).join(DIR_NAME);
    let opened = std::fs::read_dir(&path);
    opened.with_context(|| format!("cannot open the journal of store `{store}`, {}", path.display()))?;
    Ok(DiskDirectory::at(&path))
}

fn verify_all(stores: &Stores) -> anyhow::Result<Ended> {
    let (data_dir, stores) = stores.named()?;
    let mut ended = Ended::Done;
    let mut reports = Vec::new();
    for store in stores {
        let (report, whole) = verify_store(&store, directory(&data_dir, &store)?);
        reports.push(report);
        if !whole {
            ended = Ended::Findings;
        }
    }
    super::print_json(&json!({ "journals": reports }))?;
    Ok(ended)
}

/// Verifies a store's journal. A line that is being written right now, or was torn by a power cut, is told
/// of and is no finding: it was never acknowledged.
fn verify_store(store: &StoreId, directory: Arc<dyn Directory>) -> (serde_json::Value, bool) {
    match verify(directory, store) {
        Ok(Verified { records, first, segments, checkpoint, head }) => {
            let report = json!({ "store": store, "state": "whole", "records": records, "first": first,
                "segments": segments, "checkpoint": checkpoint, "head": head });
            (report, true)
        }
        Err(broken) => {
            let torn = matches!(broken.flaw, Flaw::Torn { .. });
            let report = json!({ "store": store, "state": if torn { "torn" } else { "broken" },
                "records": broken.sequence - 1, "sequence": broken.sequence, "file": broken.file,
                "line": broken.line, "offset": broken.offset, "error": broken.to_string(), "hint": broken.hint() });
            (report, torn)
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<Ended> {
        let (data_dir, stores) = self.stores.named()?;
        let mut out = BufWriter::new(io::stdout().lock());
        for store in stores {
            if self.print(&store, directory(&data_dir, &store)?, &mut out)? == Ended::Findings {
                return Ok(Ended::Findings);
            }
        }
        out.flush()?;
        Ok(Ended::Done)
    }

    fn print(&self, store: &StoreId, directory: Arc<dyn Directory>, out: &mut impl Write) -> anyhow::Result<Ended> {
        let since = self.since.map_or(Moment::ZERO, super::moment);
        let records = JournalReader::new(directory, store).since(since)?;
        for record in records {
            let record = match record {
                Ok(record) => record,
                // It is being written right now, or was torn by a power cut.
                Err(broken) if matches!(broken.flaw, Flaw::Torn { .. }) => break,
                Err(broken) => {
                    out.flush()?;
                    eprintln!("error: the journal of store `{store}` does not verify\ncause: {broken}");
                    eprintln!("hint:  {}", broken.hint());
                    return Ok(Ended::Findings);
                }
            };
            if self.wants(since, &record) {
                let written = if self.json { json_line(store, &record, out) } else { line(store, &record, out) };
                match written {
                    // Whoever reads has read enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    written => written?,
                }
            }
        }
        Ok(Ended::Done)
    }

    fn wants(&self, since: Moment, record: &Record) -> bool {
        record.at >= since
            && self.until.is_none_or(|until| record.at < super::moment(until))
            && self.label.is_none_or(|label| record.entry.is_about(label))
            && self.sku.as_ref().is_none_or(|sku| record.entry.names(sku))
    }
}

fn timestamp(at: Moment) -> jiff::Timestamp {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX)
}

fn json_line(store: &StoreId, record: &Record, out: &mut impl Write) -> io::Result<()> {
    let Record { position, at, entry } = record;
    let line = json!({ "store": store, "sequence": position.sequence, "at": timestamp(*at).to_string(), "entry": entry,
        "hash": position.hash });
    writeln!(out, "{line}")
}

fn line(store: &StoreId, record: &Record, out: &mut impl Write) -> io::Result<()> {
    let Record { position, at, entry } = record;
    writeln!(out, "{:.0}  {store}  {:>8}  {entry}", timestamp(*at), position.sequence)
}

fn rebuild_all(stores: &Stores) -> anyhow::Result<Ended> {
    let (data_dir, stores) = stores.named()?;
    let held = DataDir::lock(&data_dir).map_err(crate::run::StartError::DataDir)?;
    let mut ended = Ended::Done;
    let mut reports = Vec::new();
    for store in stores {
        let (mut report, whole) = verify_store(&store, directory(held.path(), &store)?);
        if whole {
            rebuild(&store, &held, &mut report)?;
        } else {
            ended = Ended::Findings;
        }
        reports.push(report);
    }
    super::print_json(&json!({ "journals": reports }))?;
    Ok(ended)
}

/// Makes a store's checkpoint and view anew. Products, promotions and held changes are not in the journal: their
/// sources send them with the reload at the next start.
fn rebuild(store: &StoreId, held: &DataDir, report: &mut serde_json::Value) -> anyhow::Result<()> {
    let dir = held.store_dir(store);
    let failed = || format!("cannot rebuild store `{store}`");
    let checkpoint = keeper::rebuild(&directory(held.path(), store)?, store).with_context(failed)?;
    let (view, opened) = View::open(&dir).with_context(failed)?;
    let set_aside = match opened.set_aside {
        Some(set_aside) => Some(set_aside),
        None => view.replace("its rebuilding was asked for").with_context(failed)?.1.set_aside,
    };
    report["rebuilt"] = json!({ "checkpoint": checkpoint, "view_set_aside": set_aside.map(|aside| aside.path),
        "hint": "products and promotions come back with the reload at the next start" });
    Ok(())
}
