//! Who did what, newest first: the last thousand; the journal of accounts has all of it.

use std::sync::Arc;

use axum::extract::State;
use gondola_protocol::Moment;
use maud::{Markup, html};

use super::layout::{self, Frame};
use crate::accounts::Act;
use crate::web::Web;

/// The page.
pub(super) async fn page(State(web): State<Arc<Web>>, frame: Frame) -> Markup {
    let acts: Vec<(Moment, Act)> = web.accounts.read(|accounts| accounts.acts().cloned().collect());
    let (now, zone) = (web.accounts.now(), web.time_zone().await);
    let title = frame.say("Who did what", "操作记录");
    let content = html! {
        h1 { (title) }
        @if acts.is_empty() { p.faint { (frame.say("Nobody has changed anything yet.", "尚无操作。")) } }
        ul.acts {
            @for (at, act) in &acts {
                li {
                    strong { (act.who) } " " span { (act.action.split(' ').next().unwrap_or_default()) } " " span.id { (act.path) }
                    @if let Some(detail) = &act.detail { " · " (detail) }
                    " · " (layout::ago(Some(*at), now, &zone, frame.language))
                }
            }
        }
    };
    frame.page(title, Some(now), &content)
}
