//! The pages that people see. Rendered here, kept current by a small script that reads fragments again.

mod account;
mod acts;
mod alerts;
mod attention;
mod bind;
mod card;
mod label;
mod layout;
mod matters;
mod overview;
mod plot;
mod push;
mod search;
mod shelves;
mod templates;
mod tokens;
mod users;
mod words;

use axum::Extension;
use axum::extract::Request;
use axum::http::{HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::routes::{Need, Route, route};
use crate::accounts::Role;

/// The routes of the pages, of their fragments and of what they load.
#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    const LOOK: Need = Need::Role(Role::Viewer);
    const ADMIN: Need = Need::Everywhere(Role::Admin);
    let style = asset("text/css; charset=utf-8", include_str!("../assets/style.css"));
    let script = asset("text/javascript; charset=utf-8", include_str!("../assets/live.js"));
    let bind_script = asset("text/javascript; charset=utf-8", include_str!("../assets/bind.js"));
    let templates_script = asset("text/javascript; charset=utf-8", include_str!("../assets/templates.js"));
    let icon = asset("image/svg+xml", include_str!("../assets/icon.svg"));
    let (get, post) = (Method::GET, Method::POST);
    vec![
        route(get.clone(), "/", LOOK, overview::all),
        route(get.clone(), "/stores/{store}", LOOK, overview::store),
        route(get.clone(), "/stores/{store}/summary", LOOK, overview::summary),
        route(get.clone(), "/stores/{store}/alerts", LOOK, alerts::page),
        route(get.clone(), "/stores/{store}/alerts/list", LOOK, alerts::fragment),
        route(get.clone(), "/stores/{store}/bind", Need::Role(Role::Staff), bind::page),
        route(get.clone(), "/stores/{store}/shelves", LOOK, shelves::page),
        route(get.clone(), "/stores/{store}/push", Need::Role(Role::Manager), push::page),
        route(post.clone(), "/stores/{store}/push", Need::Role(Role::Manager), push::send),
        route(get.clone(), "/stores/{store}/pushes/{id}", LOOK, push::progress),
        route(get.clone(), "/stores/{store}/labels/{label}", LOOK, label::page),
        route(get.clone(), "/stores/{store}/labels/{label}/card", LOOK, card::fragment),
        route(get.clone(), "/search", LOOK, search::page),
        route(get.clone(), "/templates", LOOK, templates::list),
        route(get.clone(), "/templates/{template}", LOOK, templates::editor),
        route(get.clone(), "/login", Need::Nothing, account::login_page),
        route(post.clone(), "/login", Need::Nothing, account::login),
        route(post.clone(), "/logout", Need::Account, account::logout),
        route(get.clone(), "/account", Need::Account, account::page),
        route(post.clone(), "/account/password", Need::Account, account::choose_password),
        route(get.clone(), "/enter", Need::Nothing, account::enter),
        route(get.clone(), "/language", Need::Nothing, account::language),
        route(get.clone(), "/users", ADMIN, users::page),
        route(post.clone(), "/users", ADMIN, users::add),
        route(post.clone(), "/users/{user}/permit", ADMIN, users::permit),
        route(post.clone(), "/users/{user}/password", ADMIN, users::reset_password),
        route(post.clone(), "/users/{user}/remove", ADMIN, users::remove),
        route(get.clone(), "/tokens", ADMIN, tokens::page),
        route(post.clone(), "/tokens", ADMIN, tokens::create),
        route(post, "/tokens/{token}/revoke", ADMIN, tokens::revoke),
        route(get.clone(), "/acts", ADMIN, acts::page),
        route(get.clone(), "/assets/style.css", Need::Nothing, async || style),
        route(get.clone(), "/assets/live.js", Need::Nothing, async || script),
        route(get.clone(), "/assets/bind.js", Need::Nothing, async || bind_script),
        route(get.clone(), "/assets/templates.js", Need::Nothing, async || templates_script),
        route(get, "/assets/icon.svg", Need::Nothing, async || icon),
    ]
}

/// `name=value` with everything escaped that is not plain.
pub(crate) fn url_query(name: &str, value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("{name}={}", value.bytes().map(escape).collect::<String>())
}

type Asset = ([(HeaderName, &'static str); 2], &'static str);

/// Read again with each page, so that a new version is never mixed with an old one.
const fn asset(content_type: &'static str, text: &'static str) -> Asset {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], text)
}

/// A problem as a page.
pub(super) struct PageProblem(Problem);

impl<P: Into<Problem>> From<P> for PageProblem {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for PageProblem {
    /// Only the status, and the problem for [`problems`], which knows who reads it.
    fn into_response(self) -> Response {
        (self.0.status, Extension(self.0)).into_response()
    }
}

/// Writes the pages of problems, in the reader's language.
pub(super) async fn problems(frame: layout::Frame, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) => (problem.status, frame.problem(problem)).into_response(),
        None => response,
    }
}
