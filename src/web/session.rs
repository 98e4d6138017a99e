//! Who sends a request: a program by its token, a person by a cookie; and whether another site's page sent it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{Web, guard};
use crate::accounts::session::AGE_MAX;
use crate::accounts::{Visitor, Who};

/// The cookie of a session. `Lax`, not `Strict`: an alert's link in a chat must open the page, not the login. A request
/// that changes something is never a link, and its origin is checked besides.
const COOKIE: &str = "gondola_session";

/// What a browser says of where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The `Set-Cookie` of a session that begins.
pub(super) fn set_cookie(web: &Web, value: &str) -> HeaderValue {
    cookie_header(web, &format!("{COOKIE}={value}; Max-Age={}", AGE_MAX.as_secs()))
}

/// The `Set-Cookie` of a session that has ended.
pub(super) fn drop_cookie(web: &Web) -> HeaderValue {
    cookie_header(web, &format!("{COOKIE}=; Max-Age=0"))
}

fn cookie_header(web: &Web, pair: &str) -> HeaderValue {
    let secure = if web.is_secure { "; Secure" } else { "" };
    let text = format!("{pair}; Path=/; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).expect("hexadecimal digits and plain words")
}

/// Whom a request comes from over the network.
pub(super) fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip())
}

/// Finds out who sends a request, and refuses what a foreign page sends in a person's name.
pub(super) async fn identify(State(web): State<Arc<Web>>, mut request: Request, next: Next) -> Response {
    let visitor = visitor(&web, request.headers());
    let (known, peer) = (visitor.as_ref().ok().and_then(Option::as_ref), peer(&request));
    let taken = web.rates.lock().unwrap_or_else(PoisonError::into_inner).take(web.accounts.now(), known, peer);
    if let Err(wait) = taken {
        return guard::too_many(wait);
    }
    match visitor {
        Ok(visitor) => {
            let by_token = matches!(&visitor, Some(Visitor { who: Who::Token(_), .. }));
            if !request.method().is_safe() && !by_token && !is_from_here(request.headers(), visitor.is_some()) {
                let detail = "another site's page sent this; open the page here and try again";
                return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
            }
            if let Some(visitor) = visitor {
                request.extensions_mut().insert(visitor);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn visitor(web: &Web, headers: &HeaderMap) -> Result<Option<Visitor>, Problem> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return Ok(cookie(headers, COOKIE).and_then(|cookie| web.accounts.by_cookie(cookie)));
    };
    let token = authorization.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let unknown = || Problem::new(StatusCode::UNAUTHORIZED, "the token is not known, was revoked or has expired");
    token.and_then(|token| web.accounts.by_token(token)).map(Some).ok_or_else(unknown)
}

/// Whether a browser says that our own page sent a request. Who says nothing is no browser; that is fine as long as
/// no cookie comes along.
fn is_from_here(headers: &HeaderMap, has_session: bool) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let host = text(header::HOST).unwrap_or_default();
    match text(header::ORIGIN) {
        Some(origin) => origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
        None => !has_session,
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unidentified().into_response())
    }
}

/// For whoever has not said who they are.
pub(super) fn unidentified() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer` with a token, or log in at /login")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[(header::COOKIE, "a=1; gondola_session=abc; gondola_sessions=x")]);
        assert_eq!(cookie(&headers, COOKIE), Some("abc"));
        assert_eq!(cookie(&headers, "b"), None);
    }

    #[test]
    fn only_our_own_pages_may_send_what_changes_something() {
        let here = (header::HOST, "shop.example:8080");
        let check = |pairs: &[(HeaderName, &'static str)], has_session, expected| {
            assert_eq!(is_from_here(&headers(pairs), has_session), expected, "{pairs:?}");
        };
        check(&[(SEC_FETCH_SITE, "same-origin")], true, true);
        for site in ["cross-site", "same-site", "none"] {
            check(&[here.clone(), (header::ORIGIN, "http://shop.example:8080"), (SEC_FETCH_SITE, site)], true, false);
        }
        check(&[here.clone(), (header::ORIGIN, "https://shop.example:8080")], true, true);
        for origin in ["null", "http://evil.example", "http://shop.example", "http://shop.example:8081"] {
            check(&[here.clone(), (header::ORIGIN, origin)], false, false);
        }
        check(std::slice::from_ref(&here), true, false);
        check(&[here], false, true);
    }
}
