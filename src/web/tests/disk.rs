//! A disk that takes nothing any more, and then does again.

use super::*;
use crate::journal::memory::{Effect, Fault};

/// What `/readyz` says, once it says `status`.
async fn ready(site: &Site, status: StatusCode) -> String {
    let asked = async {
        loop {
            let response = site.get("/readyz").await;
            if response.status() == status {
                return response.text().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, asked).await.unwrap()
}

async fn alerts(site: &Site) -> Vec<Value> {
    site.json("/v1/stores/hz-001/alerts").await["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_full_disk_refuses_requests_and_gives_service_back_when_it_has_room() {
    let site = Site::with_pistachios().await;
    let disk = &site.hangzhou.disk;
    disk.fail(Fault { operations: disk.operations() + 1..u64::MAX, effect: Effect::Half });
    let other = LabelId(7);
    // What is under way when the disk fails is answered, too.
    let response = site.post("/v1/stores/hz-001/labels", json!({"items": [registration(other)]})).await;
    let refused = response.text().await.unwrap();
    assert!(refused.contains("no storage space") && refused.contains("is not known yet"), "{refused}");
    let told = ready(&site, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(told.starts_with("store `hz-001` takes no requests: its journal fails: could not "), "{told}");
    let path = format!("/v1/stores/hz-001/labels/{LABEL}/unbind");
    let refused = site.post(&path, json!({})).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let detail = refused.json::<Value>().await.unwrap()["detail"].take();
    let expected = "nothing can be changed now, because it could not be kept: could not ";
    assert!(detail.as_str().unwrap().starts_with(expected), "{detail}");
    // What is known is shown, and what is wrong with it.
    let shown = site.json(&format!("/v1/stores/hz-001/labels/{LABEL}")).await;
    assert_eq!(shown["skus"], json!(["1101"]));
    assert!(alerts(&site).await.iter().any(|alert| alert["rule"] == "journal"));
    assert!(site.text("/stores/hz-001").await.contains("he journal takes nothing"));

    disk.heal();
    assert_eq!(ready(&site, StatusCode::OK).await, "ready\n");
    assert_eq!(alerts(&site).await, [] as [Value; 0]);
    // It had been handed to the journal before the disk failed, and so it is there.
    site.json(&format!("/v1/stores/hz-001/labels/{other}")).await;
    assert_eq!(site.post(&path, json!({})).await.status(), StatusCode::OK);
    site.stop().await;
}
