//! Tells receivers of alerts over HTTP: each in order, at least once, and under a name that stays the same however often
//! it is tried.
//!
//! There is no queue. The store remembers the newest news of its alerts, which the journal keeps; a file of each receiver
//! says how far it has been told; and what is to be told next follows from both, also after a restart. A receiver that
//! does not answer is tried again until it does, and keeps no other waiting. One that is away for more than
//! [`crate::alert::NEWS_MAX`] news of a store is told the newest of them.

mod form;
mod ledger;
mod sign;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use futures_util::future::{pending, select_all};
use gondola_protocol::{Moment, StoreId};
use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::form::{Delivery, Manner, News, Shop};
use self::ledger::Ledger;
use super::clock::Clock;
use super::http::{Http, in_words};
use super::store::{StoreGone, StoreHandle};
use super::tls::{self, TlsError};
use crate::alert::Alert;
use crate::alert::told::Hour;
use crate::config::{Topic, WebhookConfig, WebhookUrl};
use crate::journal::Position;

/// Where the receivers' files lie in the data directory.
const DIRECTORY: &str = "webhooks";

/// Longest answer that is read: what robots answer is some dozen bytes.
const ANSWER_MAX: usize = 64 << 10;

/// News are looked for so often although nobody has announced any: quiet hours end, and clocks are set.
const LOOK_PERIOD: Duration = Duration::from_mins(1);

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A receiver answers within this.
    pub answer_within: Duration,
    /// The first wait after a delivery that failed; doubled at each in a row.
    pub first: Duration,
    /// The longest wait: a receiver that is back is found within it.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (answer_within, longest) = (Duration::from_secs(10), Duration::from_mins(5));
        Self { answer_within, first: Duration::from_secs(1), longest }
    }
}

/// Why a delivery failed.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("cannot read {}", file.display())]
    File { file: PathBuf, source: std::io::Error },
    #[error("{} holds no address: {error}", file.display())]
    Address { file: PathBuf, error: crate::config::WebhookUrlError },
    #[error("cannot ask it")]
    Request(#[source] axum::http::Error),
    #[error("no answer")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the answer broke off")]
    BrokenOff(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{0}")]
    Refused(String),
}

/// A store as a receiver is told of it.
#[derive(Debug)]
struct Told {
    handle: StoreHandle,
    name: String,
    alerted: watch::Receiver<()>,
}

/// What a store has to tell.
struct Look {
    news: Vec<Alert>,
    head: Option<(Position, Moment)>,
    shop: Shop,
}

/// One receiver.
#[derive(Debug)]
pub struct Webhook {
    config: WebhookConfig,
    patience: Patience,
    stores: Vec<Told>,
    http: Http,
    clock: Clock,
    ledger: Arc<Ledger>,
    failures: u32,
}

impl Webhook {
    /// A receiver of these stores, by id and name.
    ///
    /// # Errors
    /// Its authorities cannot be read.
    pub fn new(
        config: WebhookConfig,
        patience: Patience,
        stores: impl IntoIterator<Item = (StoreHandle, String)>,
        clock: Clock,
        data_dir: &Path,
    ) -> Result<Self, TlsError> {
        let http = Http::new(tls::client(config.ca_file.as_deref())?);
        let is_told = |store: &StoreId| config.stores.is_empty() || config.stores.contains(store);
        let told = |(handle, name): (StoreHandle, String)| {
            let alerted = handle.alerted();
            is_told(handle.id()).then_some(Told { handle, name, alerted })
        };
        let stores = stores.into_iter().filter_map(told).collect();
        let ledger = Arc::new(Ledger::load(&data_dir.join(DIRECTORY).join(format!("{}.json", config.name))));
        Ok(Self { config, patience, stores, http, clock, ledger, failures: 0 })
    }

    /// Tells until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            biased;
            // Cancel-safe: a token that is cancelled stays so.
            () = shutdown.cancelled() => {}
            // A delivery that is cut off is tried again at the next start, under the same name.
            () = self.serve() => {}
        }
    }

    async fn serve(&mut self) {
        loop {
            let round = self.round().await;
            let wait = match round {
                Ok(()) => LOOK_PERIOD,
                Err(_) => {
                    let doubled = self.patience.first.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
                    doubled.min(self.patience.longest)
                }
            };
            let is_well = round.is_ok();
            let news = async {
                let marks = self.stores.iter_mut().map(|told| Box::pin(told.alerted.changed()));
                if is_well && marks.len() > 0 {
                    // One store that has ended tells nothing more, and the next look leaves it out.
                    _ = select_all(marks).await;
                } else {
                    pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                // Cancel-safe: a mark stays until it is seen.
                () = news => {}
                // Cancel-safe: the next turn sleeps anew.
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Tells everything that is to be told now, unless a delivery fails.
    async fn round(&mut self) -> Result<(), DeliveryError> {
        let mut ended = BTreeSet::new();
        for index in 0..self.stores.len() {
            // What comes from here on is another mark.
            self.stores[index].alerted.mark_unchanged();
            match self.look(&self.stores[index]).await {
                Ok(look) => self.tell(look).await?,
                Err(StoreGone(store)) => _ = ended.insert(store),
            }
        }
        self.stores.retain(|told| !ended.contains(told.handle.id()));
        Ok(())
    }

    async fn look(&self, told: &Told) -> Result<Look, StoreGone> {
        let (rules, id, name) = (self.config.rules.clone(), told.handle.id().clone(), told.name.clone());
        let read = told.handle.read(move |controller, _| {
            let wanted = |alert: &&Alert| rules.is_empty() || rules.contains(&alert.rule);
            Look {
                news: controller.alert_news().filter(wanted).cloned().collect(),
                head: controller.published_head(),
                shop: Shop { id, name, zone: controller.catalog().settings().time_zone.clone() },
            }
        });
        read.await
    }

    async fn tell(&mut self, look: Look) -> Result<(), DeliveryError> {
        let Look { news, head, shop } = look;
        let name = self.config.name.to_string();
        if self.config.topics.contains(&Topic::Alerts) {
            loop {
                let quiet = self.config.quiet.and_then(|quiet| quiet.left(self.clock.now(), &shop.zone));
                let hour = if quiet.is_some() { Hour::Quiet } else { Hour::Any };
                let pending = self.ledger.change(&shop.id, |told| told.pending(&news, hour)).await;
                let labels = [("webhook", name.clone()), ("store", shop.id.to_string())];
                metrics::gauge!("gondola_webhook_waiting", &labels).set(super::metrics::number(pending.len()));
                if pending.is_empty() {
                    break;
                }
                let told = self.deliver(&shop, News::Alerts(&pending)).await?;
                let numbers: Vec<u64> = pending.iter().take(told).map(|alert| alert.number).collect();
                self.ledger.change(&shop.id, |told| numbers.iter().for_each(|number| told.note(*number))).await;
            }
        }
        if let Some((head, at)) = head.filter(|_| self.config.topics.contains(&Topic::Journal))
            && self.ledger.change(&shop.id, |told| told.journal()).await != head.sequence
        {
            self.deliver(&shop, News::Journal(head, at)).await?;
            self.ledger.change(&shop.id, |told| told.note_journal(head.sequence)).await;
        }
        Ok(())
    }

    /// Tries once. Answers how many alerts the receiver has been told of.
    async fn deliver(&mut self, shop: &Shop, news: News<'_>) -> Result<usize, DeliveryError> {
        let outcome = self.attempt(shop, news).await;
        let (webhook, store) = (&self.config.name, &shop.id);
        let word = if outcome.is_ok() { "delivered" } else { "failed" };
        let labels = [("webhook", webhook.to_string()), ("outcome", word.to_owned())];
        metrics::counter!("gondola_webhook_deliveries_total", &labels).increment(1);
        match &outcome {
            Ok(_) if self.failures > 0 => {
                tracing::info!(%webhook, %store, "the webhook answers again, after {} failures", self.failures);
                self.failures = 0;
            }
            Ok(_) => {}
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let why = in_words(error);
                if self.failures == 1 {
                    tracing::warn!(%webhook, %store, "a webhook takes nothing, and is tried again until it does: {why}");
                } else {
                    tracing::debug!(%webhook, %store, failures = self.failures, "the webhook takes nothing: {why}");
                }
            }
        }
        outcome
    }

    async fn attempt(&self, shop: &Shop, news: News<'_>) -> Result<usize, DeliveryError> {
        let (url, secret) = (self.url().await?, self.secret().await?);
        let form = self.config.form;
        let manner = Manner { form, language: self.config.language(), secret: secret.as_deref() };
        let delivery = Delivery::of(manner, &url, shop, news, self.clock.now());
        let asked = tokio::time::timeout(self.patience.answer_within, self.ask(&delivery)).await;
        let (status, body) = asked.map_err(|_| DeliveryError::TimedOut(self.patience.answer_within))??;
        match form::refusal(form, status, &body) {
            Some(why) => Err(DeliveryError::Refused(why)),
            None => Ok(delivery.alerts),
        }
    }

    async fn ask(&self, delivery: &Delivery) -> Result<(StatusCode, Bytes), DeliveryError> {
        let mut request = Request::post(&delivery.url)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::USER_AGENT, concat!("gondola/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(delivery.body.clone())).map_err(DeliveryError::Request)?;
        let answer = self.http.request(request).await.map_err(DeliveryError::NoAnswer)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(DeliveryError::BrokenOff)?;
        Ok((status, body.to_bytes()))
    }

    async fn url(&self) -> Result<String, DeliveryError> {
        match (&self.config.url, &self.config.url_file) {
            (Some(url), _) => Ok(url.to_string()),
            (None, file) => {
                let file = file.clone().unwrap_or_default();
                let text = read(&file).await?;
                let url = text.parse::<WebhookUrl>();
                Ok(url.map_err(|error| DeliveryError::Address { file, error })?.to_string())
            }
        }
    }

    async fn secret(&self) -> Result<Option<String>, DeliveryError> {
        match &self.config.secret_file {
            Some(file) => read(file).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What a file holds, without the spaces around it.
async fn read(file: &Path) -> Result<String, DeliveryError> {
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|source| DeliveryError::File { file: file.to_owned(), source })?;
    Ok(text.trim().to_owned())
}
