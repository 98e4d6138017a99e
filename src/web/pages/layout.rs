//! What all pages have in common.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use gondola_protocol::Moment;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};

use super::{url_query, words};
use crate::accounts::{Role, Visitor};
use crate::fleet::health::Health;
use crate::instant;
use crate::web::language::Language;
use crate::web::problem::Problem;

/// What is around every page: who looks at it, in which language, and where.
pub(in crate::web) struct Frame {
    pub(super) visitor: Option<Visitor>,
    pub(super) language: Language,
    path: String,
}

impl<S: Sync> FromRequestParts<S> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            visitor: parts.extensions.get::<Visitor>().cloned(),
            language: Language::from_request_parts(parts, state).await?,
            path: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

impl Frame {
    /// The one of two texts that is in the reader's language.
    pub(super) const fn say<'a>(&self, english: &'a str, chinese: &'a str) -> &'a str {
        self.language.say(english, chinese)
    }

    /// A page around its content.
    pub(super) fn page(&self, title: &str, now: Option<Moment>, content: &Markup) -> Markup {
        let switch =
            format!("/language?{}&{}", url_query("to", self.say("zh-CN", "en")), url_query("back", &self.path));
        html! {
            (DOCTYPE)
            html lang=(self.language.tag()) {
                (head(title))
                body data-now=[now.map(Moment::as_millis)] {
                    header.top {
                        a.brand href="/" { "Gondola" }
                        span #live role="status" {}
                        nav {
                            @if let Some(visitor) = &self.visitor { (self.links(visitor)) }
                            a href=(switch) lang=(self.say("zh-CN", "en")) { (self.say("中文", "English")) }
                        }
                    }
                    main { (content) }
                }
            }
        }
    }

    /// A page that says what went wrong.
    pub(super) fn problem(&self, problem: &Problem) -> Markup {
        let english = problem.status.canonical_reason().unwrap_or("Error");
        let chinese = match problem.status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => "请求有误",
            StatusCode::UNAUTHORIZED => "请先登录",
            StatusCode::FORBIDDEN => "没有权限",
            StatusCode::NOT_FOUND => "未找到",
            StatusCode::CONFLICT => "与现状冲突",
            StatusCode::SERVICE_UNAVAILABLE => "暂时不可用",
            _ => "出错了",
        };
        let title = self.say(english, chinese);
        let content = html! {
            h1 { (title) }
            @match (&problem.chinese, self.language) {
                (Some(chinese), Language::Chinese) => p { (chinese) },
                _ => p { (words::sentence(&problem.detail)) },
            }
            p { a href="/" { (self.say("Back to the overview", "返回首页")) } }
        };
        self.page(title, None, &content)
    }

    fn links(&self, visitor: &Visitor) -> Markup {
        html! {
            a href="/search" { (self.say("Search", "搜索")) }
            @if visitor.may_somewhere(Role::Manager) && !visitor.must_choose_password {
                a href="/templates" { (self.say("Templates", "模板")) }
            }
            @if visitor.may_everywhere(Role::Admin) && !visitor.must_choose_password {
                a href="/users" { (self.say("Users", "用户")) }
                a href="/tokens" { (self.say("Tokens", "令牌")) }
                a href="/acts" { (self.say("Who did what", "操作记录")) }
            }
            @if let Some(user) = visitor.user() { a href="/account" { (user) } }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Gondola" }
            link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
            link rel="stylesheet" href="/assets/style.css";
            script src="/assets/live.js" defer {}
        }
    }
}

/// A health's mark and name.
pub(super) fn mark(health: Health, language: Language) -> Markup {
    html! { span.mark data-health=(health) { (words::health(health, language).name) } }
}

/// An instant on the store's clock, and how long ago it was, which the script counts on.
pub(super) fn ago(moment: Option<Moment>, now: Moment, zone: &TimeZone, language: Language) -> Markup {
    let Some(moment) = moment else { return html! { span.faint { (language.say("never", "从未")) } } };
    html! {
        time datetime=(instant::rfc3339(moment, zone)) { (instant::on_the_clock(moment, now, zone)) }
        " " span.faint { span data-since=(moment.as_millis()) { (words::span(now.since(moment), language)) } (language.say(" ago", "前")) }
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: usize) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let groups = digits.as_bytes()[lead..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (lead > 0).then(|| digits[..lead].to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

/// `1 label`, `2 labels`; a noun in Chinese has its measure word with it and no plural.
pub(super) fn counted(count: usize, (noun, chinese): (&str, &str), language: Language) -> String {
    match language {
        Language::English => format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" }),
        Language::Chinese => format!("{} {chinese}", number(count)),
    }
}

/// Labels, to count them.
pub(super) const LABELS: (&str, &str) = ("label", "张价签");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_thousands() {
        assert_eq!(
            [0, 12, 999, 1_000, 30_000, 1_234_567].map(number),
            ["0", "12", "999", "1,000", "30,000", "1,234,567"]
        );
        let counted = |count, language| counted(count, LABELS, language);
        assert_eq!([counted(1, Language::English), counted(2, Language::English)], ["1 label", "2 labels"]);
        assert_eq!(counted(2_000, Language::Chinese), "2,000 张价签");
    }
}
