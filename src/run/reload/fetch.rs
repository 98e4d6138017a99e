//! One snapshot from its source into a file. Nothing of it is looked at here.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use axum::http::{HeaderValue, Request, StatusCode, header};
use gondola_protocol::StoreId;
use http_body_util::{BodyExt, Full};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::catalog::wire::Facet;
use crate::config::SourceUrl;
use crate::run::http::Http;

/// Longest snapshot: 250,000 products with 4 KiB each. It lies on disk while it is verified and applied.
pub(super) const BODY_MAX: u64 = 1 << 30;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("cannot read the token in {}", file.display())]
    Token { file: PathBuf, source: io::Error },
    #[error("the token in {} holds characters that a header cannot", .0.display())]
    TokenText(PathBuf),
    #[error("no answer")]
    NoAnswer(#[source] Box<dyn Error + Send + Sync>),
    #[error("the answer is {0}; expected 200")]
    Status(StatusCode),
    #[error("the answer broke off")]
    BrokenOff(#[source] Box<dyn Error + Send + Sync>),
    #[error("the snapshot is longer than {0} bytes")]
    TooLong(u64),
    #[error("cannot read the file")]
    File(#[source] io::Error),
    #[error("cannot keep the snapshot in the data directory")]
    Spool(#[source] io::Error),
}

/// What the source gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The same as last time.
    Unmodified,
    /// A snapshot, which is in the file now.
    Whole {
        /// The source's name for this state of it.
        etag: Option<HeaderValue>,
    },
}

/// Where one store's snapshots are.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) http: Http,
    pub(super) url: SourceUrl,
    pub(super) token_file: Option<PathBuf>,
    pub(super) store: StoreId,
    pub(super) body_max: u64,
}

impl Source {
    /// Where a facet's snapshot is.
    pub(super) fn address(&self, facet: Facet) -> String {
        format!("{}/{}/{facet}", self.url, self.store)
    }

    /// Brings a facet's snapshot into `spool`. With `etag` the source may answer that it is still the same.
    pub(super) async fn fetch(
        &self,
        facet: Facet,
        etag: Option<&HeaderValue>,
        spool: &mut File,
    ) -> Result<Fetched, FetchError> {
        let fetched = match &self.url {
            SourceUrl::Http(_) => self.get(facet, etag, spool).await?,
            SourceUrl::File(folder) => self.copy(&folder.join(self.store.as_str()).join(facet.as_str()), spool).await?,
        };
        spool.flush().await.map_err(FetchError::Spool)?;
        Ok(fetched)
    }

    async fn get(&self, facet: Facet, etag: Option<&HeaderValue>, spool: &mut File) -> Result<Fetched, FetchError> {
        let mut request = Request::get(self.address(facet)).header(header::ACCEPT, "application/x-ndjson");
        if let Some(file) = &self.token_file {
            request = request.header(header::AUTHORIZATION, bearer(file).await?);
        }
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let request = request.body(Full::default()).map_err(|error| FetchError::NoAnswer(error.into()))?;
        let answer = self.http.request(request).await.map_err(FetchError::NoAnswer)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Fetched::Unmodified),
            status => return Err(FetchError::Status(status)),
        }
        let etag = answer.headers().get(header::ETAG).cloned();
        let mut body = answer.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| FetchError::BrokenOff(error.into()))?;
            let Ok(bytes) = frame.into_data() else { continue };
            length += bytes.len() as u64;
            if length > self.body_max {
                return Err(FetchError::TooLong(self.body_max));
            }
            spool.write_all(&bytes).await.map_err(FetchError::Spool)?;
        }
        Ok(Fetched::Whole { etag })
    }

    /// A copy, because whoever writes the file may do so while it is read a second time.
    async fn copy(&self, path: &Path, spool: &mut File) -> Result<Fetched, FetchError> {
        let file = File::open(path).await.map_err(FetchError::File)?;
        let length = tokio::io::copy(&mut file.take(self.body_max + 1), spool).await.map_err(FetchError::File)?;
        if length > self.body_max {
            return Err(FetchError::TooLong(self.body_max));
        }
        Ok(Fetched::Whole { etag: None })
    }
}

async fn bearer(file: &Path) -> Result<HeaderValue, FetchError> {
    let token = tokio::fs::read_to_string(file).await;
    let token = token.map_err(|source| FetchError::Token { file: file.to_owned(), source })?;
    let header = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut header = header.map_err(|_| FetchError::TokenText(file.to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Body;
    use axum::extract::{Path as Parts, State};
    use axum::http::HeaderMap;
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;
    use futures_util::{StreamExt, stream};
    use tokio::io::AsyncSeekExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::run::http::in_words;

    const BODY: &str = "{\"snapshot\":{\"facet\":\"base\",\"generation\":1}}\n{\"end\":{\"count\":0}}\n";

    type Asked = Arc<Mutex<Vec<HeaderMap>>>;

    async fn answer(
        Parts((store, facet)): Parts<(String, String)>,
        State(asked): State<Asked>,
        headers: HeaderMap,
    ) -> Response {
        assert_eq!(store, "hz-001");
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|etag| etag == "\"one\"");
        asked.lock().unwrap().push(headers);
        match facet.as_str() {
            "base" if known => StatusCode::NOT_MODIFIED.into_response(),
            "base" => ([(header::ETAG, "\"one\"")], BODY).into_response(),
            "stock" => Body::from_stream(stream::repeat(Ok::<_, Infallible>("x".repeat(4_096)))).into_response(),
            "rating" => {
                // After the first piece was sent.
                let crash = async {
                    tokio::task::yield_now().await;
                    Err(io::Error::other("the source crashed"))
                };
                Body::from_stream(stream::iter([Ok("{")]).chain(stream::once(crash))).into_response()
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, "later").into_response(),
        }
    }

    /// A source of one store, and what it was asked.
    async fn source() -> (Source, Asked) {
        let asked = Asked::default();
        let router = Router::new().route("/snapshots/{store}/{facet}", get(answer)).with_state(Arc::clone(&asked));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/snapshots", listener.local_addr().unwrap());
        // It ends with the test's runtime.
        tokio_util::task::TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        (of(SourceUrl::Http(url)), asked)
    }

    fn of(url: SourceUrl) -> Source {
        let http = Http::new(crate::run::tls::client(None).unwrap());
        Source { http, url, token_file: None, store: "hz-001".parse().unwrap(), body_max: 1 << 16 }
    }

    fn spool() -> File {
        File::from_std(tempfile::tempfile().unwrap())
    }

    async fn text(mut spool: File) -> String {
        let mut text = String::new();
        spool.rewind().await.unwrap();
        spool.read_to_string(&mut text).await.unwrap();
        text
    }

    #[track_caller]
    fn check(fetched: Result<Fetched, FetchError>, expected: &str) {
        let words = in_words(&fetched.unwrap_err());
        assert!(words.contains(expected), "{words}");
    }

    #[tokio::test]
    async fn a_snapshot_is_fetched_once_while_its_etag_stays() {
        let (mut source, asked) = source().await;
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("erp.token");
        std::fs::write(&token, "secret\n").unwrap();
        source.token_file = Some(token);
        let mut file = spool();
        let fetched = source.fetch(Facet::Base, None, &mut file).await.unwrap();
        let Fetched::Whole { etag: Some(etag) } = fetched else { panic!("{fetched:?}") };
        assert_eq!(text(file).await, BODY);
        assert_eq!(source.fetch(Facet::Base, Some(&etag), &mut spool()).await.unwrap(), Fetched::Unmodified);
        let asked = asked.lock().unwrap();
        assert!(asked.iter().all(|headers| headers[header::AUTHORIZATION] == "Bearer secret"), "{asked:?}");
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_in_words() {
        let (mut source, _) = source().await;
        check(
            source.fetch(Facet::Promotion, None, &mut spool()).await,
            "the answer is 503 Service Unavailable; expected",
        );
        check(source.fetch(Facet::Stock, None, &mut spool()).await, "the snapshot is longer than 65536 bytes");
        check(source.fetch(Facet::Rating, None, &mut spool()).await, "the answer broke off: ");
        source.token_file = Some("/nowhere/erp.token".into());
        check(
            source.fetch(Facet::Base, None, &mut spool()).await,
            "cannot read the token in /nowhere/erp.token: No such",
        );
        // Bound and not listening: nobody answers there.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let nobody = of(SourceUrl::Http(format!("http://{}", socket.local_addr().unwrap())));
        check(nobody.fetch(Facet::Base, None, &mut spool()).await, "Connection refused");
    }

    /// Answers one request with [`BODY`], over TLS with a certificate that only `ca` vouches for.
    async fn https(ca: &Path) -> SourceUrl {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(ca, cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio_util::task::TaskTracker::new().spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY.len());
            stream.write_all((head + BODY).as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        SourceUrl::Http(format!("https://localhost:{port}"))
    }

    #[tokio::test]
    async fn https_is_spoken_with_whom_is_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        let mut source = of(https(&ca).await);
        source.http = Http::new(crate::run::tls::client(Some(&ca)).unwrap());
        let mut file = spool();
        source.fetch(Facet::Base, None, &mut file).await.unwrap();
        assert_eq!(text(file).await, BODY);
        let stranger = of(https(&ca).await);
        check(stranger.fetch(Facet::Base, None, &mut spool()).await, "invalid peer certificate: UnknownIssuer");
    }

    #[tokio::test]
    async fn a_file_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let source = of(SourceUrl::File(dir.path().to_owned()));
        check(source.fetch(Facet::Base, None, &mut spool()).await, "cannot read the file: No such file");
        std::fs::create_dir(dir.path().join("hz-001")).unwrap();
        std::fs::write(dir.path().join("hz-001/base"), BODY).unwrap();
        let mut file = spool();
        assert_eq!(source.fetch(Facet::Base, None, &mut file).await.unwrap(), Fetched::Whole { etag: None });
        assert_eq!(text(file).await, BODY);
        std::fs::write(dir.path().join("hz-001/stock"), "x".repeat(1 << 17)).unwrap();
        check(source.fetch(Facet::Stock, None, &mut spool()).await, "the snapshot is longer than 65536 bytes");
    }
}
