//! What labels are told to do: `flash`, `page`, `refresh`, `ping`, `identify`, `firmware`, `reboot`, `scan`,
//! `sleep`, for one label or a group.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use gondola_drivers::Action;
use gondola_protocol::LabelId;
use gondola_protocol::message::{LightColour, Pattern, SLOTS_MAX, Status};
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::labels::{LabelJson, current};
use super::{ITEMS_MAX, bodies};
use crate::catalog::sku::Sku;
use crate::controller::message::Request;
use crate::fleet::label::{Command, CommandState};
use crate::instant;
use crate::web::openapi::Told;
use crate::web::problem::Problem;
use crate::web::request::{self, Body, FieldError, Fields};
use crate::web::routes::{Need, Route, route};
use crate::web::{Web, label_id};

/// Longest blinking: an hour of it costs a label some days of battery.
const FLASH_SECONDS_MAX: u64 = 3_600;

/// Blinking for which nobody named a time: a walk along the aisle.
const FLASH_SECONDS: u64 = 60;

const COLOURS: [&str; 8] = ["off", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

const PATTERNS: [(&str, Pattern); 3] = [("steady", Pattern::Steady), ("slow", Pattern::Slow), ("fast", Pattern::Fast)];

/// The last thing that a label was told to do, and what became of it.
#[derive(Serialize, ToSchema)]
pub(super) struct CommandJson {
    action: &'static str,
    asked_at: String,
    state: &'static str,
    /// Since when it is over.
    at: Option<String>,
}

impl CommandJson {
    pub(super) fn of(command: &Command, zone: &TimeZone) -> Self {
        let (state, at) = match command.state {
            CommandState::Waiting => ("waiting", None),
            CommandState::Sent(_) => ("sent", None),
            CommandState::Over { at, status } => {
                let state = match status {
                    Some(Status::Delivered) => "done",
                    Some(Status::Unsupported) => "unsupported",
                    Some(Status::Cancelled) => "cancelled",
                    // The label did not come for it, or its station cannot tell.
                    _ => "failed",
                };
                (state, Some(instant::rfc3339(at, zone)))
            }
        };
        Self { action: name(command.action), asked_at: instant::rfc3339(command.asked_at, zone), state, at }
    }
}

const fn name(action: Action) -> &'static str {
    match action {
        Action::Ping => "ping",
        Action::Identify => "identify",
        Action::Flash { .. } => "flash",
        Action::Page { .. } => "page",
        Action::Refresh => "refresh",
        Action::Firmware => "firmware",
        Action::Drop { .. } => "drop",
        Action::Reboot => "reboot",
        Action::Scan => "scan",
        Action::Sleep => "sleep",
    }
}

/// Reads what a kind of command takes beside the labels.
type Read = fn(&mut Fields) -> Result<Action, FieldError>;

/// A kind of command: its path for one label and for a group, what it is, the fields that it takes, and how they are read.
struct Kind {
    for_one: &'static str,
    for_group: &'static str,
    summary: &'static str,
    expected: &'static [&'static str],
    read: Read,
}

macro_rules! kinds {
    ($($name:literal, $summary:literal, $expected:expr, $read:expr;)+) => {
        [$(Kind {
            for_one: concat!("/v1/stores/{store}/labels/{label}/", $name),
            for_group: concat!("/v1/stores/{store}/", $name),
            summary: $summary,
            expected: &$expected,
            read: $read,
        }),+]
    };
}

const KINDS: [Kind; 9] = kinds! {
    "flash", "Let labels blink", ["color", "seconds", "pattern"], flash;
    "page", "Let labels show a page that they keep", ["index"], page;
    "refresh", "Let labels drive their displays anew", [], |_| Ok(Action::Refresh);
    "ping", "Let labels check in", [], |_| Ok(Action::Ping);
    "identify", "Let labels show their addresses for half a minute", [], |_| Ok(Action::Identify);
    "firmware", "Let labels tell what their firmware calls itself", [], |_| Ok(Action::Firmware);
    "reboot", "Let labels start anew", [], |_| Ok(Action::Reboot);
    "scan", "Let labels look for the base station that they hear best", [], |_| Ok(Action::Scan);
    "sleep", "Let labels sleep until somebody presses their button", [], |_| Ok(Action::Sleep);
};

/// The routes: each kind for one label and for a group.
pub(super) fn routes(need: Need) -> impl Iterator<Item = Route> {
    KINDS.into_iter().flat_map(move |Kind { for_one, for_group, summary, expected, read }| {
        let to_one = move |State(web): State<Arc<Web>>,
                           Path((store, label)): Path<(String, String)>,
                           Body(body): Body| { one(web, store, label, body, expected, read) };
        let to_group = move |State(web): State<Arc<Web>>, Path(store): Path<String>, Body(body): Body| {
            group(web, store, body, expected, read)
        };
        let told = || Told::of(summary);
        [
            route(Method::POST, for_one, need, to_one)
                .tells(told().takes::<bodies::Command>().gives::<LabelJson>(StatusCode::ACCEPTED)),
            route(Method::POST, for_group, need, to_group)
                .tells(told().takes::<bodies::GroupCommand>().gives::<Group>(StatusCode::ACCEPTED)),
        ]
    })
}

async fn one(
    web: Arc<Web>,
    store: String,
    label: String,
    body: Value,
    expected: &'static [&'static str],
    read: Read,
) -> Result<(StatusCode, Json<LabelJson>), Problem> {
    let (shop, label) = (web.shop(&store)?, label_id(&label)?);
    let action = read(&mut Fields::of("the body", body, expected)?)?;
    shop.handle.request(Request::Command { labels: vec![label], action }).await?;
    Ok((StatusCode::ACCEPTED, current(shop, label).await?))
}

/// How many labels a command goes to.
#[derive(Serialize, ToSchema)]
struct Group {
    labels: usize,
}

async fn group(
    web: Arc<Web>,
    store: String,
    body: Value,
    expected: &'static [&'static str],
    read: Read,
) -> Result<(StatusCode, Json<Group>), Problem> {
    let shop = web.shop(&store)?;
    let expected: Vec<&str> = ["labels", "skus"].into_iter().chain(expected.iter().copied()).collect();
    let mut fields = Fields::of("the body", body, &expected)?;
    let (mut labels, skus): (Vec<LabelId>, Vec<Sku>) = (list(&mut fields, "labels")?, list(&mut fields, "skus")?);
    let action = read(&mut fields)?;
    let bound = shop.handle.read(move |controller, _| {
        let bound = skus.iter().flat_map(|sku| controller.fleet().labels_of(sku));
        bound.take(ITEMS_MAX + 1).collect::<Vec<_>>()
    });
    labels.extend(bound.await?);
    labels.sort_unstable();
    labels.dedup();
    if labels.is_empty() || labels.len() > ITEMS_MAX {
        let detail =
            format!("the body names {} labels by `labels` and `skus`; expected 1 to {ITEMS_MAX}", labels.len());
        return Err(Problem::unprocessable(detail));
    }
    let told = Group { labels: labels.len() };
    shop.handle.request(Request::Command { labels, action }).await?;
    Ok((StatusCode::ACCEPTED, Json(told)))
}

fn list<T: std::str::FromStr<Err: std::fmt::Display>>(
    fields: &mut Fields,
    name: &'static str,
) -> Result<Vec<T>, FieldError> {
    let place = fields.at(name);
    fields.array_or_none(name)?.iter().map(|value| request::parse(&place, value)).collect()
}

/// `{"color":"green","seconds":60,"pattern":"fast"}`
fn flash(fields: &mut Fields) -> Result<Action, FieldError> {
    let color = fields.text("color", 16)?.unwrap_or_else(|| "green".to_owned());
    let bits = COLOURS.iter().position(|known| *known == color).and_then(|bits| u8::try_from(bits).ok());
    let unknown = |place, what: &str, value: &str, known: &[&str]| {
        let reason = format!("{what} `{value}` is not known; expected one of {}", known.join(", "));
        FieldError::Invalid { place, reason }
    };
    let colour = bits.and_then(LightColour::new);
    let colour = colour.ok_or_else(|| unknown(fields.at("color"), "colour", &color, &COLOURS))?;
    let pattern = fields.text("pattern", 16)?.unwrap_or_else(|| "slow".to_owned());
    let known = PATTERNS.iter().find(|(name, _)| *name == pattern);
    let names = PATTERNS.map(|(name, _)| name);
    let (_, pattern) = known.ok_or_else(|| unknown(fields.at("pattern"), "pattern", &pattern, &names))?;
    let seconds = fields.number("seconds", 1, FLASH_SECONDS_MAX)?.unwrap_or(FLASH_SECONDS);
    Ok(Action::Flash { colour, pattern: *pattern, seconds: u16::try_from(seconds).unwrap_or(u16::MAX) })
}

/// `{"index":0}`
fn page(fields: &mut Fields) -> Result<Action, FieldError> {
    let slot = fields.number("index", 0, SLOTS_MAX.into())?.unwrap_or(0);
    Ok(Action::Page { slot: u8::try_from(slot).unwrap_or(0) })
}
