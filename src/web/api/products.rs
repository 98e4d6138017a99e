//! Products and their shelf prices: a list, and one at an instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use gondola_protocol::{LabelId, Moment};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::List;
use crate::catalog::Catalog;
use crate::catalog::item::Item;
use crate::catalog::product::{self, Content, Product};
use crate::catalog::sku::{PromotionId, Sku};
use crate::confirmation::Confirmation;
use crate::controller::Controller;
use crate::instant;
use crate::web::Web;
use crate::web::problem::Problem;
use crate::web::request::Params;
use crate::web::selection;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    at: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Part of a name or SKU, in any case.
    q: Option<String>,
    barcode: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// A product as its sources tell of it. A source that has said nothing is null.
#[derive(Serialize, ToSchema)]
pub(super) struct ProductJson {
    #[schema(value_type = String)]
    sku: Sku,
    base: Option<BaseJson>,
    stock: Option<StockJson>,
    returns: Option<ReturnsJson>,
    rating: Option<RatingJson>,
    in_assortment: bool,
    shelf_price: ShelfPriceJson,
    confirmation: Option<ConfirmationJson>,
    #[schema(value_type = Vec<String>)]
    labels: Vec<LabelId>,
}

#[derive(Serialize, ToSchema)]
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

#[derive(Serialize, ToSchema)]
struct ContentJson {
    amount: String,
    unit: &'static str,
}

#[derive(Serialize, ToSchema)]
struct StockJson {
    revision: u64,
    quantity: i64,
    reorder_level: Option<i64>,
    sold_per_day: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ReturnsJson {
    revision: u64,
    y_code: String,
    grade: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct RatingJson {
    revision: u64,
    score: Option<String>,
    count: Option<i64>,
    class: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ShelfPriceJson {
    price: Option<String>,
    currency: String,
    was: Option<String>,
    member_price: Option<String>,
    unit_price: Option<UnitPriceJson>,
    #[schema(value_type = Option<String>)]
    promotion_id: Option<PromotionId>,
    text: Option<String>,
    start: Option<String>,
    end: Option<String>,
    next_change: Option<String>,
    lowest_7d: Option<String>,
    lowest_30d: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct UnitPriceJson {
    amount: String,
    per: &'static str,
}

/// How far the shelf has come with the price of now.
#[derive(Serialize, ToSchema)]
struct ConfirmationJson {
    price: Option<String>,
    labels: usize,
    confirmed: usize,
    unreachable: usize,
    at: Option<String>,
}

pub(super) async fn list(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<ListQuery>,
) -> Result<Json<List<ProductJson>>, Problem> {
    let shop = web.shop(&store)?;
    let limit = super::limit(query.limit.as_deref())?;
    let after: Option<Sku> = query.cursor.map(|cursor| cursor.parse()).transpose().map_err(Problem::bad_request)?;
    let wanted = Wanted { text: query.q.unwrap_or_default().trim().to_lowercase(), barcode: query.barcode };
    let read = shop.handle.read(move |controller, now| {
        let items = controller.catalog().items_after(after.as_ref());
        let mut found = items.filter(|(sku, item)| wanted.holds(sku, item));
        let page: Vec<_> = found.by_ref().take(limit).collect();
        let next = found.next().and(page.last()).map(|(sku, _)| sku.to_string());
        List {
            items: page.into_iter().map(|(sku, item)| product(controller, sku, Some(item), (now, now))).collect(),
            next,
        }
    });
    Ok(Json(read.await?))
}

/// Which products a list shows: those that a source has told of.
struct Wanted {
    text: String,
    barcode: Option<String>,
}

impl Wanted {
    fn holds(&self, sku: &Sku, item: &Item) -> bool {
        let Some(product) = item.product() else { return false };
        let is_code = self.barcode.is_none() || self.barcode.as_deref() == product.barcode.as_deref();
        let names = [Some(sku.as_str()), product.name.as_deref(), product.brand.as_deref()];
        is_code && names.into_iter().flatten().any(|name| selection::holds(name, &self.text))
    }
}

pub(super) async fn show(
    State(web): State<Arc<Web>>,
    Path((store, sku)): Path<(String, String)>,
    Params(query): Params<Query>,
) -> Result<Json<ProductJson>, Problem> {
    let shop = web.shop(&store)?;
    let sku: Sku = sku.parse().map_err(Problem::bad_request)?;
    let at = query.at.as_deref().map(instant::parse).transpose().map_err(Problem::bad_request)?;
    let read = shop.handle.read(move |controller, now| {
        let item = controller.catalog().item(&sku).filter(|item| item.is_told());
        if item.is_none() && !controller.fleet().is_bound(&sku) {
            return Err(Problem::not_found(format!("no source has told of sku {sku}, and no label shows it")));
        }
        Ok(product(controller, &sku, item, (at.unwrap_or(now), now)))
    });
    read.await?.map(Json)
}

/// A product with its shelf price `at` an instant, and what the shelf has proven by `now`.
fn product(controller: &Controller, sku: &Sku, item: Option<&Item>, (at, now): (Moment, Moment)) -> ProductJson {
    let catalog = controller.catalog();
    let base = item.and_then(|item| Some(BaseJson::of(item.revision()?, item.product()?.clone(), catalog)));
    ProductJson {
        sku: sku.clone(),
        base,
        stock: item.and_then(Item::stock).map(|(revision, stock)| StockJson {
            revision,
            quantity: stock.quantity,
            reorder_level: stock.reorder_level,
            sold_per_day: stock.sold_per_day.map(|sold| sold.to_string()),
        }),
        returns: item.and_then(Item::returns).map(|(revision, returns)| ReturnsJson {
            revision,
            y_code: returns.y_code.to_string(),
            grade: returns.grade.clone().map(Into::into),
        }),
        rating: item.and_then(Item::rating).map(|(revision, rating)| RatingJson {
            revision,
            score: rating.score.map(|score| score.to_string()),
            count: rating.count,
            class: rating.class.clone().map(Into::into),
        }),
        in_assortment: catalog.is_in_assortment(sku),
        shelf_price: shelf_price(catalog, sku, at),
        confirmation: confirmation(controller, sku, now),
        labels: controller.fleet().labels_of(sku).collect(),
    }
}

impl BaseJson {
    fn of(revision: u64, base: Product, catalog: &Catalog) -> Self {
        let content = |Content { amount, unit }| ContentJson { amount: amount.to_string(), unit: unit.as_str() };
        Self {
            revision,
            name: base.name.map(Into::into),
            brand: base.brand.map(Into::into),
            spec: base.spec.map(Into::into),
            origin: base.origin.map(Into::into),
            grade: base.grade.map(Into::into),
            unit: base.unit.map(Into::into),
            barcode: base.barcode.map(Into::into),
            category: base.category.map(Into::into),
            price: base.price.map(|price| catalog.settings().currency.format(price)),
            content: base.content.map(content),
            attributes: base.attributes.map(|all| product::texts(*all)).unwrap_or_default(),
        }
    }
}

fn shelf_price(catalog: &Catalog, sku: &Sku, at: Moment) -> ShelfPriceJson {
    let settings = catalog.settings();
    let shelf = catalog.shelf_price(sku, at);
    let amount = |amount| settings.currency.format(amount);
    let instant = |moment| instant::rfc3339(moment, &settings.time_zone);
    let promotion = shelf.promotion();
    ShelfPriceJson {
        price: shelf.price.map(amount),
        currency: settings.currency.to_string(),
        was: shelf.was.map(amount),
        member_price: shelf.member.map(|(price, _)| amount(price)),
        unit_price: shelf
            .unit_price
            .map(|price| UnitPriceJson { amount: amount(price.amount), per: price.per.as_str() }),
        promotion_id: promotion.map(|promotion| promotion.id.clone()),
        text: promotion.and_then(|promotion| promotion.text.clone().map(Into::into)),
        start: promotion.map(|promotion| instant(promotion.start)),
        end: promotion.map(|promotion| instant(promotion.end)),
        next_change: shelf.next_change.map(instant),
        lowest_7d: shelf.lowest.of_7_days.map(amount),
        lowest_30d: shelf.lowest.of_30_days.map(amount),
    }
}

fn confirmation(controller: &Controller, sku: &Sku, now: Moment) -> Option<ConfirmationJson> {
    let zone = &controller.catalog().settings().time_zone;
    let confirmation = Confirmation::of(controller.catalog(), controller.fleet(), sku, now)?;
    Some(ConfirmationJson {
        price: confirmation.price.map(Into::into),
        labels: confirmation.labels,
        confirmed: confirmation.confirmed,
        unreachable: confirmation.unreachable,
        at: confirmation.at.map(|at| instant::rfc3339(at, zone)),
    })
}
