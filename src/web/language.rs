//! Which language a person reads: what they chose, else what their browser asks for.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::session;

/// The cookie that keeps a choice.
pub(super) const COOKIE: &str = "gondola_language";

/// A language that the pages are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// Its tag.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The one of two texts that is written in it.
    pub(super) const fn say<'a>(self, english: &'a str, chinese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// Of a tag such as `zh-Hans-CN`; none for a language that the pages are not written in.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_', ';']).next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// The first of an `Accept-Language` that the pages are written in: browsers write the best first.
    fn accepted(header: &str) -> Option<Self> {
        header.split(',').find_map(Self::of_tag)
    }
}

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let chosen = session::cookie(&parts.headers, COOKIE).and_then(Self::of_tag);
        let accepted = || parts.headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok().and_then(Self::accepted);
        Ok(chosen.or_else(accepted).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_first_known_language_is_taken() {
        for (header, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Language::Chinese)),
            ("de-DE, en-GB;q=0.7, zh;q=0.3", Some(Language::English)),
            ("ZH-hant", Some(Language::Chinese)),
            ("fr", None),
            ("", None),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }
}
