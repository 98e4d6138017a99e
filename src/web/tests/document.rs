//! The interface's document, writes that are sent twice, pages of lists, scans and exchanges.

use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{LABEL, PISTACHIOS, Site, check_problem, panel};
use crate::web::routes::table;
use gondola_protocol::LabelId;

const STORE: &str = "/v1/stores/hz-001";

async fn document(site: &Site) -> Value {
    site.json("/openapi.json").await
}

#[tokio::test]
async fn the_document_has_every_route_of_the_interface_and_no_other() {
    let site = Site::start().await;
    let document = document(&site).await;
    let routes: BTreeSet<(String, String)> = table()
        .iter()
        .filter(|route| route.told.is_some())
        .map(|route| (route.path.to_owned(), route.method.as_str().to_lowercase()))
        .collect();
    let of_path = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
        item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())).collect()
    };
    let told: BTreeSet<(String, String)> = document["paths"].as_object().unwrap().iter().flat_map(of_path).collect();
    assert_eq!(told, routes);
    let silent = |path: &str| path.starts_with("/v1/") || ["/healthz", "/readyz", "/metrics"].contains(&path);
    for route in table() {
        assert_eq!(route.told.is_some(), silent(route.path) || route.path == "/openapi.json", "{}", route.path);
    }
    site.stop().await;
}

#[tokio::test]
async fn everything_that_the_document_points_at_is_there() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let site = Site::start().await;
    let document = document(&site).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    site.stop().await;
}

/// The names that an error for an unknown field lists.
async fn expected_fields(response: Response) -> BTreeSet<String> {
    let problem: Value = response.json().await.unwrap();
    let text = problem["detail"].as_str().or(problem["results"][0]["error"].as_str()).unwrap_or_default().to_owned();
    let (_, names) = text.split_once("; expected ").unwrap_or_else(|| panic!("{problem}"));
    names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[tokio::test]
async fn bodies_are_described_as_they_are_read() {
    let site = Site::with_pistachios().await;
    let document = document(&site).await;
    let fields = |schema: &str| -> BTreeSet<String> {
        let properties = document["components"]["schemas"][schema]["properties"].as_object();
        properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
    };
    let wrong = json!({"wrong": 1});
    for (path, body, schema) in [
        (format!("/labels/{LABEL}/bind"), wrong.clone(), "Bind"),
        (format!("/labels/{LABEL}/unbind"), wrong.clone(), "Nothing"),
        (format!("/labels/{LABEL}/replace"), wrong.clone(), "Replace"),
        ("/push".to_owned(), wrong.clone(), "Push"),
        ("/push".to_owned(), json!({ "scope": wrong }), "Scope"),
        ("/push/preview".to_owned(), wrong.clone(), "Push"),
        ("/templates/strip/check".to_owned(), wrong.clone(), "Draft"),
        ("/templates/strip/preview.png".to_owned(), wrong.clone(), "DraftPreview"),
        (format!("/labels/{LABEL}/trial"), wrong.clone(), "TrialOrder"),
        ("/reload".to_owned(), wrong.clone(), "Reload"),
        ("/bindings".to_owned(), wrong.clone(), "Bindings"),
        ("/bindings".to_owned(), json!({ "items": [wrong] }), "Binding"),
        ("/labels".to_owned(), wrong.clone(), "Registrations"),
        ("/labels".to_owned(), json!({ "items": [wrong] }), "Registration"),
    ] {
        let response = site.post(&format!("{STORE}{path}"), body).await;
        assert_eq!(expected_fields(response).await, fields(schema), "{path}");
    }
    let label = site.json(&format!("{STORE}/labels/{LABEL}")).await;
    let shown: BTreeSet<String> = label.as_object().unwrap().keys().cloned().collect();
    assert_eq!(shown, fields("LabelJson"));
    site.stop().await;
}

#[tokio::test]
async fn a_write_with_a_key_is_carried_out_once() {
    let site = Site::with_pistachios().await;
    let send = async |key: &str, body: Value| {
        let request = site.client.request(Method::POST, format!("{}{STORE}/push", site.address));
        request.header("Idempotency-Key", key).json(&body).send().await.unwrap()
    };
    let first = send("k-1", json!({})).await;
    assert_eq!((first.status(), first.headers().get("idempotency-replayed")), (StatusCode::ACCEPTED, None));
    let first: Value = first.json().await.unwrap();
    let again = send("k-1", json!({})).await;
    assert_eq!(
        (again.status(), again.headers()["idempotency-replayed"].as_bytes()),
        (StatusCode::ACCEPTED, &b"true"[..])
    );
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let detail = "this `Idempotency-Key` belongs to another request of yours; use a new one";
    check_problem("another body", send("k-1", json!({"mode": "full"})).await, 422, detail).await;
    let other: Value = send("k-2", json!({})).await.json().await.unwrap();
    assert_ne!(other, first);
    let detail = "`Idempotency-Key` is not 1 to 128 printable characters";
    for key in [&"x".repeat(129), "k\t3"] {
        check_problem(key, send(key, json!({})).await, 400, detail).await;
    }
    let pushes = site.accounts.read(|accounts| accounts.acts().filter(|(_, act)| act.path.ends_with("/push")).count());
    assert_eq!(pushes, 2, "what was sent again was not done again");
    site.stop().await;
}

#[tokio::test]
async fn held_changes_and_alerts_are_walked_by_cursor() {
    let site = Site::start().await;
    let products: Vec<String> =
        (0..5).map(|sku| format!(r#"{{"sku":"{sku}","revision":1,"price":"10.00"}}"#)).collect();
    site.hangzhou.feed(&format!("[{}]", products.join(","))).await;
    let slips: Vec<String> = (0..5).map(|sku| format!(r#"{{"sku":"{sku}","revision":2,"price":"0.10"}}"#)).collect();
    site.hangzhou.feed(&format!("[{}]", slips.join(","))).await;
    for list in ["approvals", "alerts"] {
        let whole = site.json(&format!("{STORE}/{list}")).await;
        assert_eq!((whole["items"].as_array().unwrap().len(), &whole["next"]), (5, &Value::Null), "{list}");
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = site.json(&format!("{STORE}/{list}?limit=2{cursor}")).await;
            walked.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&{}", crate::web::pages::url_query("cursor", next));
        }
        assert_eq!(json!(walked), whole["items"], "{list}");
        let detail = "cursor `?` is none that this list gave; start again without one";
        check_problem(list, site.get(&format!("{STORE}/{list}?cursor=%3F")).await, 400, detail).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_code_is_a_label_or_a_product() {
    let site = Site::with_pistachios().await;
    let scan = async |code: &str| site.json(&format!("{STORE}/scan?code={code}")).await;
    let label = scan("00:00:02:1b:6d:40:3b:1e").await;
    assert_eq!((&label["label"]["registered"], &label["label"]["name"]), (&json!(true), &json!("加州开心果")));
    assert_eq!((&label["label"]["position"]["slot"], &label["products"]), (&json!("5"), &json!([])));
    for code in ["1101", "6901234567892"] {
        let product = scan(code).await;
        assert_eq!(
            (&product["products"][0]["sku"], &product["products"][0]["price"]),
            (&json!("1101"), &json!("59.90"))
        );
    }
    assert_eq!(scan("nothing").await, json!({"label": null, "products": []}));
    site.hangzhou.check_in(super::Says { label: LabelId(0xAA), ..super::says(1) }).await;
    let heard = scan("00000000000000AA").await;
    assert_eq!((&heard["label"]["registered"], &heard["label"]["panel"]), (&json!(false), &json!("bwr-296x128")));
    site.stop().await;
}

#[tokio::test]
async fn another_device_takes_a_labels_place() {
    let site = Site::with_pistachios().await;
    let replace =
        async |with: &str| site.post(&format!("{STORE}/labels/{LABEL}/replace"), json!({ "with": with })).await;
    site.hangzhou.feed(PISTACHIOS).await;
    let new = replace("00000000000000A1").await;
    assert_eq!(new.status(), StatusCode::OK);
    let new: Value = new.json().await.unwrap();
    assert_eq!((&new["skus"], &new["panel"]), (&json!(["1101"]), &json!(panel().to_string())));
    assert_eq!(new["position"], json!({"aisle": "3", "shelf": "2", "slot": "5"}));
    let old = site.json(&format!("{STORE}/labels/{LABEL}")).await;
    assert_eq!((&old["health"], &old["position"]["aisle"]), (&json!("unbound"), &json!("")));
    let detail = format!("label {LABEL} shows no product that another could take over");
    check_problem("unbound", replace("00000000000000A2").await, 422, &detail).await;
    site.bind(LABEL, "1101").await;
    let detail = "label 00000000000000A1 shows 1101 already; unbind it first";
    check_problem("taken", replace("00000000000000A1").await, 409, detail).await;
    check_problem("itself", replace(&LABEL.to_string()).await, 422, "a label cannot take its own place").await;
    site.stop().await;
}
