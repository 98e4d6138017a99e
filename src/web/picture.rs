//! Pictures as PNG: what should be on a label's glass, what is, and where they differ.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gondola_protocol::{Digest, Ink, LabelId, Panel, Planes};
use image::{ImageFormat, Rgb, RgbImage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use super::request::Params;
use super::{Shop, Web, label_id};
use crate::render::png;

/// Largest enlargement: the encoder's own.
const SCALE_MAX: u32 = 8;

/// Most pixels of a PNG: an 800 × 480 panel at scale 6, and 48 MB while it is made.
const PIXELS_MAX: u32 = 16_000_000;

/// A picture of this digest never changes.
const FOR_EVER: &str = "max-age=31536000, immutable";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    which: Option<String>,
    scale: Option<String>,
    digest: Option<String>,
}

/// Which of a label's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Desired,
    Reported,
    Difference,
}

/// One of a label's pictures as PNG.
pub(super) async fn image(
    State(web): State<Arc<Web>>,
    Path((store, label)): Path<(String, String)>,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let (shop, label) = (web.shop(&store)?, label_id(&label)?);
    let which = which(query.which.as_deref())?;
    let scale = scale(query.scale.as_deref())?;
    let (planes, other) = match which {
        Which::Desired => (desired(shop, label).await?, None),
        Which::Reported => (reported(shop, label).await?, None),
        Which::Difference => (desired(shop, label).await?, Some(reported(shop, label).await?)),
    };
    check_size(planes.panel(), scale)?;
    // Only a single picture has a digest that the address can name.
    let unchanging = other.is_none() && query.digest.is_some_and(|digest| digest == planes.digest().to_string());
    let drawn = tokio::task::spawn_blocking(move || match other {
        None => png::encode(&planes, scale),
        Some(other) => difference(&planes, &other, scale),
    });
    let bytes = drawn.await.map_err(|_| Problem::unavailable("the picture could not be drawn; the log says why"))?;
    let kept = if unchanging { FOR_EVER } else { "no-store" };
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, kept)], bytes).into_response())
}

/// A picture that is kept, by its digest.
pub(super) async fn by_digest(
    State(web): State<Arc<Web>>,
    Path((store, digest)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let shop = web.shop(&store)?;
    let digest: Digest = digest.parse().map_err(Problem::bad_request)?;
    let planes = kept(shop, digest).await?;
    let drawn = tokio::task::spawn_blocking(move || png::encode(&planes, 1)).await;
    let bytes = drawn.map_err(|_| Problem::unavailable("the picture could not be drawn; the log says why"))?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, FOR_EVER)], bytes).into_response())
}

fn which(text: Option<&str>) -> Result<Which, Problem> {
    match text {
        None | Some("desired") => Ok(Which::Desired),
        Some("reported") => Ok(Which::Reported),
        Some("diff") => Ok(Which::Difference),
        Some(other) => {
            Err(Problem::bad_request(format!("which `{other}` is not known; expected one of desired, reported, diff")))
        }
    }
}

pub(super) fn scale(text: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = text else { return Ok(1) };
    let scale = text.parse().ok().filter(|scale| (1..=SCALE_MAX).contains(scale));
    scale.ok_or_else(|| Problem::bad_request(format!("scale `{text}` is not 1 to {SCALE_MAX}")))
}

pub(super) fn check_size(panel: Panel, scale: u32) -> Result<(), Problem> {
    let (width, height) = (u32::from(panel.width()) * scale, u32::from(panel.height()) * scale);
    if width * height <= PIXELS_MAX {
        return Ok(());
    }
    let detail =
        format!("scale {scale} makes {width}x{height} pixels of {panel}, more than {PIXELS_MAX}; use a smaller one");
    Err(Problem::bad_request(detail))
}

/// What should be on the glass, drawn afresh.
async fn desired(shop: &Shop, label: LabelId) -> Result<Planes, Problem> {
    let scene = shop.handle.read(move |controller, now| {
        let known = controller.fleet().label(label).ok_or_else(|| unknown(label))?;
        let scene = controller.scene(known, now).map_err(Problem::unprocessable)?;
        scene.ok_or_else(|| Problem::not_found(format!("label {label} is not bound, so no picture is wanted on it")))
    });
    shop.handle.studio().picture(scene.await??).await.map_err(Problem::unavailable)
}

/// What the label has proven to show.
async fn reported(shop: &Shop, label: LabelId) -> Result<Planes, Problem> {
    let digest = shop.handle.read(move |controller, _| {
        let known = controller.fleet().label(label).ok_or_else(|| unknown(label))?;
        let reported = known.reported.as_ref().map(|reported| reported.digest);
        reported.ok_or_else(|| Problem::not_found(format!("label {label} has not proven yet what it shows")))
    });
    kept(shop, digest.await??).await
}

async fn kept(shop: &Shop, digest: Digest) -> Result<Planes, Problem> {
    let pictures = Arc::clone(shop.handle.pictures());
    let found = tokio::task::spawn_blocking(move || pictures.get(&digest)).await;
    let missing = || Problem::not_found(format!("the picture {digest} is not kept"));
    found.ok().flatten().ok_or_else(missing)
}

/// For a label that this store does not have.
pub(super) fn unknown(label: LabelId) -> Problem {
    let problem: Problem = crate::controller::message::Refusal::UnknownLabel(label).into();
    problem.or_in_chinese(format!("本店没有价签 {label}。"))
}

/// The desired picture, faded, and in magenta whatever the reported one shows otherwise.
fn difference(desired: &Planes, reported: &Planes, scale: u32) -> Vec<u8> {
    let (panel, other) = (desired.panel(), reported.panel());
    let (width, height) = (u32::from(panel.width()) * scale, u32::from(panel.height()) * scale);
    let drawn = RgbImage::from_fn(width, height, |x, y| {
        let side = |pixel: u32| u16::try_from(pixel / scale).expect("a pixel of the panel has its coordinates");
        let (x, y) = (side(x), side(y));
        let covered = x < other.width() && y < other.height();
        if covered && reported.ink(x, y) == desired.ink(x, y) { faded(desired.ink(x, y)) } else { Rgb([214, 0, 170]) }
    });
    let mut png = Vec::new();
    drawn.write_to(&mut std::io::Cursor::new(&mut png), ImageFormat::Png).expect("a Vec takes every byte");
    png
}

/// An ink as a light shade of itself.
const fn faded(ink: Ink) -> Rgb<u8> {
    match ink {
        Ink::White => Rgb([255, 255, 255]),
        Ink::Black => Rgb([200, 200, 200]),
        Ink::Red => Rgb([255, 205, 200]),
        Ink::Yellow => Rgb([255, 240, 185]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_in_the_strong_colour() {
        let panel: Panel = "bwr-3x1".parse().unwrap();
        let desired = Planes::new(panel, vec![0b1000_0000, 0b0100_0000]).unwrap();
        let reported = Planes::new(panel, vec![0b1100_0000, 0]).unwrap();
        let drawn = image::load_from_memory(&difference(&desired, &reported, 2)).unwrap().into_rgb8();
        assert_eq!((drawn.width(), drawn.height()), (6, 2));
        let row: Vec<[u8; 3]> = (0..3).map(|x| drawn.get_pixel(x * 2, 0).0).collect();
        assert_eq!(row, [[200, 200, 200], [214, 0, 170], [255, 255, 255]]);
    }

    #[test]
    fn a_picture_too_large_to_draw_is_refused() {
        let panel: Panel = "bw-1600x1200".parse().unwrap();
        assert!(check_size(panel, 2).is_ok());
        assert_eq!(
            check_size(panel, 8).unwrap_err().detail,
            "scale 8 makes 12800x9600 pixels of bw-1600x1200, more than 16000000; use a smaller one"
        );
    }
}
