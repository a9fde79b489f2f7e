//! One operation, and what people decide of definitions and APIs.

use http::StatusCode;
use serde_json::json;
use silhouette_catalog::Millis;
use silhouette_catalog::ids::ApiId;

use crate::browser::{Browser, Service, after, service, signed_in};
use crate::documents::{Collector, document, observed};
use crate::people::user;
use crate::stores::on_each;

/// A bookshop that a collector sees and a document describes, in one API.
async fn bookshop(service: &Service, browser: &mut Browser) -> ApiId {
    let actor = owner(service).await;
    let collector = Collector::of(&service.store, &actor, "edge").await;
    let seen = observed(
        "https://books.example.com/v1",
        &["GET /books/{isbn}", "GET /books", "POST /admin/reindex"],
        1_234,
    );
    let (store, host) = (&service.store, "books.example.com");
    let api = collector
        .push_new(store, host, 1, &seen, Millis::now())
        .await;
    let mut told = document(
        "https://books.example.com/v1",
        &["GET /books/{id}", "GET /books", "DELETE /books/{id}"],
    );
    let by_id = &mut told["paths"]["/books/{id}"]["get"];
    by_id["operationId"] = "bookById".into();
    by_id["responses"]["200"]["content"]["application/json"]["schema"] = json!({
        "type": "object", "required": ["title"],
        "properties": { "title": { "type": "string", "description": "<script>alert(1)</script>" } }
    });
    let made = browser
        .post("/sources/new", &[("kind", "upload"), ("name", "Docs")])
        .await;
    let import = format!("{}/import", made.location());
    let text = told.to_string();
    let done = browser
        .upload(&import, &[], ("file", "books.json", text.as_bytes()))
        .await;
    assert_eq!(done.location(), format!("/apis/{api}"), "{}", done.text);
    api
}

/// The organisation of the one who is signed in.
async fn owner(service: &Service) -> silhouette_catalog::access::Actor {
    use silhouette_catalog::access::{Actor, organisations};
    let all = organisations::all(&service.store).await.unwrap();
    Actor::command_line(all[0].id.clone())
}

/// An address as it stands in an attribute.
fn plain(href: &str) -> String {
    href.replace("&amp;", "&").replace("&#38;", "&")
}

/// The addresses after each `mark`.
fn links(page: &str, mark: &str) -> Vec<String> {
    page.split(mark)
        .skip(1)
        .map(|rest| plain(rest.split('"').next().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_operation_has_a_page_of_its_own() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        let api = bookshop(&service, &mut browser).await;
        let list = browser.get(&format!("/apis/{api}")).await.text;
        let all = links(&list, "class=\"operation-link\" href=\"");
        assert_eq!(all.len(), 4, "{list}");
        for href in &all {
            let page = browser.get(href).await;
            assert_eq!(page.status, StatusCode::OK, "{href}");
            assert!(page.text.contains("data-test=\"operation\""), "{href}");
        }
        let by_id = all
            .iter()
            .find(|href| href.contains("GET") && href.contains("%7Bid%7D"))
            .unwrap();
        let page = browser.get(by_id).await.text;
        assert!(
            page.contains("bookById") && page.contains("1,234"),
            "{page}"
        );
        // Parameters and the answer of the document that was chosen, and nothing of it as markup.
        assert!(
            page.contains("Path parameters") && page.contains("Response 200, application/json")
        );
        assert!(page.contains("title") && !page.contains("<script>alert"));
        assert_eq!(page.matches("data-test=\"mention-row\"").count(), 2);
        let documents = links(&page, "<a href=\"/apis/").into_iter();
        let documents = documents.filter(|href| href.contains("definition="));
        let documents: Vec<String> = documents.collect();
        assert_eq!(documents.len(), 2, "{page}");
        // Documented ones come first.
        let other = &documents[1];
        let seen = browser.get(&format!("/apis/{other}")).await.text;
        assert!(
            seen.contains("isbn") && !seen.contains("Response 200, application/json"),
            "{seen}"
        );

        let shadow = format!("/apis/{api}/operation?method=post&path=/v1/admin/reindex");
        let shadow = browser.get(&shadow).await.text;
        assert!(
            shadow.contains("data-test=\"operation-drift\"") && shadow.contains("shadow"),
            "{shadow}"
        );
        // Drift leads to the operation, too.
        let drift = browser.get(&format!("/apis/{api}/drift")).await.text;
        assert!(drift.contains("/operation?method=POST"), "{drift}");
        let rows = browser.get(&format!("/catalog/{api}/endpoints")).await.text;
        assert_eq!(links(&rows, "class=\"operation-link\" href=\"").len(), 4);
        for gone in ["method=PUT&path=/v1/books", "method=GET&path=", ""] {
            let page = browser.get(&format!("/apis/{api}/operation?{gone}")).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{gone}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_definition_is_moved_and_made_its_own() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        let api = bookshop(&service, &mut browser).await;
        let revisions = browser.get(&format!("/apis/{api}/revisions")).await.text;
        let moves = links(&revisions, "class=\"button quiet small\" href=\"");
        let moves: Vec<&String> = moves
            .iter()
            .filter(|href| href.ends_with("/move"))
            .collect();
        assert_eq!(moves.len(), 2, "{revisions}");
        let form = browser.get(moves[1]).await.text;
        assert!(
            form.contains("books.json") && form.contains("Make it an API of its own"),
            "{form}"
        );
        let detached = browser.post(moves[1], &[("to", "new")]).await;
        let own = detached.location().to_owned();
        assert!(
            own.starts_with("/apis/") && own != format!("/apis/{api}"),
            "{own}"
        );
        let left = browser.get(&format!("/apis/{api}/revisions")).await.text;
        assert_eq!(left.matches("data-test=\"revision-row\"").count(), 1);

        // Alone it can only be moved on, and the API it leaves empty goes.
        let revisions = browser.get(&format!("{own}/revisions")).await.text;
        let back = links(&revisions, "class=\"button quiet small\" href=\"");
        let back = back.iter().find(|href| href.ends_with("/move")).unwrap();
        let form = browser.get(back).await.text;
        assert!(
            !form.contains("Make it an API of its own") && form.contains(api.as_str()),
            "{form}"
        );
        let refused = browser.post(back, &[("to", "new")]).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        assert!(refused.text.contains("data-test=\"error\""));
        let none = browser.get(&format!("{back}?q=no+such+api")).await.text;
        assert!(
            none.contains("No other API fits") && !none.contains("<select id=\"move-to\""),
            "{none}"
        );
        let moved = browser.post(back, &[("to", api.as_str())]).await;
        assert_eq!(moved.location(), format!("/apis/{api}"), "{}", moved.text);
        assert_eq!(browser.get(&own).await.status, StatusCode::NOT_FOUND);
        // Under another API's address it is not there.
        assert_eq!(browser.get(back).await.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn an_api_is_deleted_after_a_question_and_its_findings_fit_nothing() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        let api = bookshop(&service, &mut browser).await;
        let report = json!({ "version": "2.1.0", "runs": [{
            "tool": { "driver": { "name": "Scanner" } },
            "results": [
                { "ruleId": "xss", "level": "error", "message": { "text": "in the bookshop" },
                  "webRequest": { "method": "GET", "target": "https://books.example.com/v1/books/7" } },
                { "ruleId": "xss", "level": "error", "message": { "text": "somewhere else" },
                  "webRequest": { "method": "GET", "target": "https://unknown.example/a" } },
            ],
        }] });
        let empty = browser.get("/scans/unmatched").await.text;
        assert!(empty.contains("Every finding fits an API"), "{empty}");
        let report = report.to_string();
        let file = ("file", "r.sarif", report.as_bytes());
        browser.upload("/scans/import", &[], file).await;
        let scans = browser.get("/scans").await.text;
        assert!(scans.contains("href=\"/scans/unmatched\">1 fit no API"), "{scans}");
        for (search, there) in [("scann", true), ("zap", false)] {
            let list = browser.get(&format!("/scans?q={search}")).await.text;
            assert_eq!(list.contains("data-test=\"scan-row\""), there, "{search}");
        }
        let unmatched = browser.get("/scans/unmatched").await.text;
        assert!(unmatched.contains("somewhere else") && !unmatched.contains("in the bookshop"));
        let findings = browser.get(&format!("/apis/{api}/findings")).await.text;
        let href = plain(after(&findings, "class=\"operation-link\" href=\""));
        let operation = browser.get(&href).await.text;
        assert!(operation.contains("in the bookshop"), "{operation}");

        let question = browser.get(&format!("/apis/{api}/delete")).await.text;
        for said in ["2 definitions with 2 revisions, 4 operations", "1 open finding will fit no API", "brings it back"] {
            assert!(question.contains(said), "{said}: {question}");
        }
        let actor = owner(&service).await;
        user(&service.store, &service.door, &actor, "ana@acme.example", "security-analyst").await;
        let mut ana = Browser::new(&service);
        ana.sign_in("ana@acme.example", crate::people::PASSWORD, "/").await;
        assert_eq!(ana.get(&format!("/apis/{api}/delete")).await.status, StatusCode::FORBIDDEN);
        assert_eq!(ana.post(&format!("/apis/{api}/delete"), &[]).await.status, StatusCode::FORBIDDEN);
        assert!(!ana.get(&format!("/apis/{api}")).await.text.contains(&format!("/apis/{api}/delete")));

        let deleted = browser.post(&format!("/apis/{api}/delete"), &[]).await;
        assert_eq!(deleted.location(), "/discovery");
        assert_eq!(browser.get(&format!("/apis/{api}")).await.status, StatusCode::NOT_FOUND);
        let unmatched = browser.get("/scans/unmatched").await.text;
        assert!(unmatched.contains("somewhere else") && unmatched.contains("in the bookshop"));
        // Once an API is found there, the next import of the scan puts them where they belong.
        let collector = Collector::of(&service.store, &actor, "other edge").await;
        let seen = observed("https://books.example.com/v1", &["GET /books/{isbn}"], 1);
        let api = collector
            .push_new(&service.store, "books.example.com", 1, &seen, Millis::now())
            .await;
        let file = ("file", "r.sarif", report.as_bytes());
        browser.upload("/scans/import", &[], file).await;
        let unmatched = browser.get("/scans/unmatched").await.text;
        assert!(unmatched.contains("somewhere else") && !unmatched.contains("in the bookshop"), "{unmatched}");
        let findings = browser.get(&format!("/apis/{api}/findings")).await.text;
        assert!(findings.contains("in the bookshop"), "{findings}");
    })
    .await;
}

#[tokio::test]
async fn every_revision_knows_the_one_before_on_whichever_page_it_is() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        let actor = owner(&service).await;
        let collector = Collector::of(&service.store, &actor, "edge").await;
        let mut api = String::new();
        for n in 1..=52_u64 {
            let paths: Vec<String> = (0..=n).map(|n| format!("GET /things{n}")).collect();
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let seen = observed("https://a.example.com", &paths, n);
            let at = Millis(1_900_000_000_000 + i64::try_from(n).unwrap() * 1_000);
            api = collector
                .push_new(&service.store, "a.example.com", n, &seen, at)
                .await
                .to_string();
        }
        for (page, rows, changes) in [(1, 50, 50), (2, 2, 1)] {
            let list = browser
                .get(&format!("/apis/{api}/revisions?page={page}"))
                .await
                .text;
            assert_eq!(list.matches("data-test=\"revision-row\"").count(), rows);
            let links = links(&list, "class=\"button quiet small\" href=\"");
            let diffs: Vec<&String> = links
                .iter()
                .filter(|href| href.contains("/diff?"))
                .collect();
            assert_eq!(diffs.len(), changes, "page {page}");
            let last = diffs.last().unwrap();
            assert_eq!(browser.get(last).await.status, StatusCode::OK, "{last}");
        }
        // No report of a collector yet: the documents tell of the calls.
        let page = browser.get(&format!("/apis/{api}")).await.text;
        assert!(
            page.contains("2027-01-01")
                && !page.contains("<dt>Calls seen</dt><dd><span class=\"faint\">None")
        );
    })
    .await;
}

#[tokio::test]
async fn the_menu_says_how_many_wait_and_the_overview_leads_to_drift_wherever_it_is() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        assert!(
            !browser
                .get("/")
                .await
                .text
                .contains("class=\"badge accent count\"")
        );
        let api = bookshop(&service, &mut browser).await;
        let overview = browser.get("/").await.text;
        assert!(
            overview.contains("<span class=\"badge accent count\">1<"),
            "{overview}"
        );
        assert!(
            overview.contains("/discovery?drift=shadow\"") && !overview.contains("/catalog?drift=")
        );
        browser
            .post("/discovery/targets", &[("api", api.as_str())])
            .await;
        let overview = browser.get("/").await.text;
        assert!(
            !overview.contains("class=\"badge accent count\""),
            "{overview}"
        );
        assert!(!overview.contains("/discovery?drift="), "{overview}");
        let href = after(&overview, "<span class=\"places\"><a href=\"");
        assert!(href.starts_with("/catalog?drift="), "{href}");
        let list = browser.get(href).await.text;
        assert!(list.contains("data-test=\"api-row\""), "{list}");
    })
    .await;
}

#[tokio::test]
async fn of_many_sources_and_targets_each_is_found_by_name() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        let api = bookshop(&service, &mut browser).await;
        for n in 0..230 {
            let name = format!("Source {n:03}");
            let fields = [("kind", "upload"), ("name", name.as_str())];
            browser.post("/sources/new", &fields).await;
        }
        let names = browser.get("/sources/names?source=229").await.text;
        assert_eq!(names, "<option value=\"Source 229\"></option>");
        let names = browser.get("/sources/names").await.text;
        assert_eq!(names.matches("<option").count(), 50);
        for (asked, there) in [
            ("edge", true),
            ("DOCS", true),
            ("doc", true),
            ("Source 229", false),
            ("Source", false),
            ("nobody", false),
        ] {
            let asked: String = form_urlencoded::byte_serialize(asked.as_bytes()).collect();
            let list = browser.get(&format!("/discovery?source={asked}")).await;
            assert_eq!(list.status, StatusCode::OK, "{asked}");
            assert_eq!(
                list.text.contains("data-test=\"api-row\""),
                there,
                "{asked}"
            );
        }
        // Links have the id; the field says the name.
        let page = browser.get("/sources?q=edge").await.text;
        let id = after(&page, "href=\"/sources/").to_owned();
        let id = page
            .split("href=\"/sources/")
            .map(|rest| rest.split(['"', '/']).next().unwrap())
            .find(|id| id.len() == 36)
            .unwrap_or(&id)
            .to_owned();
        let list = browser.get(&format!("/discovery?source={id}")).await.text;
        assert!(
            list.contains("name=\"source\" value=\"edge\"")
                && list.contains("data-test=\"api-row\""),
            "{list}"
        );

        browser
            .post("/discovery/targets", &[("api", api.as_str())])
            .await;
        let names = browser.get("/targets/names?target=books").await.text;
        assert!(
            names.contains("value=\"https://books.example.com/v1\""),
            "{names}"
        );
        for (asked, there) in [
            ("books", true),
            ("https://books.example.com/v1", true),
            ("other", false),
        ] {
            let list = browser.get(&format!("/catalog?target={asked}")).await.text;
            assert_eq!(list.contains("data-test=\"api-row\""), there, "{asked}");
        }
    })
    .await;
}
