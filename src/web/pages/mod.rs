//! The pages that people see. Rendered here, kept current by a small script that reads fragments again.

mod attention;
mod card;
mod label;
mod layout;
mod matters;
mod overview;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Web;
use super::problem::Problem;

/// The routes of the pages, of their fragments and of what they load.
pub(super) fn routes() -> Router<Arc<Web>> {
    let style = asset("text/css; charset=utf-8", include_str!("../assets/style.css"));
    let script = asset("text/javascript; charset=utf-8", include_str!("../assets/live.js"));
    let icon = asset("image/svg+xml", include_str!("../assets/icon.svg"));
    Router::new()
        .route("/", get(overview::all))
        .route("/stores/{store}", get(overview::store))
        .route("/stores/{store}/summary", get(overview::summary))
        .route("/stores/{store}/labels/{label}", get(label::page))
        .route("/stores/{store}/labels/{label}/card", get(card::fragment))
        .route("/assets/style.css", get(async || style))
        .route("/assets/live.js", get(async || script))
        .route("/assets/icon.svg", get(async || icon))
        .fallback(no_such_page)
}

type Asset = ([(HeaderName, &'static str); 2], &'static str);

/// Read again with each page, so that a new version is never mixed with an old one.
const fn asset(content_type: &'static str, text: &'static str) -> Asset {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], text)
}

/// A problem as a page.
struct PageProblem(Problem);

impl<P: Into<Problem>> From<P> for PageProblem {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        (self.0.status, layout::problem(&self.0)).into_response()
    }
}

async fn no_such_page(uri: Uri) -> PageProblem {
    Problem::not_found(format!("there is no page at {}", uri.path())).into()
}
