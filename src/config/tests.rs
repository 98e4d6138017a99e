//! Files that are read, and files whose every problem is named.

use super::*;

const GOOD: &str = r#"
data_dir = "/var/lib/gondola"

[feed]
broker = "mqtt://127.0.0.1:1883"

[[store]]
id = "hz-001"
name = "杭州解百店"
format = "community"
time_zone = "Asia/Shanghai"
currency = "CNY"
market = "CN"

[[store.base_station]]
id = "front"
driver = "shelflink"
transport = { tcp = "127.0.0.1:7001" }
"#;

#[track_caller]
fn check(change: impl Fn(&str) -> String, expected: &[&str]) {
    let error = Config::parse(&change(GOOD), "gondola.toml").unwrap_err();
    assert_eq!(error.problems, expected);
    assert!(Config::parse(GOOD, "gondola.toml").is_ok());
}

#[test]
fn a_good_file_is_printed_as_it_is_read() {
    let config = Config::parse(GOOD, "gondola.toml").unwrap();
    assert_eq!(config.web.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.feed.prefix, "gondola/v1");
    let printed = toml::to_string(&config).unwrap();
    assert_eq!(Config::parse(&printed, "printed").unwrap(), config);
}

#[test]
fn problems_are_named_with_what_to_do() {
    check(
        |good| good.replace("127.0.0.1:7001", "station"),
        &["base station `front`: tcp `station` is not `host:port`"],
    );
    check(
        |good| good.replace("shelflink", "openepaperlink"),
        &["base station `front`: a radio of openepaperlink is driven through `serial`"],
    );
    check(
        |good| good.replace("Asia/Shanghai", "Asia/Hangzhou"),
        &["store `hz-001`: time_zone `Asia/Hangzhou` is not a zone of the IANA database, for example `Asia/Shanghai`"],
    );
    check(
        |good| good.replace("mqtt://", "http://"),
        &["line 5: broker `http://127.0.0.1:1883` is not `embedded`, `mqtt://host:port` or `mqtts://host:port`"],
    );
    check(
        |good| good.replace(":1883\"", ":1883\"\npassword_file = \"password\"\nca_file = \"ca.pem\""),
        &[
            "feed.password_file needs feed.username",
            "feed.ca_file is for TLS: use a broker with mqtts://, or remove it",
        ],
    );
    check(
        |good| good.replace("mqtt://127.0.0.1:1883\"", "embedded\"\nusername = \"gondola\""),
        &["feed.username is for a broker with users; the embedded one has none, remove it"],
    );
    let transport = |other: &'static str| move |good: &str| good.replace("tcp = \"127.0.0.1:7001\"", other);
    check(
        transport("serial = \"/dev/ttyUSB0\", mqtt = \"mqtt://broker/front\""),
        &["base station `front`: transport has 2 of `tcp`, `listen`, `serial` and `mqtt`; it needs one"],
    );
    check(
        transport("serial = \"/dev/ttyUSB0\", baud = 300"),
        &["base station `front`: baud 300 is not 9600 to 4000000"],
    );
    check(transport("mqtt = \"broker\""), &["base station `front`: mqtt `broker` is not `mqtt://host:port/topic`"]);
    check(
        transport("listen = \"0.0.0.0:7000\""),
        &["base station `front`: listen `0.0.0.0:7000` can be reached by others, who could say that they are it; \
             add key_file"],
    );
    check(
        |good| format!("{good}\n[web]\nlisten = \"0.0.0.0:80\"\n"),
        &[
            "web.listen `0.0.0.0:80` can be reached by others, who could read passwords on the way; add certificate_file \
             and private_key_file, or plain_http = true behind a proxy that speaks TLS",
        ],
    );
    check(
        |good| format!("{good}\n[web]\ncertificate_file = \"web.pem\"\nplain_http = true\n"),
        &[
            "web.certificate_file and web.private_key_file go together",
            "web.plain_http is for a web without certificate_file; remove one of them",
        ],
    );
}

#[test]
fn a_reload_is_read_with_its_defaults_and_its_problems_are_named() {
    let with = |good: &str, reload: &str| {
        good.replace("market = \"CN\"", &format!("market = \"CN\"\nreload = {{ {reload} }}"))
    };
    let full = r#"url = "https://erp.example/snapshots/", facets = ["base", "promotion"], at = "03:30""#;
    let config = Config::parse(&with(GOOD, full), "gondola.toml").unwrap();
    let reload = config.store[0].reload.clone().unwrap();
    assert_eq!(reload.url.to_string(), "https://erp.example/snapshots");
    assert_eq!((reload.jitter.as_secs(), reload.timeout.as_secs()), (600, 300));
    let printed = toml::to_string(&config).unwrap();
    assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");

    check(
        |good| with(good, r#"url = "ftp://erp.example", facets = []"#),
        &["line 14: url `ftp://erp.example` is not `https://host/path`, `http://host/path` or `file:///path`, \
             without a query"],
    );
    check(
        |good| with(good, r#"url = "file://snapshots", facets = []"#),
        &["line 14: url `file://snapshots` names no absolute path; write three slashes, as in \
             `file:///srv/snapshots`"],
    );
    check(
        |good| with(good, r#"url = "file:///srv", facets = [], timeout = "0s", jitter = "13h", token_file = "t""#),
        &[
            "store `hz-001`: reload.facets is empty; name what is fetched, for example [\"base\"]",
            "store `hz-001`: reload.jitter is above 12 h",
            "store `hz-001`: reload.timeout is not between 1 ms and 12 h",
            "store `hz-001`: reload.token_file is for http and https; remove it",
        ],
    );
}

#[test]
fn webhooks_are_read_with_their_defaults_and_their_problems_are_named() {
    let with = |good: &str, webhook: &str| format!("{good}\n[[webhook]]\n{webhook}\n");
    let full = "name = \"ops\"\nform = \"feishu\"\nurl_file = \"ops.url\"\nsecret_file = \"ops.secret\"\n\
                rules = [\"disk\"]\nstores = [\"hz-001\"]\nquiet = { from = \"22:00\", to = \"06:30\" }";
    let config = Config::parse(&with(GOOD, full), "gondola.toml").unwrap();
    assert_eq!(config.webhook[0].language(), Language::Chinese);
    let printed = toml::to_string(&config).unwrap();
    assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");
    let slack = "name = \"ops\"\nform = \"slack\"\nsecret_file = \"s\"\nstores = [\"sh-002\"]\ntopics = []";
    check(
        |good| with(&with(good, full), slack),
        &[
            "webhook `ops` is there twice",
            "webhook `ops`: it needs one of url and url_file",
            "webhook `ops`: slack takes no signature; remove secret_file",
            "webhook `ops`: topics is empty; name what it is told of, for example [\"alerts\"]",
            "webhook `ops`: store `sh-002` is not configured",
        ],
    );
    check(
        |good| with(good, "name = \"Ops\"\nform = \"teams\"\nurl = \"ftp://host\""),
        &[
            "line 21: webhook `Ops` is not 1 to 32 characters of a-z, 0-9 and `-`",
            "line 22: form `teams` is not known; expected one of json, dingtalk, wecom, feishu, slack",
            "line 23: url is not `https://host/path` or `http://host/path`",
        ],
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    check(
        |good| good.replace("market = ", "markt = ").replace("name = ", "nmae = ").replace("\"CNY\"", "\"Yuan\""),
        &[
            "line 9: unknown field `nmae`, expected one of `id`, `name`, `format`, `time_zone`, `currency`, \
             `market`, `reload`, `guard`, `alerts`, `base_station`",
            "line 12: currency `Yuan` is not three upper-case letters of ISO 4217, for example `CNY`",
            "line 13: unknown field `markt`, expected one of `id`, `name`, `format`, `time_zone`, `currency`, \
             `market`, `reload`, `guard`, `alerts`, `base_station`",
        ],
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}", at in 0_usize..300) {
        let _ = Config::parse(&text, "any");
        let mut mixed = GOOD.to_owned();
        if let Some((at, _)) = GOOD.char_indices().nth(at) {
            mixed.insert_str(at, &text);
        }
        let _ = Config::parse(&mixed, "mixed");
    }
}
