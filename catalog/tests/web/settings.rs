//! Who sees and does what: roles, organisations, users, keys.

use http::StatusCode;
use silhouette_catalog::Millis;
use silhouette_catalog::inventory::{create_targets, set_hidden};

use crate::browser::{self, Browser, service};
use crate::documents::{Collector, books};
use crate::people::{PASSWORD, organisation, user};
use crate::stores::on_each;

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
