//! Full reloads: a source's whole facet over HTTP or from a file, complete or not at all.
//!
//! A snapshot is first brought into a file of the data directory that has no name. There it is verified to its
//! last line, and only then handed to the store, in parts of which one at a time is in memory: a catalog of any
//! size costs the same, and change messages get in between. A snapshot with any defect changes nothing, and is
//! told of once.

mod fetch;
mod generations;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use jiff::tz::TimeZone;
use rustls::ClientConfig;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use self::fetch::{BODY_MAX, FetchError, Fetched, Source};
use self::generations::Generations;
use self::schedule::{Daily, Fetch, Schedule};
use super::clock::Clock;
use super::http::{Http, in_words};
use super::store::{StoreGone, StoreHandle};
use super::unknown::UnknownFields;
use crate::catalog::SnapshotPart;
use crate::catalog::snapshot::{Header, Reader, SnapshotError};
use crate::catalog::wire::{Facet, Parsed};
use crate::config::ReloadConfig;
use crate::controller::message::{Freshness, ReloadReason, ReloadReport};

/// Orders that wait: several for each facet, which end in the same reload.
pub const ORDERS_MAX: usize = 32;

/// Reloads of different stores at once: each has a part in memory and a snapshot on disk.
const RELOADS_MAX: usize = 4;

/// Invalid rows that are named in the log, of one reload. All are counted.
const INVALID_TOLD_MAX: usize = 20;

/// A facet is wanted out of turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadOrder {
    /// Which one.
    pub facet: Facet,
    /// What for.
    pub why: ReloadReason,
}

/// Why a snapshot was not applied, or not to its end.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it was not there whole within {0:?}")]
    TimedOut(Duration),
    #[error("cannot make a file for it in the data directory")]
    Spool(#[from] io::Error),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("its generation is {found}, and {applied} was applied already: the source is behind itself")]
    Generation { found: u64, applied: u64 },
    #[error(transparent)]
    Gone(#[from] StoreGone),
}

/// What answers orders in a store without a source.
pub async fn without_source(store: StoreHandle, mut orders: mpsc::Receiver<ReloadOrder>, shutdown: CancellationToken) {
    while let Some(Some(order)) = shutdown.run_until_cancelled(orders.recv()).await {
        refuse(&store, order).await;
    }
}

/// Tells whoever asked that there is no source to ask. A gap asks nobody: that it stays is known.
async fn refuse(store: &StoreHandle, ReloadOrder { facet, why }: ReloadOrder) {
    if why == ReloadReason::Asked {
        let id = store.id();
        let sentence = format!(
            "cannot reload facet `{facet}` of store `{id}`: its configuration names no source for it; add it to `reload`"
        );
        // The store has ended.
        let _ = store.reload_ended(facet, Err(sentence)).await;
    }
}

/// What all stores' reloads share.
#[derive(Debug, Clone)]
pub struct Reloads {
    http: Http,
    at_once: Arc<Semaphore>,
    clock: Clock,
}

impl Reloads {
    /// Reloads over connections with this TLS.
    #[must_use]
    pub fn new(tls: ClientConfig, clock: Clock) -> Self {
        Self { http: Http::new(tls), at_once: Arc::new(Semaphore::new(RELOADS_MAX)), clock }
    }

    /// The reloads of one store; `dir` is the store's part of the data directory.
    #[must_use]
    pub fn of_store(&self, store: StoreHandle, config: &ReloadConfig, zone: TimeZone, dir: PathBuf) -> StoreReloads {
        let ReloadConfig { url, facets, at, jitter, timeout, token_file } = config.clone();
        let daily = at.map(|at| Daily { at, zone, jitter });
        let schedule = Schedule::new(store.id().clone(), facets, daily, self.clock.now());
        let http = self.http.clone();
        let source = Source { http, url, token_file, store: store.id().clone(), body_max: BODY_MAX };
        StoreReloads {
            shared: self.clone(),
            store,
            source,
            timeout,
            schedule,
            generations: Generations::load(&dir),
            dir,
            etags: BTreeMap::new(),
            failures: BTreeMap::new(),
            unknown: UnknownFields::default(),
        }
    }
}

/// One store's task.
#[derive(Debug)]
pub struct StoreReloads {
    shared: Reloads,
    store: StoreHandle,
    source: Source,
    timeout: Duration,
    schedule: Schedule,
    dir: PathBuf,
    generations: Generations,
    /// The source's names for what was applied last, in this run: after a restart everything is fetched whole,
    /// because the view may have lost what came last.
    etags: BTreeMap<Facet, HeaderValue>,
    /// What was told already, until it goes well again.
    failures: BTreeMap<Facet, String>,
    unknown: UnknownFields,
}

impl StoreReloads {
    /// Runs until `shutdown`.
    pub async fn run(mut self, mut orders: mpsc::Receiver<ReloadOrder>, shutdown: CancellationToken) {
        loop {
            let next = self.schedule.next();
            tokio::select! {
                biased;
                // Cancel-safe: a token that is cancelled stays so.
                () = shutdown.cancelled() => return,
                // Cancel-safe: `recv` takes nothing unless it completes.
                Some(order) = orders.recv() => {
                    if self.schedule.fetches(order.facet) {
                        self.schedule.order(self.shared.clock.now(), order.facet, order.why);
                    } else {
                        refuse(&self.store, order).await;
                    }
                    continue;
                }
                // Cancel-safe: the next turn sleeps anew.
                () = self.shared.clock.sleep_until(next.map(|(at, ..)| at)) => {}
            }
            let Some((_, facet, fetch)) = next else { continue };
            self.schedule.begin(self.shared.clock.now(), facet);
            let outcome = tokio::select! {
                biased;
                // Cancel-safe: as above.
                () = shutdown.cancelled() => return,
                // Dropped only at the end: the store ends as well, and removes nothing for a snapshot that has none.
                outcome = self.reload(facet, fetch) => outcome,
            };
            self.schedule.ended(self.shared.clock.now(), facet, outcome.as_ref().map(|_| ()).map_err(|_| ()));
            let outcome = outcome.map_err(|error| self.in_words(facet, &error));
            self.tell(facet, &outcome);
            if self.store.reload_ended(facet, outcome).await.is_err() {
                return;
            }
        }
    }

    fn in_words(&self, facet: Facet, error: &ReloadError) -> String {
        let (store, address) = (self.store.id(), self.source.address(facet));
        format!("cannot reload facet `{facet}` of store `{store}` from {address}: {}", in_words(error))
    }

    /// Logs and counts an outcome. A failure that repeats itself is logged once.
    fn tell(&mut self, facet: Facet, outcome: &Result<ReloadReport, String>) {
        let store = self.store.id();
        let kind = match outcome {
            Ok(ReloadReport { freshness: Freshness::Unmodified, .. }) => {
                tracing::info!(%store, %facet, "reload: nothing has changed at the source");
                "unmodified"
            }
            Ok(ReloadReport { rows, invalid, .. }) => {
                tracing::info!(%store, %facet, rows, invalid, "reloaded");
                "applied"
            }
            Err(sentence) if self.failures.get(&facet) == Some(sentence) => {
                tracing::debug!("{sentence}");
                "failed"
            }
            Err(sentence) => {
                tracing::warn!("{sentence}; what is stored stays, and it is tried again later");
                "failed"
            }
        };
        match outcome {
            Ok(_) => self.failures.remove(&facet),
            Err(sentence) => self.failures.insert(facet, sentence.clone()),
        };
        let labels = [("store", store.to_string()), ("facet", facet.to_string()), ("outcome", kind.to_owned())];
        metrics::counter!("gondola_reloads_total", &labels).increment(1);
    }

    async fn reload(&mut self, facet: Facet, fetch: Fetch) -> Result<ReloadReport, ReloadError> {
        let _turn = Arc::clone(&self.shared.at_once).acquire_owned().await.expect("the semaphore is never closed");
        let asked_at = self.shared.clock.now();
        let mut spool = tokio::fs::File::from_std(tempfile::tempfile_in(&self.dir)?);
        let known = self.etags.get(&facet).filter(|_| fetch == Fetch::IfModified);
        let fetched = tokio::time::timeout(self.timeout, self.source.fetch(facet, known, &mut spool)).await;
        let etag = match fetched.map_err(|_| ReloadError::TimedOut(self.timeout))?? {
            Fetched::Unmodified => {
                return Ok(ReloadReport { freshness: Freshness::Unmodified, ..ReloadReport::default() });
            }
            Fetched::Whole { etag } => etag,
        };
        let (header, rows, spool) = verify(facet, spool.into_std().await).await?;
        if let Some(applied) =
            self.generations.get(facet).filter(|applied| header.generation < *applied && !header.reset)
        {
            return Err(ReloadError::Generation { found: header.generation, applied });
        }
        let Header { generation, seq, reset, .. } = header;
        self.store.snapshot(SnapshotPart::Begin { facet, seq, reset, asked_at }).await?;
        let applied = self.hand_over(spool).await;
        let last = if applied.is_ok() { SnapshotPart::End } else { SnapshotPart::Abandon };
        self.store.snapshot(last).await?;
        let invalid = applied?;
        self.generations.set(facet, generation);
        match etag {
            Some(etag) => self.etags.insert(facet, etag),
            None => self.etags.remove(&facet),
        };
        Ok(ReloadReport { rows, invalid, freshness: Freshness::Applied })
    }

    /// Gives the store every row, a part at a time. Answers how many are invalid.
    async fn hand_over(&mut self, mut reader: Reader<BufReader<File>>) -> Result<usize, ReloadError> {
        let mut invalid = 0;
        loop {
            let (part, rest) = blocking(move || (reader.next_part(), reader)).await;
            let Some(Parsed { rows, errors, unknown_fields, .. }) = part? else { return Ok(invalid) };
            reader = rest;
            for error in &errors {
                invalid += 1;
                metrics::counter!("gondola_feed_errors_total").increment(1);
                if invalid <= INVALID_TOLD_MAX {
                    tracing::warn!(store = %self.store.id(), "reload: {error}");
                }
            }
            self.unknown.tell(reader.header().facet, unknown_fields);
            let kept: BTreeSet<_> = errors.into_iter().filter_map(|error| error.key).collect();
            self.store.snapshot(SnapshotPart::Rows { rows, kept: kept.into_iter().collect() }).await?;
        }
    }
}

/// Reads a snapshot to its end, and answers what it is, how many rows it has, and a reader at its beginning.
async fn verify(facet: Facet, spool: File) -> Result<(Header, usize, Reader<BufReader<File>>), ReloadError> {
    blocking(move || {
        let open = |mut file: File| -> Result<_, ReloadError> {
            file.rewind()?;
            Ok(Reader::open(facet, BufReader::new(file))?)
        };
        let reader = open(spool.try_clone()?)?;
        let header = reader.header();
        let rows = reader.verify()?;
        Ok((header, rows, open(spool)?))
    })
    .await
}

/// Work on a file, off the threads that must not wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("reading a snapshot does not panic")
}
