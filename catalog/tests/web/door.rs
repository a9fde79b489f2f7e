//! Who gets in, and what every answer and every form has.

use http::StatusCode;
use silhouette_catalog::Millis;

use crate::browser::{self, Browser, service};
use crate::documents::{Collector, books};
use crate::people::{PASSWORD, organisation};
use crate::stores::on_each;

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
async fn the_type_of_a_problem_leads_to_what_it_means() {
    let service = browser::service_on_file().await;
    let mut browser = Browser::new(&service);
    for kind in silhouette_catalog::problems::KINDS {
        let page = browser.get(&format!("/problems/{}", kind.name)).await;
        assert_eq!(page.status, StatusCode::OK, "{}", kind.name);
        assert!(
            page.text.contains(kind.title) && page.text.contains(&kind.status.to_string()),
            "{}",
            page.text
        );
        assert!(!page.text.contains('`'), "{}", page.text);
    }
    let all = browser.get("/problems").await;
    assert!(all.text.contains("/problems/busy") && all.text.contains("/problems/token-expired"));
    assert_eq!(
        browser.get("/problems/none").await.status,
        StatusCode::NOT_FOUND
    );
}
