//! `reload` of a store: where its facets are fetched whole.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use jiff::civil::Time;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration;
use serde::{Deserialize, Serialize};

use crate::catalog::wire::Facet;

/// Longest time-out: longer than that, and the day's next reload is near.
const TIMEOUT_MAX: Duration = Duration::from_hours(12);

/// Longest jitter: more would no longer be a time of day.
const JITTER_MAX: Duration = Duration::from_hours(12);

/// `reload = { url = "https://erp.example/snapshots", facets = ["base"], at = "03:30" }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadConfig {
    /// Where snapshots are; `/{store}/{facet}` is put behind it.
    pub url: SourceUrl,
    /// What is fetched there.
    pub facets: BTreeSet<Facet>,
    /// When, each day in the store's zone, beside the start of the controller, a gap, and a person's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The daily reload begins up to this much later, each store at its own time, so that a chain's stores do not
    /// all ask at once.
    #[serde(default = "default_jitter", with = "duration")]
    pub jitter: Duration,
    /// A snapshot that is not there whole within this is given up.
    #[serde(default = "default_timeout", with = "duration")]
    pub timeout: Duration,
    /// A file with a bearer token. It is read for every request, so a new one needs no restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

const fn default_jitter() -> Duration {
    Duration::from_mins(10)
}

/// The snapshot of a large store, 100 MB, over a line of 3 Mbit/s.
const fn default_timeout() -> Duration {
    Duration::from_mins(5)
}

impl ReloadConfig {
    /// What the types cannot say; `name` is the store's in messages.
    pub(super) fn check(&self, name: &str, problems: &mut Vec<String>) {
        if self.facets.is_empty() {
            problems.push(format!("{name}: reload.facets is empty; name what is fetched, for example [\"base\"]"));
        }
        if self.jitter > JITTER_MAX {
            problems.push(format!("{name}: reload.jitter is above {} h", JITTER_MAX.as_secs() / 3_600));
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            problems
                .push(format!("{name}: reload.timeout is not between 1 ms and {} h", TIMEOUT_MAX.as_secs() / 3_600));
        }
        if self.token_file.is_some() && matches!(self.url, SourceUrl::File(_)) {
            problems.push(format!("{name}: reload.token_file is for http and https; remove it"));
        }
    }
}

/// Where snapshots come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SourceUrl {
    /// `http://` or `https://`, without a slash at its end.
    Http(String),
    /// `file://` and an absolute path.
    File(PathBuf),
}

impl TryFrom<String> for SourceUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file://") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::File(path))
            } else {
                Err(format!("url `{text}` names no absolute path; write three slashes, as in `file:///srv/snapshots`"))
            };
        }
        let refused = || {
            format!("url `{text}` is not `https://host/path`, `http://host/path` or `file:///path`, without a query")
        };
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(refused());
        }
        Ok(Self::Http(text.trim_end_matches('/').to_owned()))
    }
}

impl From<SourceUrl> for String {
    fn from(url: SourceUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(url),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}
