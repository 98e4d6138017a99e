//! The shop as a page: its floor plan once, and from then on what changed of each label's state.
//!
//! A reader is told the difference between what it was told last and what is now. Nothing is kept for a slow one:
//! its next difference is larger, and beyond [`CHANGES_MAX`] labels it is told everything anew.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use gondola_protocol::{LabelId, StationId};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{CONNECTIONS_MAX, Handle, Problem};
use crate::floor::{Floor, Place};
use crate::world::{LabelSight, Sight, StationSight};

/// Pages that follow the shop at once: the rest of the control API keeps as many places.
const READERS_MAX: usize = CONNECTIONS_MAX / 2;

/// How often the shop is looked at for each reader: a person sees no more, and a look at 30,000 labels takes
/// milliseconds of the world's time.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// Labels in one change: beyond that, one character for every label is shorter than a pair of numbers for each.
const CHANGES_MAX: usize = 4_096;

/// Browsers and proxies drop a stream that is silent for a minute.
const KEEP_ALIVE_PERIOD: Duration = Duration::from_secs(15);

/// The page loads its own files and nothing else, and runs no script but its own.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                              connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Handle> {
    let places = Arc::new(Semaphore::new(READERS_MAX));
    Router::new()
        .route("/", get(async || asset("text/html; charset=utf-8", include_str!("page/shop.html"))))
        .route("/shop.js", get(async || asset("text/javascript; charset=utf-8", include_str!("page/shop.js"))))
        .route("/shop.css", get(async || asset("text/css; charset=utf-8", include_str!("page/shop.css"))))
        .route("/icon.svg", get(async || asset("image/svg+xml", include_str!("page/icon.svg"))))
        .route("/floor", get(floor))
        .route("/events", get(move |handle| events(handle, places)))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), text).into_response()
}

/// `GET /floor`
#[derive(Serialize)]
struct FloorRow {
    #[serde(flatten)]
    floor: Floor,
    base_stations: Vec<Placed<StationId>>,
    labels: Vec<Placed<LabelId>>,
}

#[derive(Serialize)]
struct Placed<T> {
    id: T,
    #[serde(flatten)]
    place: Place,
}

async fn floor(State(handle): State<Handle>) -> Result<Json<FloorRow>, Problem> {
    let stations = handle.stations().await?;
    let labels = handle.labels().await?;
    let plan = Floor::for_labels(labels.len(), stations.len());
    let labels = labels.into_iter().zip(plan.labels);
    Ok(Json(FloorRow {
        floor: plan.floor,
        base_stations: stations.into_iter().zip(plan.base_stations).map(|(id, place)| Placed { id, place }).collect(),
        labels: labels.map(|(state, place)| Placed { id: state.label, place }).collect(),
    }))
}

async fn events(
    State(handle): State<Handle>,
    places: Arc<Semaphore>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = places.try_acquire_owned().map_err(|_| {
        let detail = format_args!("{READERS_MAX} pages follow this shop already; close one").to_string();
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many pages", detail)
    })?;
    let told = stream::unfold((handle, None, place), |(handle, told, place)| async move {
        let (event, seen) = next_event(&handle, told.as_ref()).await?;
        // A reader that is told something is not told again at once.
        Some((Ok(event), (handle, Some(seen), place)))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_PERIOD)))
}

/// Waits until there is something to tell; none once the shop has closed.
async fn next_event(handle: &Handle, told: Option<&Sight>) -> Option<(Event, Sight)> {
    loop {
        if told.is_some() {
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        let seen = handle.sight().await.ok()?;
        if let Some(news) = News::between(told, &seen) {
            let text = serde_json::to_string(&news).expect("numbers and texts are JSON");
            return Some((Event::default().event(news.name()).data(text), seen));
        }
    }
}

/// What a reader is told.
#[derive(Debug, PartialEq, Serialize)]
struct News<'a> {
    loss: f64,
    base_stations: Vec<StationRow<'a>>,
    labels: Labels,
}

#[derive(Debug, PartialEq, Serialize)]
struct StationRow<'a> {
    id: &'a StationId,
    on: bool,
    connected: bool,
    holds: usize,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Labels {
    /// One hexadecimal digit for each label, in the floor's order.
    All(String),
    /// A label's number in the floor's order, and its digit.
    Changed(Vec<(usize, char)>),
}

impl<'a> News<'a> {
    fn between(told: Option<&Sight>, seen: &'a Sight) -> Option<Self> {
        if told == Some(seen) {
            return None;
        }
        let news = |labels| Self {
            loss: seen.loss,
            base_stations: seen.stations.iter().map(StationRow::from).collect(),
            labels,
        };
        let all = || Labels::All(seen.labels.iter().map(digit).collect());
        let Some(told) = told else { return Some(news(all())) };
        let pairs = told.labels.iter().zip(&seen.labels).enumerate();
        let mut changed = pairs.filter(|(_, (told, seen))| told != seen).map(|(at, (_, seen))| (at, digit(seen)));
        let first: Vec<_> = changed.by_ref().take(CHANGES_MAX).collect();
        Some(news(if changed.next().is_some() { all() } else { Labels::Changed(first) }))
    }

    const fn name(&self) -> &'static str {
        match self.labels {
            Labels::All(_) => "resync",
            Labels::Changed(_) => "change",
        }
    }
}

impl<'a> From<&'a StationSight> for StationRow<'a> {
    fn from(StationSight { id, is_on, is_connected, holds }: &'a StationSight) -> Self {
        Self { id, on: *is_on, connected: *is_connected, holds: *holds }
    }
}

/// The number of a label's activity, and 8 more with a low battery.
fn digit(label: &LabelSight) -> char {
    let low = if label.is_low { 8 } else { 0 };
    char::from_digit(label.activity as u32 + low, 16).expect("seven activities fit below 8")
}

#[cfg(test)]
mod tests {
    use gondola_protocol::Edition;

    use super::*;
    use crate::world::Activity;

    fn sight(labels: usize) -> Sight {
        let label = LabelSight { activity: Activity::Newest, is_low: false, edition: Edition(1) };
        let id = "front".parse().unwrap();
        let station = StationSight { id, is_on: true, is_connected: true, holds: 0 };
        Sight { loss: 0.0, stations: vec![station], labels: vec![label; labels] }
    }

    #[track_caller]
    fn check(told: Option<&Sight>, seen: &Sight, expected: Option<&str>) {
        let news = News::between(told, seen).map(|news| serde_json::to_string(&news.labels).unwrap());
        assert_eq!(news.as_deref(), expected);
    }

    #[test]
    fn a_reader_is_told_everything_and_then_what_changed() {
        let before = sight(3);
        check(None, &before, Some(r#""111""#));
        check(Some(&before), &before, None);
        let mut after = before.clone();
        after.labels[1] = LabelSight { activity: Activity::Behind, is_low: true, edition: Edition(1) };
        check(Some(&before), &after, Some(r#"[[1,"a"]]"#));
        // A whole wave between two looks: the state is the same, the picture is not.
        let mut after = before.clone();
        after.labels[2].edition = Edition(2);
        check(Some(&before), &after, Some(r#"[[2,"1"]]"#));
        let mut after = before.clone();
        after.stations[0].is_on = false;
        check(Some(&before), &after, Some("[]"));
    }

    #[test]
    fn a_reader_that_missed_much_is_told_everything() {
        let before = sight(CHANGES_MAX + 1);
        let mut after = before.clone();
        let changed = |after: &mut Sight, at: usize| after.labels[at].edition = Edition(2);
        (0..CHANGES_MAX).for_each(|at| changed(&mut after, at));
        assert_eq!(News::between(Some(&before), &after).unwrap().name(), "change");
        changed(&mut after, CHANGES_MAX);
        assert_eq!(News::between(Some(&before), &after).unwrap().name(), "resync");
    }

    #[test]
    fn the_page_knows_every_activity() {
        let script = include_str!("page/shop.js");
        let mut from = 0;
        for activity in Activity::ALL {
            let name = format!("name: \"{}\"", activity.as_str());
            from += script[from..].find(&name).unwrap_or_else(|| panic!("{name} in its order"));
        }
    }
}
