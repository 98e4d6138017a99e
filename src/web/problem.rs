//! Errors as RFC 9457 problem details: what was wrong, with what, and what to do.

use std::fmt::Display;

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accounts::AccountError;
use crate::controller::message::Refusal;
use crate::run::accounts::AccountsError;
use crate::run::store::{RequestError, StoreGone};
use crate::run::templates::EditError;

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    /// The same for a page that is read in Chinese; none where only programs and slips of theirs get here.
    pub(super) chinese: Option<String>,
}

/// Its form on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct Details<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Display) -> Self {
        Self { status, detail: detail.to_string(), chinese: None }
    }

    /// Adds what a page says in Chinese.
    pub(super) fn or_in_chinese(self, chinese: impl Into<String>) -> Self {
        Self { chinese: Some(chinese.into()), ..self }
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// What it names does not exist.
    pub(super) fn not_found(detail: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It contradicts what is there.
    pub(super) fn conflict(detail: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// It is understood, and what it asks for is not possible.
    pub(super) fn unprocessable(detail: impl Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// A later request may be answered.
    pub(super) fn unavailable(detail: impl Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl From<StoreGone> for Problem {
    fn from(gone: StoreGone) -> Self {
        Self::unavailable(gone)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownLabel(_) | Refusal::UnknownHeld(_) | Refusal::NoAlert(_) => Self::not_found(refusal),
            Refusal::OtherPanel { .. } | Refusal::NotHeld(_) | Refusal::Bound(..) | Refusal::TooManyTrials => {
                Self::conflict(refusal)
            }
            Refusal::NotDurable(_) | Refusal::Unsure(_) => Self::unavailable(refusal),
            _ => Self::unprocessable(refusal),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refusal) => refusal.into(),
            RequestError::Gone(gone) => gone.into(),
        }
    }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::Refused(AccountError::NoUser(_) | AccountError::NoToken(_)) => Self::not_found(error),
            AccountsError::Refused(_) => Self::conflict(error),
            AccountsError::Password(_) | AccountsError::WrongPassword => Self::unprocessable(error),
            AccountsError::Busy | AccountsError::Stopped => Self::unavailable(error),
        }
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Unknown { .. } | EditError::NoVersion { .. } => Self::not_found(error),
            EditError::Refused(_) => Self::unprocessable(error),
            EditError::Overtaken { .. } => Self::conflict(error),
            EditError::Io { .. } | EditError::Stopped => Self::unavailable(error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let details = Details {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&details).expect("a struct of texts and a number is JSON");
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

/// For a path that exists.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}
