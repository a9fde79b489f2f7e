//! The pages, asked over their router: who gets in, what a form needs, what is escaped, who sees what.

mod browser;
mod documents;
mod people;
mod stores;

use browser::{Browser, service};
use documents::{Collector, observed};
use http::StatusCode;
use people::{PASSWORD, organisation, user};
use serde_json::json;
use silhouette_catalog::Millis;
use silhouette_catalog::inventory::{create_targets, set_hidden};
use stores::on_each;

const BOOKS: [&str; 3] = ["GET /books", "POST /books", "GET /books/{isbn}"];

fn books() -> serde_json::Value {
    observed("https://books.example.com/v1", &BOOKS, 5)
}

#[tokio::test]
async fn nobody_gets_in_without_signing_in_and_comes_back_to_where_they_wanted() {
    on_each(async |store| {
        let service = service(store);
        organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
        let mut browser = Browser::new(&service);
        for path in [
            "/discovery?q=a%26b",
            "/catalog",
            "/audit",
            "/settings/users",
            "/apis/1",
        ] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
            assert!(
                answer.location().starts_with("/sign-in?next=%2F"),
                "{}",
                answer.location()
            );
        }
        let wrong = browser
            .sign_in(
                "owner@acme.example",
                "wrong password 12",
                "/discovery?q=a%26b",
            )
            .await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        assert!(wrong.text.contains("is not right") && wrong.text.contains("owner@acme.example"));
        let unknown = browser
            .sign_in("nobody@acme.example", "wrong password 12", "/")
            .await;
        assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
        let right = browser
            .sign_in("owner@acme.example", PASSWORD, "/discovery?q=a%26b")
            .await;
        assert_eq!(
            (right.status, right.location()),
            (StatusCode::SEE_OTHER, "/discovery?q=a%26b")
        );
        assert_eq!(
            browser.get("/discovery?q=a%26b").await.status,
            StatusCode::OK
        );
        // Signed in already: on.
        assert_eq!(
            browser.get("/sign-in?next=/catalog").await.location(),
            "/catalog"
        );

        // Signed out: the cookie is worth nothing any more, even if somebody kept it.
        let kept = browser.cookies.clone();
        assert_eq!(browser.post("/sign-out", &[]).await.location(), "/sign-in");
        browser.cookies = kept;
        assert_eq!(
            browser.get("/discovery").await.status,
            StatusCode::SEE_OTHER
        );
    })
    .await;
}

#[tokio::test]
async fn signing_in_leads_nowhere_else() {
    on_each(async |store| {
        let service = service(store);
        organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
        for evil in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "/\r\nX: y",
        ] {
            let mut browser = Browser::new(&service);
            let answer = browser.sign_in("owner@acme.example", PASSWORD, evil).await;
            assert_eq!(
                (answer.status, answer.location()),
                (StatusCode::SEE_OTHER, "/"),
                "{evil:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn too_many_tries_have_to_wait() {
    let service = browser::service_on_file().await;
    organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
    let mut browser = Browser::new(&service);
    let mut last = StatusCode::OK;
    for _ in 0..8 {
        let answer = browser
            .sign_in("owner@acme.example", "wrong password 12", "/")
            .await;
        last = answer.status;
        if last == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers.contains_key("retry-after"));
            assert!(answer.text.contains("try again in"), "{}", answer.text);
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    let service = browser::service_on_file().await;
    organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
    let mut browser = Browser::new(&service);
    browser.sign_in("owner@acme.example", PASSWORD, "/").await;
    for path in [
        "/",
        "/discovery",
        "/sign-in",
        "/nothing",
        "/apis/1",
        "/settings",
    ] {
        let answer = browser.get(path).await;
        let header = |name: &str| {
            answer
                .headers
                .get(name)
                .map_or("", |v| v.to_str().unwrap())
                .to_owned()
        };
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"),
            "{path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(
            header("cross-origin-opener-policy"),
            "same-origin",
            "{path}"
        );
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-correlation-id").len(), 36, "{path}");
        // Nothing that the policy would refuse.
        for inline in [" style=", "<style", "onclick=", "<script>"] {
            assert!(!answer.text.contains(inline), "{path} has {inline}");
        }
    }
    let missing = browser.get("/nothing").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(
        missing.text.contains("There is no such page") && missing.text.contains("correlation id")
    );
    let page = browser.get("/").await;
    let style = page.between("rel=\"stylesheet\" href=\"", "\"").to_owned();
    let file = browser.get(&style).await;
    assert_eq!(file.status, StatusCode::OK);
    assert!(
        file.headers["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    let other = browser.get("/assets/0000/catalog.css").await;
    assert_eq!(other.headers["cache-control"], "no-cache");
    for outside in [
        "/assets/0/..%2fCargo.toml",
        "/assets/0/../mod.rs",
        "/assets/0/%2fetc%2fpasswd",
    ] {
        assert_eq!(
            browser.get(outside).await.status,
            StatusCode::NOT_FOUND,
            "{outside}"
        );
    }
}

#[tokio::test]
async fn cookies_are_for_the_site_alone() {
    let service = browser::service_on_file().await;
    organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
    let mut browser = Browser::new(&service);
    let answer = browser.sign_in("owner@acme.example", PASSWORD, "/").await;
    let session = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .find(|line| line.starts_with("silhouette-session="))
        .unwrap();
    assert!(
        session.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{session}"
    );
}

#[tokio::test]
async fn what_changes_something_needs_the_forms_token_and_our_origin() {
    on_each(async |store| {
        let service = service(store);
        let acme = organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&service.store, &acme, "edge").await;
        let now = Millis::now();
        let api = collector
            .push_new(&service.store, "books.example.com", 1, &books(), now)
            .await;
        let mut browser = Browser::new(&service);
        browser.sign_in("owner@acme.example", PASSWORD, "/").await;
        let hide = format!("/apis/{api}/hide");
        let other = {
            let mut other = Browser::new(&service);
            other.sign_in("owner@acme.example", PASSWORD, "/").await;
            other.csrf().await
        };
        for token in ["", "x", other.as_str()] {
            let answer = browser.send("POST", &hide, &[("csrf", token)], &[]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{token:?}");
            let answer = browser
                .send("POST", &hide, &[], &[("x-csrf-token", token)])
                .await;
            assert_eq!(
                answer.status,
                StatusCode::FORBIDDEN,
                "{token:?} in a header"
            );
        }
        let token = browser.csrf().await;
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let answer = browser
                .send("POST", &hide, &[("csrf", &token)], &[foreign])
                .await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{foreign:?}");
        }
        assert!(
            browser.get("/discovery").await.text.contains(api.as_str()),
            "it is not hidden yet"
        );
        let answer = browser
            .send(
                "POST",
                &hide,
                &[("csrf", &token)],
                &[("sec-fetch-site", "same-origin")],
            )
            .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert!(!browser.get("/discovery").await.text.contains(api.as_str()));
        assert!(
            browser
                .get("/discovery?hidden=yes")
                .await
                .text
                .contains(api.as_str())
        );
        // Nothing changes by being looked at.
        assert_eq!(
            browser.get(&hide).await.status,
            StatusCode::METHOD_NOT_ALLOWED
        );
        // A form to sign in is ours too.
        let mut fresh = Browser::new(&service);
        let login = [
            ("email", "owner@acme.example"),
            ("password", PASSWORD),
            ("csrf", "x"),
        ];
        assert_eq!(
            fresh.send("POST", "/sign-in", &login, &[]).await.status,
            StatusCode::FORBIDDEN
        );
    })
    .await;
}

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

#[tokio::test]
async fn each_role_sees_and_does_what_it_may() {
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
        user(
            &service.store,
            &service.door,
            &acme,
            "analyst@acme.example",
            "security-analyst",
        )
        .await;
        let mut browser = Browser::new(&service);
        browser.sign_in("analyst@acme.example", PASSWORD, "/").await;
        let page = browser.get("/discovery").await.text;
        assert!(
            page.contains("books.example.com") && !page.contains("name=\"api\""),
            "it looks, it does not choose"
        );
        for hidden in ["href=\"/audit\"", "/discovery/link"] {
            assert!(!page.contains(hidden), "{hidden}");
        }
        let profile = browser.get("/settings").await.text;
        assert!(!profile.contains("/settings/users") && profile.contains("/settings/keys"));
        for path in [
            "/audit".to_owned(),
            "/settings/users".to_owned(),
            "/settings/roles".to_owned(),
            "/targets/new".to_owned(),
            format!("/discovery/link?api={api}"),
        ] {
            let answer = browser.get(&path).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
            assert!(
                answer.text.contains("this needs the permission")
                    || answer.text.contains("This needs the permission"),
                "{path}: {}",
                answer.text
            );
        }
        for (path, fields) in [
            (format!("/apis/{api}/hide"), vec![]),
            (format!("/apis/{api}/rename"), vec![("name", "x")]),
            ("/discovery/targets".to_owned(), vec![("api", api.as_str())]),
            (
                "/targets/new".to_owned(),
                vec![("url", "https://a.example")],
            ),
            ("/settings/organisation".to_owned(), vec![("name", "Mine")]),
            (
                "/settings/roles".to_owned(),
                vec![("name", "Mine"), ("permission", "users:manage")],
            ),
        ] {
            let answer = browser.post(&path, &fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn another_organisation_is_not_there() {
    on_each(async |store| {
        let service = service(store);
        let now = Millis::now();
        let acme = organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
        let other = organisation(
            &service.store,
            &service.door,
            "Other",
            "owner@other.example",
        )
        .await;
        let collector = Collector::of(&service.store, &other, "their edge").await;
        let api = collector
            .push_new(&service.store, "books.example.com", 1, &books(), now)
            .await;
        let targets = create_targets(&service.store, &other, std::slice::from_ref(&api), now)
            .await
            .unwrap();
        set_hidden(&service.store, &acme, std::slice::from_ref(&api), true, now)
            .await
            .unwrap_err();
        let target = &targets[0].id;
        let mut theirs = Browser::new(&service);
        theirs.sign_in("owner@other.example", PASSWORD, "/").await;
        let revisions = theirs.get(&format!("/apis/{api}/revisions")).await.text;
        let revision = browser::after(&revisions, "name=\"new\" value=\"").to_owned();
        let mut browser = Browser::new(&service);
        browser.sign_in("owner@acme.example", PASSWORD, "/").await;
        for path in [
            "/",
            "/discovery?hidden=yes",
            "/catalog?hidden=yes",
            "/targets",
            "/audit",
            "/settings/users",
        ] {
            let text = browser.get(path).await.text;
            for theirs in [
                "books.example.com",
                "their edge",
                "owner@other.example",
                api.as_str(),
            ] {
                assert!(!text.contains(theirs), "{path} has {theirs}");
            }
        }
        for path in [
            format!("/apis/{api}"),
            format!("/apis/{api}/schema"),
            format!("/apis/{api}/revisions"),
            format!("/apis/{api}/revisions/{revision}/document.json"),
            format!("/apis/{api}/diff?old={revision}&new={revision}"),
            format!("/apis/{api}/drift"),
            format!("/apis/{api}/callers"),
            format!("/apis/{api}/rename"),
            format!("/catalog/{api}/endpoints"),
            format!("/discovery/link?api={api}"),
            format!("/targets/{target}/edit"),
            format!("/targets/{target}/delete"),
        ] {
            assert_eq!(
                browser.get(&path).await.status,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        for (path, fields) in [
            (format!("/apis/{api}/hide"), vec![]),
            (format!("/apis/{api}/unlink"), vec![]),
            (format!("/apis/{api}/rename"), vec![("name", "mine")]),
            (
                "/discovery/link".to_owned(),
                vec![("api", api.as_str()), ("target", target.as_str())],
            ),
            ("/discovery/targets".to_owned(), vec![("api", api.as_str())]),
            (
                format!("/targets/{target}/edit"),
                vec![("name", "mine"), ("url", "https://mine.example")],
            ),
            (format!("/targets/{target}/delete"), vec![("unlink", "yes")]),
            (
                "/organisation".to_owned(),
                vec![("organisation", other.organisation.as_str())],
            ),
        ] {
            assert_eq!(
                browser.post(&path, &fields).await.status,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn users_roles_and_keys_are_managed_on_the_pages() {
    on_each(async |store| {
        let service = service(store);
        organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
        let mut browser = Browser::new(&service);
        browser.sign_in("owner@acme.example", PASSWORD, "/").await;
        let made = browser
            .post(
                "/settings/users",
                &[
                    ("email", "ada@acme.example"),
                    ("name", "Ada"),
                    ("role", "administrator"),
                ],
            )
            .await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.text);
        let password = browser::after(&made.text, "data-test=\"secret-value\">").to_owned();
        assert!(
            !browser
                .get("/settings/users")
                .await
                .text
                .contains(&password),
            "shown once"
        );
        let again = browser
            .post(
                "/settings/users",
                &[("email", "ada@acme.example"), ("role", "owner")],
            )
            .await;
        assert_eq!(again.status, StatusCode::CONFLICT);

        // Who was invited chooses a password of their own first.
        let mut ada = Browser::new(&service);
        assert_eq!(
            ada.sign_in("ada@acme.example", &password, "/discovery")
                .await
                .status,
            StatusCode::SEE_OTHER
        );
        assert_eq!(ada.get("/discovery").await.location(), "/settings");
        assert!(
            ada.get("/settings")
                .await
                .text
                .contains("data-test=\"must-change\"")
        );
        let unlike = ada
            .post(
                "/settings/password",
                &[
                    ("current", &password),
                    ("new", "a new one of mine"),
                    ("again", "another of mine"),
                ],
            )
            .await;
        assert_eq!(unlike.status, StatusCode::UNPROCESSABLE_ENTITY);
        let short = ada
            .post(
                "/settings/password",
                &[("current", &password), ("new", "short"), ("again", "short")],
            )
            .await;
        assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
        let changed = ada
            .post(
                "/settings/password",
                &[
                    ("current", &password),
                    ("new", "cedar walnut 7 lamp"),
                    ("again", "cedar walnut 7 lamp"),
                ],
            )
            .await;
        assert_eq!(changed.location(), "/settings", "{}", changed.text);
        assert_eq!(ada.get("/discovery").await.status, StatusCode::OK);

        let role = browser
            .post(
                "/settings/roles",
                &[("name", "Reader"), ("permission", "apis:view")],
            )
            .await;
        assert_eq!(role.location(), "/settings/roles", "{}", role.text);
        assert!(
            browser
                .get("/settings/roles")
                .await
                .text
                .contains("value=\"Reader\"")
        );
        let nothing = browser.post("/settings/roles", &[("name", "Nobody")]).await;
        assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);

        let key = browser
            .post("/settings/keys", &[("name", "nightly"), ("days", "30")])
            .await;
        let secret = browser::after(&key.text, "data-test=\"secret-value\">").to_owned();
        assert!(secret.starts_with("slk_"), "{secret}");
        let list = browser.get("/settings/keys").await.text;
        assert!(list.contains("nightly") && !list.contains(&secret));
        let id = browser::after(&list, "action=\"/settings/keys/")
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(
            browser
                .post(&format!("/settings/keys/{id}/revoke"), &[])
                .await
                .location(),
            "/settings/keys"
        );
        assert!(browser.get("/settings/keys").await.text.contains("revoked"));

        let users = browser.get("/settings/users").await.text;
        let ada_id = browser::after(&users, "action=\"/settings/users/")
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        browser
            .post(
                &format!("/settings/users/{ada_id}/active"),
                &[("active", "false")],
            )
            .await;
        assert_eq!(
            ada.get("/discovery").await.status,
            StatusCode::SEE_OTHER,
            "out at once"
        );
        let log = browser.get("/audit").await.text;
        for action in [
            "user.invite",
            "role.create",
            "key.create",
            "user.deactivate",
        ] {
            assert!(log.contains(action), "{action}");
        }
        assert!(!log.contains(&secret) && !log.contains(&password));
    })
    .await;
}

#[tokio::test]
async fn light_and_dark_are_remembered() {
    let service = browser::service_on_file().await;
    organisation(&service.store, &service.door, "Acme", "owner@acme.example").await;
    let mut browser = Browser::new(&service);
    browser.sign_in("owner@acme.example", PASSWORD, "/").await;
    assert!(!browser.get("/").await.text.contains("data-theme"));
    let answer = browser
        .post(
            "/theme",
            &[("theme", "dark"), ("back", "https://evil.example")],
        )
        .await;
    assert_eq!(answer.location(), "/");
    assert!(browser.get("/").await.text.contains("data-theme=\"dark\""));
    browser
        .post("/theme", &[("theme", ""), ("back", "/catalog")])
        .await;
    assert!(!browser.get("/").await.text.contains("data-theme"));
}
