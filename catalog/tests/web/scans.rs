//! Scans, and what they found.

use http::StatusCode;
use serde_json::json;

use crate::browser::{service, signed_in};
use crate::documents::observed;
use crate::sources::add;
use crate::stores::on_each;

#[tokio::test]
async fn findings_are_imported_and_shown_by_severity() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        let made = add(&mut browser, "upload", "Docs").await;
        let orders = observed("https://orders.example.com/v1", &["GET /orders", "POST /orders", "GET /orders/{id}"], 3);
        let text = orders.to_string();
        let import = format!("{}/import", made.location());
        let api = browser.upload(&import, &[], ("file", "orders.json", text.as_bytes())).await.location().to_owned();
        let id = api.trim_start_matches("/apis/").to_owned();
        let evil = "<script>alert(1)</script>";
        let report = json!({
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "Scanner", "rules": [
                    { "id": "sqli", "name": evil, "properties": { "security-severity": "9.8" } }
                ] } },
                "results": [{
                    "ruleId": "sqli", "level": "error", "message": { "text": format!("Injection {evil}") },
                    "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "https://orders.example.com/v1/orders/7" } } }],
                    "webRequest": { "method": "GET", "target": "https://orders.example.com/v1/orders/7" }
                }]
            }]
        })
        .to_string();
        assert!(browser.get("/scans").await.text.contains("No scan was imported yet"));
        let done = browser.upload("/scans/import", &[], ("file", "r.sarif", report.as_bytes())).await;
        assert_eq!(done.location(), "/scans", "{}", done.text);
        let list = browser.get("/scans").await.text;
        assert!(list.contains("Scanner") && list.contains("1 result is imported: 1 new"), "{list}");
        browser.post("/discovery/targets", &[("api", &id)]).await;
        let catalog = browser.get("/catalog?severity=critical").await.text;
        assert!(catalog.contains("severity critical") && catalog.contains("orders.example.com"), "{catalog}");
        let rows = browser.get(&format!("/catalog/{id}/endpoints")).await.text;
        assert_eq!(rows.matches("severity critical").count(), 1, "{rows}");
        let findings = browser.get(&format!("{api}/findings")).await.text;
        assert!(findings.contains("data-test=\"finding-row\"") && findings.contains("Injection"));
        assert!(!findings.contains("<script>alert"));
        assert!(browser.get("/").await.text.contains("1 critical or high"));
        let none = browser.get(&format!("{api}/findings?severity=low")).await.text;
        assert!(!none.contains("data-test=\"finding-row\""));
        let odd = browser.upload("/scans/import", &[], ("file", "r.sarif", b"{}")).await;
        assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", odd.text);
    })
    .await;
}
