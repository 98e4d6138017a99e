//! `[[webhook]]`: who is told of alerts over HTTP.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use axum::http::Uri;
use gondola_protocol::StoreId;
use serde::{Deserialize, Serialize};

use crate::alert::Rule;
use crate::alert::quiet::QuietHours;
use crate::catalog::text_form::{serde_as_text, word_enum};

/// Receivers: some chats and programs. Each has a task and a file of its own.
const WEBHOOKS_MAX: usize = 32;

word_enum! {
    /// The form in which a receiver takes what it is told.
    Form, "form", FormError {
        /// JSON of ours, signed by the rules of Standard Webhooks.
        Json = "json",
        /// A text for a robot of DingTalk.
        DingTalk = "dingtalk",
        /// A text for a robot of WeCom.
        WeCom = "wecom",
        /// A text for a robot of Feishu, or of Lark.
        Feishu = "feishu",
        /// A text for an incoming webhook of Slack.
        Slack = "slack",
    }
}

word_enum! {
    /// What a receiver is told of.
    Topic, "topic", TopicError {
        /// Alerts.
        Alerts = "alerts",
        /// The hash of the journal's newest record, once a day and after a start.
        Journal = "journal",
    }
}

word_enum! {
    /// The language of texts for people.
    Language, "language", LanguageError {
        /// English.
        English = "en",
        /// Chinese.
        Chinese = "zh",
    }
}

/// `[[webhook]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Its name in logs, metrics and the data directory.
    pub name: WebhookName,
    /// How the receiver takes what it is told.
    #[serde(default = "default_form")]
    pub form: Form,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<WebhookUrl>,
    /// A file with the address instead: a robot's address lets whoever knows it write into the chat. It is read for every
    /// delivery, so a new one needs no restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// A file with the secret that deliveries are signed with, read likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Certificates, in PEM form, of the authorities that the receiver's certificate is accepted from; the system's
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The language of texts; Chinese for `dingtalk`, `wecom` and `feishu` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// What it is told of.
    #[serde(default = "default_topics")]
    pub topics: BTreeSet<Topic>,
    /// The stores that it is told of; every store unless given.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stores: BTreeSet<StoreId>,
    /// The rules whose alerts it is told; every rule unless given.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rules: BTreeSet<Rule>,
    /// When only what is urgent is told, on each store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietHours>,
}

const fn default_form() -> Form {
    Form::Json
}

fn default_topics() -> BTreeSet<Topic> {
    BTreeSet::from([Topic::Alerts])
}

impl WebhookConfig {
    /// The language of its texts.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language.unwrap_or(match self.form {
            Form::Json | Form::Slack => Language::English,
            Form::DingTalk | Form::WeCom | Form::Feishu => Language::Chinese,
        })
    }

    /// What the types cannot say.
    fn check(&self, stores: &BTreeSet<&StoreId>, problems: &mut Vec<String>) {
        let Self { name, form, url, url_file, secret_file, topics, .. } = self;
        if url.is_some() == url_file.is_some() {
            problems.push(format!("webhook `{name}`: it needs one of url and url_file"));
        }
        if secret_file.is_some() && matches!(form, Form::WeCom | Form::Slack) {
            problems.push(format!("webhook `{name}`: {form} takes no signature; remove secret_file"));
        }
        if topics.is_empty() {
            problems
                .push(format!("webhook `{name}`: topics is empty; name what it is told of, for example [\"alerts\"]"));
        }
        for unknown in self.stores.iter().filter(|store| !stores.contains(store)) {
            problems.push(format!("webhook `{name}`: store `{unknown}` is not configured"));
        }
    }
}

/// What the types cannot say of all of them.
pub(super) fn check(webhooks: &[WebhookConfig], stores: &BTreeSet<&StoreId>, problems: &mut Vec<String>) {
    if webhooks.len() > WEBHOOKS_MAX {
        problems.push(format!("there are {} webhooks; {WEBHOOKS_MAX} at most are told", webhooks.len()));
    }
    let mut names = BTreeSet::new();
    for webhook in webhooks {
        if !names.insert(&webhook.name) {
            problems.push(format!("webhook `{}` is there twice", webhook.name));
        }
        webhook.check(stores, problems);
    }
}

/// A receiver's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookName(String);

/// A text that is no receiver's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("webhook `{0}` is not 1 to 32 characters of a-z, 0-9 and `-`")]
pub struct WebhookNameError(String);

impl FromStr for WebhookName {
    type Err = WebhookNameError;

    fn from_str(text: &str) -> Result<Self, WebhookNameError> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if is_plain && (1..=32).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WebhookNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for WebhookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(WebhookName);

/// Where a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(String);

/// A text that is no address of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("url is not `https://host/path` or `http://host/path`")]
pub struct WebhookUrlError;

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        let uri: Uri = text.parse().map_err(|_| WebhookUrlError)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if is_http && uri.host().is_some_and(|host| !host.is_empty()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WebhookUrlError)
        }
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(WebhookUrl);
