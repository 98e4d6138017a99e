//! Rows of sources over REST: products whole or in part, prices, promotions, the assortment.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::Value;

use super::results::{RowResult, Status, items_of, key_or_place, respond};
use crate::catalog::Applied;
use crate::catalog::Status as Became;
use crate::catalog::wire::rest::{Form, item};
use crate::catalog::wire::{Facet, Row};
use crate::controller::message::{Answer, Request};
use crate::web::Web;
use crate::web::problem::Problem;
use crate::web::request::Body;

type Batch = (State<Arc<Web>>, Path<String>);

/// Replaces products' base facets.
pub(super) async fn put_products(state: State<Arc<Web>>, store: Path<String>, body: Body) -> Result<Response, Problem> {
    take((state, store), body, Facet::Base, Form::Whole).await
}

/// Changes some fields of products.
pub(super) async fn patch_products(
    state: State<Arc<Web>>,
    store: Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    take((state, store), body, Facet::Base, Form::Patch).await
}

/// Changes products' prices.
pub(super) async fn put_prices(state: State<Arc<Web>>, store: Path<String>, body: Body) -> Result<Response, Problem> {
    take((state, store), body, Facet::Base, Form::Price).await
}

/// Replaces promotions.
pub(super) async fn put_promotions(
    state: State<Arc<Web>>,
    store: Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    take((state, store), body, Facet::Promotion, Form::Whole).await
}

/// Changes what the store sells.
pub(super) async fn put_assortment(
    state: State<Arc<Web>>,
    store: Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    take((state, store), body, Facet::Assortment, Form::Whole).await
}

/// Applies every row that can be read, together, and answers a result for each: for a product's promotions as
/// well, behind the product's own.
async fn take(
    (State(web), Path(store)): Batch,
    Body(body): Body,
    facet: Facet,
    form: Form,
) -> Result<Response, Problem> {
    let shop = web.shop(&store)?;
    let key_field = if facet == Facet::Promotion { "promotion_id" } else { "sku" };
    let items = items_of(body)?;
    let read = items.iter().enumerate().map(|(index, value)| {
        let rows = item(facet, form, value);
        rows.map_err(|problem| invalid(key_or_place(value, key_field, index), value, &problem.to_string()))
    });
    let read: Vec<Result<Vec<Row>, RowResult>> = read.collect();
    let rows = read.iter().flatten().flatten().cloned().collect();
    let _turn = shop.writes.lock().await;
    let Answer::Rows(applied) = shop.handle.request(Request::Apply { rows }).await? else {
        return Err(Problem::unavailable("the store has answered something else than was asked"));
    };
    let mut applied = applied.into_iter();
    let mut results = Vec::new();
    for (index, item) in read.into_iter().enumerate() {
        match item {
            Err(result) => results.push(result),
            Ok(rows) => {
                let of_item = applied.by_ref().take(rows.len());
                if facet == Facet::Assortment {
                    results.push(together(index, of_item.collect()));
                } else {
                    results.extend(of_item.map(result));
                }
            }
        }
    }
    Ok(respond(results))
}

fn invalid(key: String, value: &Value, error: &str) -> RowResult {
    let revision = value.get("revision").and_then(Value::as_u64);
    RowResult { key, status: Status::Invalid, revision, error: Some(error.to_owned()) }
}

fn result(applied: Applied) -> RowResult {
    let (status, error) = match applied.status {
        Became::Applied => (Status::Applied, None),
        Became::Unchanged => (Status::Unchanged, None),
        Became::Regressed { stored } => {
            (Status::Stale, Some(format!("its revision is below {stored}, which is known already")))
        }
        Became::Held(reason) => (Status::Held, Some(format!("held until somebody approves it: {reason}"))),
        Became::Rejected => (Status::Invalid, Some("somebody has rejected this revision".to_owned())),
        Became::Refused(refusal) => (Status::Invalid, Some(refusal.to_string())),
    };
    RowResult { key: applied.key.id().to_owned(), status, revision: Some(applied.revision), error }
}

/// One result for all SKUs of an assortment item: what the best of them came to, and the first error.
fn together(index: usize, applied: Vec<Applied>) -> RowResult {
    const FROM_BEST: [Status; 5] = [Status::Applied, Status::Held, Status::Unchanged, Status::Stale, Status::Invalid];
    let results: Vec<RowResult> = applied.into_iter().map(result).collect();
    let has = |status: &Status| results.iter().any(|result| result.status == *status);
    RowResult {
        key: format!("items[{index}]"),
        status: FROM_BEST.into_iter().find(has).unwrap_or(Status::Unchanged),
        revision: results.first().and_then(|result| result.revision),
        error: results.into_iter().find_map(|result| result.error),
    }
}
