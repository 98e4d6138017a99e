//! Batches: their items, and a result for each. A bad item fails alone.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ITEMS_MAX;
use crate::web::problem::Problem;
use crate::web::request::{Fields, shorten};

/// The answer to a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct Results {
    results: Vec<RowResult>,
}

/// What became of an item.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RowResult {
    /// What it was about.
    pub(super) key: String,
    pub(super) status: Status,
    /// Its source's number for it, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u64>,
    /// Why it is not applied.
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Applied,
    Unchanged,
    Stale,
    Held,
    Invalid,
}

/// The items of a batch.
pub(super) fn items_of(body: Value) -> Result<Vec<Value>, Problem> {
    let items = Fields::of("the body", body, &["items"])?.array("items")?;
    if items.len() > ITEMS_MAX {
        let detail = format!("a batch has at most {ITEMS_MAX} items, not {}; send it in parts", items.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(items)
}

/// What an item that cannot be read is called: its key as far as it has one, in short, or its place.
pub(super) fn key_or_place(item: &Value, field: &str, index: usize) -> String {
    item.get(field).and_then(Value::as_str).map_or_else(|| format!("items[{index}]"), shorten)
}

pub(super) fn respond(results: Vec<RowResult>) -> Response {
    Json(Results { results }).into_response()
}
