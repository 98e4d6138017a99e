//! One product and its shelf price at an instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use gondola_protocol::{LabelId, Moment};
use serde::{Deserialize, Serialize};

use crate::catalog::product::{Content, Product};
use crate::catalog::sku::{PromotionId, Sku};
use crate::controller::Controller;
use crate::web::problem::Problem;
use crate::web::request::Params;
use crate::web::{Web, instant};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    at: Option<String>,
}

/// A product as its sources tell of it. What this version does not take in yet is null.
#[derive(Serialize)]
pub(super) struct ProductJson {
    sku: Sku,
    base: Option<BaseJson>,
    stock: (),
    returns: (),
    rating: (),
    in_assortment: bool,
    shelf_price: ShelfPriceJson,
    confirmation: (),
    labels: Vec<LabelId>,
}

#[derive(Serialize)]
struct BaseJson {
    revision: u64,
    name: Option<String>,
    brand: Option<String>,
    spec: Option<String>,
    origin: Option<String>,
    grade: Option<String>,
    unit: Option<String>,
    barcode: Option<String>,
    category: Option<String>,
    price: Option<String>,
    content: Option<ContentJson>,
    attributes: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ContentJson {
    amount: String,
    unit: &'static str,
}

#[derive(Serialize)]
struct ShelfPriceJson {
    price: Option<String>,
    currency: String,
    was: Option<String>,
    member_price: (),
    unit_price: Option<UnitPriceJson>,
    promotion_id: Option<PromotionId>,
    text: Option<String>,
    start: Option<String>,
    end: Option<String>,
    next_change: Option<String>,
    lowest_7d: (),
    lowest_30d: (),
}

#[derive(Serialize)]
struct UnitPriceJson {
    amount: String,
    per: &'static str,
}

pub(super) async fn show(
    State(web): State<Arc<Web>>,
    Path((store, sku)): Path<(String, String)>,
    Params(query): Params<Query>,
) -> Result<Json<ProductJson>, Problem> {
    let shop = web.shop(&store)?;
    let sku: Sku = sku.parse().map_err(Problem::bad_request)?;
    let at = query.at.as_deref().map(instant::parse).transpose().map_err(Problem::bad_request)?;
    let read = shop.handle.read(move |controller, now| product(controller, &sku, at.unwrap_or(now)));
    read.await?.map(Json)
}

fn product(controller: &Controller, sku: &Sku, at: Moment) -> Result<ProductJson, Problem> {
    let base = controller.catalog().product(sku);
    if base.is_none() && !controller.fleet().is_bound(sku) {
        return Err(Problem::not_found(format!("no source has told of sku {sku}, and no label shows it")));
    }
    Ok(ProductJson {
        sku: sku.clone(),
        base: base.cloned().map(|base| BaseJson::of(base, controller)),
        stock: (),
        returns: (),
        rating: (),
        // Until a source says what the store sells, it sells everything.
        in_assortment: true,
        shelf_price: shelf_price(controller, sku, at),
        confirmation: (),
        labels: controller.fleet().labels_of(sku).collect(),
    })
}

impl BaseJson {
    fn of(base: Product, controller: &Controller) -> Self {
        let content = |Content { amount, unit }| ContentJson { amount: amount.to_string(), unit: unit.as_str() };
        Self {
            revision: base.revision,
            name: base.name,
            brand: base.brand,
            spec: base.spec,
            origin: base.origin,
            grade: base.grade,
            unit: base.unit,
            barcode: base.barcode,
            category: base.category,
            price: base.price.map(|price| controller.catalog().settings().currency.format(price)),
            content: base.content.map(content),
            attributes: base.attributes,
        }
    }
}

fn shelf_price(controller: &Controller, sku: &Sku, at: Moment) -> ShelfPriceJson {
    let settings = controller.catalog().settings();
    let shelf = controller.catalog().shelf_price(sku, at);
    let amount = |amount| settings.currency.format(amount);
    let instant = |moment| instant::rfc3339(moment, &settings.time_zone);
    let promotion = shelf.promotion();
    ShelfPriceJson {
        price: shelf.price.map(amount),
        currency: settings.currency.to_string(),
        was: shelf.was.map(amount),
        member_price: (),
        unit_price: shelf
            .unit_price
            .map(|price| UnitPriceJson { amount: amount(price.amount), per: price.per.as_str() }),
        promotion_id: promotion.map(|promotion| promotion.id.clone()),
        text: promotion.and_then(|promotion| promotion.text.clone()),
        start: promotion.map(|promotion| instant(promotion.start)),
        end: promotion.map(|promotion| instant(promotion.end)),
        next_change: shelf.next_change.map(instant),
        lowest_7d: (),
        lowest_30d: (),
    }
}
