//! Writes that a program may send again: the same `Idempotency-Key` gets the same answer, and is carried out once.
//!
//! Answers are kept in memory: after a restart a repeated write is carried out again, which rows with revisions and
//! bindings bear well.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gondola_protocol::Moment;

use super::BODY_MAX;
use super::problem::Problem;
use super::request::too_long;

/// The header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// Longest key: a UUID has 36 characters.
const KEY_CHARS_MAX: usize = 128;

/// Answers that are kept: a program that writes every second of a day needs more than this; then the oldest go.
const ANSWERS_MAX: usize = 20_000;

/// Bytes of all answers that are kept. A thousand results have some 100 KB.
const BYTES_MAX: usize = 64 << 20;

/// Whose key it is, and the key.
type Name = (String, String);

/// An answer that may be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

#[derive(Debug)]
struct Known {
    asked: blake3::Hash,
    /// None while it is carried out.
    answer: Option<Answer>,
}

/// What is known of keys.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    known: BTreeMap<Name, Known>,
    /// In the order of their coming.
    order: VecDeque<(Moment, Name)>,
    bytes: usize,
}

/// What is to be done with a write.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Carry it out, and tell what came of it.
    CarryOut,
    /// It was carried out before.
    Repeat(Answer),
}

/// Carries a write out, unless its key says that it was carried out before.
pub(super) async fn once(
    answers: &Answers,
    now: Moment,
    who: String,
    request: Request,
    carry_out: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let name = match key(request.headers()) {
        Ok(None) => return carry_out(request).await,
        Ok(Some(key)) => (who, key),
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else { return too_long().into_response() };
    let mut asked = blake3::Hasher::new();
    asked.update(format!("{} {}\n", parts.method, parts.uri).as_bytes()).update(&body);
    match answers.begin(now, &name, asked.finalize()) {
        Err(problem) => problem.into_response(),
        Ok(Verdict::Repeat(answer)) => answer.repeat(),
        Ok(Verdict::CarryOut) => {
            let under_way = UnderWay::new(answers, name);
            let response = carry_out(Request::from_parts(parts, Body::from(body))).await;
            keep(under_way, response).await
        }
    }
}

/// Keeps an answer. After an error of ours, what was asked for may be tried again.
async fn keep(under_way: UnderWay<'_>, response: Response) -> Response {
    if response.status().is_server_error() {
        return response;
    }
    let (parts, body) = response.into_parts();
    // Our own answer: it is whole, and in memory already.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let content_type = parts.headers.get(header::CONTENT_TYPE).cloned();
    under_way.done(Answer { status: parts.status, content_type, body: body.clone() });
    Response::from_parts(parts, Body::from(body))
}

/// A key as a header says it.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let is_key = |key: &&str| (1..=KEY_CHARS_MAX).contains(&key.len()) && !key.contains('\t');
    let key = value.to_str().ok().filter(is_key);
    let refused = || format!("`Idempotency-Key` is not 1 to {KEY_CHARS_MAX} printable characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(|| Problem::bad_request(refused()))
}

impl Answers {
    /// What is to be done with the write that `asked` is the hash of.
    fn begin(&self, now: Moment, name: &Name, asked: blake3::Hash) -> Result<Verdict, Problem> {
        let mut kept = self.kept();
        kept.forget_old(now);
        match kept.known.get(name) {
            Some(known) if known.asked != asked => {
                let detail = "this `Idempotency-Key` belongs to another request of yours; use a new one";
                Err(Problem::unprocessable(detail))
            }
            Some(Known { answer: Some(answer), .. }) => Ok(Verdict::Repeat(answer.clone())),
            Some(_) => Err(Problem::conflict("the request with this `Idempotency-Key` is being carried out")),
            None => {
                kept.known.insert(name.clone(), Known { asked, answer: None });
                kept.order.push_back((now, name.clone()));
                Ok(Verdict::CarryOut)
            }
        }
    }

    /// Keeps what came of a write.
    fn done(&self, name: &Name, answer: Answer) {
        let mut kept = self.kept();
        let length = answer.body.len();
        if let Some(known) = kept.known.get_mut(name) {
            known.answer = Some(answer);
            kept.bytes += length;
        }
        while kept.bytes > BYTES_MAX || kept.known.len() > ANSWERS_MAX {
            kept.forget_first();
        }
    }

    /// A write that nothing came of may be tried again.
    fn given_up(&self, name: &Name) {
        let mut kept = self.kept();
        kept.forget(name);
        kept.order.retain(|(_, other)| other != name);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_old(&mut self, now: Moment) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) >= KEPT_FOR) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, name)) = self.order.pop_front() {
            self.forget(&name);
        }
    }

    fn forget(&mut self, name: &Name) {
        let known = self.known.remove(name);
        self.bytes -= known.and_then(|known| known.answer).map_or(0, |answer| answer.body.len());
    }
}

impl Answer {
    /// The answer, given again.
    fn repeat(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

/// Tells a write that ends before it is answered, whatever ends it.
struct UnderWay<'a> {
    answers: &'a Answers,
    name: Option<Name>,
}

impl<'a> UnderWay<'a> {
    const fn new(answers: &'a Answers, name: Name) -> Self {
        Self { answers, name: Some(name) }
    }

    /// It is answered.
    fn done(mut self, answer: Answer) {
        if let Some(name) = self.name.take() {
            self.answers.done(&name, answer);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.answers.given_up(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str) -> Name {
        ("token 1".to_owned(), key.to_owned())
    }

    fn answer(bytes: usize) -> Answer {
        Answer { status: StatusCode::OK, content_type: None, body: vec![b'x'; bytes].into() }
    }

    #[test]
    fn a_key_belongs_to_one_request_for_a_day() {
        let (answers, asked) = (Answers::default(), blake3::hash(b"a"));
        let at = Moment::from_secs;
        assert_eq!(answers.begin(at(0), &name("k"), asked), Ok(Verdict::CarryOut));
        assert_eq!(answers.begin(at(1), &name("k"), asked).unwrap_err().status, StatusCode::CONFLICT);
        answers.done(&name("k"), answer(3));
        assert_eq!(answers.begin(at(2), &name("k"), asked), Ok(Verdict::Repeat(answer(3))));
        let other = answers.begin(at(2), &name("k"), blake3::hash(b"b")).unwrap_err();
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
        let stranger = ("token 2".to_owned(), "k".to_owned());
        assert_eq!(answers.begin(at(2), &stranger, blake3::hash(b"b")), Ok(Verdict::CarryOut));
        drop(UnderWay::new(&answers, stranger.clone()));
        assert_eq!(answers.begin(at(3), &stranger, asked), Ok(Verdict::CarryOut), "it was given up");
        assert_eq!(answers.begin(at(86_400), &name("k"), blake3::hash(b"b")), Ok(Verdict::CarryOut));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (answers, asked) = (Answers::default(), blake3::hash(b"a"));
        for number in 0..100 {
            let name = name(&number.to_string());
            answers.begin(Moment::ZERO, &name, asked).unwrap();
            answers.done(&name, answer(1 << 20));
        }
        let kept = answers.kept();
        assert_eq!((kept.known.len(), kept.order.len(), kept.bytes), (64, 64, 64 << 20));
    }
}
