//! The REST interface, `/v1`: its paths, and its JSON, which is apart from the inner types.

mod batch;
mod labels;
mod products;
mod stores;

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::routing::{get, post};
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
        .route("/stores/{store}/products/{sku}", get(products::show))
        .route("/stores/{store}/bindings", post(batch::bind))
        .route("/stores/{store}/labels", get(labels::list).post(batch::register))
        .route("/stores/{store}/labels/{label}", get(labels::show).delete(labels::remove))
        .route("/stores/{store}/labels/{label}/bind", post(labels::bind))
        .route("/stores/{store}/labels/{label}/unbind", post(labels::unbind))
        .route("/stores/{store}/labels/{label}/image.png", get(picture::image))
        .route("/events", get(events::events))
        .fallback(no_such_path)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at /v1{}", uri.path()))
}
