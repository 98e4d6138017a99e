//! Users, for admins: who there is, what they may do, and a password for the first login.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use gondola_protocol::StoreId;
use maud::{Markup, html};

use super::PageProblem;
use super::layout::Frame;
use crate::accounts::{Change, Permit, Role, Stores, User, UserName, Visitor};
use crate::run::accounts::OneTime;
use crate::web::Web;
use crate::web::problem::Problem;
use crate::web::request::FormFields;

/// Every user.
pub(super) async fn page(State(web): State<Arc<Web>>, frame: Frame) -> Markup {
    users(&web, &frame, None, None)
}

fn users(web: &Web, frame: &Frame, made: Option<&OneTime>, problem: Option<&Problem>) -> Markup {
    let known: Vec<(UserName, User)> =
        web.accounts.read(|accounts| accounts.users().map(|(name, user)| (name.clone(), user.clone())).collect());
    let title = frame.say("Users", "用户");
    let content = html! {
        h1 { (title) }
        @if let Some(problem) = problem { p.problem role="alert" { (super::words::sentence(&problem.detail)) } }
        @if let Some(OneTime { user, password }) = made {
            section.made {
                p { strong { (user) } (frame.say(" logs in once with this password, and then chooses one. It is not shown again.", " 使用此密码首次登录，随后设置自己的密码。此密码不会再次显示。")) }
                p { code.secret { (password) } }
            }
        }
        section.people {
            @for (name, user) in &known { (one(web, frame, name, user)) }
        }
        section.form {
            h2 { (frame.say("A new user", "新建用户")) }
            form method="post" action="/users" {
                label { span { (frame.say("Name", "用户名")) }
                    input name="name" required maxlength="32" pattern="[a-z0-9._\\-]+" autocapitalize="none" spellcheck="false" autocomplete="off"; }
                (permit_fields(web, frame, None))
                button.primary { (frame.say("Make the user", "创建用户")) }
            }
        }
    };
    frame.page(title, None, &content)
}

fn one(web: &Web, frame: &Frame, name: &UserName, user: &User) -> Markup {
    html! {
        details {
            summary {
                strong { (name) } " · " (role_name(frame, user.permit.role)) " · " (stores_text(frame, &user.permit))
                @if user.password_is_temporary { span.faint { " · " (frame.say("has not chosen a password yet", "尚未设置自己的密码")) } }
            }
            form method="post" action={ "/users/" (name) "/permit" } {
                (permit_fields(web, frame, Some(&user.permit)))
                button { (frame.say("Change what the user may do", "修改权限")) }
            }
            div.row {
                form method="post" action={ "/users/" (name) "/password" } { button { (frame.say("New password for one login", "重置密码")) } }
                form method="post" action={ "/users/" (name) "/remove" } { button.danger { (frame.say("Remove the user", "删除用户")) } }
            }
        }
    }
}

/// Fields for a role and stores.
pub(super) fn permit_fields(web: &Web, frame: &Frame, permit: Option<&Permit>) -> Markup {
    let chosen = |store: &StoreId| permit.is_some_and(|permit| permit.stores != Stores::All && permit.reaches(store));
    html! {
        label { span { (frame.say("Role", "角色")) }
            select name="role" {
                @for role in Role::ALL {
                    option value=(role) selected[permit.map_or(*role == Role::Staff, |permit| permit.role == *role)] { (role_name(frame, *role)) }
                }
            }
        }
        fieldset {
            legend { (frame.say("Stores; none for all", "门店（不选则为全部）")) }
            @for (id, shop) in &web.stores {
                label.check { input type="checkbox" name="store" value=(id) checked[chosen(id)]; span { (shop.name) " " span.faint { (id) } } }
            }
        }
    }
}

/// The permit that a form asks for.
pub(super) fn permit_of(form: &FormFields) -> Result<Permit, Problem> {
    let stores: Result<BTreeSet<StoreId>, _> = form.all("store").map(str::parse).collect();
    Permit::new(form.parsed("role")?, stores.map_err(Problem::unprocessable)?).map_err(Problem::unprocessable)
}

/// A role for people.
pub(super) const fn role_name<'a>(frame: &Frame, role: Role) -> &'a str {
    match role {
        Role::Viewer => frame.say("viewer: looks", "查看者：只能查看"),
        Role::Staff => frame.say("staff: binds labels", "店员：绑定价签"),
        Role::Manager => frame.say("manager: decides prices, pushes, reloads", "店长：审批价格、推送、重载"),
        Role::Admin => frame.say("admin: users and tokens", "管理员：用户与令牌"),
    }
}

/// Where a permit holds, for people.
pub(super) fn stores_text(frame: &Frame, permit: &Permit) -> String {
    match &permit.stores {
        Stores::All => frame.say("every store", "全部门店").to_owned(),
        Stores::Only(stores) => stores.iter().map(StoreId::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// The page with what became of a request.
fn respond(web: &Web, frame: &Frame, outcome: Result<OneTime, Problem>) -> Response {
    match outcome {
        Ok(made) => users(web, frame, Some(&made), None).into_response(),
        Err(problem) => (problem.status, users(web, frame, None, Some(&problem))).into_response(),
    }
}

/// Makes a user.
pub(super) async fn add(State(web): State<Arc<Web>>, visitor: Visitor, frame: Frame, form: FormFields) -> Response {
    let made = async {
        let (name, permit) = (form.parsed("name")?, permit_of(&form)?);
        Ok(web.accounts.add_user(name, permit, visitor.user().cloned()).await?)
    };
    respond(&web, &frame, made.await)
}

/// Gives a user a password for one login.
pub(super) async fn reset_password(
    State(web): State<Arc<Web>>,
    Path(user): Path<String>,
    visitor: Visitor,
    frame: Frame,
) -> Response {
    let made = async {
        let user = user.parse().map_err(Problem::bad_request)?;
        Ok(web.accounts.reset_password(user, visitor.user().cloned()).await?)
    };
    respond(&web, &frame, made.await)
}

/// Changes what a user may do.
pub(super) async fn permit(
    State(web): State<Arc<Web>>,
    Path(user): Path<String>,
    visitor: Visitor,
    form: FormFields,
) -> Result<Redirect, PageProblem> {
    let user = user.parse().map_err(Problem::bad_request)?;
    let change = Change::UserPermitted { user, permit: permit_of(&form)?, by: visitor.user().cloned() };
    web.accounts.change(change).await?;
    Ok(Redirect::to("/users"))
}

/// Removes a user.
pub(super) async fn remove(
    State(web): State<Arc<Web>>,
    Path(user): Path<String>,
    visitor: Visitor,
) -> Result<Redirect, PageProblem> {
    let user = user.parse().map_err(Problem::bad_request)?;
    web.accounts.change(Change::UserRemoved { user, by: visitor.user().cloned() }).await?;
    Ok(Redirect::to("/users"))
}
