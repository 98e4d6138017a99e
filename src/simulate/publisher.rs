//! The merchandise system of a simulated shop: it has a catalog, changes prices, and publishes both over MQTT.

use std::collections::BTreeMap;
use std::time::Duration;

use gondola_protocol::{Moment, StoreId};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::sku::Sku;
use crate::catalog::wire::{Facet, Row, parse};

/// Rows of one feed message; the contract allows 1,000.
const ROWS_MAX: usize = 100;

/// Messages that wait for the broker.
const MESSAGES_MAX: usize = 256;

/// A publisher that is not heard within this long gives up.
const PUBLISH_MAX: Duration = Duration::from_secs(30);

/// A promotion's price as a share of the base price.
const PROMOTION_SHARE: Decimal = Decimal::from_parts(85, 0, 0, false, 2);

/// Why nothing is published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker did not take it.
    #[error("the broker did not acknowledge a feed message within {} s", PUBLISH_MAX.as_secs())]
    Silent,
    /// A row of the sample catalog is no row.
    #[error("the sample catalog holds a row that is not JSON")]
    Sample(#[source] serde_json::Error),
}

/// What the merchandise system last said of a product.
#[derive(Debug, Clone)]
pub struct Published {
    /// The base event as it was published.
    pub event: Value,
    /// When.
    pub at: Moment,
}

/// The merchandise system.
#[derive(Debug)]
pub struct Publisher {
    client: AsyncClient,
    acknowledged: mpsc::Receiver<()>,
    topic: String,
    products: BTreeMap<Sku, Published>,
}

impl Publisher {
    /// A merchandise system with the sample catalog, of which nothing is published yet.
    ///
    /// # Errors
    /// The sample catalog cannot be read.
    pub fn start(
        broker: (&str, u16),
        prefix: &str,
        store: &StoreId,
        tracker: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, PublishError> {
        let mut options = MqttOptions::new(format!("{store}-merchandise"), broker.0, broker.1);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, MESSAGES_MAX);
        let (acknowledge, acknowledged) = mpsc::channel(MESSAGES_MAX);
        // The event loop has a task of its own: publishing from the task that polls would wait for itself.
        tracker.spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    // Cancel-safe: a token that is cancelled stays so.
                    () = shutdown.cancelled() => return,
                    // Dropped only at the end.
                    event = events.poll() => match event {
                        Ok(Event::Incoming(Packet::PubAck(_))) => {
                            let _ = acknowledge.try_send(());
                        }
                        Ok(_) => {}
                        Err(error) => {
                            tracing::debug!(%error, "the merchandise system has lost its broker");
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                    },
                }
            }
        });
        let topic = format!("{prefix}/{store}/feed/{}", Facet::Base);
        Ok(Self { client, acknowledged, topic, products: sample_catalog()? })
    }

    /// The products by their order in the catalog.
    pub fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.products.keys()
    }

    /// What was last said of a product.
    #[must_use]
    pub fn published(&self, sku: &Sku) -> Option<&Published> {
        self.products.get(sku)
    }

    /// Publishes every product as it stands.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn publish_all(&mut self, now: Moment) -> Result<(), PublishError> {
        let all: Vec<Sku> = self.products.keys().cloned().collect();
        self.publish(&all, now).await
    }

    /// Gives products a new price, and publishes them. Their promotions' prices move along, so that what a
    /// label shows changes whether or not a promotion runs.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn change_prices(
        &mut self,
        skus: &[Sku],
        now: Moment,
        mut price: impl FnMut(&Sku, Decimal) -> Decimal,
    ) -> Result<(), PublishError> {
        for sku in skus {
            let Some(product) = self.products.get_mut(sku) else { continue };
            let old = product.event["price"].as_str().and_then(|price| price.parse().ok()).unwrap_or(Decimal::TEN);
            let price = price(sku, old).round_dp(2).max(Decimal::new(20, 2));
            set_price(&mut product.event, price);
            for promotion in product.event["promotions"].as_array_mut().into_iter().flatten() {
                set_price(promotion, (price * PROMOTION_SHARE).round_dp(2));
            }
        }
        self.publish(skus, now).await
    }

    async fn publish(&mut self, skus: &[Sku], now: Moment) -> Result<(), PublishError> {
        for chunk in skus.chunks(ROWS_MAX) {
            let mut rows: Vec<Value> = Vec::new();
            for sku in chunk {
                if let Some(product) = self.products.get_mut(sku) {
                    product.at = now;
                    rows.push(product.event.clone());
                }
            }
            let payload = Value::from(rows).to_string();
            let sent = self.client.publish(&self.topic, QoS::AtLeastOnce, false, payload);
            let answered = async {
                sent.await.map_err(|_| PublishError::Silent)?;
                self.acknowledged.recv().await.ok_or(PublishError::Silent)
            };
            tokio::time::timeout(PUBLISH_MAX, answered).await.map_err(|_| PublishError::Silent)??;
        }
        Ok(())
    }
}

/// Gives a product or a promotion its next revision and a price.
fn set_price(event: &mut Value, price: Decimal) {
    event["revision"] = json!(event["revision"].as_u64().unwrap_or(0) + 1);
    event["price"] = json!(price.to_string());
}

/// The shipped sample catalog as base events.
fn sample_catalog() -> Result<BTreeMap<Sku, Published>, PublishError> {
    let mut products = BTreeMap::new();
    for event in read_samples().collect::<Result<Vec<_>, _>>().map_err(PublishError::Sample)? {
        if let Some(sku) = event["sku"].as_str().and_then(|sku| sku.parse().ok()) {
            products.insert(sku, Published { event, at: Moment::ZERO });
        }
    }
    Ok(products)
}

fn read_samples() -> impl Iterator<Item = serde_json::Result<Value>> {
    include_str!("../../label-templates/samples/catalog.ndjson").lines().map(serde_json::from_str)
}

/// The sample catalog's base events.
#[must_use]
pub fn samples() -> Vec<Value> {
    read_samples().filter_map(Result::ok).filter(|event| event["sku"].is_string()).collect()
}

/// A published event as the catalog's rows, read afresh.
#[must_use]
pub fn rows(event: &Value) -> Vec<Row> {
    parse(Facet::Base, event.to_string().as_bytes()).rows
}
