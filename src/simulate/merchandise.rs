//! What a simulated store's sources know, beside the controller: products, prices, promotions, and so what each glass
//! must show. It never asks the controller.

use std::collections::BTreeMap;

use gondola_protocol::{Moment, Panel, Planes};
use serde_json::{Value, json};

use super::drawing::Drawing;
use super::publisher;
use crate::catalog::Catalog;
use crate::catalog::sku::Sku;
use crate::catalog::wire::{self, Facet, Row};
use crate::controller::StoreSettings;
use crate::template::Templates;
use crate::template::view::{LabelView, StoreView};

/// Rows of one message: the contract's limit.
const ROWS_MAX: usize = 1_000;

/// The sources of one store.
#[derive(Debug)]
pub struct Merchandise {
    store: StoreView,
    templates: Templates,
    /// What was published, taken in at once and in order.
    truth: Catalog,
    /// Base events of the sample catalog, which products take turns to look like.
    samples: Vec<Value>,
    /// The newest base event of each product, by its number.
    products: Vec<Value>,
    /// The newest word on each promotion, by its number.
    promotions: Vec<Value>,
    revision: u64,
    /// The number of the last row on each feed: base and promotions.
    seqs: [u64; 2],
    /// The last picture of each product on each panel, and what it shows: as long as that is so, it is the same.
    pictures: BTreeMap<(usize, Panel), (LabelView, Option<Planes>)>,
}

impl Merchandise {
    /// Sources of so many products, of which nothing is published yet.
    #[must_use]
    pub fn new(settings: &StoreSettings, products: usize) -> Self {
        let samples = publisher::samples();
        let named = |number: usize| {
            let mut event = samples[number % samples.len()].clone();
            event["sku"] = json!(sku(number).as_str());
            event["promotions"] = json!([]);
            event
        };
        Self {
            store: settings.view.clone(),
            templates: Templates::embedded(),
            truth: Catalog::new(settings.catalog.clone()),
            products: (0..products).map(named).collect(),
            samples,
            promotions: Vec::new(),
            revision: 1,
            seqs: [0; 2],
            pictures: BTreeMap::new(),
        }
    }

    /// Every product as it stands, in messages for the base feed.
    pub fn publish_all(&mut self, now: Moment) -> Vec<String> {
        let all: Vec<usize> = (0..self.products.len()).collect();
        self.publish(now, &all)
    }

    /// Gives products prices in cents, and answers the messages for the base feed.
    pub fn change_prices(&mut self, now: Moment, prices: &[(usize, u64)]) -> Vec<String> {
        self.revision += 1;
        for (number, cents) in prices {
            let product = &mut self.products[*number];
            product["price"] = json!(amount(*cents));
            product["revision"] = json!(self.revision);
        }
        let numbers: Vec<usize> = prices.iter().map(|(number, _)| *number).collect();
        self.publish(now, &numbers)
    }

    /// Announces that products cost so many percent less from one second to another, and answers the message for the
    /// promotion feed.
    pub fn promote(&mut self, now: Moment, products: &[usize], percent: u64, (start, end): (u64, u64)) -> String {
        self.revision += 1;
        let instant =
            |second: u64| jiff::Timestamp::from_second(i64::try_from(second).unwrap_or(0)).unwrap_or_default();
        let skus: Vec<String> = products.iter().map(|number| sku(*number).to_string()).collect();
        let promotion = json!({
            "promotion_id": format!("S-{}", self.promotions.len()),
            "revision": self.revision,
            "skus": skus,
            "kind": "percent_off",
            "percent": percent.to_string(),
            "start": instant(start).to_string(),
            "end": instant(end).to_string(),
            "text": "限时",
        });
        self.promotions.push(promotion.clone());
        self.tell(now, Facet::Promotion, &[promotion])
    }

    /// Everything that a source knows, as a snapshot's rows, and the number of the last row in it.
    #[must_use]
    pub fn snapshot(&self, facet: Facet) -> (Vec<Row>, u64) {
        let (rows, seq) = match facet {
            Facet::Base => (&self.products[..], self.seqs[0]),
            Facet::Promotion => (&self.promotions[..], self.seqs[1]),
            _ => (&[][..], 0),
        };
        (wire::parse(facet, json!(rows).to_string().as_bytes()).rows, seq)
    }

    /// A row that says nothing new, so that one that was lost before it is missed.
    pub fn repeat_last(&mut self, now: Moment, facet: Facet) -> Option<String> {
        let row = match facet {
            Facet::Promotion => self.promotions.last(),
            _ => self.products.last(),
        };
        let row = row?.clone();
        Some(self.tell(now, facet, &[row]))
    }

    /// Which revision of a product was published last.
    #[must_use]
    pub fn revision(&self, number: usize) -> Option<u64> {
        self.products.get(number)?["revision"].as_u64()
    }

    /// How many products there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.products.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    /// What a product costs before promotions, in cents.
    #[must_use]
    pub fn base_price(&self, number: usize) -> u64 {
        cents(&self.products[number])
    }

    /// What a product cost at first, in cents.
    #[must_use]
    pub fn first_price(&self, number: usize) -> u64 {
        cents(&self.samples[number % self.samples.len()])
    }

    /// What everybody pays for a product at `now`.
    #[must_use]
    pub fn price(&self, number: usize, now: Moment) -> Option<String> {
        self.truth.shown(&sku(number), now).price.map(Into::into)
    }

    /// What a label with this product must show at `now`; none where no template can be filled with it.
    pub fn picture(&mut self, drawing: &mut Drawing, number: usize, panel: Panel, now: Moment) -> Option<Planes> {
        let view = LabelView { store: self.store.clone(), products: vec![self.truth.view(&sku(number), now)] };
        if let Some((last, planes)) = self.pictures.get(&(number, panel))
            && *last == view
        {
            return planes.clone();
        }
        let scene = self.templates.scene(self.templates.select(&view, panel), &view, panel);
        let planes = scene.ok().map(|scene| drawing.draw(&scene));
        self.pictures.insert((number, panel), (view, planes.clone()));
        planes
    }

    fn publish(&mut self, now: Moment, numbers: &[usize]) -> Vec<String> {
        let mut messages = Vec::new();
        for numbers in numbers.chunks(ROWS_MAX) {
            let rows: Vec<Value> = numbers.iter().map(|number| self.products[*number].clone()).collect();
            messages.push(self.tell(now, Facet::Base, &rows));
        }
        messages
    }

    /// Numbers rows, and takes them for the truth from now on.
    fn tell(&mut self, now: Moment, facet: Facet, rows: &[Value]) -> String {
        let seq = &mut self.seqs[usize::from(facet == Facet::Promotion)];
        let mut numbered = Vec::new();
        for row in rows {
            *seq += 1;
            let mut row = row.clone();
            row["seq"] = json!(*seq);
            numbered.push(row);
        }
        let message = Value::from(numbered).to_string();
        self.truth.handle_timeout(now);
        for row in wire::parse(facet, message.as_bytes()).rows {
            self.truth.apply(now, row);
        }
        message
    }
}

/// A product's name in the feed.
///
/// # Panics
/// Never: every number makes a name.
#[must_use]
pub fn sku(number: usize) -> Sku {
    format!("P{number}").parse().expect("a letter and digits are an SKU")
}

/// A base event's price in cents.
fn cents(event: &Value) -> u64 {
    event["price"].as_str().unwrap_or_default().replace('.', "").parse().unwrap_or(1_000)
}

/// `12.34` from 1,234.
fn amount(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
