//! The time in which labels that report are registered unasked.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::controller::message::{ENROLMENT_MAX, Request};
use crate::instant;
use crate::web::problem::Problem;
use crate::web::request::{Body, Fields};
use crate::web::{Shop, Web};

#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentJson {
    /// Until when every label that reports is registered; none while none is.
    until: Option<String>,
    /// Labels that were heard and are not registered.
    unregistered: usize,
}

pub(super) async fn show(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
) -> Result<Json<EnrolmentJson>, Problem> {
    current(web.shop(&store)?).await
}

pub(super) async fn set(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Body(body): Body,
) -> Result<Json<EnrolmentJson>, Problem> {
    let shop = web.shop(&store)?;
    let mut fields = Fields::of("the body", body, &["minutes"])?;
    let minutes = fields.number("minutes", 0, ENROLMENT_MAX.as_secs() / 60)?;
    let minutes = minutes.ok_or_else(|| Problem::unprocessable("the body: `minutes` is missing; 0 ends it"))?;
    shop.handle.request(Request::Enrol { within: Duration::from_mins(minutes) }).await?;
    current(shop).await
}

async fn current(shop: &Shop) -> Result<Json<EnrolmentJson>, Problem> {
    let read = shop.handle.read(|controller, now| {
        let zone = &controller.catalog().settings().time_zone;
        EnrolmentJson {
            until: controller.enrols_until(now).map(|until| instant::rfc3339(until, zone)),
            unregistered: controller.fleet().seen().count(),
        }
    });
    Ok(Json(read.await?))
}
