//! Alerts over REST, on their page, and as events.

use super::*;

const ALERTS: &str = "/v1/stores/hz-001/alerts";

async fn alerts(site: &Site, query: &str) -> Vec<Value> {
    site.json(&format!("{ALERTS}{query}")).await["items"].as_array().unwrap().clone()
}

async fn reload(site: &Site, outcome: Result<(), &str>) {
    let outcome = outcome.map(|()| Default::default()).map_err(str::to_owned);
    site.hangzhou.handle.reload_ended(crate::catalog::wire::Facet::Base, outcome).await.unwrap();
}

#[tokio::test]
async fn somebody_looks_after_an_alert_until_it_is_over() {
    let site = Site::start().await;
    reload(&site, Err("it is gone")).await;
    let alert = alerts(&site, "").await.remove(0);
    assert_eq!((&alert["id"], &alert["acknowledged"]), (&json!("reload_failed:base"), &Value::Null));
    assert_eq!(alert["at"], alert["since"]);
    let page = site.text("/stores/hz-001/alerts").await;
    let button = format!("data-post=\"{ALERTS}/reload_failed%3Abase/acknowledge\"");
    assert!(page.contains(&button) && page.contains("Reload failed"), "{page}");

    let acknowledge = format!("{ALERTS}/reload_failed%3Abase/acknowledge");
    assert_eq!(site.post(&acknowledge, json!({})).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(site.post(&acknowledge, json!({})).await.status(), StatusCode::NO_CONTENT, "once more changes nothing");
    let seen = alerts(&site, "?state=raised").await.remove(0);
    assert!(seen["acknowledged"]["by"].as_str().unwrap().starts_with("token "), "{seen}");
    assert!(seen["number"].as_u64() > alert["number"].as_u64());
    let page = site.text("/stores/hz-001/alerts/list").await;
    assert!(!page.contains("data-post") && page.contains("acknowledged by token "), "{page}");
    assert!(!site.text("/stores/hz-001").await.contains("Reload failed"), "it needs nobody else");

    reload(&site, Ok(())).await;
    assert_eq!(alerts(&site, "").await, [] as [Value; 0]);
    let over = alerts(&site, "?state=cleared").await.remove(0);
    assert_eq!((&over["state"], &over["since"]), (&json!("cleared"), &alert["since"]));
    assert_eq!(over["acknowledged"]["by"], seen["acknowledged"]["by"]);
    let detail = "there is no alert `reload_failed:base`, or it is over";
    check_problem("over", site.post(&acknowledge, json!({})).await, 404, detail).await;
    let detail = "state `open` is not known; expected one of raised, cleared";
    check_problem("state", site.get(&format!("{ALERTS}?state=open")).await, 400, detail).await;
    site.stop().await;
}

#[tokio::test]
async fn what_is_over_is_walked_backwards_by_cursor() {
    let site = Site::start().await;
    for turn in 0..5 {
        reload(&site, Err(&format!("failure {turn}"))).await;
        reload(&site, Ok(())).await;
    }
    let whole = alerts(&site, "?state=cleared").await;
    assert_eq!(whole.len(), 5);
    assert!(whole[0]["text"].as_str().unwrap().ends_with("failure 4"), "{whole:?}");
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.json(&format!("{ALERTS}?state=cleared&limit=2{cursor}")).await;
        walked.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, whole);
    site.stop().await;
}

#[tokio::test]
async fn events_tell_of_stores_alerts_and_approvals() {
    let site = Site::with_pistachios().await;
    let mut events = site.get("/v1/events?store=hz-001").await;
    reload(&site, Err("it is gone")).await;
    site.hangzhou.feed(r#"{"sku":"1101","revision":8,"price":"0.59"}"#).await;
    let id = site.json("/v1/stores/hz-001/approvals").await["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/stores/hz-001/approvals/{id}/reject");
    let wanted = [
        "event: store\ndata: {\"store\":\"hz-001\"}\n\n".to_owned(),
        "event: alert\ndata: {\"store\":\"hz-001\",\"alert\":\"reload_failed:base\",\"state\":\"raised\"}\n\n"
            .to_owned(),
        format!(
            "event: approval\ndata: {{\"store\":\"hz-001\",\"facet\":\"base\",\"key\":\"1101\",\"id\":\"{id}\"}}\n\n"
        ),
    ];
    let mut text = String::new();
    let mut read = async |wanted: &str| {
        let told = async {
            while !text.contains(wanted) {
                text.push_str(std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap());
            }
        };
        tokio::time::timeout(WAIT_MAX, told).await.unwrap_or_else(|_| panic!("{wanted} is not in time"));
    };
    for wanted in &wanted {
        read(wanted).await;
    }
    assert_eq!(site.post(&path, json!({})).await.status(), StatusCode::NO_CONTENT);
    read("\"facet\":\"base\",\"key\":\"1101\",\"id\":null}\n\n").await;
    site.stop().await;
}

#[tokio::test]
async fn alerts_are_in_the_readers_language() {
    let site = Site::start().await;
    site.hangzhou.turn_away("ghost").await;
    let asked = site.client.get(format!("{}/stores/hz-001/alerts", site.address));
    // The store takes what its base stations tell before it answers.
    let page = async {
        loop {
            let asked = asked.try_clone().unwrap().header(header::ACCEPT_LANGUAGE, "zh-CN");
            let page = asked.send().await.unwrap().text().await.unwrap();
            if page.contains("未知基站") {
                return page;
            }
        }
    };
    let page = tokio::time::timeout(WAIT_MAX, page).await.unwrap();
    assert!(page.contains("请将其加入配置，或关闭该设备。") && page.contains("我来处理"), "{page}");
    site.stop().await;
}
