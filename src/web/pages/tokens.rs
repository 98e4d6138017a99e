//! API tokens, for admins: what each is for, what it may do, and when it was used last.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::PageProblem;
use super::layout::{self, Frame};
use super::users::{permit_fields, permit_of, role_name, stores_text};
use crate::accounts::{Change, Token, TokenId, Visitor};
use crate::web::Web;
use crate::web::problem::Problem;
use crate::web::request::FormFields;

/// Longest name of a token.
const NAME_CHARS_MAX: usize = 64;

/// Longest life of a token that has an end: ten years.
const DAYS_MAX: u64 = 3_650;

/// Every token.
pub(super) async fn page(State(web): State<Arc<Web>>, frame: Frame) -> Markup {
    tokens(&web, &frame, None, None).await
}

async fn tokens(web: &Web, frame: &Frame, made: Option<&str>, problem: Option<&Problem>) -> Markup {
    let known: Vec<(TokenId, Token)> =
        web.accounts.read(|accounts| accounts.tokens().map(|(id, token)| (id.clone(), token.clone())).collect());
    let zone = web.time_zone().await;
    let title = frame.say("API tokens", "API 令牌");
    let content = html! {
        h1 { (title) }
        @if let Some(problem) = problem { p.problem role="alert" { (super::words::sentence(&problem.detail)) } }
        @if let Some(made) = made {
            section.made {
                p { (frame.say("The program sends this as ", "程序在请求头中发送：")) code { "Authorization: Bearer" } (frame.say(". It is not shown again.", "。此令牌不会再次显示。")) }
                p { code.secret { (made) } }
            }
        }
        section.people {
            @for (id, token) in &known { (one(web, frame, (id, token), &zone)) }
            @if known.is_empty() { p.faint { (frame.say("There is no token.", "暂无令牌。")) } }
        }
        section.form {
            h2 { (frame.say("A new token", "新建令牌")) }
            form method="post" action="/tokens" {
                label { span { (frame.say("What for", "用途")) } input name="name" required maxlength=(NAME_CHARS_MAX); }
                (permit_fields(web, frame, None))
                label { span { (frame.say("Ends after days; empty for never", "有效天数（留空则永久有效）")) }
                    input name="days" type="number" inputmode="numeric" min="1" max=(DAYS_MAX); }
                button.primary { (frame.say("Make the token", "创建令牌")) }
            }
        }
    };
    frame.page(title, Some(web.accounts.now()), &content)
}

fn one(web: &Web, frame: &Frame, (id, token): (&TokenId, &Token), zone: &TimeZone) -> Markup {
    let now = web.accounts.now();
    let ago = |moment| layout::ago(moment, now, zone, frame.language);
    html! {
        details {
            summary {
                strong { (token.name) } " · " (role_name(frame, token.permit.role)) " · " (stores_text(frame, &token.permit))
                @if token.expires_at.is_some_and(|end| end <= now) { " · " span.mark data-health="faulty" { (frame.say("expired", "已过期")) } }
            }
            dl {
                dt { (frame.say("Id", "编号")) } dd.id { (id) }
                dt { (frame.say("Last used", "最近使用")) } dd { (ago(token.used_at)) }
                dt { (frame.say("Made", "创建时间")) } dd { (ago(Some(token.since))) @if let Some(by) = &token.by { " · " (by) } }
                dt { (frame.say("Ends", "到期")) } dd {
                    @if let Some(end) = token.expires_at { (crate::instant::rfc3339(end, zone)) } @else { (frame.say("never", "永不")) }
                }
            }
            form method="post" action={ "/tokens/" (id) "/revoke" } { button.danger { (frame.say("Revoke the token", "吊销令牌")) } }
        }
    }
}

/// Makes a token.
pub(super) async fn create(State(web): State<Arc<Web>>, visitor: Visitor, frame: Frame, form: FormFields) -> Response {
    let made = async {
        let permit = permit_of(&form)?;
        let lasts = days(form.text("days"))?;
        let name: String = form.text("name").chars().take(NAME_CHARS_MAX).collect();
        let (_, text) = web.accounts.create_token(name, permit, lasts, visitor.user().cloned()).await?;
        Ok::<_, Problem>(text)
    };
    match made.await {
        Ok(made) => tokens(&web, &frame, Some(&made), None).await.into_response(),
        Err(problem) => (problem.status, tokens(&web, &frame, None, Some(&problem)).await).into_response(),
    }
}

fn days(text: &str) -> Result<Option<Duration>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
    let days: u64 = days.ok_or_else(|| Problem::unprocessable(format!("a token lasts 1 to {DAYS_MAX} days")))?;
    Ok(Some(Duration::from_hours(24 * days)))
}

/// Revokes a token.
pub(super) async fn revoke(
    State(web): State<Arc<Web>>,
    Path(token): Path<String>,
    visitor: Visitor,
) -> Result<Redirect, PageProblem> {
    let token = token.parse().map_err(Problem::bad_request)?;
    web.accounts.change(Change::TokenRevoked { token, by: visitor.user().cloned() }).await?;
    Ok(Redirect::to("/tokens"))
}
