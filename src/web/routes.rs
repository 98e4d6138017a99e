//! The one table of routes: method, path, and what a visitor needs for it. The router is made from it, so that there is
//! no route that asks for nothing by mistake; who does something with success is noted here, too.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use gondola_protocol::StoreId;

use super::openapi::{self, Told};
use super::pages::PageProblem;
use super::problem::Problem;
use super::{Web, api, guard, idempotency, pages, probes, session};
use crate::accounts::{Act, Role, Visitor};

/// Longest path that is noted.
const NOTED_CHARS_MAX: usize = 200;

/// What a visitor needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: what everybody may see.
    Nothing,
    /// To be somebody, if only with a temporary password: one's own account.
    Account,
    /// A role: in the store that the path names, or in any store where it names none.
    Role(Role),
    /// A role in every store.
    Everywhere(Role),
}

/// One method of one path.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) need: Need,
    /// What the interface's document says of it; none for pages.
    pub(super) told: Option<Told>,
    effect: Effect,
    handler: MethodRouter<Arc<Web>>,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It changes something, unless its method says otherwise: that is noted, and carried out once for each key.
    Changes,
    /// It only asks, with a question too long for an address.
    Asks,
}

impl Route {
    /// Whether it changes something, once for each key.
    pub(super) fn takes_key(&self) -> bool {
        !self.method.is_safe() && self.effect == Effect::Changes
    }

    /// Adds what the interface's document says of it.
    pub(super) fn tells(self, told: Told) -> Self {
        Self { told: Some(told), ..self }
    }

    /// Changes nothing, whatever its method.
    pub(super) fn asks(self) -> Self {
        Self { effect: Effect::Asks, ..self }
    }
}

/// A route.
pub(super) fn route<H, T>(method: Method, path: &'static str, need: Need, handler: H) -> Route
where
    H: Handler<T, Arc<Web>>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("a method of the standard");
    Route { method, path, need, told: None, effect: Effect::Changes, handler: on(filter, handler) }
}

/// Every route.
pub(super) fn table() -> Vec<Route> {
    let document = route(Method::GET, "/openapi.json", Need::Nothing, openapi::document);
    let document = document.tells(Told::of("This document").gives_other("application/json"));
    [pages::routes(), api::routes(), probes::routes(), vec![document]].into_iter().flatten().collect()
}

/// A router of every route, each behind its need.
pub(super) fn router(web: &Arc<Web>) -> Router<Arc<Web>> {
    table().into_iter().fold(Router::new(), |router, Route { method, path, need, effect, handler, .. }| {
        let gate = Gate { web: Arc::clone(web), action: format!("{method} {path}"), need, effect };
        router.route(path, handler.route_layer(from_fn_with_state(gate, admit)))
    })
}

/// What an answer tells the record of who did what, beside the path.
#[derive(Debug, Clone)]
pub(super) struct Did(pub(super) String);

/// What stands before a route.
#[derive(Clone)]
struct Gate {
    web: Arc<Web>,
    /// What the record of who did what calls it.
    action: String,
    need: Need,
    effect: Effect,
}

async fn admit(
    State(Gate { web, action, need, effect }): State<Gate>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let store = params.iter().find(|(name, _)| *name == "store").map(|(_, store)| store.to_owned());
    let visitor = request.extensions().get::<Visitor>().cloned();
    if let Err(refused) = check(need, visitor.as_ref(), store.as_deref()) {
        return refused.respond(&request);
    }
    if let Err(problem) = guard::writes(&request) {
        return problem.into_response();
    }
    match visitor {
        Some(visitor) if !request.method().is_safe() && effect == Effect::Changes => {
            let (who, now) = (visitor.who.to_string(), web.accounts.now());
            let carry_out = async |request| carry_out(&web, &who, action, request, next).await;
            idempotency::once(&web.answers, now, who.clone(), request, carry_out).await
        }
        _ => next.run(request).await,
    }
}

/// Lets a visitor change something, and notes that they did.
async fn carry_out(web: &Web, who: &str, action: String, request: Request, next: Next) -> Response {
    let path = shortened(request.uri().path());
    let response = next.run(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        return response;
    }
    let detail = response.extensions().get::<Did>().map(|Did(detail)| shortened(detail));
    let act = Act { who: who.to_owned(), action, path, detail };
    match web.accounts.note(act).await {
        Ok(()) => response,
        Err(error) => Problem::unavailable(format!("it is done, but not noted: {error}")).into_response(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(NOTED_CHARS_MAX).collect()
}

/// Why a visitor is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refused {
    Unidentified,
    /// A password is to be chosen first.
    Password,
    Role(String),
}

fn check(need: Need, visitor: Option<&Visitor>, store: Option<&str>) -> Result<(), Refused> {
    if need == Need::Nothing {
        return Ok(());
    }
    let visitor = visitor.ok_or(Refused::Unidentified)?;
    if need == Need::Account {
        return Ok(());
    }
    if visitor.must_choose_password {
        return Err(Refused::Password);
    }
    // A path whose store is none is answered by its handler.
    let store: Option<StoreId> = store.and_then(|store| store.parse().ok());
    let (may, wanted) = match (need, store) {
        (Need::Role(role), Some(store)) => {
            (visitor.may_in(role, &store), format!("the role `{role}` in store `{store}`"))
        }
        (Need::Role(role), None) => (visitor.may_somewhere(role), format!("the role `{role}`")),
        (Need::Everywhere(role), _) => (visitor.may_everywhere(role), format!("the role `{role}` in every store")),
        (Need::Nothing | Need::Account, _) => (true, String::new()),
    };
    if may { Ok(()) } else { Err(Refused::Role(wanted)) }
}

impl Refused {
    /// A program and a script get a problem; a person who opens a page gets the page that helps.
    fn respond(self, request: &Request) -> Response {
        let opens_a_page = request.method() == Method::GET && accepts_html(request.headers());
        match (self, opens_a_page) {
            (Self::Unidentified, true) => {
                let next = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
                Redirect::to(&format!("/login?{}", pages::url_query("next", next))).into_response()
            }
            (Self::Password, true) => Redirect::to("/account").into_response(),
            (Self::Role(wanted), true) => PageProblem::from(forbidden(&wanted)).into_response(),
            (Self::Unidentified, false) => {
                ([(header::WWW_AUTHENTICATE, "Bearer")], session::unidentified()).into_response()
            }
            (Self::Password, false) => {
                let detail = "choose a password of your own first, at /account";
                Problem::new(StatusCode::FORBIDDEN, detail).into_response()
            }
            (Self::Role(wanted), false) => forbidden(&wanted).into_response(),
        }
    }
}

fn forbidden(wanted: &str) -> Problem {
    let problem = Problem::new(StatusCode::FORBIDDEN, format!("this needs {wanted}; ask an admin"));
    problem.or_in_chinese("您的权限不足，请联系管理员。")
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|text| text.contains("text/html"))
}
