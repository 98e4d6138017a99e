//! Changes that wait for a person, and alerts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{List, Page, bad_cursor, limit, page_of};
use crate::alert::{Alert, Rule};
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

/// An alert that holds.
#[derive(Serialize, ToSchema)]
pub(super) struct AlertJson {
    id: String,
    rule: &'static str,
    state: &'static str,
    subject: String,
    text: String,
    at: String,
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

pub(super) async fn alerts(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(page): Params<Page>,
) -> Result<Json<List<AlertJson>>, Problem> {
    let (shop, limit) = (web.shop(&store)?, limit(page.limit.as_deref())?);
    let after = page.cursor.as_deref().map(|cursor| place(cursor).ok_or_else(|| bad_cursor(cursor))).transpose()?;
    let read = shop.handle.read(move |controller, _| {
        let behind =
            |alert: &&Alert| after.as_ref().is_none_or(|after| (alert.rule, &alert.subject) > (after.0, &after.1));
        let (items, next) = page_of(controller.alerts().raised().filter(behind), limit, |alert| alert.id());
        List { items: items.into_iter().map(|alert| alert_json(controller, alert)).collect(), next }
    });
    Ok(Json(read.await?))
}

/// An alert's place in the list, by its id.
fn place(id: &str) -> Option<(Rule, String)> {
    let (rule, subject) = id.split_once(':')?;
    Some((rule.parse().ok()?, subject.to_owned()))
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

fn alert_json(controller: &Controller, alert: &Alert) -> AlertJson {
    AlertJson {
        id: alert.id(),
        rule: alert.rule.as_str(),
        state: alert.state.as_str(),
        subject: alert.subject.clone(),
        text: alert.text.clone(),
        at: instant::rfc3339(alert.at, &controller.catalog().settings().time_zone),
    }
}
