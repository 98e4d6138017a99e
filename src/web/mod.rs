//! What people and programs see over HTTP: pages, the REST interface, events, metrics.
//!
//! It reads the stores through their handles and asks them for changes; it keeps no state of its own and
//! decides nothing about labels. Who may use what stands in one table, [`routes`].

mod api;
mod events;
mod guard;
mod idempotency;
mod language;
mod openapi;
mod pages;
mod picture;
mod probes;
mod problem;
mod request;
mod routes;
mod samples;
mod selection;
mod server;
mod session;
mod stall;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use gondola_protocol::{LabelId, StoreId};
use jiff::tz::TimeZone;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::accounts::{Role, Visitor};
use crate::run::accounts::AccountsHandle;
use crate::run::store::StoreHandle;
use crate::run::templates::{EditError, TemplateLibrary};
use guard::Rates;
use idempotency::Answers;
pub(crate) use pages::url_query;
use problem::Problem;
pub use server::serve;

/// Longest body: 1000 bindings of 8 SKUs of 64 characters are 700 KiB.
const BODY_MAX: usize = 1 << 20;

/// Drafts of templates that are looked at at once: one thread's work each, for a second.
const CHECKS_MAX: usize = 1;

/// One store as the web needs it.
#[derive(Debug, Clone)]
pub struct StoreInfo {
    /// How to reach it.
    pub handle: StoreHandle,
    /// Its name for people, shown even when the store does not answer.
    pub name: String,
}

/// How browsers come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Without TLS: from this machine, or through a proxy.
    Plain,
    /// Through our TLS: cookies are for TLS alone, and browsers are told to use nothing else.
    Tls,
}

/// Writes all metrics in the Prometheus text format.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Everything that the web shows.
pub struct Web {
    stores: BTreeMap<StoreId, Shop>,
    metrics: Metrics,
    accounts: AccountsHandle,
    templates: TemplateLibrary,
    /// Held while drafts are looked at: that draws hundreds of pictures.
    checks: Semaphore,
    /// Whether browsers come through TLS, so that a cookie is for TLS alone.
    is_secure: bool,
    rates: std::sync::Mutex<Rates>,
    answers: Answers,
    /// Held while labels are registered: a label belongs to one store, and the stores do not know each other.
    registrations: Mutex<()>,
    event_streams: Arc<events::Streams>,
}

/// One store, and the order of writes to it.
struct Shop {
    handle: StoreHandle,
    name: String,
    /// Held while a request is carried out, so that "unchanged" is only said of what the journal holds. The
    /// items of a batch are carried out together, so this costs a lone request one group commit at most.
    writes: Mutex<()>,
    events: Arc<events::Teller>,
}

/// Cancelled when the process is about to end: event streams end by it.
#[derive(Clone)]
struct Closing(CancellationToken);

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("stores", &self.stores.keys()).finish_non_exhaustive()
    }
}

impl Web {
    /// The web of these stores.
    #[must_use]
    pub fn new(
        stores: Vec<StoreInfo>,
        metrics: Metrics,
        accounts: AccountsHandle,
        templates: TemplateLibrary,
        way: Way,
    ) -> Self {
        let shop = |StoreInfo { handle, name }| {
            (handle.id().clone(), Shop { handle, name, writes: Mutex::default(), events: Arc::default() })
        };
        Self {
            stores: stores.into_iter().map(shop).collect(),
            metrics,
            accounts,
            templates,
            checks: Semaphore::new(CHECKS_MAX),
            is_secure: way == Way::Tls,
            rates: std::sync::Mutex::new(Rates::default()),
            answers: Answers::default(),
            registrations: Mutex::default(),
            event_streams: Arc::default(),
        }
    }

    /// The stores that a visitor may look into.
    fn shops<'a>(&'a self, visitor: &'a Visitor) -> impl Iterator<Item = &'a Shop> {
        self.stores.values().filter(|shop| visitor.may_in(Role::Viewer, shop.handle.id()))
    }

    /// Asks the templates something that reads files or compiles.
    async fn templates<T: Send + 'static>(
        &self,
        question: impl FnOnce(&TemplateLibrary) -> Result<T, EditError> + Send + 'static,
    ) -> Result<T, Problem> {
        let library = self.templates.clone();
        let answer = tokio::task::spawn_blocking(move || question(&library)).await;
        Ok(answer.unwrap_or(Err(EditError::Stopped))?)
    }

    /// The clock of what belongs to no store: the first store's.
    async fn time_zone(&self) -> TimeZone {
        let Some(shop) = self.stores.values().next() else { return TimeZone::UTC };
        let read = shop.handle.read(|controller, _| controller.catalog().settings().time_zone.clone());
        read.await.unwrap_or(TimeZone::UTC)
    }

    /// The store that a path names.
    fn shop(&self, id: &str) -> Result<&Shop, Problem> {
        let refused = |error| Problem::bad_request(error).or_in_chinese(format!("“{id}”不是门店编号。"));
        let id: StoreId = id.parse().map_err(refused)?;
        self.stores.get(&id).ok_or_else(|| {
            let known = self.stores.keys().map(StoreId::as_str).collect::<Vec<_>>().join(", ");
            Problem::not_found(format!("store `{id}` is not configured; there are {known}"))
                .or_in_chinese(format!("没有门店 {id}。已配置的门店：{known}。"))
        })
    }
}

/// The label that a path names.
fn label_id(text: &str) -> Result<LabelId, Problem> {
    let refused =
        |error| Problem::bad_request(error).or_in_chinese(format!("“{text}”不是价签编号，编号为 16 位十六进制数字。"));
    text.parse().map_err(refused)
}

/// Everything that is served.
pub fn router(web: Web) -> Router {
    let web = Arc::new(web);
    routes::router(&web)
        .fallback(no_such_path)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn(pages::problems))
        .layer(middleware::from_fn_with_state(Arc::clone(&web), session::identify))
        .layer(middleware::from_fn(server::in_time))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(Arc::clone(&web), guard::headers))
        .with_state(web)
}

async fn no_such_path(uri: Uri) -> Response {
    if uri.path().starts_with("/v1/") {
        return Problem::not_found(format!("there is nothing at {}", uri.path())).into_response();
    }
    let problem = Problem::not_found(format!("there is no page at {}", uri.path()));
    pages::PageProblem::from(problem.or_in_chinese(format!("没有页面 {}。", uri.path()))).into_response()
}
