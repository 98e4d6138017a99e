//! Changes that wait for a person, and alerts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::List;
use crate::alert::Alert;
use crate::catalog::approvals::{Held, HeldId, Verdict};
use crate::catalog::promotion::Reduction;
use crate::catalog::wire::{Change, Facet};
use crate::controller::Controller;
use crate::controller::message::Request;
use crate::instant;
use crate::web::Web;
use crate::web::problem::Problem;

/// A change that waits.
#[derive(Serialize)]
pub(super) struct HeldJson {
    id: String,
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
#[derive(Serialize)]
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
) -> Result<Json<List<HeldJson>>, Problem> {
    let read = web.shop(&store)?.handle.read(|controller, _| {
        let held = controller.catalog().held();
        held.take(super::ITEMS_MAX).map(|held| held_json(controller, held)).collect()
    });
    Ok(Json(List::whole(read.await?)))
}

pub(super) async fn alerts(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
) -> Result<Json<List<AlertJson>>, Problem> {
    let read = web.shop(&store)?.handle.read(|controller, _| {
        let alerts = controller.alerts().raised();
        alerts.take(super::ITEMS_MAX).map(|alert| alert_json(controller, alert)).collect()
    });
    Ok(Json(List::whole(read.await?)))
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
