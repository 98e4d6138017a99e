//! Proof of display: what a label's glass was proven to show at an instant, from the journal.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use gondola_protocol::{Digest, Edition, LabelId, Moment, StoreId};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::instant;
use crate::journal::entry::Shown;
use crate::journal::{Hash32, Proofs, Proven};
use crate::web::problem::Problem;
use crate::web::request::Params;
use crate::web::{Shop, Web, label_id};

/// The last microsecond of a millisecond.
const MILLISECOND: Duration = Duration::from_micros(999);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Which label.
    label: String,
    /// The instant; now where none is given.
    at: Option<String>,
}

/// What was on the glass.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditJson {
    #[schema(value_type = String)]
    label: LabelId,
    #[schema(value_type = String)]
    digest: Digest,
    #[schema(value_type = u64)]
    edition: Edition,
    /// Each product with its revision, promotion and price.
    #[schema(value_type = Vec<Object>)]
    shown: Vec<Shown>,
    /// First proof of this picture.
    from: String,
    /// Last proof of it.
    proven_until: String,
    /// First proof of another picture, or when the label was removed; none while neither has happened.
    to: Option<String>,
    /// Whether the instant lies between two proofs of this picture. Behind the last one nobody knows when it went.
    certain: bool,
    /// The record of the first proof.
    journal: RecordJson,
    /// Where the picture is; none when it is no longer kept and cannot be drawn again.
    picture: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct RecordJson {
    sequence: u64,
    #[schema(value_type = String)]
    hash: Hash32,
}

/// `?label=&at=`; without an instant, now.
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    Path(store): Path<String>,
    Params(query): Params<Query>,
) -> Result<Json<AuditJson>, Problem> {
    let (shop, label) = (web.shop(&store)?, label_id(&query.label)?);
    let asked = query.at.as_deref().map(instant::parse).transpose().map_err(Problem::bad_request)?;
    let (now, zone) =
        shop.handle.read(|controller, now| (now, controller.catalog().settings().time_zone.clone())).await?;
    // Instants are written to the millisecond: one that was read here means all of it.
    let at = Moment::from_millis(asked.unwrap_or(now).as_millis()) + MILLISECOND;
    let journal = shop.handle.journal().clone();
    let read = tokio::task::spawn_blocking(move || journal.proofs_of(label, at)).await;
    let read = read.map_err(|_| Problem::unavailable("the journal could not be read; the log says why"))?;
    let proofs = read.map_err(|error| Problem::unavailable(format!("the journal could not be read: {error}")))?;
    let unknown = || {
        let at = instant::rfc3339(at, &zone);
        Problem::not_found(format!("label {label} had proven nothing at {at}: nobody knows what it showed"))
    };
    let mut proofs = proofs.ok_or_else(unknown)?;
    proofs.proven_until = proofs.proven_until.max(confirmed(shop, label, &proofs).await?);
    let picture = picture(shop, label, &proofs.holding).await?;
    Ok(Json(AuditJson::of(shop.handle.id(), label, at, proofs, &zone, picture)))
}

/// When the label last said that it still shows what it had proven, as far as the journal does not know it yet.
async fn confirmed(shop: &Shop, label: LabelId, proofs: &Proofs) -> Result<Moment, Problem> {
    let sequence = proofs.holding.position.sequence;
    let confirmed = shop.handle.read(move |controller, _| {
        let reported = controller.fleet().label(label)?.reported.as_ref()?;
        (reported.sequence == sequence).then_some(reported.confirmed)
    });
    Ok(confirmed.await?.unwrap_or(Moment::ZERO))
}

/// The digest of a picture that can be shown: one that is kept, or one that is drawn again and comes out the same.
async fn picture(shop: &Shop, label: LabelId, proven: &Proven) -> Result<Option<Digest>, Problem> {
    let (digest, at, key) = (proven.digest, proven.at, proven.key);
    let pictures = Arc::clone(shop.handle.pictures());
    let kept = tokio::task::spawn_blocking(move || pictures.get(&digest).is_some()).await;
    if kept.is_ok_and(|kept| kept) {
        return Ok(Some(digest));
    }
    let scene = shop.handle.read(move |controller, now| {
        let label = controller.fleet().label(label)?;
        // The catalog of today may still yield it, at its instant or now.
        let scenes = [at, now].map(|at| controller.scene(label, at).ok().flatten());
        scenes.into_iter().flatten().find(|scene| Some(scene.key()) == key)
    });
    let Some(scene) = scene.await? else { return Ok(None) };
    let planes = shop.handle.studio().picture(scene).await.map_err(Problem::unavailable)?;
    let pictures = Arc::clone(shop.handle.pictures());
    let kept = tokio::task::spawn_blocking(move || planes.digest() == digest && pictures.put(&planes).is_ok()).await;
    Ok(kept.is_ok_and(|kept| kept).then_some(digest))
}

impl AuditJson {
    fn of(
        store: &StoreId,
        label: LabelId,
        at: Moment,
        proofs: Proofs,
        zone: &TimeZone,
        picture: Option<Digest>,
    ) -> Self {
        let Proofs { holding, proven_until, next, removed } = proofs;
        let written = |moment| instant::rfc3339(moment, zone);
        let Proven { position, at: from, digest, edition, shown, .. } = holding;
        Self {
            label,
            digest,
            edition,
            shown,
            from: written(from),
            proven_until: written(proven_until),
            to: next.map(|next| next.at).or(removed).map(written),
            certain: at.as_millis() <= proven_until.as_millis(),
            journal: RecordJson { sequence: position.sequence, hash: position.hash },
            picture: picture.map(|digest| format!("/v1/stores/{store}/pictures/{digest}")),
        }
    }
}
