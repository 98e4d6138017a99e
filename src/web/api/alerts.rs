//! Alerts: those that hold, those that are over, and who looks after them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{List, bad_cursor, limit, page_of};
use crate::accounts::Visitor;
use crate::alert::{self, Alert};
use crate::controller::Controller;
use crate::controller::message::Request;
use crate::instant;
use crate::web::Web;
use crate::web::problem::Problem;
use crate::web::request::Params;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// `raised`, which is the default: those that hold. `cleared`: the newest that are over, the last one first.
    state: Option<String>,
    /// How many items: 1 to 1000.
    limit: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// An alert.
#[derive(Serialize, ToSchema)]
pub(super) struct AlertJson {
    id: String,
    /// Of its newest news: each news of a store has its own.
    number: u64,
    rule: &'static str,
    state: &'static str,
    subject: String,
    /// What is wrong.
    text: String,
    /// What a person does about it.
    action: &'static str,
    /// Since when it holds, or no longer does.
    at: String,
    /// When it began.
    since: String,
    acknowledged: Option<AcknowledgedJson>,
}

/// Who looks after an alert.
#[derive(Serialize, ToSchema)]
struct AcknowledgedJson {
    by: String,
    at: String,
}

pub(super) async fn list(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
) -> Result<Json<List<AlertJson>>, Problem> {
    let (shop, limit) = (web.shop(&store)?, limit(query.limit.as_deref())?);
    let state = query.state.as_deref().unwrap_or("raised").parse().map_err(Problem::bad_request)?;
    let cursor = query.cursor;
    match state {
        alert::State::Raised => {
            let after = cursor.map(|cursor| alert::parse_id(&cursor).ok_or_else(|| bad_cursor(&cursor))).transpose()?;
            let read = shop.handle.read(move |controller, _| {
                let behind = |alert: &&Alert| {
                    after.as_ref().is_none_or(|after| (alert.rule, &alert.subject) > (after.0, &after.1))
                };
                let (items, next) = page_of(controller.alerts().raised().filter(behind), limit, |alert| alert.id());
                whole(controller, &items, next)
            });
            Ok(Json(read.await?))
        }
        alert::State::Cleared => {
            let before = cursor.map(|cursor| cursor.parse().map_err(|_| bad_cursor(&cursor))).transpose()?;
            let read = shop.handle.read(move |controller, _| {
                let over = controller.alerts().news().rev().filter(|news| news.state == alert::State::Cleared);
                let behind = over.filter(|news| before.is_none_or(|before: u64| news.number < before));
                let (items, next) = page_of(behind, limit, |news| news.number.to_string());
                whole(controller, &items, next)
            });
            Ok(Json(read.await?))
        }
    }
}

fn whole(controller: &Controller, items: &[&Alert], next: Option<String>) -> List<AlertJson> {
    let zone = &controller.catalog().settings().time_zone;
    List { items: items.iter().map(|alert| alert_json(alert, zone)).collect(), next }
}

fn alert_json(alert: &Alert, zone: &TimeZone) -> AlertJson {
    let acknowledged = alert.acknowledged.as_ref();
    AlertJson {
        id: alert.id(),
        number: alert.number,
        rule: alert.rule.as_str(),
        state: alert.state.as_str(),
        subject: alert.subject.clone(),
        text: alert.text.clone(),
        action: alert::words::action(alert.rule).0,
        at: instant::rfc3339(alert.at, zone),
        since: instant::rfc3339(alert.since, zone),
        acknowledged: acknowledged.map(|it| AcknowledgedJson { by: it.by.clone(), at: instant::rfc3339(it.at, zone) }),
    }
}

/// Notes that whoever asks looks after an alert.
pub(super) async fn acknowledge(
    State(web): State<Arc<Web>>,
    Path((store, id)): Path<(String, String)>,
    visitor: Visitor,
) -> Result<StatusCode, Problem> {
    let shop = web.shop(&store)?;
    let (rule, subject) =
        alert::parse_id(&id).ok_or_else(|| Problem::not_found(format!("there is no alert `{id}`, or it is over")))?;
    shop.handle.request(Request::Acknowledge { rule, subject, by: visitor.who.to_string() }).await?;
    Ok(StatusCode::NO_CONTENT)
}
