//! How right a store's shelves are, now and over time, and how long pictures take to the glass.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use crate::controller::Controller;
use crate::fleet::accuracy::{Sample, Waits};
use crate::instant;
use crate::web::Web;
use crate::web::problem::Problem;

/// A store's accuracy: the share of its bound labels whose glass is proven to agree.
#[derive(Serialize, ToSchema)]
pub(super) struct AccuracyJson {
    now: SampleJson,
    /// Of each minute of the last day of this run, oldest first.
    day: Vec<SampleJson>,
    /// Of each hour of the last week, oldest first.
    week: Vec<SampleJson>,
    time_to_shelf: WaitsJson,
}

#[derive(Serialize, ToSchema)]
struct SampleJson {
    at: String,
    bound: u32,
    agreeing: u32,
    /// 0 to 1; 1 where nothing is bound.
    accuracy: f64,
}

/// From a picture being wanted to its proof, over the last day of this run. Percentiles are right to within half of
/// themselves; none before the first proof.
#[derive(Serialize, ToSchema)]
struct WaitsJson {
    pictures: u64,
    p50_s: Option<f64>,
    p95_s: Option<f64>,
    p99_s: Option<f64>,
}

pub(super) async fn show(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
) -> Result<Json<AccuracyJson>, Problem> {
    let read = web.shop(&store)?.handle.read(|controller, now| of(controller, controller.sample(now)));
    Ok(Json(read.await?))
}

fn of(controller: &Controller, now: Sample) -> AccuracyJson {
    let zone = &controller.catalog().settings().time_zone;
    let accuracy = controller.accuracy();
    AccuracyJson {
        now: sample(&now, zone),
        day: accuracy.day().map(|one| sample(one, zone)).collect(),
        week: accuracy.week().map(|one| sample(one, zone)).collect(),
        time_to_shelf: waits(accuracy.waits()),
    }
}

fn sample(sample: &Sample, zone: &TimeZone) -> SampleJson {
    let Sample { at, bound, agreeing } = *sample;
    SampleJson { at: instant::rfc3339(at, zone), bound, agreeing, accuracy: sample.share() }
}

fn waits(waits: &Waits) -> WaitsJson {
    let seconds = |percent| waits.percentile(percent).map(|wait| wait.as_secs_f64());
    WaitsJson { pictures: waits.count(), p50_s: seconds(50), p95_s: seconds(95), p99_s: seconds(99) }
}
