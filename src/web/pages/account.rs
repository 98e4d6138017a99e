//! Coming in and going out, and one's own account.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::PageProblem;
use super::layout::Frame;
use crate::accounts::{Visitor, Who};
use crate::run::accounts::SignInError;
use crate::web::language::{self, Language};
use crate::web::problem::Problem;
use crate::web::request::{FormFields, Params};
use crate::web::{Web, session};

/// A year: whoever chose a language keeps it.
const LANGUAGE_SECONDS: u32 = 31_536_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginQuery {
    #[serde(default)]
    next: String,
}

/// The page that asks who somebody is.
pub(super) async fn login_page(frame: Frame, Params(query): Params<LoginQuery>) -> Markup {
    login_form(&frame, "", &query.next, None)
}

fn login_form(frame: &Frame, name: &str, next: &str, problem: Option<&str>) -> Markup {
    let title = frame.say("Log in", "登录");
    let content = html! {
        section.form {
            h1 { (title) }
            @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
            form method="post" action="/login" {
                label { span { (frame.say("Name", "用户名")) }
                    input name="name" value=(name) required autofocus autocomplete="username" autocapitalize="none" spellcheck="false"; }
                label { span { (frame.say("Password", "密码")) }
                    input name="password" type="password" required autocomplete="current-password"; }
                input type="hidden" name="next" value=(next);
                button.primary { (title) }
            }
        }
    };
    frame.page(title, None, &content)
}

/// Lets a person in.
pub(super) async fn login(
    State(web): State<Arc<Web>>,
    frame: Frame,
    request: Request,
) -> Result<Response, PageProblem> {
    let from = session::peer(&request);
    let form = axum::RequestExt::extract::<FormFields, _>(request).await?;
    let (name, next) = (form.text("name"), form.text("next"));
    match web.accounts.sign_in(name, form.secret("password"), from).await {
        Ok(cookie) => {
            tracing::info!(user = name, %from, "logged in");
            Ok(with_session(&web, &cookie, inside(next)))
        }
        Err(error) => {
            tracing::warn!(%from, %error, "a login failed");
            let (status, words) = match error {
                SignInError::Wrong => (
                    StatusCode::UNAUTHORIZED,
                    frame.say("Name or password is wrong.", "用户名或密码不正确。").to_owned(),
                ),
                SignInError::TooOften(wait) => {
                    let seconds = wait.as_secs() + 1;
                    let english = format!("Too many tries. The next one is possible in {seconds} s.");
                    let chinese = format!("尝试次数过多，请在 {seconds} 秒后再试。");
                    (StatusCode::TOO_MANY_REQUESTS, frame.say(&english, &chinese).to_owned())
                }
            };
            Ok((status, login_form(&frame, name, next, Some(&words))).into_response())
        }
    }
}

fn with_session(web: &Web, cookie: &str, to: &str) -> Response {
    ([(header::SET_COOKIE, session::set_cookie(web, cookie))], Redirect::to(to)).into_response()
}

/// A path of ours to go to: what a foreign page wrote into a link leads nowhere else.
fn inside(path: &str) -> &str {
    let is_ours = path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t']);
    if is_ours && path.is_ascii() { path } else { "/" }
}

/// Ends a session.
pub(super) async fn logout(State(web): State<Arc<Web>>, visitor: Visitor) -> Response {
    if let Who::User(_, key) = &visitor.who {
        web.accounts.sign_out(key);
    }
    ([(header::SET_COOKIE, session::drop_cookie(&web))], Redirect::to("/login")).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnterQuery {
    key: String,
}

/// Lets in whoever has the link of a demonstration, on this machine.
pub(super) async fn enter(
    State(web): State<Arc<Web>>,
    Params(query): Params<EnterQuery>,
    request: Request,
) -> Result<Response, PageProblem> {
    let is_local = session::peer(&request).to_canonical().is_loopback();
    let cookie = Some(query.key).filter(|_| is_local).and_then(|key| web.accounts.enter(&key));
    match cookie {
        Some(cookie) => Ok(with_session(&web, &cookie, "/")),
        None => Err(Problem::not_found("this link opens nothing; log in at /login").into()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LanguageQuery {
    to: String,
    #[serde(default)]
    back: String,
}

/// Keeps a choice of language.
pub(super) async fn language(Params(query): Params<LanguageQuery>) -> Response {
    let language = Language::of_tag(&query.to).unwrap_or_default();
    let cookie = format!("{}={}; Max-Age={LANGUAGE_SECONDS}; Path=/; SameSite=Lax", language::COOKIE, language.tag());
    let cookie = HeaderValue::from_str(&cookie).expect("plain words");
    ([(header::SET_COOKIE, cookie)], Redirect::to(inside(&query.back))).into_response()
}

/// One's own account.
pub(super) async fn page(visitor: Visitor, frame: Frame) -> Markup {
    account(&frame, &visitor, None)
}

fn account(frame: &Frame, visitor: &Visitor, problem: Option<&Problem>) -> Markup {
    let title = frame.say("Your account", "我的账户");
    let content = html! {
        section.form {
            h1 { (title) }
            @if let Some(user) = visitor.user() {
                p { strong { (user) } " · " (super::users::role_name(frame, visitor.permit.role)) " · " (super::users::stores_text(frame, &visitor.permit)) }
            }
            @if visitor.must_choose_password {
                p.problem { (frame.say("Somebody else knows your password. Choose one of your own to go on.", "他人知道您当前的密码。请设置自己的密码后继续。")) }
            }
            @if let Some(problem) = problem { p.problem role="alert" { (super::words::sentence(&problem.detail)) } }
            form method="post" action="/account/password" {
                label { span { (frame.say("Present password", "当前密码")) }
                    input name="present" type="password" required autocomplete="current-password"; }
                label { span { (frame.say("New password, at least 8 characters", "新密码（至少 8 个字符）")) }
                    input name="new" type="password" required minlength="8" autocomplete="new-password"; }
                button.primary { (frame.say("Change the password", "修改密码")) }
            }
            form method="post" action="/logout" { button { (frame.say("Log out", "退出登录")) } }
        }
    };
    frame.page(title, None, &content)
}

/// Sets a password of one's own; this browser stays in, every other one is out.
pub(super) async fn choose_password(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
    frame: Frame,
    request: Request,
) -> Result<Response, PageProblem> {
    let from = session::peer(&request);
    let form = axum::RequestExt::extract::<FormFields, _>(request).await?;
    let user = visitor.user().ok_or_else(|| Problem::unprocessable("a token has no password"))?.clone();
    let new = form.secret("new");
    if let Err(error) = web.accounts.choose_password(user.clone(), form.secret("present"), new.clone()).await {
        let problem = Problem::from(error);
        return Ok((problem.status, account(&frame, &visitor, Some(&problem))).into_response());
    }
    match web.accounts.sign_in(&user.to_string(), new, from).await {
        Ok(cookie) => Ok(with_session(&web, &cookie, "/")),
        Err(_) => Ok(Redirect::to("/login").into_response()),
    }
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn a_link_leads_nowhere_else() {
        for path in ["/", "/stores/hz-001?q=a&health=stale", "/account"] {
            assert_eq!(inside(path), path);
        }
        for path in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/\n", "stores"] {
            assert_eq!(inside(path), "/", "{path}");
        }
    }
}
