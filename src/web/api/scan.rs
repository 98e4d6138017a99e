//! What a scanned code is: a label, or a product by its SKU or bar code. And the exchange of a device.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use gondola_protocol::{LabelId, Panel};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::controller::message::LabelRequest;
use crate::journal::entry::Position;
use crate::web::problem::Problem;
use crate::web::request::{Body, Fields, Params};
use crate::web::routes::Did;
use crate::web::{Web, label_id, selection};

/// Products that share a bar code and are all named; more of them are a mistake in the source.
const PRODUCTS_MAX: usize = 5;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Query {
    code: String,
}

/// What a code stands for. Both may be: then the reader knows what it waits for.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanJson {
    label: Option<ScannedLabel>,
    products: Vec<ScannedProduct>,
}

#[derive(Serialize, ToSchema)]
struct ScannedLabel {
    #[schema(value_type = String)]
    label: LabelId,
    /// Its display; what it said itself where it is not registered.
    #[schema(value_type = String)]
    panel: Panel,
    /// Whether it is one of this store's.
    registered: bool,
    #[schema(value_type = super::bodies::Position)]
    position: Position,
    #[schema(value_type = Vec<String>)]
    skus: Vec<Sku>,
    /// The first product's name.
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ScannedProduct {
    #[schema(value_type = String)]
    sku: Sku,
    name: Option<String>,
    spec: Option<String>,
    price: Option<String>,
    currency: String,
    in_assortment: bool,
    labels: usize,
}

/// Finds what a code stands for.
pub(super) async fn scan(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
) -> Result<Json<ScanJson>, Problem> {
    let shop = web.shop(&store)?;
    let code = query.code.trim().to_owned();
    let read = shop.handle.read(move |controller, now| ScanJson {
        label: code.parse().ok().and_then(|label| scanned_label(controller, label)),
        products: products(controller, &code).into_iter().map(|sku| scanned_product(controller, sku, now)).collect(),
    });
    Ok(Json(read.await?))
}

fn scanned_label(controller: &Controller, id: LabelId) -> Option<ScannedLabel> {
    if let Some(label) = controller.fleet().label(id) {
        let skus = selection::skus(label).to_vec();
        let name = skus.first().and_then(|sku| controller.catalog().product(sku)?.name.clone().map(Into::into));
        return Some(ScannedLabel {
            label: id,
            panel: label.panel,
            registered: true,
            position: label.position.clone(),
            skus,
            name,
        });
    }
    let (_, seen) = controller.fleet().seen().find(|(label, _)| *label == id)?;
    let panel = seen.said.panel;
    let position = Position::default();
    Some(ScannedLabel { label: id, panel, registered: false, position, skus: Vec::new(), name: None })
}

/// The product of this SKU, else those of this bar code.
fn products(controller: &Controller, code: &str) -> Vec<Sku> {
    let catalog = controller.catalog();
    if let Some(sku) = code.parse::<Sku>().ok().filter(|sku| catalog.product(sku).is_some()) {
        return vec![sku];
    }
    let of_code = catalog.products().filter(|product| product.barcode.as_deref() == Some(code));
    of_code.take(PRODUCTS_MAX).map(|product| product.sku.clone()).collect()
}

fn scanned_product(controller: &Controller, sku: Sku, now: gondola_protocol::Moment) -> ScannedProduct {
    let catalog = controller.catalog();
    let product = catalog.product(&sku);
    let currency = catalog.settings().currency;
    ScannedProduct {
        name: product.and_then(|product| product.name.clone().map(Into::into)),
        spec: product.and_then(|product| product.spec.clone().map(Into::into)),
        price: catalog.shelf_price(&sku, now).price.map(|price| currency.format(price)),
        currency: currency.to_string(),
        in_assortment: catalog.is_in_assortment(&sku),
        labels: controller.fleet().labels_of(&sku).count(),
        sku,
    }
}

/// Lets another device take a label's place: its position, its products and its template. The old one is unbound.
pub(super) async fn replace(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let (shop, old) = (web.shop(&store)?, label_id(&label)?);
    let new: LabelId = Fields::of("the body", body, &["with"])?.parsed("with")?;
    let _registration = web.registrations.lock().await;
    super::batch::refuse_label_elsewhere(&web, shop, new).await?;
    let _turn = shop.writes.lock().await;
    shop.handle.request(LabelRequest::Replace { label: old, with: new }).await?;
    let answer = super::labels::current(shop, new).await?;
    Ok((axum::Extension(Did(format!("with {new}"))), answer).into_response())
}
