//! Labels: lists, one label, and what is asked of one.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use gondola_protocol::{Digest, Edition, LabelId, Millivolts, Moment, Panel, StationId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::commands::CommandJson;
use super::{List, batch, limit};
use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::controller::message::LabelRequest;
use crate::fleet::health::{Health, Problem as LabelProblem};
use crate::fleet::label::Label;
use crate::instant;
use crate::journal::entry::Position;
use crate::web::problem::Problem;
use crate::web::request::{Body, Fields, Params};
use crate::web::routes::Did;
use crate::web::selection::{self, Filter, Picked, Selection};
use crate::web::{Shop, Web, label_id, picture};

/// One label.
#[derive(Serialize, ToSchema)]
pub(super) struct LabelJson {
    #[schema(value_type = String)]
    label: LabelId,
    #[schema(value_type = String)]
    panel: Panel,
    #[schema(value_type = String)]
    health: Health,
    #[schema(value_type = Vec<String>)]
    problems: Vec<LabelProblem>,
    /// Why it is faulty.
    fault: Option<String>,
    #[schema(value_type = Vec<String>)]
    skus: Vec<Sku>,
    template: Option<String>,
    #[schema(value_type = super::bodies::Position)]
    position: Position,
    desired: Option<DesiredJson>,
    reported: Option<ReportedJson>,
    acknowledged_at: Option<String>,
    displayed_at: Option<String>,
    last_check_in: Option<String>,
    /// Why it last reported: `regular`, `boot`, `watchdog`, `displayed`, `answered`, `button_1` and so on, `nfc`, `pin`,
    /// `radio`, `found`, `update_failed`, or `other_` and the vendor's number.
    woke: Option<String>,
    #[schema(value_type = Option<String>)]
    base_station: Option<StationId>,
    heard_by: Vec<HeardJson>,
    #[schema(value_type = Option<u16>)]
    battery_mv: Option<Millivolts>,
    /// Days until the battery is empty, by its voltage and the store's pictures a day.
    battery_days: Option<u32>,
    temperature_c: Option<i8>,
    firmware: Option<String>,
    /// What it shows from an instant on.
    upcoming: Option<UpcomingJson>,
    command: Option<CommandJson>,
    /// The draft of a template that it shows for a while.
    trial: Option<TrialJson>,
}

#[derive(Serialize, ToSchema)]
struct TrialJson {
    template: String,
    until: String,
}

#[derive(Serialize, ToSchema)]
struct UpcomingJson {
    /// None until the picture is drawn.
    #[schema(value_type = Option<String>)]
    digest: Option<Digest>,
    #[schema(value_type = u64)]
    edition: Edition,
    at: String,
    /// Whether the label keeps it, by its own word.
    staged: bool,
}

#[derive(Serialize, ToSchema)]
struct DesiredJson {
    /// None until the picture is drawn.
    #[schema(value_type = Option<String>)]
    digest: Option<Digest>,
    #[schema(value_type = u64)]
    edition: Edition,
    since: String,
}

#[derive(Serialize, ToSchema)]
struct ReportedJson {
    #[schema(value_type = String)]
    digest: Digest,
    #[schema(value_type = u64)]
    edition: Edition,
    since: String,
    evidence: &'static str,
}

#[derive(Serialize, ToSchema)]
struct HeardJson {
    #[schema(value_type = String)]
    base_station: StationId,
    rssi_dbm: i8,
    at: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    health: Option<String>,
    problem: Option<String>,
    base_station: Option<String>,
    sku: Option<String>,
    q: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

impl Query {
    fn selection(self) -> Result<Selection, Problem> {
        let filter = Filter {
            health: self.health.as_deref().map(selection::health).transpose()?,
            problem: self.problem.as_deref().map(selection::problem).transpose()?,
            base_station: self.base_station.map(|id| id.parse()).transpose().map_err(Problem::bad_request)?,
            sku: self.sku.map(|sku| sku.parse()).transpose().map_err(Problem::bad_request)?,
            text: self.q.unwrap_or_default().trim().to_lowercase(),
            bound_only: false,
        };
        let after = self.cursor.as_deref().map(cursor).transpose()?;
        Ok(Selection { filter, after, limit: limit(self.limit.as_deref())? })
    }
}

fn cursor(text: &str) -> Result<LabelId, Problem> {
    let refused = |_| format!("cursor `{text}` is none that this list gave; start again without one");
    text.parse().map_err(refused).map_err(Problem::bad_request)
}

pub(super) async fn list(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
) -> Result<Json<List<LabelJson>>, Problem> {
    let (shop, selection) = (web.shop(&store)?, query.selection()?);
    let read = shop
        .handle
        .read(move |controller, now| selection.pick(controller, now, |label| LabelJson::of(controller, label, now)));
    let Picked { items, next } = read.await?;
    Ok(Json(List { items, next: next.map(|label| label.to_string()) }))
}

pub(super) async fn show(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
) -> Result<Json<LabelJson>, Problem> {
    current(web.shop(&store)?, label_id(&label)?).await
}

pub(super) async fn remove(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    request(web.shop(&store)?, LabelRequest::Remove { label: label_id(&label)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn bind(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let (shop, label) = (web.shop(&store)?, label_id(&label)?);
    let mut fields = Fields::of("the body", body, &["skus", "template", "allow_unknown"])?;
    let binding = batch::binding(label, &mut fields)?;
    let did = match &binding {
        LabelRequest::Bind { skus, .. } => skus.iter().map(Sku::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    };
    request(shop, binding).await?;
    Ok((Extension(Did(did)), current(shop, label).await?).into_response())
}

pub(super) async fn unbind(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Json<LabelJson>, Problem> {
    let (shop, label) = (web.shop(&store)?, label_id(&label)?);
    Fields::of("the body", body, &[])?;
    request(shop, LabelRequest::Unbind { label }).await?;
    current(shop, label).await
}

async fn request(shop: &Shop, request: LabelRequest) -> Result<(), Problem> {
    let _turn = shop.writes.lock().await;
    shop.handle.request(request).await?;
    Ok(())
}

pub(super) async fn current(shop: &Shop, id: LabelId) -> Result<Json<LabelJson>, Problem> {
    let read = shop.handle.read(move |controller, now| {
        let label = controller.fleet().label(id)?;
        Some(LabelJson::of(controller, label, now))
    });
    read.await?.map(Json).ok_or_else(|| picture::unknown(id))
}

impl LabelJson {
    fn of(controller: &Controller, label: &Label, now: Moment) -> Self {
        let zone = &controller.catalog().settings().time_zone;
        let at = |moment| instant::rfc3339(moment, zone);
        let drawn_by = label.desired.as_ref().map(|desired| desired.template.to_string());
        let asked_for = || label.binding.as_ref().and_then(|binding| binding.template.as_deref().map(str::to_owned));
        Self {
            label: label.id,
            panel: label.panel,
            health: Health::of(label, now),
            problems: LabelProblem::of(label).collect(),
            fault: label.trouble().fault.clone(),
            skus: selection::skus(label).to_vec(),
            template: drawn_by.or_else(asked_for),
            position: label.position.clone(),
            desired: label.desired.as_ref().map(|desired| DesiredJson {
                digest: desired.digest,
                edition: desired.edition,
                since: at(desired.since),
            }),
            reported: label.reported.as_ref().map(|reported| ReportedJson {
                digest: reported.digest,
                edition: reported.edition,
                since: at(reported.since),
                evidence: "proven",
            }),
            acknowledged_at: label.acknowledged_at.map(at),
            displayed_at: label.displayed_at.map(at),
            last_check_in: label.last_check_in.map(at),
            woke: label.woke().map(|wake| wake.to_string()),
            base_station: selection::base_station(controller, label).cloned(),
            heard_by: (label.heard_by.iter())
                .map(|(id, heard)| HeardJson { base_station: id.clone(), rssi_dbm: heard.rssi_dbm, at: at(heard.at) })
                .collect(),
            battery_mv: label.battery_mv,
            battery_days: controller.battery_days(label),
            temperature_c: label.temperature_c,
            firmware: label.firmware_name.as_deref().map(str::to_owned).or_else(|| Some(label.firmware?.to_string())),
            upcoming: label.upcoming.as_ref().map(|upcoming| UpcomingJson {
                digest: upcoming.desired.digest,
                edition: upcoming.desired.edition,
                at: at(upcoming.activate_at()),
                staged: label.keeps_upcoming(),
            }),
            command: label.command.as_ref().map(|command| CommandJson::of(command, zone)),
            trial: controller
                .trials()
                .of(label.id)
                .map(|trial| TrialJson { template: trial.draft.template.clone(), until: at(trial.until) }),
        }
    }
}
