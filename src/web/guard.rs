//! What every request passes: headers that keep browsers safe, how often somebody may ask, and what a write to the
//! interface must look like.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use gondola_protocol::Moment;

use super::Web;
use super::problem::Problem;
use crate::accounts::Visitor;
use crate::accounts::buckets::{Allowance, Buckets};

/// Pages take everything from here and nothing inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // With `no-referrer` a form of our own would come from the origin `null`.
    (header::REFERRER_POLICY, "same-origin"),
];

/// What a browser that came through TLS once keeps to for a year.
const TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Somebody known: a page of five hundred pictures at once, and a busy program all day.
const OF_VISITOR: Allowance = Allowance { burst: 2_000, refill: Duration::from_millis(5) };

/// A stranger: the login page with what it loads, and probes.
const OF_STRANGER: Allowance = Allowance { burst: 200, refill: Duration::from_millis(50) };

/// How often visitors by name, and strangers by address, have asked.
#[derive(Debug)]
pub(super) struct Rates {
    visitors: Buckets<String>,
    strangers: Buckets<IpAddr>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { visitors: Buckets::new(OF_VISITOR), strangers: Buckets::new(OF_STRANGER) }
    }
}

impl Rates {
    /// Takes a request, or answers how long to wait.
    pub(super) fn take(&mut self, now: Moment, visitor: Option<&Visitor>, peer: IpAddr) -> Result<(), Duration> {
        match visitor {
            Some(visitor) => self.visitors.take(now, visitor.who.to_string()),
            None => self.strangers.take(now, peer),
        }
    }
}

/// For whoever asks too often.
pub(super) fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("too many requests; go on in {seconds} s"));
    ([(header::RETRY_AFTER, seconds.to_string())], problem).into_response()
}

/// Adds the security headers to every answer, and counts it.
pub(super) async fn headers(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let class = match response.status().as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("gondola_http_requests_total", "status" => class).increment(1);
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if web.is_secure {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, TLS_ALONE);
    }
    // State changes by the second: only what says so itself may be kept.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a write to the interface whose body is not JSON; the pages' forms are no such writes.
pub(super) fn writes(request: &Request) -> Result<(), Problem> {
    let method = request.method();
    // A DELETE has no body to describe, and neither has a write that needs none.
    let has_body = *method != Method::DELETE && !request.body().is_end_stream();
    if method.is_safe() || !has_body || !request.uri().path().starts_with("/v1/") {
        return Ok(());
    }
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(content_type) {
        let detail = format!("a body must have `Content-Type: application/json`, not `{content_type}`");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_may_have_parameters() {
        assert!(is_json("application/json; charset=utf-8"));
        assert!(!is_json("text/plain; application/json"));
    }
}
