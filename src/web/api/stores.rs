//! Stores and their base stations.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use futures_util::future::try_join_all;
use gondola_protocol::{Moment, StationId, StoreId};
use serde::Serialize;
use utoipa::ToSchema;

use super::List;
use crate::accounts::Visitor;
use crate::controller::Controller;
use crate::fleet::ahead::Switch;
use crate::fleet::health::{Health, Problem as LabelProblem};
use crate::fleet::station::Station;
use crate::instant;
use crate::web::problem::Problem;
use crate::web::{Shop, Web, selection};

/// A store among others.
#[derive(Serialize, ToSchema)]
pub(super) struct StoreJson {
    #[schema(value_type = String)]
    store: StoreId,
    name: String,
    format: String,
    market: &'static str,
    currency: String,
    time_zone: Option<String>,
    labels: usize,
    in_sync: usize,
}

/// A store by itself.
#[derive(Serialize, ToSchema)]
pub(super) struct SummaryJson {
    #[serde(flatten)]
    store: StoreJson,
    #[schema(value_type = BTreeMap<String, usize>)]
    health: BTreeMap<&'static str, usize>,
    problems: BTreeMap<&'static str, usize>,
    /// Labels that wait for room at a base station.
    waiting: usize,
    /// Transfers that have no outcome yet.
    transfers: usize,
    /// Labels that were heard and are not registered.
    unregistered: usize,
    base_stations: Vec<StationJson>,
    /// How the newest switches went, oldest first.
    switches: Vec<SwitchJson>,
}

/// A boundary of promotions, at which labels were to show another picture.
#[derive(Serialize, ToSchema)]
struct SwitchJson {
    at: String,
    labels: usize,
    /// Of those, the ones that had said in time that they keep it.
    staged: usize,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StationJson {
    #[schema(value_type = String)]
    base_station: StationId,
    state: &'static str,
    since: Option<String>,
    /// Why it is down.
    reason: Option<String>,
    transfers: usize,
    transfers_max: Option<usize>,
    clock: Option<ClockJson>,
}

/// How a base station's clock runs.
#[derive(Serialize, ToSchema)]
struct ClockJson {
    round_trip_ms: f64,
    /// Millionths by which it runs faster than the controller's; none before a minute has passed.
    drift_ppm: Option<f64>,
    uncertainty_ppm: f64,
}

pub(super) async fn list(State(web): State<Arc<Web>>, visitor: Visitor) -> Result<Json<List<StoreJson>>, Problem> {
    let stores = web.shops(&visitor).map(|shop| {
        let (id, name) = named(shop);
        shop.handle.read(move |controller, now| store(id, name, controller, now))
    });
    Ok(Json(List::whole(try_join_all(stores).await?)))
}

pub(super) async fn show(State(web): State<Arc<Web>>, Path(store): Path<String>) -> Result<Json<SummaryJson>, Problem> {
    let shop = web.shop(&store)?;
    let (id, name) = named(shop);
    Ok(Json(shop.handle.read(move |controller, now| summary(id, name, controller, now)).await?))
}

pub(super) async fn base_stations(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
) -> Result<Json<List<StationJson>>, Problem> {
    let read = web.shop(&store)?.handle.read(|controller, _| stations(controller));
    Ok(Json(List::whole(read.await?)))
}

fn named(shop: &Shop) -> (StoreId, String) {
    (shop.handle.id().clone(), shop.name.clone())
}

fn store(store: StoreId, name: String, controller: &Controller, now: Moment) -> StoreJson {
    let settings = controller.catalog().settings();
    StoreJson {
        store,
        name,
        format: controller.store().format.clone(),
        market: settings.market.as_str(),
        currency: settings.currency.to_string(),
        time_zone: settings.time_zone.iana_name().map(str::to_owned),
        labels: controller.fleet().labels().count(),
        in_sync: controller.fleet().labels().filter(|label| Health::of(label, now) == Health::InSync).count(),
    }
}

fn summary(id: StoreId, name: String, controller: &Controller, now: Moment) -> SummaryJson {
    let mut health: BTreeMap<_, _> = Health::ALL.into_iter().map(|health| (health.as_str(), 0)).collect();
    let mut problems: BTreeMap<_, _> =
        selection::PROBLEMS.into_iter().map(|problem| (selection::problem_name(problem), 0)).collect();
    for label in controller.fleet().labels() {
        *health.entry(Health::of(label, now).as_str()).or_default() += 1;
        for problem in LabelProblem::of(label) {
            *problems.entry(selection::problem_name(problem)).or_default() += 1;
        }
    }
    SummaryJson {
        store: store(id, name, controller, now),
        health,
        problems,
        waiting: controller.waiting(),
        transfers: controller.in_flight(),
        unregistered: controller.fleet().seen().count(),
        base_stations: stations(controller),
        switches: switches(controller),
    }
}

fn switches(controller: &Controller) -> Vec<SwitchJson> {
    let zone = &controller.catalog().settings().time_zone;
    let switch = |switch: &Switch| SwitchJson {
        at: instant::rfc3339(switch.at, zone),
        labels: switch.labels,
        staged: switch.staged,
    };
    controller.switches().map(switch).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a clock that is off by more than 2^53 billionths is none")]
fn ppm(ppb: i64) -> f64 {
    ppb as f64 / 1_000.0
}

fn stations(controller: &Controller) -> Vec<StationJson> {
    let zone = &controller.catalog().settings().time_zone;
    let station = |station: &Station| StationJson {
        base_station: station.id.clone(),
        state: if station.capacity.is_some() { "up" } else { "down" },
        since: station.since.map(|since| instant::rfc3339(since, zone)),
        reason: station.away_because.clone(),
        transfers: station.transfers,
        transfers_max: station.capacity.map(|capacity| capacity.transfers),
        clock: station.clock.map(|clock| ClockJson {
            round_trip_ms: clock.round_trip.as_secs_f64() * 1_000.0,
            drift_ppm: clock.drift_ppb.map(ppm),
            uncertainty_ppm: ppm(clock.uncertainty_ppb),
        }),
    };
    controller.fleet().stations().map(station).collect()
}
