//! Templates: their texts and versions, what a draft would look like and what is wrong with it, and a draft on one label.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use gondola_protocol::Panel;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::List;
use super::labels::{LabelJson, current};
use crate::accounts::Visitor;
use crate::controller::message::Request;
use crate::controller::trials::Draft;
use crate::instant;
use crate::render::check::{self, Findings, PANELS, Which, find};
use crate::render::{Renderer, png};
use crate::run::templates::{Edit, EditError, Version};
use crate::template::Templates;
use crate::web::problem::Problem;
use crate::web::request::{Body, Fields, Params};
use crate::web::routes::Did;
use crate::web::samples::{self, Tried};
use crate::web::{Shop, Web, label_id, picture};

/// Characters of a template: what its file may have in bytes, and some of those are longer.
const TEXT_CHARS_MAX: usize = 64 * 1024;

/// Products of the store that a draft is checked on, beside the samples.
const CHECKED_MAX: usize = 24;

/// Examples that are told of each finding.
const EXAMPLES_MAX: usize = 3;

/// A template.
#[derive(Serialize, ToSchema)]
pub(super) struct TemplateJson {
    template: String,
    /// 0 as it came, then one more with each change.
    version: u32,
    edited_at: Option<String>,
    edited_by: Option<String>,
    /// None in lists.
    text: Option<String>,
}

/// One of its versions.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionJson {
    version: u32,
    /// None for the template as it came.
    at: Option<String>,
    by: Option<String>,
    /// The version whose text it took up again.
    restores: Option<u32>,
    /// None in lists.
    text: Option<String>,
}

/// What is wrong with a draft.
#[derive(Serialize, ToSchema)]
pub(super) struct CheckJson {
    /// Why it does not compile; empty for one that does.
    errors: Vec<ErrorJson>,
    /// What should be looked at before a customer sees it.
    findings: Vec<FindingJson>,
    /// Pictures that were drawn to find that.
    pictures: usize,
}

#[derive(Serialize, ToSchema)]
struct ErrorJson {
    line: u32,
    column: u32,
    text: String,
}

#[derive(Serialize, ToSchema)]
struct FindingJson {
    finding: String,
    count: usize,
    examples: Vec<String>,
}

fn template_json(name: String, newest: Option<&Version>, zone: &TimeZone, text: Option<String>) -> TemplateJson {
    TemplateJson {
        template: name,
        version: newest.map_or(0, |version| version.number),
        edited_at: newest.map(|version| instant::rfc3339(version.at, zone)),
        edited_by: newest.map(|version| version.by.clone()),
        text,
    }
}

fn version_json(version: &Version, zone: &TimeZone, text: Option<String>) -> VersionJson {
    VersionJson {
        version: version.number,
        at: Some(instant::rfc3339(version.at, zone)),
        by: Some(version.by.clone()),
        restores: version.restores,
        text,
    }
}

pub(super) async fn list(State(web): State<Arc<Web>>) -> Result<Json<List<TemplateJson>>, Problem> {
    let zone = web.time_zone().await;
    let read = web.templates(move |library| {
        let current = library.current();
        let one = |name: &str| template_json(name.to_owned(), library.versions(name).first(), &zone, None);
        Ok(current.names().map(one).collect())
    });
    Ok(Json(List::whole(read.await?)))
}

pub(super) async fn show(
    State(web): State<Arc<Web>>,
    Path(template): Path<String>,
) -> Result<Json<TemplateJson>, Problem> {
    current_text(&web, template).await
}

async fn current_text(web: &Web, template: String) -> Result<Json<TemplateJson>, Problem> {
    let zone = web.time_zone().await;
    let read = web.templates(move |library| {
        let versions = library.versions(&template);
        let text = match library.current().text(&template) {
            Some(text) => text.to_owned(),
            None => library.version_text(&template, 0)?,
        };
        Ok(template_json(template, versions.first(), &zone, Some(text)))
    });
    read.await.map(Json)
}

pub(super) async fn versions(
    State(web): State<Arc<Web>>,
    Path(template): Path<String>,
) -> Result<Json<List<VersionJson>>, Problem> {
    let zone = web.time_zone().await;
    let read = web.templates(move |library| {
        library.version_text(&template, 0)?;
        Ok(library.versions(&template).iter().map(|version| version_json(version, &zone, None)).collect())
    });
    Ok(Json(List::whole(read.await?)))
}

pub(super) async fn version(
    State(web): State<Arc<Web>>,
    Path((template, version)): Path<(String, String)>,
) -> Result<Json<VersionJson>, Problem> {
    let (zone, number) = (web.time_zone().await, number(&version)?);
    let read = web.templates(move |library| {
        let text = library.version_text(&template, number)?;
        let versions = library.versions(&template);
        Ok(match versions.iter().find(|version| version.number == number) {
            Some(version) => version_json(version, &zone, Some(text)),
            None => VersionJson { version: 0, at: None, by: None, restores: None, text: Some(text) },
        })
    });
    read.await.map(Json)
}

fn number(text: &str) -> Result<u32, Problem> {
    text.parse().map_err(|_| Problem::bad_request(format!("version `{text}` is no number")))
}

/// `{"text":"<template …>","version":3}`
pub(super) async fn put(
    State(web): State<Arc<Web>>,
    Path(template): Path<String>,
    visitor: Visitor,
    Body(body): Body,
) -> Result<Response, Problem> {
    let mut fields = Fields::of("the body", body, &["text", "version"])?;
    let edited = fields.number("version", 0, u32::MAX.into())?.and_then(|number| u32::try_from(number).ok());
    let edit = Edit::Text { text: text(&mut fields)?, edited };
    change(&web, template, edit, &visitor).await
}

/// `{"to":2}`
pub(super) async fn roll_back(
    State(web): State<Arc<Web>>,
    Path(template): Path<String>,
    visitor: Visitor,
    Body(body): Body,
) -> Result<Response, Problem> {
    let mut fields = Fields::of("the body", body, &["to"])?;
    let to = fields.number("to", 0, u32::MAX.into())?.and_then(|number| u32::try_from(number).ok());
    let to = to.ok_or_else(|| Problem::unprocessable("the body has no field `to`: the version to go back to"))?;
    change(&web, template, Edit::RollBack { to }, &visitor).await
}

async fn change(web: &Web, template: String, edit: Edit, visitor: &Visitor) -> Result<Response, Problem> {
    let (name, by) = (template.clone(), visitor.who.to_string());
    let number = web.templates(move |library| library.change(&name, edit, by)).await?;
    Ok((Extension(Did(format!("version {number}"))), current_text(web, template).await?).into_response())
}

/// The text that a body holds.
fn text(fields: &mut Fields) -> Result<String, Problem> {
    let text = fields.text("text", TEXT_CHARS_MAX)?;
    text.ok_or_else(|| Problem::unprocessable("the body has no field `text`: the template"))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct PreviewQuery {
    /// `bwr-296x128` where nobody says otherwise.
    panel: Option<String>,
    /// One of the store's products.
    sku: Option<String>,
    /// A product that ships: pistachios, clementines, egg-cakes, gift-box, honey, salt or soy-milk.
    sample: Option<String>,
    /// 1 to 8.
    scale: Option<String>,
}

/// What a preview is of.
struct Preview {
    panel: Panel,
    tried: Tried,
    scale: u32,
}

impl PreviewQuery {
    fn preview(self) -> Result<Preview, Problem> {
        let Self { panel, sku, sample, scale } = self;
        let tried = match (sku, sample) {
            (Some(sku), None) => Tried::Product(sku.parse().map_err(Problem::bad_request)?),
            (None, sample) => Tried::Sample(sample.unwrap_or_else(|| "pistachios".to_owned())),
            (Some(_), Some(_)) => return Err(Problem::bad_request("expected `sku` or `sample`, not both")),
        };
        let panel = panel.as_deref().unwrap_or("bwr-296x128").parse().map_err(Problem::bad_request)?;
        Ok(Preview { panel, tried, scale: picture::scale(scale.as_deref())? })
    }
}

/// What the template makes of a product now.
pub(in crate::web) async fn preview(
    State(web): State<Arc<Web>>,
    Path((store, template)): Path<(String, String)>,
    Params(query): Params<PreviewQuery>,
) -> Result<Response, Problem> {
    drawn(web.shop(&store)?, web.templates.current(), template, query.preview()?).await
}

/// What a draft would make of it.
pub(super) async fn preview_draft(
    State(web): State<Arc<Web>>,
    Path((store, template)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let shop = web.shop(&store)?;
    let mut fields = Fields::of("the body", body, &["text", "panel", "sku", "sample", "scale"])?;
    let text = text(&mut fields)?;
    let mut field = |name| fields.text(name, 64);
    let query =
        PreviewQuery { panel: field("panel")?, sku: field("sku")?, sample: field("sample")?, scale: field("scale")? };
    let (preview, name) = (query.preview()?, template.clone());
    let templates = web.templates(move |library| library.with_draft(&name, &text)).await?;
    drawn(shop, Arc::new(templates), template, preview).await
}

async fn drawn(
    shop: &Shop,
    templates: Arc<Templates>,
    template: String,
    Preview { panel, tried, scale }: Preview,
) -> Result<Response, Problem> {
    picture::check_size(panel, scale)?;
    let view = shop.handle.read(move |controller, now| samples::view(controller, now, &tried)).await??;
    if templates.text(&template).is_none() {
        let known = templates.names().map(str::to_owned).collect();
        return Err(EditError::Unknown { name: template, known }.into());
    }
    let scene = templates.scene(&template, &view, panel).map_err(Problem::unprocessable)?;
    let planes = shop.handle.studio().picture(scene).await.map_err(Problem::unavailable)?;
    let drawn = tokio::task::spawn_blocking(move || png::encode(&planes, scale)).await;
    let bytes = drawn.map_err(|_| Problem::unavailable("the picture could not be drawn; the log says why"))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], bytes).into_response())
}

/// What `gondola check` would say of a draft.
pub(super) async fn check(
    State(web): State<Arc<Web>>,
    Path((store, template)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Json<CheckJson>, Problem> {
    let shop = web.shop(&store)?;
    let mut fields = Fields::of("the body", body, &["text"])?;
    let (text, name) = (text(&mut fields)?, template.clone());
    let views = shop.handle.read(move |controller, now| {
        let usual = PANELS[2].parse().expect("a panel");
        let products = samples::products(controller, now, &name, usual, CHECKED_MAX);
        let views = products.into_iter().map(|(sku, _)| controller.view(&[sku], now));
        views.chain(samples::views(controller)).collect::<Vec<_>>()
    });
    let views = views.await?;
    let _place = web.checks.acquire().await.map_err(Problem::unavailable)?;
    let looked = web.templates(move |library| match library.with_draft(&template, &text) {
        Ok(templates) => Ok((Vec::new(), look(&templates, &template, &views))),
        Err(EditError::Refused(problems)) => {
            let error = |problem: &crate::template::TemplateError| ErrorJson {
                line: problem.line,
                column: problem.column,
                text: problem.problem.to_string(),
            };
            Ok((problems.iter().map(error).collect(), (Findings::new(), 0)))
        }
        Err(other) => Err(other),
    });
    let (errors, (findings, pictures)) = looked.await?;
    let finding = |(finding, places): (String, Vec<String>)| FindingJson {
        finding,
        count: places.len(),
        examples: places.into_iter().take(EXAMPLES_MAX).collect(),
    };
    Ok(Json(CheckJson { errors, findings: findings.into_iter().map(finding).collect(), pictures }))
}

/// Draws a template for every view on every common panel.
fn look(templates: &Templates, template: &str, views: &[crate::template::view::LabelView]) -> (Findings, usize) {
    let mut findings = Findings::new();
    for lint in templates.lints_of(template) {
        find(&mut findings, lint, "");
    }
    let Ok(mut renderer) = Renderer::new() else { return (findings, 0) };
    let mut pictures = 0;
    for panel in PANELS {
        let panel: Panel = panel.parse().expect("a panel");
        for view in views {
            pictures += check::view(&mut renderer, templates, Which::One(template), view, panel, &mut findings);
        }
    }
    (findings, pictures)
}

/// `{"template":"standard","text":"<template …>"}`: the label shows the draft for half an hour.
pub(super) async fn begin_trial(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let (shop, label) = (web.shop(&store)?, label_id(&label)?);
    let mut fields = Fields::of("the body", body, &["template", "text"])?;
    let template: String = fields.parsed("template")?;
    let (text, name) = (text(&mut fields)?, template.clone());
    let templates = Arc::new(web.templates(move |library| library.with_draft(&name, &text)).await?);
    let did = Did(template.clone());
    shop.handle.request(Request::Try { label, draft: Some(Draft { template, templates }) }).await?;
    Ok((Extension(did), current(shop, label).await?).into_response())
}

pub(super) async fn end_trial(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
) -> Result<Json<LabelJson>, Problem> {
    let (shop, label) = (web.shop(&store)?, label_id(&label)?);
    shop.handle.request(Request::Try { label, draft: None }).await?;
    current(shop, label).await
}
