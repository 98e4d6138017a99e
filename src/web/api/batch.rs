//! Batches of registrations and bindings: a result per item, and a bad item fails alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::future::{join_all, try_join_all};
use gondola_protocol::{LabelId, StoreId};
use serde_json::Value;

use super::results::{RowResult, Status, items_of, key_or_place, respond};
use crate::catalog::sku::Sku;
use crate::controller::Controller;
use crate::controller::message::{LabelRequest, UnknownSkus};
use crate::fleet::label::Binding;
use crate::journal::entry::Position;
use crate::web::problem::Problem;
use crate::web::request::{self, Body, FieldError, Fields};
use crate::web::{Shop, Web};

/// Longest aisle, shelf or slot: what fits on a shelf's own sign.
const POSITION_CHARS_MAX: usize = 32;

/// Longest name of a template: the longest file name of most systems.
const TEMPLATE_CHARS_MAX: usize = 255;

/// One item as read: what it is about, and what it asks for.
struct Item {
    key: String,
    asked: Result<LabelRequest, String>,
}

/// Registers labels.
pub(super) async fn register(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let shop = web.shop(&store)?;
    let mut items = items(body, registration)?;
    let _turn = web.registrations.lock().await;
    let elsewhere = refuse_elsewhere(&web, shop, &mut items).await?;
    if let (Some(conflict), true) = (elsewhere, items.iter().all(|item| item.asked.is_err())) {
        // Nothing is left to carry out: the request as a whole contradicts what is there.
        return Err(Problem::conflict(conflict));
    }
    carry_out(shop, items).await
}

/// Binds labels.
pub(super) async fn bind(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let shop = web.shop(&store)?;
    carry_out(shop, items(body, labelled_binding)?).await
}

/// The items of a batch, each read by `read` or with the reason why not.
fn items(body: Value, read: impl Fn(&str, Value) -> Result<LabelRequest, FieldError>) -> Result<Vec<Item>, Problem> {
    let read = |(index, value): (usize, Value)| {
        let place = format!("items[{index}]");
        let key = key_or_place(&value, "label", index);
        match read(&place, value) {
            Ok(request) => Item { key: request.label().to_string(), asked: Ok(request) },
            Err(error) => Item { key, asked: Err(error.to_string()) },
        }
    };
    Ok(items_of(body)?.into_iter().enumerate().map(read).collect())
}

fn registration(place: &str, value: Value) -> Result<LabelRequest, FieldError> {
    let mut fields = Fields::of(place, value, &["label", "panel", "position"])?;
    let (label, panel) = (fields.parsed("label")?, fields.parsed("panel")?);
    let position = match fields.value("position") {
        None => Position::default(),
        Some(position) => {
            let mut parts = Fields::of(&fields.at("position"), position, &["aisle", "shelf", "slot"])?;
            let mut part = |name| Ok(parts.text(name, POSITION_CHARS_MAX)?.unwrap_or_default().into());
            Position { aisle: part("aisle")?, shelf: part("shelf")?, slot: part("slot")? }
        }
    };
    Ok(LabelRequest::Register { label, panel, position })
}

fn labelled_binding(place: &str, value: Value) -> Result<LabelRequest, FieldError> {
    let mut fields = Fields::of(place, value, &["label", "skus", "template", "allow_unknown"])?;
    let label = fields.parsed("label")?;
    binding(label, &mut fields)
}

/// What to bind `label` to.
pub(super) fn binding(label: LabelId, fields: &mut Fields) -> Result<LabelRequest, FieldError> {
    let place = fields.at("skus");
    let skus: Result<Vec<Sku>, _> = fields.array("skus")?.iter().map(|sku| request::parse(&place, sku)).collect();
    let unknown = if fields.flag("allow_unknown")? { UnknownSkus::Allow } else { UnknownSkus::Refuse };
    let template = fields.text("template", TEMPLATE_CHARS_MAX)?.map(String::into_boxed_str);
    Ok(LabelRequest::Bind { label, skus: skus?, template, unknown })
}

/// Refuses a label that another store has.
pub(super) async fn refuse_label_elsewhere(web: &Web, shop: &Shop, label: LabelId) -> Result<(), Problem> {
    let asked = Ok(LabelRequest::Remove { label });
    let refusal = refuse_elsewhere(web, shop, &mut [Item { key: label.to_string(), asked }]).await?;
    refusal.map_or(Ok(()), |refusal| Err(Problem::conflict(refusal)))
}

/// Refuses the labels that another store has, and answers the first refusal.
async fn refuse_elsewhere(web: &Web, shop: &Shop, items: &mut [Item]) -> Result<Option<String>, Problem> {
    let asked: Arc<[LabelId]> =
        items.iter().filter_map(|item| item.asked.as_ref().ok().map(LabelRequest::label)).collect();
    let others = web.stores.values().filter(|other| other.handle.id() != shop.handle.id());
    let reads = others.map(|other| {
        let (asked, id) = (Arc::clone(&asked), other.handle.id().clone());
        other.handle.read(move |controller, _| {
            let registered = asked.iter().filter(|label| controller.fleet().label(**label).is_some());
            registered.map(|label| (*label, id.clone())).collect::<Vec<(LabelId, StoreId)>>()
        })
    });
    let taken: std::collections::BTreeMap<LabelId, StoreId> =
        try_join_all(reads).await?.into_iter().flatten().collect();
    let mut first = None;
    for item in items {
        let Some((label, store)) = item.asked.as_ref().ok().and_then(|request| taken.get_key_value(&request.label()))
        else {
            continue;
        };
        let refusal = format!("label {label} is registered in store `{store}`; remove it there first");
        first.get_or_insert_with(|| refusal.clone());
        item.asked = Err(refusal);
    }
    Ok(first)
}

/// Carries out what is not so already. All items are under way together, so that the journal syncs them
/// together; they reach the store in their order, and the results come in the same.
async fn carry_out(shop: &Shop, items: Vec<Item>) -> Result<Response, Problem> {
    let _turn = shop.writes.lock().await;
    let asked: Vec<Option<LabelRequest>> = items.iter().map(|item| item.asked.as_ref().ok().cloned()).collect();
    let unchanged = shop.handle.read(move |controller, _| unchanged(controller, &asked)).await?;
    let results = items.into_iter().zip(unchanged).map(async |(Item { key, asked }, unchanged)| {
        let done = match asked {
            Err(error) => Err(error),
            Ok(_) if unchanged => Ok(Status::Unchanged),
            Ok(request) => shop.handle.request(request).await.map(|_| Status::Applied).map_err(|e| e.to_string()),
        };
        match done {
            Ok(status) => RowResult { key, status, revision: None, error: None },
            Err(error) => RowResult { key, status: Status::Invalid, revision: None, error: Some(error) },
        }
    });
    Ok(respond(join_all(results).await))
}

/// Which of these requests ask for what is so already. Of several for one label only the first can: the
/// others come after it.
fn unchanged(controller: &Controller, asked: &[Option<LabelRequest>]) -> Vec<bool> {
    let mut met = BTreeSet::new();
    let unchanged = |request: &LabelRequest| met.insert(request.label()) && is_so(controller, request);
    let mut unchanged = unchanged;
    asked.iter().map(|request| request.as_ref().is_some_and(&mut unchanged)).collect()
}

fn is_so(controller: &Controller, request: &LabelRequest) -> bool {
    let Some(label) = controller.fleet().label(request.label()) else { return false };
    match request {
        LabelRequest::Register { panel, position, .. } => label.panel == *panel && label.position == *position,
        LabelRequest::Bind { skus, template, .. } => {
            let asked = Binding { skus: skus.clone().into(), template: template.clone() };
            label.binding.as_ref() == Some(&asked)
        }
        LabelRequest::Remove { .. } | LabelRequest::Unbind { .. } | LabelRequest::Replace { .. } => false,
    }
}
