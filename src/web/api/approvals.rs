//! Changes that wait for a person.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{List, Page, bad_cursor, limit, page_of};
use crate::catalog::approvals::{Held, HeldId, Verdict};
use crate::catalog::promotion::Reduction;
use crate::catalog::wire::{Change, Facet};
use crate::controller::Controller;
use crate::controller::message::Request;
use crate::instant;
use crate::web::Web;
use crate::web::problem::Problem;
use crate::web::request::Params;

/// A change that waits.
#[derive(Serialize, ToSchema)]
pub(super) struct HeldJson {
    id: String,
    #[schema(value_type = String)]
    facet: Facet,
    key: String,
    revision: u64,
    reason: String,
    since: String,
    /// What stands now, and what would.
    price: Option<String>,
    held_price: Option<String>,
}

pub(super) async fn list(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(page): Params<Page>,
) -> Result<Json<List<HeldJson>>, Problem> {
    let (shop, limit) = (web.shop(&store)?, limit(page.limit.as_deref())?);
    let after = page.cursor.map(|cursor| cursor.parse().map_err(|_| bad_cursor(&cursor))).transpose()?;
    let read = shop.handle.read(move |controller, _| {
        let mut held: Vec<_> =
            controller.catalog().held().filter(|held| after.is_none_or(|after: HeldId| held.id > after)).collect();
        held.sort_unstable_by_key(|held| held.id);
        let (items, next) = page_of(held.into_iter(), limit, |held| held.id.to_string());
        List { items: items.into_iter().map(|held| held_json(controller, held)).collect(), next }
    });
    Ok(Json(read.await?))
}

pub(super) async fn approve(
    State(web): State<Arc<Web>>,
    Path((store, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    decide(&web, &store, &id, Verdict::Approved).await
}

pub(super) async fn reject(
    State(web): State<Arc<Web>>,
    Path((store, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    decide(&web, &store, &id, Verdict::Rejected).await
}

async fn decide(web: &Web, store: &str, id: &str, verdict: Verdict) -> Result<StatusCode, Problem> {
    let shop = web.shop(store)?;
    let id: HeldId = id.parse().map_err(|_| Problem::not_found(format!("there is no change `{id}` that waits")))?;
    shop.handle.request(Request::Decide { id, verdict }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn held_json(controller: &Controller, held: &Held) -> HeldJson {
    let settings = controller.catalog().settings();
    let amount = |amount| settings.currency.format(amount);
    let (price, held_price) = match &held.row.change {
        Change::Base(product) => {
            let stands = controller.catalog().product(&product.sku).and_then(|product| product.price);
            (stands, product.price.map(amount))
        }
        Change::Promotion(promotion) => {
            let would = match promotion.reduction {
                Reduction::Price(price) => Some(amount(price)),
                Reduction::Percent(percent) => Some(format!("-{} %", percent.normalize())),
                Reduction::Text => None,
            };
            (None, would)
        }
        _ => (None, None),
    };
    HeldJson {
        id: held.id.to_string(),
        facet: held.row.key.facet(),
        key: held.row.key.id().to_owned(),
        revision: held.row.revision,
        reason: held.reason.to_string(),
        since: instant::rfc3339(held.since, &settings.time_zone),
        price: price.map(amount),
        held_price,
    }
}
