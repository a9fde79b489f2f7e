//! Sources, and documents that are imported into them.

use http::StatusCode;
use silhouette_catalog::Millis;
use silhouette_catalog::sources::{NewCollector, register};

use crate::browser::{self, Browser, after, service, signed_in};
use crate::documents::document;
use crate::people::{PASSWORD, user};
use crate::stores::on_each;

/// Adds a source; gives the page that answers.
pub(crate) async fn add(browser: &mut Browser, kind: &str, name: &str) -> browser::Answer {
    let fields = [("kind", kind), ("name", name), ("exclude_empty", "yes")];
    browser.post("/sources/new", &fields).await
}

#[tokio::test]
async fn a_traffic_analyzer_is_added_connected_and_deleted() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        assert!(browser.get("/sources").await.text.contains("No source yet"));
        assert!(
            browser
                .get("/sources/new")
                .await
                .text
                .contains("name=\"exclude_empty\" value=\"yes\" checked")
        );
        let evil = "Edge <script>alert(1)</script>";
        let made = add(&mut browser, "traffic-analyzer", evil).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
        assert!(!made.text.contains("<script>alert"));
        let command = after(&made.text, "data-test=\"register-command\">").to_owned();
        let secret = after(&made.text, "data-test=\"registration-token\">").to_owned();
        assert_eq!(
            command,
            format!(
                "silhouette-collector register --catalog http://127.0.0.1:4330 --token {secret}"
            )
        );
        assert!(secret.starts_with("slr_"));
        let list = browser.get("/sources").await.text;
        assert!(
            list.contains("Awaiting setup") && !list.contains(&secret),
            "{list}"
        );
        assert!(list.contains("role=\"tooltip\"") && list.contains("No collector has registered"));
        let id = after(&list, "href=\"/sources/").to_owned();
        let id = if id == "new" {
            after(
                list.split_once("data-test=\"source-row\"").unwrap().1,
                "data-id=\"",
            )
            .to_owned()
        } else {
            id
        };
        let page = format!("/sources/{id}");

        let again = add(&mut browser, "traffic-analyzer", evil).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert!(again.text.contains("id=\"name-error\""), "{}", again.text);

        let new = NewCollector {
            token: &secret,
            instance: "0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b",
            name: "edge-1",
            version: "0.1.0",
            address: "192.0.2.9",
            correlation: "c",
        };
        register(&service.store, new, Millis::now()).await.unwrap();
        let shown = browser.get(&page).await.text;
        assert!(shown.contains("edge-1") && shown.contains("data-test=\"collector-row\""));
        assert!(
            shown.contains("hx-trigger=\"every 3s\""),
            "it looks again until all is well"
        );

        // The switch, as a script and as a form.
        let token = browser.csrf().await;
        let path = format!("{page}/auto-sync");
        let headers = [("hx-request", "true"), ("x-csrf-token", token.as_str())];
        let cell = browser
            .send("POST", &path, &[("on", "false")], &headers)
            .await
            .text;
        assert!(
            cell.starts_with("<form") && cell.contains("aria-checked=\"false\""),
            "{cell}"
        );
        let form = browser.post(&path, &[("on", "true")]).await;
        assert_eq!(form.location(), "/sources");

        let edited = browser
            .post(&format!("{page}/edit"), &[("name", "Edge 2")])
            .await;
        assert_eq!(edited.location(), page, "{}", edited.text);
        assert!(browser.get(&page).await.text.contains("<h1>Edge 2</h1>"));
        let collector = after(&browser.get(&page).await.text, "/collectors/")
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        let revoked = browser
            .post(&format!("{page}/collectors/{collector}/revoke"), &[])
            .await;
        assert_eq!(revoked.location(), page);
        let asked = browser.get(&format!("{page}/delete")).await.text;
        assert!(asked.contains("The APIs it found stay"));
        assert_eq!(
            browser
                .post(&format!("{page}/delete"), &[])
                .await
                .location(),
            "/sources"
        );
        assert_eq!(browser.get(&page).await.status, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn documents_are_uploaded_pasted_and_refused_with_the_line() {
    on_each(async |store| {
        let service = service(store);
        let mut browser = signed_in(&service).await;
        let made = add(&mut browser, "upload", "Orders team").await;
        let page = made.location().to_owned();
        assert!(page.starts_with("/sources/"), "{}", made.text);
        let import = format!("{page}/import");
        let orders = document("https://orders.example.com/v1", &["GET /orders", "POST /orders"]);
        let text = orders.to_string();
        let file = ("file", "orders.json", text.as_bytes());

        // The token comes before the file, and is the session's.
        for fields in [&[][..], &[("csrf", "x")][..]] {
            let answer = browser.upload_as(&import, fields, file).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
        }
        let kept = browser.upload(&import, &[], file).await;
        assert!(kept.location().starts_with("/apis/"), "{}", kept.text);
        let api = kept.location().to_owned();
        let shown = browser.get(&api).await.text;
        assert!(shown.contains("/v1/orders") && shown.contains("Documented") && shown.contains("is imported: 2 operations"));
        assert!(browser.get("/discovery").await.text.contains("Orders team"));

        let pasted = "openapi: 3.0.3\ninfo: {title: Pasted, version: '1'}\nservers: [{url: https://p.example.com}]\npaths: {/a: {get: {responses: {'200': {description: OK}}}}}\n";
        let kept = browser.post(&import, &[("text", pasted)]).await;
        assert!(kept.location().starts_with("/apis/"), "{}", kept.text);
        let yaml = browser.get(&format!("{}/schema", kept.location())).await.text;
        assert!(yaml.contains("“Pasted”"), "{yaml}");

        let broken = "openapi: 3.0.3\ninfo:\n  title: [\n<script>\n";
        let refused = browser.post(&import, &[("text", broken)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert!(refused.text.contains("data-test=\"import-error\"") && refused.text.contains("line "), "{}", refused.text);
        assert!(refused.text.contains("▶") && !refused.text.contains("<script>\n"), "{}", refused.text);
        let nothing = browser.post(&import, &[]).await;
        assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
        let relative = browser.post(&import, &[("text", pasted), ("base_url", "nowhere")]).await;
        assert_eq!(relative.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(relative.text.contains("id=\"base-error\""));
    })
    .await;
}

#[tokio::test]
async fn who_only_looks_cannot_add_sync_or_import() {
    on_each(async |store| {
        let service = service(store);
        let mut owner = signed_in(&service).await;
        let made = add(&mut owner, "upload", "Docs").await;
        let page = made.location().to_owned();
        let all = silhouette_catalog::access::organisations::all(&service.store)
            .await
            .unwrap();
        let acme = silhouette_catalog::access::Actor::command_line(all[0].id.clone());
        user(
            &service.store,
            &service.door,
            &acme,
            "a@acme.example",
            "security-analyst",
        )
        .await;
        let mut browser = Browser::new(&service);
        browser.sign_in("a@acme.example", PASSWORD, "/").await;
        let list = browser.get("/sources").await.text;
        assert!(
            list.contains("Docs") && !list.contains("/sources/new") && !list.contains("/delete")
        );
        let shown = browser.get(&page).await.text;
        assert!(!shown.contains("name=\"text\"") && !shown.contains("/edit"));
        for path in [
            "/sources/new".to_owned(),
            format!("{page}/edit"),
            format!("{page}/delete"),
        ] {
            assert_eq!(
                browser.get(&path).await.status,
                StatusCode::FORBIDDEN,
                "{path}"
            );
        }
        for end in ["delete", "edit", "sync", "auto-sync", "tokens", "import"] {
            let answer = browser
                .post(&format!("{page}/{end}"), &[("name", "x"), ("text", "{}")])
                .await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{end}");
        }
    })
    .await;
}
