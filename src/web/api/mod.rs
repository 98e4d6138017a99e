//! The REST interface, `/v1`: its paths, and its JSON, which is apart from the inner types.

mod approvals;
mod batch;
mod commands;
mod jobs;
mod labels;
mod products;
mod results;
mod rows;
mod stores;

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::routing::{get, post, put};
use serde::Serialize;

use super::problem::Problem;
use super::{Web, events, picture};

/// Items of one batch, and of one page of a list: the contract's.
const ITEMS_MAX: usize = 1_000;

/// Items of one page of a list when nobody asks for a number.
const ITEMS_DEFAULT: usize = 100;

/// One page of a list.
#[derive(Debug, Serialize)]
struct List<T> {
    items: Vec<T>,
    /// The cursor of the next page; none at the end.
    next: Option<String>,
}

impl<T> List<T> {
    /// A list that is whole.
    const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// The routes below `/v1`.
pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/stores", get(stores::list))
        .route("/stores/{store}", get(stores::show))
        .route("/stores/{store}/base-stations", get(stores::base_stations))
        .route("/stores/{store}/products", get(products::list).put(rows::put_products).patch(rows::patch_products))
        .route("/stores/{store}/products/{sku}", get(products::show))
        .route("/stores/{store}/prices", put(rows::put_prices))
        .route("/stores/{store}/promotions", put(rows::put_promotions))
        .route("/stores/{store}/assortment", put(rows::put_assortment))
        .route("/stores/{store}/push", post(jobs::push))
        .route("/stores/{store}/pushes/{id}", get(jobs::show_push))
        .route("/stores/{store}/reload", post(jobs::reload))
        .route("/stores/{store}/reloads/{id}", get(jobs::show_reload))
        .route("/stores/{store}/alerts", get(approvals::alerts))
        .route("/stores/{store}/approvals", get(approvals::list))
        .route("/stores/{store}/approvals/{id}/approve", post(approvals::approve))
        .route("/stores/{store}/approvals/{id}/reject", post(approvals::reject))
        .route("/stores/{store}/bindings", post(batch::bind))
        .route("/stores/{store}/labels", get(labels::list).post(batch::register))
        .route("/stores/{store}/labels/{label}", get(labels::show).delete(labels::remove))
        .route("/stores/{store}/labels/{label}/bind", post(labels::bind))
        .route("/stores/{store}/labels/{label}/unbind", post(labels::unbind))
        .route("/stores/{store}/labels/{label}/image.png", get(picture::image))
        .route("/events", get(events::events))
        .merge(commands::routes())
        .fallback(no_such_path)
}

/// How many items a page has.
fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(ITEMS_DEFAULT) };
    let limit = text.parse().ok().filter(|limit| (1..=ITEMS_MAX).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("limit `{text}` is not 1 to {ITEMS_MAX}")))
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at /v1{}", uri.path()))
}
