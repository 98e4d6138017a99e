//! The REST interface, `/v1`: its paths, and its JSON, which is apart from the inner types.

mod approvals;
mod audit;
mod batch;
mod commands;
mod jobs;
mod labels;
mod products;
mod results;
mod rows;
mod stores;

use axum::http::Method;
use serde::Serialize;

use super::problem::Problem;
use super::routes::{Need, Route, route};
use super::{events, picture};
use crate::accounts::Role;

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
#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    const LOOK: Need = Need::Role(Role::Viewer);
    const BIND: Need = Need::Role(Role::Staff);
    const LEAD: Need = Need::Role(Role::Manager);
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let mut routes = vec![
        route(get.clone(), "/v1/stores", LOOK, stores::list),
        route(get.clone(), "/v1/stores/{store}", LOOK, stores::show),
        route(get.clone(), "/v1/stores/{store}/base-stations", LOOK, stores::base_stations),
        route(get.clone(), "/v1/stores/{store}/products", LOOK, products::list),
        route(put.clone(), "/v1/stores/{store}/products", LEAD, rows::put_products),
        route(patch, "/v1/stores/{store}/products", LEAD, rows::patch_products),
        route(get.clone(), "/v1/stores/{store}/products/{sku}", LOOK, products::show),
        route(put.clone(), "/v1/stores/{store}/prices", LEAD, rows::put_prices),
        route(put.clone(), "/v1/stores/{store}/promotions", LEAD, rows::put_promotions),
        route(put, "/v1/stores/{store}/assortment", LEAD, rows::put_assortment),
        route(post.clone(), "/v1/stores/{store}/push", LEAD, jobs::push),
        route(get.clone(), "/v1/stores/{store}/pushes/{id}", LOOK, jobs::show_push),
        route(post.clone(), "/v1/stores/{store}/reload", LEAD, jobs::reload),
        route(get.clone(), "/v1/stores/{store}/reloads/{id}", LOOK, jobs::show_reload),
        route(get.clone(), "/v1/stores/{store}/alerts", LOOK, approvals::alerts),
        route(get.clone(), "/v1/stores/{store}/approvals", LOOK, approvals::list),
        route(post.clone(), "/v1/stores/{store}/approvals/{id}/approve", LEAD, approvals::approve),
        route(post.clone(), "/v1/stores/{store}/approvals/{id}/reject", LEAD, approvals::reject),
        route(post.clone(), "/v1/stores/{store}/bindings", BIND, batch::bind),
        route(get.clone(), "/v1/stores/{store}/labels", LOOK, labels::list),
        route(post.clone(), "/v1/stores/{store}/labels", BIND, batch::register),
        route(get.clone(), "/v1/stores/{store}/labels/{label}", LOOK, labels::show),
        route(delete, "/v1/stores/{store}/labels/{label}", LEAD, labels::remove),
        route(post.clone(), "/v1/stores/{store}/labels/{label}/bind", BIND, labels::bind),
        route(post, "/v1/stores/{store}/labels/{label}/unbind", BIND, labels::unbind),
        route(get.clone(), "/v1/stores/{store}/labels/{label}/image.png", LOOK, picture::image),
        route(get.clone(), "/v1/stores/{store}/audit", LOOK, audit::show),
        route(get.clone(), "/v1/stores/{store}/pictures/{digest}", LOOK, picture::by_digest),
        route(get, "/v1/events", LOOK, events::events),
    ];
    routes.extend(commands::routes(BIND));
    routes
}

/// How many items a page has.
fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(ITEMS_DEFAULT) };
    let limit = text.parse().ok().filter(|limit| (1..=ITEMS_MAX).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("limit `{text}` is not 1 to {ITEMS_MAX}")))
}
