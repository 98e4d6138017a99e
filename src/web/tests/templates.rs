//! Templates over REST and on their pages: edited, checked, tried on a label, taken back; and what a push would change.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{LABEL, Site, panel};
use crate::fleet::label::Label;
use gondola_protocol::{Digest, LabelId};

const STANDARD: &str = "/v1/templates/standard";

/// A template that every panel takes, and that looks like no other.
fn plain(word: &str) -> String {
    format!(
        "<template name=\"standard\" direction=\"column\" padding=\"4\">\n  <text size=\"16\" lines=\"3\">{word} {{{{ product.name }}}} {{{{ product.spec }}}}</text>\n  \
         <price size=\"32..20\" unit=\"{{{{ product.unit }}}}\">{{{{ product.price }}}}</price>\n</template>\n"
    )
}

async fn put(site: &Site, text: &str, version: u32) -> Response {
    let request = site.client.request(Method::PUT, format!("{}{STANDARD}", site.address));
    request.json(&json!({"text": text, "version": version})).send().await.unwrap()
}

/// A label that has proven its picture.
async fn proven() -> (Site, Digest) {
    let site = Site::with_pistachios().await;
    site.hangzhou.station_up().await;
    let digest = site.hangzhou.prove(LABEL, panel()).await;
    (site, digest)
}

/// What the label should show, once that is drawn and not `known`.
async fn other_than(site: &Site, known: Digest) -> Digest {
    loop {
        let wanted = |label: &Label| label.desired.as_ref()?.digest;
        let digest = site.hangzhou.label(LABEL, wanted).await;
        if digest != known {
            return digest;
        }
        tokio::task::yield_now().await;
    }
}

/// The label is proven to show what it should.
async fn in_sync(site: &Site) {
    site.hangzhou.label(LABEL, |label| label.is_in_sync().then_some(())).await;
}

async fn refused(what: &str, response: Response, status: u16, detail: &str) {
    assert_eq!(response.status(), status, "{what}");
    let problem: Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().starts_with(detail), "{what}: {problem}");
}

#[tokio::test]
async fn a_saved_template_is_on_every_label_and_can_be_taken_back() {
    let (site, before) = proven().await;
    let listed = site.json("/v1/templates").await;
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().filter_map(|one| one["template"].as_str()).collect();
    assert_eq!((names.len(), names.contains(&"standard")), (11, true), "{names:?}");
    let saved: Value = put(&site, &plain("NEW"), 0).await.json().await.unwrap();
    assert_eq!((&saved["version"], &saved["text"]), (&json!(1), &json!(plain("NEW"))));
    assert!(saved["edited_by"].as_str().unwrap().starts_with("token "), "{saved}");
    let edited = other_than(&site, before).await;
    let again: Value = put(&site, &plain("NEW"), 1).await.json().await.unwrap();
    assert_eq!(again["version"], 1, "nothing has changed");
    let back = site.post(&format!("{STANDARD}/rollback"), json!({"to": 0})).await;
    assert_eq!(back.json::<Value>().await.unwrap()["version"], 2);
    in_sync(&site).await;
    assert_ne!(edited, before);
    let versions = site.json(&format!("{STANDARD}/versions")).await;
    let told: Vec<_> =
        versions["items"].as_array().unwrap().iter().map(|one| (&one["version"], &one["restores"])).collect();
    assert_eq!(told, [(&json!(2), &json!(0)), (&json!(1), &Value::Null)]);
    assert_eq!(site.json(&format!("{STANDARD}/versions/1")).await["text"], plain("NEW"));
    let shipped = include_str!("../../../label-templates/standard.xml");
    assert_eq!(site.json(&format!("{STANDARD}/versions/0")).await["text"], shipped);
    site.stop().await;
}

#[tokio::test]
async fn a_template_that_cannot_be_used_changes_nothing_and_says_why() {
    let (site, before) = proven().await;
    let element = put(&site, "<template name=\"standard\">\n  <txt/>\n</template>", 0).await;
    refused("element", element, 422, "standard.xml:2:3: unknown element `txt`").await;
    put(&site, &plain("ONE"), 0).await;
    let detail = "template `standard` is at version 1 by now, not at 0: look at that first, and edit it again";
    refused("overtaken", put(&site, &plain("TWO"), 0).await, 409, detail).await;
    let back = site.post(&format!("{STANDARD}/rollback"), json!({"to": 7})).await;
    refused("version", back, 404, "template `standard` has no version 7").await;
    let unknown = site.get("/v1/templates/none").await;
    refused("template", unknown, 404, "there is no template `none`; there are back-room, ").await;
    assert_ne!(other_than(&site, before).await, before, "the first edit stands");
    site.stop().await;
}

#[tokio::test]
async fn a_draft_is_drawn_and_checked_and_leaves_no_trace() {
    let (site, _) = proven().await;
    let of = "/v1/stores/hz-001/templates/standard";
    let saved = site.get(&format!("{of}/preview.png?panel=bwr-250x122&sku=1101&scale=2")).await;
    assert_eq!(saved.headers()["content-type"], "image/png");
    let drawn = image::load_from_memory(&saved.bytes().await.unwrap()).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (500, 244));
    let draft = json!({"text": plain("DRAFT"), "panel": "bwr-250x122", "sku": "1101", "scale": "2"});
    let draft = site.post(&format!("{of}/preview.png"), draft).await;
    assert_ne!(image::load_from_memory(&draft.bytes().await.unwrap()).unwrap(), drawn);
    let sample = site.get(&format!("{of}/preview.png?sample=honey")).await;
    assert_eq!(sample.status(), StatusCode::OK);
    let unknown = site.get(&format!("{of}/preview.png?sample=sand")).await;
    refused("sample", unknown, 400, "there is no sample `sand`; there are pistachios, clementines").await;

    let check = async |text: String| {
        let answer = site.post(&format!("{of}/check"), json!({ "text": text })).await;
        answer.json::<Value>().await.unwrap()
    };
    let broken = check("<template name=\"standard\">\n <text size=\"big\">a</text></template>".to_owned()).await;
    assert_eq!((&broken["errors"][0]["line"], &broken["pictures"]), (&json!(2), &json!(0)));
    let told = check(plain("DRAFT")).await;
    let findings: Vec<&str> =
        told["findings"].as_array().unwrap().iter().filter_map(|one| one["finding"].as_str()).collect();
    assert_eq!((&told["errors"], told["pictures"].as_u64() > Some(50)), (&json!([]), true), "{told}");
    assert!(findings.iter().any(|finding| finding.contains("wants the origin")), "{findings:?}");
    let shipped = check(include_str!("../../../label-templates/standard.xml").to_owned()).await;
    assert_eq!((&shipped["errors"], &shipped["findings"]), (&json!([]), &json!([])), "{shipped}");
    let acts = site.accounts.read(|accounts| accounts.acts().map(|(_, act)| act.action.clone()).collect::<Vec<_>>());
    assert!(acts.iter().all(|act| !act.contains("check") && !act.contains("preview")), "{acts:?}");
    site.stop().await;
}

#[tokio::test]
async fn a_label_shows_a_draft_until_that_is_over() {
    let (site, before) = proven().await;
    let path = format!("/v1/stores/hz-001/labels/{LABEL}/trial");
    let draft = json!({"template": "standard", "text": plain("DRAFT")});
    let label: Value = site.post(&path, draft.clone()).await.json().await.unwrap();
    assert_eq!((&label["trial"]["template"], &label["template"]), (&json!("standard"), &json!("standard")));
    let tried = other_than(&site, before).await;
    let page = site.text(&format!("/stores/hz-001/labels/{LABEL}")).await;
    assert!(page.contains("It shows a draft of the template"), "{page}");
    assert!(site.text("/templates/standard").await.contains("End the trial"));
    let ended = site.client.delete(format!("{}{path}", site.address)).send().await.unwrap();
    assert_eq!(ended.json::<Value>().await.unwrap()["trial"], Value::Null);
    in_sync(&site).await;
    assert_ne!(tried, before);
    // Once it is saved, the draft is the template: the trial is over, and the label goes on showing it.
    let tried: Value = site.post(&path, draft).await.json().await.unwrap();
    put(&site, &plain("DRAFT"), 0).await;
    let saved = async {
        loop {
            let label = site.json(&format!("/v1/stores/hz-001/labels/{LABEL}")).await;
            if label["trial"].is_null() {
                return label;
            }
        }
    };
    let saved = tokio::time::timeout(super::WAIT_MAX, saved).await.expect("a store hears of its templates");
    assert_eq!(saved["desired"]["edition"], tried["desired"]["edition"], "nothing is sent again");

    let spare = LabelId(0xA2);
    site.register(spare).await;
    let nothing = site
        .post(
            &format!("/v1/stores/hz-001/labels/{spare}/trial"),
            json!({"template": "strip", "text": "<template name=\"strip\"/>"}),
        )
        .await;
    refused("unbound", nothing, 422, &format!("label {spare} is not bound")).await;
    site.stop().await;
}

#[tokio::test]
async fn a_push_says_what_it_would_change_before_it_does() {
    let (site, _) = proven().await;
    let preview =
        async |body: Value| site.post("/v1/stores/hz-001/push/preview", body).await.json::<Value>().await.unwrap();
    assert_eq!(preview(json!({})).await, json!({"total": 1, "to_send": 0, "offline": 0, "labels": []}));
    assert_eq!(
        preview(json!({"resend": true})).await,
        json!({"total": 1, "to_send": 1, "offline": 0, "labels": [LABEL]})
    );
    let page = site.text("/stores/hz-001/push").await;
    assert!(page.contains("There is nothing to send"), "{page}");
    let page = site.text("/stores/hz-001/push?mode=resend&skus=1101").await;
    assert!(page.contains("Send to 1 label") && page.contains(&format!("id=\"label-{LABEL}\"")), "{page}");
    let request = site
        .client
        .post(format!("{}/stores/hz-001/push", site.address))
        .header("content-type", "application/x-www-form-urlencoded");
    let sent = request.body("mode=resend&skus=1101").send().await.unwrap();
    assert_eq!(sent.headers()["location"], "/stores/hz-001/pushes/1");
    let progress = site.text("/stores/hz-001/pushes/1").await;
    assert!(progress.contains("<strong>0</strong> of 1 label"), "{progress}");
    site.stop().await;
}
