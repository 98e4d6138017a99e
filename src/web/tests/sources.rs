//! Rows, approvals, pushes and reloads over REST, and what of it stands on the dashboard.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{LABEL, Site};
use crate::catalog::wire::Facet;
use crate::controller::message::ReloadReport;

const STORE: &str = "/v1/stores/hz-001";

impl Site {
    async fn send(&self, method: Method, path: &str, body: Value) -> Value {
        let response = self.client.request(method, format!("{}{STORE}{path}", self.address)).json(&body).send().await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json::<Value>().await.unwrap()["results"].take()
    }

    /// Checks key, status, revision and error of each result.
    #[track_caller]
    fn check(results: &Value, expected: &[(&str, &str, Option<u64>, &str)]) {
        let found: Vec<(&str, &str, Option<u64>, &str)> = results
            .as_array()
            .unwrap()
            .iter()
            .map(|result| {
                let text = |field: &str| result[field].as_str().unwrap_or_default();
                (text("key"), text("status"), result["revision"].as_u64(), text("error"))
            })
            .collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn rows_are_taken_with_a_result_for_each() {
    let site = Site::start().await;
    let put = async |path: &str, items: Value| site.send(Method::PUT, path, json!({ "items": items })).await;
    let sale = json!({"promotion_id": "P", "revision": 1, "skus": ["1"], "kind": "percent_off", "percent": "20",
        "start": "2026-11-01T00:00:00+08:00", "end": "2026-12-01T00:00:00+08:00", "text": "特价"});
    let results = put(
        "/products",
        json!([
            {"sku": "1", "revision": 5, "name": "一", "price": "10.00", "promotions": [sale]},
            {"sku": "2", "revision": 5, "price": 10},
            {"sku": "3", "revision": 5, "colour": "red"},
            {"revision": 5},
            {"sku": "4", "revision": 5, "price": "1.234"},
        ]),
    );
    Site::check(
        &results.await,
        &[
            ("1", "applied", Some(5), ""),
            ("P", "applied", Some(1), ""),
            (
                "2",
                "invalid",
                Some(5),
                "`price` is the number 10; expected an amount as a decimal string such as \"59.90\"",
            ),
            ("3", "invalid", Some(5), "`colour` is not a field of this item; leave it out"),
            (
                "items[3]",
                "invalid",
                Some(5),
                "`sku` is missing; expected a sku of 1 to 64 printable ASCII characters without spaces",
            ),
            ("4", "invalid", Some(5), "sku `4`: `price` is 1.234; expected at most 2 decimals, as CNY has"),
        ],
    );
    site.stop().await;
}

#[tokio::test]
async fn prices_and_other_changes_are_taken_with_a_result_for_each() {
    let site = Site::start().await;
    let put = async |path: &str, items: Value| site.send(Method::PUT, path, json!({ "items": items })).await;
    let sale = json!({"promotion_id": "P", "revision": 1, "skus": ["1"], "kind": "percent_off", "percent": "20",
        "start": "2026-11-01T00:00:00+08:00", "end": "2026-12-01T00:00:00+08:00", "text": "特价"});
    put("/products", json!([{"sku": "1", "revision": 5, "name": "一", "price": "10.00", "promotions": [sale]}])).await;
    let results = put(
        "/prices",
        json!([
            {"sku": "1", "revision": 5, "price": "11.00"},
            {"sku": "1", "revision": 4, "price": "11.00"},
            {"sku": "1", "revision": 6, "price": "11.00"},
            {"sku": "1", "revision": 7, "price": "110.00"},
            {"sku": "9", "revision": 1, "price": "1.00"},
            {"sku": "1", "revision": 8, "price": "1.00", "name": "x"},
        ]),
    );
    Site::check(
        &results.await,
        &[
            ("1", "unchanged", Some(5), ""),
            ("1", "stale", Some(4), "its revision is below 5, which is known already"),
            ("1", "applied", Some(6), ""),
            (
                "1",
                "held",
                Some(7),
                "held until somebody approves it: the price would go up from 11.00 to 110.00, which may be a slip of the decimal point",
            ),
            (
                "9",
                "invalid",
                Some(1),
                "sku `9`: no source has told of it, so that there is nothing to change; send the whole product",
            ),
            ("1", "invalid", Some(8), "`name` is not a field of this item; leave it out"),
        ],
    );
    let patch =
        site.send(Method::PATCH, "/products", json!({"items": [{"sku": "1", "revision": 9, "origin": "浙江"}]}));
    Site::check(&patch.await, &[("1", "applied", Some(9), "")]);
    Site::check(&put("/promotions", json!([sale])).await, &[("P", "unchanged", Some(1), "")]);
    let assortment =
        put("/assortment", json!([{"revision": 1, "add": ["1"]}, {"revision": 1, "add": ["2"], "remove": ["2"]}]));
    Site::check(
        &assortment.await,
        &[
            ("items[0]", "applied", Some(1), ""),
            ("items[1]", "invalid", Some(1), "sku `2` is in `add` and in `remove`; expected it in one of them"),
        ],
    );
    let product = site.json(&format!("{STORE}/products/1")).await;
    assert_eq!(product["base"]["revision"], 9);
    assert_eq!((&product["base"]["name"], &product["base"]["origin"]), (&json!("一"), &json!("浙江")));
    assert_eq!((&product["shelf_price"]["price"], &product["in_assortment"]), (&json!("8.80"), &json!(true)));
    let listed = site.json(&format!("{STORE}/products?q=一&limit=1")).await;
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["next"]), (1, &Value::Null));
    site.stop().await;
}

#[tokio::test]
async fn a_held_price_waits_on_the_dashboard_and_is_decided_once() {
    let site = Site::with_pistachios().await;
    let slip = json!({"items": [{"sku": "1101", "revision": 8, "price": "5.99"}]});
    site.send(Method::PUT, "/prices", slip).await;
    let held = site.json(&format!("{STORE}/approvals")).await;
    let held = &held["items"][0];
    assert_eq!((&held["key"], &held["revision"]), (&json!("1101"), &json!(8)));
    assert_eq!((&held["price"], &held["held_price"]), (&json!("59.90"), &json!("5.99")));
    let page = site.text("/stores/hz-001").await;
    assert!(page.contains("1 price change"), "{page}");
    assert!(page.contains("data-post=\"/v1/stores/hz-001/approvals/1/approve\""), "{page}");
    let alerts = site.json(&format!("{STORE}/alerts")).await;
    assert_eq!(alerts["items"][0]["rule"], "held");

    let approved = site.post(&format!("{STORE}/approvals/1/approve"), json!({})).await;
    assert_eq!(approved.status(), StatusCode::NO_CONTENT);
    assert_eq!(site.json(&format!("{STORE}/products/1101")).await["base"]["price"], "5.99");
    let again = site.post(&format!("{STORE}/approvals/1/reject"), json!({})).await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let never = site.post(&format!("{STORE}/approvals/7/reject"), json!({})).await;
    assert_eq!(never.status(), StatusCode::NOT_FOUND);
    assert_eq!(site.json(&format!("{STORE}/alerts")).await["items"], json!([]));
    assert!(!site.text("/stores/hz-001").await.contains("price change"), "it is decided");
    site.stop().await;
}

#[tokio::test]
async fn why_a_reload_failed_stands_on_the_dashboard_until_one_succeeds() {
    let site = Site::start().await;
    let started = site.post(&format!("{STORE}/reload"), json!({"facets": ["base"]})).await;
    assert_eq!(started.status(), StatusCode::ACCEPTED);
    let id = started.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("{STORE}/reloads/{id}");
    assert_eq!(site.json(&path).await["state"], "running");
    let sentence =
        "cannot reload facet `base` of store `hz-001` from http://erp/hz-001/base: the file stops after line 7";
    site.hangzhou.handle.reload_ended(Facet::Base, Err(sentence.to_owned())).await.unwrap();
    let reload = site.json(&path).await;
    assert_eq!((&reload["state"], &reload["facets"]["base"]["detail"]), (&json!("failed"), &json!(sentence)));
    let page = site.text("/stores/hz-001").await;
    assert!(page.contains("the file stops after line 7"), "{page}");
    assert!(page.contains("not reloaded yet"), "{page}");

    let report = ReloadReport { rows: 231, invalid: 1, ..ReloadReport::default() };
    site.hangzhou.handle.reload_ended(Facet::Base, Ok(report)).await.unwrap();
    let page = site.text("/stores/hz-001").await;
    assert!(!page.contains("stops after line 7") && page.contains("231 rows, 1 of them invalid"), "{page}");
    assert_eq!(site.json(&path).await["state"], "failed", "what was asked for has ended as it did");
    site.stop().await;
}

#[tokio::test]
async fn a_push_is_asked_for_and_looked_after() {
    let site = Site::with_pistachios().await;
    let push = async |body: Value| {
        let response = site.post(&format!("{STORE}/push"), body).await;
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let (status, started) = push(json!({"mode": "full", "scope": {"skus": ["1101"]}})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let id = started["id"].as_str().unwrap();
    let state = site.json(&format!("{STORE}/pushes/{id}")).await;
    assert_eq!((&state["state"], &state["total"], &state["in_sync"]), (&json!("running"), &json!(1), &json!(0)));
    let (_, started) = push(json!({"scope": {"labels": [LABEL.to_string()]}, "resend": true})).await;
    assert_ne!(started["id"], id);
    for (body, detail) in [
        (json!({"mode": "half"}), "push mode `half` is not known; expected one of incremental, full"),
        (json!({"mode": "incremental", "resend": true}), "only a full push sends again what is proven already"),
        (json!({"scope": {"shelves": []}}), "unknown field `shelves`"),
        (json!({"scope": {"labels": ["12"]}}), "label `12` is not 16 hexadecimal digits"),
    ] {
        let (status, problem) = push(body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    assert_eq!(site.get(&format!("{STORE}/pushes/99")).await.status(), StatusCode::NOT_FOUND);
    site.stop().await;
}
