//! Discovery, the catalog, and one API.

use http::StatusCode;
use serde_json::json;
use silhouette_catalog::Millis;

use crate::browser::{self, Browser, service};
use crate::documents::{BOOKS, Collector, books, observed};
use crate::people::{PASSWORD, organisation};
use crate::stores::on_each;

#[tokio::test]
async fn an_api_is_linked_unlinked_renamed_and_hidden_on_the_pages() {
    on_each(async |store| {
        let service = service(store);
        let acme = organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&service.store, &acme, "edge").await;
        let api = collector
            .push_new(
                &service.store,
                "books.example.com",
                1,
                &books(),
                Millis::now(),
            )
            .await;
        let mut browser = Browser::new(&service);
        browser.sign_in("owner@acme.example", PASSWORD, "/").await;
        let discovery = browser.get("/discovery").await.text;
        assert!(discovery.contains("https://books.example.com/v1") && discovery.contains("edge"));

        // A target it does not lie under is refused, and the right one offered.
        let made = browser
            .post(
                "/targets/new",
                &[("url", "https://books.example.com/v10"), ("name", "")],
            )
            .await;
        assert_eq!(made.location(), "/targets", "{}", made.text);
        let link = format!("/discovery/link?api={api}");
        let form = browser.get(&link).await.text;
        let target = browser::after(&form, "<option value=\"").to_owned();
        let refused = browser
            .post(
                "/discovery/link",
                &[("api", api.as_str()), ("target", &target)],
            )
            .await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert!(
            refused.text.contains("does not lie under")
                && refused.text.contains("data-test=\"offer\"")
        );
        assert!(
            refused.text.contains("https://books.example.com/v1</li>"),
            "{}",
            refused.text
        );
        let made = browser
            .post("/discovery/targets", &[("api", api.as_str())])
            .await;
        assert_eq!(made.location(), "/catalog");
        let catalog = browser.get("/catalog").await.text;
        assert!(
            catalog.contains(api.as_str()) && catalog.contains("data-test=\"flash\""),
            "{catalog}"
        );
        // What was done is told once.
        let again = browser.get("/catalog").await.text;
        assert!(!again.contains("data-test=\"flash\""), "{again}");
        assert!(
            !browser
                .get("/discovery")
                .await
                .text
                .contains("data-test=\"api-row\"")
        );
        let rows = browser.get(&format!("/catalog/{api}/endpoints")).await.text;
        assert!(
            rows.starts_with("<tr") && rows.matches("class=\"method").count() == 3,
            "{rows}"
        );

        let renamed = browser
            .post(
                &format!("/apis/{api}/rename"),
                &[("name", "Books of <Acme>")],
            )
            .await;
        assert_eq!(renamed.status, StatusCode::SEE_OTHER);
        assert!(
            browser
                .get("/catalog")
                .await
                .text
                .contains("Books of &#60;Acme&#62;")
        );
        let nameless = browser
            .post(&format!("/apis/{api}/rename"), &[("name", " ")])
            .await;
        assert_eq!(nameless.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            nameless.text.contains("aria-invalid=\"true\"")
                && nameless.text.contains("It is empty")
        );

        assert_eq!(
            browser
                .post(&format!("/apis/{api}/unlink"), &[])
                .await
                .status,
            StatusCode::SEE_OTHER
        );
        assert!(
            browser
                .get("/discovery")
                .await
                .text
                .contains("data-test=\"api-row\"")
        );
        // A script is told where to go on.
        let (token, path) = (browser.csrf().await, format!("/apis/{api}/hide"));
        let answer = browser
            .send(
                "POST",
                &path,
                &[],
                &[("x-csrf-token", &token), ("hx-request", "true")],
            )
            .await;
        assert_eq!(
            (
                answer.status,
                answer.headers["hx-redirect"].to_str().unwrap()
            ),
            (StatusCode::OK, format!("/apis/{api}").as_str())
        );
    })
    .await;
}

#[tokio::test]
async fn whatever_is_in_a_document_is_text() {
    on_each(async |store| {
        let service = service(store);
        let acme = organisation(&service.store, &service.door, "<i>Acme</i>", "owner@acme.example").await;
        let evil = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>";
        let collector = Collector::of(&service.store, &acme, evil).await;
        let path = format!("/{}/{{{evil}}}", "a\"><script>alert(3)</script>");
        let operation = format!("GET {path}");
        let mut document = observed("https://evil.example.com/v1", &[&operation, "GET /b"], 5);
        document["info"]["title"] = json!(evil);
        document["info"]["version"] = json!(evil);
        let of = &mut document["paths"][&path]["get"];
        of["summary"] = json!(evil);
        of["description"] = json!(evil);
        of["responses"] = json!({ evil: { "description": evil, "content": { evil: { "schema": {
            "type": "object", "properties": { evil: { "type": evil, "enum": [evil], "description": evil } } } } } } });
        let api = collector.push_new(&service.store, "evil.example.com", 1, &document, Millis::now()).await;
        document["paths"][&path]["post"] = json!({ "summary": evil, "responses": { "200": { "description": "OK" } } });
        collector.push(&service.store, "evil.example.com", 2, &document, Millis::now()).await.unwrap();
        let mut browser = Browser::new(&service);
        browser.sign_in("owner@acme.example", PASSWORD, "/").await;
        browser.post(&format!("/apis/{api}/rename"), &[("name", evil)]).await;
        let revisions = browser.get(&format!("/apis/{api}/revisions")).await.text;
        let (new, rest) = revisions.split_once("name=\"new\" value=\"").map(|(_, rest)| rest.split_at(36)).unwrap();
        let old = rest.split_once("name=\"old\" value=\"").map(|(_, rest)| &rest[..36]).unwrap();
        let op: String = form_urlencoded::byte_serialize(operation.as_bytes()).collect();
        let word: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
        for path in [
            "/".to_owned(),
            "/discovery".to_owned(),
            format!("/discovery?q={word}&source={word}&host={word}&sort={word}"),
            format!("/discovery/link?api={api}"),
            format!("/discovery/targets?api={api}"),
            format!("/apis/{api}"),
            format!("/apis/{api}?q={word}&method={word}"),
            format!("/apis/{api}/schema"),
            format!("/apis/{api}/schema?op={op}"),
            format!("/apis/{api}/revisions"),
            format!("/apis/{api}/revisions/{new}/document"),
            format!("/apis/{api}/diff?old={old}&new={new}"),
            format!("/apis/{api}/drift"),
            format!("/apis/{api}/rename"),
            format!("/catalog/{api}/endpoints"),
            "/audit".to_owned(),
            format!("/audit?q={word}&action={word}&from={word}"),
            "/settings".to_owned(),
        ] {
            let answer = browser.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            for markup in ["<img src=x", "<script>", "<i>Acme", "\"'>", "onerror=alert(1)>"] {
                assert!(!answer.text.contains(markup), "{path} has {markup}");
            }
        }
        // Kept as a file, never shown as a page.
        let file = browser.get(&format!("/apis/{api}/revisions/{new}/document.json")).await;
        assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\"evil.example.com-"));
        assert_eq!(file.headers["content-type"], "application/json");
        let schema = browser.get(&format!("/apis/{api}/schema?op={op}")).await.text;
        assert!(schema.contains("&#60;script&#62;alert(2)"), "it is shown, as text");
    })
    .await;
}

#[tokio::test]
async fn filters_stay_when_the_page_is_turned() {
    let service = browser::service_on_file().await;
    let acme = organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
    let collector = Collector::of(&service.store, &acme, "edge").await;
    for number in 0..53 {
        let host = format!("h{number}.example.com");
        let document = observed(&format!("https://{host}/"), &BOOKS, 1);
        collector
            .push_new(&service.store, &host, 1, &document, Millis::now())
            .await;
    }
    let mut browser = Browser::new(&service);
    browser.sign_in("owner@acme.example", PASSWORD, "/").await;
    let first = browser
        .get("/discovery?q=EXAMPLE&seen=seen&sort=name&evil=1")
        .await
        .text;
    assert_eq!(first.matches("data-test=\"api-row\"").count(), 50);
    let next = "/discovery?q=EXAMPLE&#38;seen=seen&#38;sort=name&#38;page=2";
    assert!(
        first.contains(next)
            && !first
                .split_once("class=\"pager\"")
                .unwrap()
                .1
                .contains("evil"),
        "{}",
        browser::after(&first, "class=\"pager\"")
    );
    assert!(first.contains("1–50 of 53") && first.contains("aria-sort=\"ascending\""));
    let second = browser.get(&next.replace("&#38;", "&")).await.text;
    assert_eq!(second.matches("data-test=\"api-row\"").count(), 3);
    assert!(second.contains("value=\"EXAMPLE\""));
    let beyond = browser.get("/discovery?page=99").await;
    assert_eq!(beyond.status, StatusCode::OK);
    let sorted = browser.get("/discovery?sort=-name").await.text;
    assert!(sorted.contains("aria-sort=\"descending\""));
    let none = browser.get("/discovery?q=100%25_").await.text;
    assert!(
        none.contains("No API fits these filters"),
        "% and _ stand for themselves"
    );
}
