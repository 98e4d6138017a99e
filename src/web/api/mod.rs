//! The REST interface, `/v1`: its paths, and its JSON, which is apart from the inner types.

mod accuracy;
mod alerts;
mod approvals;
mod audit;
mod batch;
pub(super) mod bodies;
mod commands;
mod enrolment;
mod jobs;
mod labels;
mod products;
mod results;
mod rows;
mod scan;
mod stores;
pub(super) mod templates;

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::openapi::Told;
use super::problem::Problem;
use super::routes::{Need, Route, route};
use super::{Web, events, picture};
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

/// The routes below `/v1`, with what the interface's document says of each.
#[rustfmt::skip]
pub(super) fn routes() -> Vec<Route> {
    const LOOK: Need = Need::Role(Role::Viewer);
    const BIND: Need = Need::Role(Role::Staff);
    const LEAD: Need = Need::Role(Role::Manager);
    const OK: StatusCode = StatusCode::OK;
    const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
    const DESIGN: Need = Need::Everywhere(Role::Admin);
    let mut routes = vec![
        get("/v1/stores", LOOK, stores::list, Told::of("The stores that you may look into").gives_list::<stores::StoreJson>()),
        get("/v1/stores/{store}", LOOK, stores::show, Told::of("A store with its counts and base stations").gives::<stores::SummaryJson>(OK)),
        get("/v1/stores/{store}/base-stations", LOOK, stores::base_stations, Told::of("Base stations").gives_list::<stores::StationJson>()),
        get("/v1/stores/{store}/accuracy", LOOK, accuracy::show, Told::of("How many labels show the right picture, now and over time, and how long pictures take").gives::<accuracy::AccuracyJson>(OK)),
        get("/v1/stores/{store}/products", LOOK, products::list, Told::of("Products, by a part of their name or by bar code").query::<products::ListQuery>().gives_list::<products::ProductJson>()),
        put("/v1/stores/{store}/products", LEAD, rows::put_products, Told::of("Replace products' base facets: rows as in the feed").takes::<bodies::Rows>().gives::<results::Results>(OK)),
        patch("/v1/stores/{store}/products", LEAD, rows::patch_products, Told::of("Change some fields of products").takes::<bodies::Rows>().gives::<results::Results>(OK)),
        get("/v1/stores/{store}/products/{sku}", LOOK, products::show, Told::of("A product, and its shelf price at an instant").query::<products::Query>().gives::<products::ProductJson>(OK)),
        put("/v1/stores/{store}/prices", LEAD, rows::put_prices, Told::of("Change prices alone").takes::<bodies::Rows>().gives::<results::Results>(OK)),
        put("/v1/stores/{store}/promotions", LEAD, rows::put_promotions, Told::of("Replace promotions").takes::<bodies::Rows>().gives::<results::Results>(OK)),
        put("/v1/stores/{store}/assortment", LEAD, rows::put_assortment, Told::of("Change what the store sells").takes::<bodies::Rows>().gives::<results::Results>(OK)),
        post("/v1/stores/{store}/push", LEAD, jobs::push, Told::of("Look at labels again, and send what differs, or everything").takes::<bodies::Push>().gives::<jobs::Started>(ACCEPTED)),
        post("/v1/stores/{store}/push/preview", LOOK, jobs::preview_push, Told::of("What a push would do: the same body, and nothing is sent").takes::<bodies::Push>().gives::<jobs::PushPreviewJson>(OK)).asks(),
        get("/v1/stores/{store}/pushes/{id}", LOOK, jobs::show_push, Told::of("How far a push is").gives::<jobs::PushJson>(OK)),
        post("/v1/stores/{store}/reload", LEAD, jobs::reload, Told::of("Fetch facets whole").takes::<bodies::Reload>().gives::<jobs::Started>(ACCEPTED)),
        get("/v1/stores/{store}/reloads/{id}", LOOK, jobs::show_reload, Told::of("How far a reload is").gives::<jobs::ReloadJson>(OK)),
        get("/v1/stores/{store}/alerts", LOOK, alerts::list, Told::of("Alerts that hold, or those that are over").query::<alerts::Query>().gives_list::<alerts::AlertJson>()),
        post("/v1/stores/{store}/alerts/{id}/acknowledge", BIND, alerts::acknowledge, Told::of("Note that you look after an alert").gives_nothing()),
        get("/v1/stores/{store}/approvals", LOOK, approvals::list, Told::of("Changes that wait for a person").query::<Page>().gives_list::<approvals::HeldJson>()),
        post("/v1/stores/{store}/approvals/{id}/approve", LEAD, approvals::approve, Told::of("Let a change through").gives_nothing()),
        post("/v1/stores/{store}/approvals/{id}/reject", LEAD, approvals::reject, Told::of("Refuse a change").gives_nothing()),
        post("/v1/stores/{store}/bindings", BIND, batch::bind, Told::of("Bind up to 1000 labels").takes::<bodies::Bindings>().gives::<results::Results>(OK)),
        get("/v1/stores/{store}/scan", LOOK, scan::scan, Told::of("What a scanned code is: a label, or products by SKU or bar code").query::<scan::Query>().gives::<scan::ScanJson>(OK)),
        get("/v1/stores/{store}/labels", LOOK, labels::list, Told::of("Labels").query::<labels::Query>().gives_list::<labels::LabelJson>()),
        post("/v1/stores/{store}/labels", BIND, batch::register, Told::of("Register up to 1000 labels").takes::<bodies::Registrations>().gives::<results::Results>(OK)),
        get("/v1/stores/{store}/enrolment", LOOK, enrolment::show, Told::of("Until when labels that report are registered unasked").gives::<enrolment::EnrolmentJson>(OK)),
        post("/v1/stores/{store}/enrolment", LEAD, enrolment::set, Told::of("Register every label that reports within some minutes; 0 ends it").takes::<bodies::Enrolment>().gives::<enrolment::EnrolmentJson>(OK)),
        get("/v1/stores/{store}/labels/{label}", LOOK, labels::show, Told::of("A label").gives::<labels::LabelJson>(OK)),
        delete("/v1/stores/{store}/labels/{label}", LEAD, labels::remove, Told::of("Forget a label").gives_nothing()),
        post("/v1/stores/{store}/labels/{label}/bind", BIND, labels::bind, Told::of("Let a label show products").takes::<bodies::Bind>().gives::<labels::LabelJson>(OK)),
        post("/v1/stores/{store}/labels/{label}/unbind", BIND, labels::unbind, Told::of("Let a label show nothing").takes::<bodies::Nothing>().gives::<labels::LabelJson>(OK)),
        post("/v1/stores/{store}/labels/{label}/replace", BIND, scan::replace, Told::of("Let another device take a label's place; the old one is unbound").takes::<bodies::Replace>().gives::<labels::LabelJson>(OK)),
        get("/v1/stores/{store}/labels/{label}/image.png", LOOK, picture::image, Told::of("What should be on a label, what is, or where they differ").query::<picture::Query>().gives_other("image/png")),
        get("/v1/stores/{store}/audit", LOOK, audit::show, Told::of("What a label's glass was proven to show at an instant").query::<audit::Query>().gives::<audit::AuditJson>(OK)),
        get("/v1/stores/{store}/pictures/{digest}", LOOK, picture::by_digest, Told::of("A picture that is kept").gives_other("image/png")),
        get("/v1/templates", LOOK, templates::list, Told::of("Templates").gives_list::<templates::TemplateJson>()),
        get("/v1/templates/{template}", LOOK, templates::show, Told::of("A template and its text").gives::<templates::TemplateJson>(OK)),
        put("/v1/templates/{template}", DESIGN, templates::put, Told::of("Change a template: labels that show it get a new picture").takes::<bodies::TemplateText>().gives::<templates::TemplateJson>(OK)),
        get("/v1/templates/{template}/versions", LOOK, templates::versions, Told::of("Who changed a template when, newest first").gives_list::<templates::VersionJson>()),
        get("/v1/templates/{template}/versions/{version}", LOOK, templates::version, Told::of("A version and its text; 0 is the template as it came").gives::<templates::VersionJson>(OK)),
        post("/v1/templates/{template}/rollback", DESIGN, templates::roll_back, Told::of("Take up an earlier version's text again").takes::<bodies::RollBack>().gives::<templates::TemplateJson>(OK)),
        get("/v1/stores/{store}/templates/{template}/preview.png", LOOK, templates::preview, Told::of("What a template makes of a product").query::<templates::PreviewQuery>().gives_other("image/png").refuses(StatusCode::UNPROCESSABLE_ENTITY)),
        post("/v1/stores/{store}/templates/{template}/preview.png", DESIGN, templates::preview_draft, Told::of("What a draft would make of a product").takes::<bodies::DraftPreview>().gives_other("image/png")).asks(),
        post("/v1/stores/{store}/templates/{template}/check", DESIGN, templates::check, Told::of("What is wrong with a draft, on the samples and some of the store's products").takes::<bodies::Draft>().gives::<templates::CheckJson>(OK)).asks(),
        post("/v1/stores/{store}/labels/{label}/trial", DESIGN, templates::begin_trial, Told::of("Let one label show a draft for half an hour").takes::<bodies::TrialOrder>().gives::<labels::LabelJson>(OK)),
        delete("/v1/stores/{store}/labels/{label}/trial", BIND, templates::end_trial, Told::of("Let a label show what it should again").gives::<labels::LabelJson>(OK)),
        get("/v1/events", LOOK, events::events, Told::of("Changes as they happen, as server-sent events").query::<events::Query>().gives_other("text/event-stream")),
    ];
    routes.extend(commands::routes(BIND));
    routes
}

macro_rules! methods {
    ($($name:ident $method:ident),+) => {$(
        fn $name<H: Handler<T, Arc<Web>>, T: 'static>(path: &'static str, need: Need, handler: H, told: Told) -> Route {
            route(Method::$method, path, need, handler).tells(told)
        }
    )+};
}

methods!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Page {
    /// How many items: 1 to 1000.
    limit: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// The first items, and the cursor of the page behind them.
fn page_of<T>(items: impl Iterator<Item = T>, limit: usize, name: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let mut items = items;
    let page: Vec<T> = items.by_ref().take(limit).collect();
    let next = items.next().and(page.last()).map(name);
    (page, next)
}

/// For a cursor that means nothing.
fn bad_cursor(cursor: &str) -> Problem {
    Problem::bad_request(format!("cursor `{cursor}` is none that this list gave; start again without one"))
}

/// How many items a page has.
fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(ITEMS_DEFAULT) };
    let limit = text.parse().ok().filter(|limit| (1..=ITEMS_MAX).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("limit `{text}` is not 1 to {ITEMS_MAX}")))
}
