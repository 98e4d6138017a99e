//! What can be changed in a shop while it is served, beside its labels' faults.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use gondola_protocol::StationId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Handle, Named, Problem, label_id};

/// The body of `PUT /radio`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RadioBody {
    loss: f64,
}

/// The body of `PUT /base-stations/{id}/power`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PowerBody {
    on: bool,
}

/// The body of `PUT /labels/{label}/temperature`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemperatureBody {
    celsius: i8,
}

/// The body of `POST /labels/{label}/drain`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainBody {
    percent: u8,
}

type Body = Result<Bytes, BytesRejection>;

fn read<T: DeserializeOwned>(body: Body, wrong: &'static str) -> Result<T, Problem> {
    let body = body.map_err(|rejection| Problem::new(rejection.status(), wrong, rejection.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| Problem::invalid(wrong, error))
}

pub(super) async fn radio(State(handle): State<Handle>, body: Body) -> Result<StatusCode, Problem> {
    let wrong = "the radio is wrong";
    let RadioBody { loss } = read(body, wrong)?;
    if !(0.0..=1.0).contains(&loss) {
        return Err(Problem::invalid(wrong, format_args!("a loss of {loss} is not 0 to 1")));
    }
    handle.set_loss(loss).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn power(
    State(handle): State<Handle>,
    Named(station): Named,
    body: Body,
) -> Result<StatusCode, Problem> {
    let PowerBody { on } = read(body, "the power is wrong")?;
    let station = known(&handle, &station).await?;
    handle.set_power(&station, on).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn reboot(State(handle): State<Handle>, Named(station): Named) -> Result<StatusCode, Problem> {
    let station = known(&handle, &station).await?;
    handle.reboot(&station).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn temperature(
    State(handle): State<Handle>,
    Named(label): Named,
    body: Body,
) -> Result<StatusCode, Problem> {
    let label = label_id(&label)?;
    let TemperatureBody { celsius } = read(body, "the temperature is wrong")?;
    handle.set_temperature(label, celsius).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn drain(
    State(handle): State<Handle>,
    Named(label): Named,
    body: Body,
) -> Result<StatusCode, Problem> {
    let label = label_id(&label)?;
    let wrong = "the drain is wrong";
    let DrainBody { percent } = read(body, wrong)?;
    if percent > 100 {
        return Err(Problem::invalid(wrong, format_args!("{percent} % of a battery are more than there is")));
    }
    handle.drain_battery(label, percent).await??;
    Ok(StatusCode::NO_CONTENT)
}

async fn known(handle: &Handle, text: &str) -> Result<StationId, Problem> {
    let wrong = |error| Problem::invalid("the base station is wrong", error);
    let station: StationId = text.parse().map_err(wrong)?;
    if handle.stations().await?.contains(&station) {
        return Ok(station);
    }
    let detail = format_args!("base station `{station}` is not in this simulated shop").to_string();
    Err(Problem::new(StatusCode::NOT_FOUND, "no such base station", detail))
}
