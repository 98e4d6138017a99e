//! Pushes and reloads on demand: asked for, then looked after.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gondola_protocol::{LabelId, Moment};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ITEMS_MAX;
use crate::catalog::wire::Facet;
use crate::controller::Controller;
use crate::controller::jobs::{Job, Push, PushPreview, ReloadJob};
use crate::controller::message::{Answer, PushMode, PushOrder, Reach, Request};
use crate::fleet::health::Health;
use crate::instant;
use crate::web::Web;
use crate::web::problem::Problem;
use crate::web::request::{self, Body, FieldError, Fields};

#[derive(Serialize, ToSchema)]
pub(super) struct Started {
    id: String,
}

/// What a push would do, as things stand.
#[derive(Serialize, ToSchema)]
pub(super) struct PushPreviewJson {
    /// Labels that it concerns.
    total: usize,
    /// Of those, the ones that would get a picture.
    to_send: usize,
    /// Of those, the ones that no base station has heard of late: theirs wait.
    offline: usize,
    /// The first 1000 that would get a picture.
    #[schema(value_type = Vec<String>)]
    labels: Vec<LabelId>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PushJson {
    id: String,
    mode: &'static str,
    state: &'static str,
    asked_at: String,
    total: usize,
    in_sync: usize,
    failed: usize,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ReloadJson {
    id: String,
    state: &'static str,
    asked_at: String,
    #[schema(value_type = BTreeMap<String, FacetJson>)]
    facets: BTreeMap<Facet, FacetJson>,
}

#[derive(Serialize, ToSchema)]
struct FacetJson {
    state: &'static str,
    /// What it brought, or why it failed.
    detail: Option<String>,
}

pub(super) async fn push(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Body(body): Body,
) -> Result<(StatusCode, Json<Started>), Problem> {
    start(&web, &store, Request::Push(order(body)?)).await
}

pub(super) async fn preview_push(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Body(body): Body,
) -> Result<Json<PushPreviewJson>, Problem> {
    let order = order(body)?;
    let read = web.shop(&store)?.handle.read(move |controller, now| {
        let PushPreview { total, sent } = controller.preview_push(&order);
        let is_offline = |id: &&LabelId| {
            controller.fleet().label(**id).is_some_and(|label| Health::of(label, now) == Health::Offline)
        };
        PushPreviewJson {
            total,
            to_send: sent.len(),
            offline: sent.iter().filter(is_offline).count(),
            labels: sent.into_iter().take(ITEMS_MAX).collect(),
        }
    });
    Ok(Json(read.await?))
}

pub(super) async fn reload(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Body(body): Body,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let mut fields = Fields::of("the body", body, &["facets"])?;
    let facets = match fields.value("facets") {
        None => Facet::ALL.to_vec(),
        Some(Value::Array(facets)) => {
            let read = facets.iter().map(|facet| request::parse("the body: `facets`", facet));
            read.collect::<Result<Vec<Facet>, FieldError>>()?
        }
        Some(_) => return Err(Problem::unprocessable("the body: `facets` is no array; expected names of facets")),
    };
    start(&web, &store, Request::Reload { facets }).await
}

async fn start(web: &Web, store: &str, request: Request) -> Result<(StatusCode, Json<Started>), Problem> {
    match web.shop(store)?.handle.request(request).await? {
        Answer::Started(number) => Ok((StatusCode::ACCEPTED, Json(Started { id: number.to_string() }))),
        Answer::Done | Answer::Rows(_) => {
            Err(Problem::unavailable("the store has answered something else than was asked"))
        }
    }
}

/// `{"mode":"incremental|full","scope":{"skus":[],"labels":[],"assortment":true},"resend":false}`
fn order(body: Value) -> Result<PushOrder, FieldError> {
    let mut fields = Fields::of("the body", body, &["mode", "scope", "resend"])?;
    let mode = fields.text("mode", 16)?;
    let resend = fields.flag("resend")?;
    let mode = match (mode.as_deref(), resend) {
        (None | Some("full"), true) => PushMode::Resend,
        (Some("full"), false) => PushMode::Full,
        (None | Some("incremental"), false) => PushMode::Incremental,
        (Some("incremental"), true) => {
            let reason = "only a full push sends again what is proven already".to_owned();
            return Err(FieldError::Invalid { place: fields.at("resend"), reason });
        }
        (Some(other), _) => {
            let reason = format!("push mode `{other}` is not known; expected one of incremental, full");
            return Err(FieldError::Invalid { place: fields.at("mode"), reason });
        }
    };
    let place = fields.at("scope");
    let Some(scope) = fields.value("scope") else { return Ok(PushOrder { mode, ..PushOrder::default() }) };
    let mut scope = Fields::of(&place, scope, &["skus", "labels", "assortment"])?;
    let reach = if scope.flag("assortment")? { Reach::Assortment } else { Reach::Store };
    Ok(PushOrder { skus: list(&mut scope, "skus")?, labels: list(&mut scope, "labels")?, reach, mode })
}

fn list<T: std::str::FromStr<Err: std::fmt::Display>>(
    scope: &mut Fields,
    name: &'static str,
) -> Result<Vec<T>, FieldError> {
    let place = scope.at(name);
    scope.array_or_none(name)?.iter().map(|value| request::parse(&place, value)).collect()
}

pub(super) async fn show_push(
    State(web): State<Arc<Web>>,
    Path((store, id)): Path<(String, String)>,
) -> Result<Json<PushJson>, Problem> {
    let read = web.shop(&store)?.handle.read(move |controller, now| match job(controller, &id) {
        Some(Job::Push(push)) => Some(push_json(controller, id, push, now)),
        _ => None,
    });
    read.await?.map(Json).ok_or_else(|| Problem::not_found("there is no such push; the last hundred are remembered"))
}

pub(super) async fn show_reload(
    State(web): State<Arc<Web>>,
    Path((store, id)): Path<(String, String)>,
) -> Result<Json<ReloadJson>, Problem> {
    let read = web.shop(&store)?.handle.read(move |controller, _| match job(controller, &id) {
        Some(Job::Reload(reload)) => Some(reload_json(controller, id, reload)),
        _ => None,
    });
    read.await?.map(Json).ok_or_else(|| Problem::not_found("there is no such reload; the last hundred are remembered"))
}

fn job<'a>(controller: &'a Controller, id: &str) -> Option<&'a Job> {
    controller.jobs().get(id.parse().ok()?)
}

fn push_json(controller: &Controller, id: String, push: &Push, now: Moment) -> PushJson {
    let progress = push.progress(controller.fleet(), now);
    PushJson {
        id,
        mode: match push.mode {
            PushMode::Incremental => "incremental",
            PushMode::Full | PushMode::Resend => "full",
        },
        state: if progress.in_sync == progress.total {
            "done"
        } else if progress.in_sync + progress.failed == progress.total {
            "failed"
        } else {
            "running"
        },
        asked_at: instant::rfc3339(push.asked_at, &controller.catalog().settings().time_zone),
        total: progress.total,
        in_sync: progress.in_sync,
        failed: progress.failed,
    }
}

fn reload_json(controller: &Controller, id: String, reload: &ReloadJob) -> ReloadJson {
    let facet = |(facet, outcome): (&Facet, &Option<Result<_, String>>)| {
        let (state, detail) = match outcome {
            None => ("running", None),
            Some(Ok(report)) => ("done", Some(crate::controller::message::ReloadReport::in_words(report))),
            Some(Err(reason)) => ("failed", Some(reason.clone())),
        };
        (*facet, FacetJson { state, detail })
    };
    let facets: BTreeMap<Facet, FacetJson> = reload.facets.iter().map(facet).collect();
    let has = |state: &str| facets.values().any(|facet| facet.state == state);
    let state = if has("running") {
        "running"
    } else if has("failed") {
        "failed"
    } else {
        "done"
    };
    let asked_at = instant::rfc3339(reload.asked_at, &controller.catalog().settings().time_zone);
    ReloadJson { id, state, asked_at, facets }
}
