//! `web`: where the dashboard and REST are, and by which certificate.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[web]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The certificates to show, in PEM form, ours first. With them only TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// The key of our certificate, in PEM form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<PathBuf>,
    /// Whether other machines may come in without TLS: behind a proxy that speaks it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { listen: default_listen(), certificate_file: None, private_key_file: None, plain_http: false }
    }
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 8080).into()
}

impl WebConfig {
    pub(super) fn check(&self, problems: &mut Vec<String>) {
        let Self { listen, certificate_file, private_key_file, plain_http } = self;
        if certificate_file.is_some() != private_key_file.is_some() {
            problems.push("web.certificate_file and web.private_key_file go together".to_owned());
        }
        if certificate_file.is_some() && *plain_http {
            problems.push("web.plain_http is for a web without certificate_file; remove one of them".to_owned());
        }
        if !listen.ip().to_canonical().is_loopback() && certificate_file.is_none() && !plain_http {
            problems.push(format!(
                "web.listen `{listen}` can be reached by others, who could read passwords on the way; add certificate_file \
                 and private_key_file, or plain_http = true behind a proxy that speaks TLS"
            ));
        }
    }
}
