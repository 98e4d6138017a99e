//! Who may use what: every route with every role, with and without a token, expired, revoked, and in another store;
//! and how people log in.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};

use super::{Site, client_with};
use crate::accounts::{Permit, Role};
use crate::web::routes::{Need, Route, table};

/// Who comes to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Comer {
    Nobody,
    Unknown,
    Expired,
    Revoked,
    /// A token for every store.
    Everywhere(Role),
    /// A token for the store that the path names.
    Here(Role),
    /// A token for another store.
    Elsewhere(Role),
}

impl Comer {
    /// What the table says that they get.
    fn may(self, Route { need, path, .. }: &Route) -> bool {
        let names_a_store = path.contains("{store}");
        match (*need, self) {
            (Need::Nothing, Self::Unknown | Self::Expired | Self::Revoked) => false,
            (Need::Nothing, _) => true,
            (_, Self::Nobody | Self::Unknown | Self::Expired | Self::Revoked) => false,
            (Need::Account, _) => true,
            (Need::Role(role), Self::Everywhere(has) | Self::Here(has)) => has >= role,
            (Need::Role(role), Self::Elsewhere(has)) => has >= role && !names_a_store,
            (Need::Everywhere(role), Self::Everywhere(has)) => has >= role,
            (Need::Everywhere(_), Self::Here(_) | Self::Elsewhere(_)) => false,
        }
    }

    const fn is_somebody(self) -> bool {
        matches!(self, Self::Everywhere(_) | Self::Here(_) | Self::Elsewhere(_))
    }
}

async fn clients(site: &Site) -> BTreeMap<Comer, Client> {
    let make = async |role: Role, stores: &[&str], lasts: Option<Duration>| {
        let permit = Permit::new(role, stores.iter().map(|store| store.parse().unwrap()).collect()).unwrap();
        site.accounts.create_token("test".into(), permit, lasts, None).await.unwrap()
    };
    let mut clients = BTreeMap::from([
        (Comer::Nobody, Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()),
        (Comer::Unknown, client_with("gondola_000000000000_00")),
        (Comer::Expired, client_with(&make(Role::Admin, &[], Some(Duration::ZERO)).await.1)),
    ]);
    let (id, revoked) = make(Role::Admin, &[], None).await;
    clients.insert(Comer::Revoked, client_with(&revoked));
    site.accounts.change(crate::accounts::Change::TokenRevoked { token: id, by: None }).await.unwrap();
    for role in Role::ALL {
        clients.insert(Comer::Everywhere(*role), client_with(&make(*role, &[], None).await.1));
        if *role != Role::Admin {
            clients.insert(Comer::Here(*role), client_with(&make(*role, &["hz-001"], None).await.1));
            clients.insert(Comer::Elsewhere(*role), client_with(&make(*role, &["sh-002"], None).await.1));
        }
    }
    clients
}

/// A request for a route that changes nothing: what its path names does not exist, and its body asks for nothing.
fn harmless(site: &Site, client: &Client, route: &Route) -> RequestBuilder {
    let path = route
        .path
        .replace("{store}", "hz-001")
        .replace("{label}", "00000000000000FF")
        .replace("{user}", "nobody")
        .replace("{token}", "ffffffffffff");
    let path =
        path.replace("{sku}", "none").replace("{id}", "none").replace("{template}", "none").replace("{version}", "9");
    let request = client.request(route.method.clone(), format!("{}{path}", site.address));
    let content_type = if path.starts_with("/v1/") { "application/json" } else { "application/x-www-form-urlencoded" };
    request.header(header::CONTENT_TYPE, content_type)
}

/// What a route answers, once the comer has not asked too often: all strangers together come from one address.
async fn answer(site: &Site, client: &Client, route: &Route) -> StatusCode {
    loop {
        let response = harmless(site, client, route).send().await.unwrap();
        if !response.headers().contains_key(header::RETRY_AFTER) {
            return response.status();
        }
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_its_table_says() {
    let site = Site::start().await;
    let clients = clients(&site).await;
    let routes = table();
    assert!(routes.len() > 45, "{}", routes.len());
    let mut tried = 0;
    for route in &routes {
        for (comer, client) in &clients {
            let status = answer(&site, client, route).await;
            // A wrong name and password are refused in words of their own, and after some tries unread.
            let slowed = status == StatusCode::TOO_MANY_REQUESTS;
            let refused = slowed || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            let is_login = route.path == "/login" && route.method == "POST";
            let expected_refusal = !comer.may(route) || is_login;
            assert_eq!(refused, expected_refusal, "{} {} as {comer:?}: {status}", route.method, route.path);
            if !comer.may(route) {
                let expected = if comer.is_somebody() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
                assert_eq!(status, expected, "{} {} as {comer:?}", route.method, route.path);
            }
            tried += 1;
        }
    }
    assert_eq!(tried, routes.len() * 14);
    site.stop().await;
}

#[tokio::test]
async fn what_lists_stores_lists_those_of_the_visitor() {
    let site = Site::start().await;
    let permit = Permit::new(Role::Viewer, ["sh-002".parse().unwrap()].into()).unwrap();
    let (_, token) = site.accounts.create_token("one".into(), permit, None, None).await.unwrap();
    let client = client_with(&token);
    let get = async |path: &str| client.get(format!("{}{path}", site.address)).send().await.unwrap();
    let stores: serde_json::Value = get("/v1/stores").await.json().await.unwrap();
    assert_eq!((stores["items"].as_array().unwrap().len(), &stores["items"][0]["store"]), (1, &"sh-002".into()));
    let page = get("/").await.text().await.unwrap();
    assert!(page.contains("data-store=\"sh-002\"") && !page.contains("hz-001"), "{page}");
    assert_eq!(get("/v1/events?store=hz-001").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(get("/v1/events?store=sh-002").await.status(), StatusCode::OK);
    assert_eq!(get("/v1/stores/nowhere").await.status(), StatusCode::FORBIDDEN, "which stores there are is not told");
    site.stop().await;
}

/// A person's browser, as far as it matters: it keeps a cookie, and says where a form comes from.
struct Person<'a> {
    site: &'a Site,
    client: Client,
    cookie: String,
}

impl<'a> Person<'a> {
    fn new(site: &'a Site) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { site, client, cookie: String::new() }
    }

    async fn open(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.site.address));
        request.header(header::COOKIE, &self.cookie).header(header::ACCEPT, "text/html").send().await.unwrap()
    }

    async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body: Vec<String> = fields.iter().map(|(name, value)| crate::web::pages::url_query(name, value)).collect();
        let request = self.client.post(format!("{}{path}", self.site.address)).header(header::COOKIE, &self.cookie);
        let request = request.header(header::ORIGIN, &self.site.address).header(header::ACCEPT, "text/html");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.join("&"));
        let response = request.send().await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            cookie.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        response
    }

    #[track_caller]
    fn check_goes_to(response: &Response, path: &str) {
        assert_eq!((response.status().as_u16(), response.headers()[header::LOCATION].to_str().unwrap()), (303, path));
    }
}

#[tokio::test]
async fn a_first_login_chooses_a_password_and_ends_with_a_logout() {
    let site = Site::start().await;
    let staff = Permit::new(Role::Staff, std::collections::BTreeSet::new()).unwrap();
    site.accounts.add_user("bo".parse().unwrap(), staff, None).await.unwrap();
    let made = site.accounts.first_admin().await.unwrap().unwrap();
    assert_eq!(site.accounts.first_admin().await.unwrap(), None, "only once");
    let mut ann = Person::new(&site);
    Person::check_goes_to(&ann.open("/stores/hz-001?q=a").await, "/login?next=%2Fstores%2Fhz-001%3Fq%3Da");
    let wrong = ann.send("/login", &[("name", "admin"), ("password", "wrong"), ("next", "/")]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let fields = [("name", "admin"), ("password", made.password.as_str()), ("next", "//evil.example")];
    let right = ann.send("/login", &fields).await;
    let cookie = right.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    Person::check_goes_to(&right, "/");
    Person::check_goes_to(&ann.open("/").await, "/account");
    let short = ann.send("/account/password", &[("present", made.password.as_str()), ("new", "short")]).await;
    assert_eq!(short.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = ann.send("/account/password", &[("present", "another"), ("new", "long enough")]).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let before = ann.cookie.clone();
    let chosen = ann.send("/account/password", &[("present", made.password.as_str()), ("new", "long enough")]).await;
    Person::check_goes_to(&chosen, "/");
    assert_ne!(ann.cookie, before);
    assert_eq!(ann.open("/").await.status(), StatusCode::OK);
    let stolen = Person { cookie: before, ..Person::new(&site) };
    Person::check_goes_to(&stolen.open("/").await, "/login?next=%2F");
    let kept = ann.cookie.clone();
    Person::check_goes_to(&ann.send("/logout", &[]).await, "/login");
    let ended = Person { cookie: kept, ..Person::new(&site) };
    Person::check_goes_to(&ended.open("/").await, "/login?next=%2F");
    site.stop().await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let site = Site::start().await;
    site.accounts.first_admin().await.unwrap();
    let mut ann = Person::new(&site);
    let mut wrong = 0;
    // A machine so slow that tries come back meanwhile needs some more.
    while wrong < 60 {
        let answer = ann.send("/login", &[("name", "admin"), ("password", "wrong")]).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        wrong += 1;
    }
    assert!((10..60).contains(&wrong), "{wrong}");
    site.stop().await;
}

#[tokio::test]
async fn an_admin_makes_users_and_tokens_and_sees_who_did_what() {
    let site = Site::start().await;
    let key = site.accounts.open_link();
    site.accounts.first_admin().await.unwrap();
    let mut admin = Person::new(&site);
    assert_eq!(admin.open("/enter?key=wrong").await.status(), StatusCode::NOT_FOUND);
    let entered = admin.open(&format!("/enter?key={key}")).await;
    entered.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().clone_into(&mut admin.cookie);
    let made = admin.send("/users", &[("name", "bo"), ("role", "staff"), ("store", "hz-001")]).await;
    let page = made.text().await.unwrap();
    let password = page.split("<code class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let twice = admin.send("/users", &[("name", "bo"), ("role", "staff")]).await;
    assert_eq!(twice.status(), StatusCode::CONFLICT);
    let some = admin.send("/users", &[("name", "cy"), ("role", "admin"), ("store", "hz-001")]).await;
    assert_eq!(some.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let mut bo = Person::new(&site);
    bo.send("/login", &[("name", "bo"), ("password", &password)]).await;
    bo.send("/account/password", &[("present", &password), ("new", "a longer secret")]).await;
    assert_eq!(bo.open("/stores/hz-001").await.status(), StatusCode::OK);
    assert_eq!(bo.open("/stores/sh-002").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(bo.open("/users").await.status(), StatusCode::FORBIDDEN);

    let token =
        admin.send("/tokens", &[("name", "till"), ("role", "viewer"), ("days", "30")]).await.text().await.unwrap();
    assert!(token.contains("gondola_") && token.contains("till"), "{token}");
    let acts = admin.open("/acts").await.text().await.unwrap();
    assert!(
        acts.contains("<strong>bo</strong> <span>POST</span> <span class=\"id\">/account/password</span>"),
        "{acts}"
    );
    admin.send("/users/bo/remove", &[]).await;
    Person::check_goes_to(&bo.open("/stores/hz-001").await, "/login?next=%2Fstores%2Fhz-001");
    let last = admin.send("/users/admin/remove", &[]).await;
    assert_eq!(last.status(), StatusCode::CONFLICT);
    site.stop().await;
}

#[tokio::test]
async fn a_foreign_page_sends_nothing_in_a_persons_name() {
    let site = Site::start().await;
    let key = site.accounts.open_link();
    site.accounts.first_admin().await.unwrap();
    let entered = Person::new(&site).open(&format!("/enter?key={key}")).await;
    let cookie = entered.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let url = format!("{}/v1/stores/hz-001/push", site.address);
    let send = async |name: &'static str, value: &str| {
        let request = Client::new().post(&url).header(header::COOKIE, &cookie).header(name, value);
        request.json(&serde_json::json!({})).send().await.unwrap().status()
    };
    assert_eq!(send("origin", "http://evil.example").await, StatusCode::FORBIDDEN);
    assert_eq!(send("sec-fetch-site", "cross-site").await, StatusCode::FORBIDDEN);
    assert_eq!(send("x-nothing", "").await, StatusCode::FORBIDDEN);
    assert_eq!(send("sec-fetch-site", "same-origin").await, StatusCode::ACCEPTED);
    assert_eq!(send("origin", &site.address).await, StatusCode::ACCEPTED);
    site.stop().await;
}

#[tokio::test]
async fn accounts_are_what_the_journal_says_after_a_restart() {
    let dir = tempfile::TempDir::new().unwrap();
    let open = || {
        let clock = crate::run::clock::Clock::starting_at(super::shop::DAY);
        let ended = tokio_util::sync::CancellationToken::new();
        crate::run::accounts::AccountsHandle::open(dir.path(), clock, ended).unwrap()
    };
    let accounts = open();
    let first = accounts.first_admin().await.unwrap().unwrap();
    let (_, token) = accounts.create_token("till".into(), super::everything(), None, None).await.unwrap();
    assert!(accounts.by_token(&token).is_some());
    drop(accounts);
    let accounts = open();
    assert!(accounts.by_token(&token).is_some());
    let cookie = accounts.sign_in("admin", first.password.clone(), [127, 0, 0, 1].into()).await.unwrap();
    let admin = accounts.by_cookie(&cookie).unwrap();
    assert!(admin.must_choose_password && admin.may_everywhere(Role::Admin));
    let files = std::fs::read_dir(dir.path().join("accounts/journal")).unwrap();
    let kept: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let (_, secret) = token.rsplit_once('_').unwrap();
    assert!(kept.contains("token_created") && !kept.contains(secret) && !kept.contains(&first.password), "{kept}");
}
