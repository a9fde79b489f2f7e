//! The REST API: what holds for all operations, on both databases.

mod caller;
mod people;
mod stores;

use std::collections::BTreeMap;

use caller::Api;
use serde_json::{Value, json};
use silhouette_catalog::rest;
use stores::on_each;

/// An organisation with an owner, and a key of the owner.
async fn owned(api: &Api, name: &str) -> String {
    let store = &api.app.store;
    let email = format!("owner@{}.example", name.to_lowercase());
    let machine = people::organisation(store, &api.app.door, name, &format!("first.{email}")).await;
    let owner = people::user(store, &api.app.door, &machine, &email, "owner").await;
    api.key(&owner).await
}

/// Every operation of every document, with ids that are nobody's in its path.
fn everything() -> Vec<(String, String)> {
    let id = "0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b";
    let mut all = Vec::new();
    for (_, document) in rest::documents() {
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                let mut concrete = String::new();
                for piece in path.split('/').skip(1) {
                    concrete.push('/');
                    concrete.push_str(if piece.starts_with('{') { id } else { piece });
                }
                all.push((method.to_uppercase(), concrete));
            }
        }
    }
    all
}

#[tokio::test]
async fn nothing_is_answered_without_a_key() {
    on_each(async |store| {
        let api = Api::new(&store);
        for (method, path) in everything() {
            let answer = api.raw((&method, &path), &[], "").await;
            let problem = answer.problem(401, "unauthenticated");
            assert!(
                problem["detail"].as_str().unwrap().contains("X-Auth"),
                "{method} {path}: {problem}"
            );
            assert!(answer.header("www-authenticate").starts_with("xAuth"));
        }
    })
    .await;
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    on_each(async |store| {
        let api = Api::new(&store);
        let key = owned(&api, "Acme").await;
        for (path, status) in [
            ("/api/v1/me", 200),
            ("/api/v1/nothing", 404),
            ("/api", 404),
            ("/api/v1/users?x=1", 400),
        ] {
            let headers = [("x-auth", key.as_str()), ("x-correlation-id", "build-4711")];
            let answer = api.raw(("GET", path), &headers, "").await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("x-correlation-id"), "build-4711");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert!(
                answer
                    .header("content-security-policy")
                    .starts_with("default-src 'none'")
            );
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        let answer = api
            .raw(("DELETE", "/api/v1/me"), &[("x-auth", &key)], "")
            .await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), "GET,HEAD,PUT");
        let preflight = [
            ("origin", "https://evil.example"),
            ("access-control-request-method", "GET"),
        ];
        let answer = api.raw(("OPTIONS", "/api/v1/me"), &preflight, "").await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    })
    .await;
}

#[tokio::test]
async fn keys_that_do_not_work_are_refused_and_counted() {
    on_each(async |store| {
        let api = Api::new(&store);
        let key = owned(&api, "Acme").await;
        assert_eq!(api.get(&key, "/api/v1/me").await.status, 200);
        let mut last = 401;
        for _ in 0..40 {
            let answer = api.get("slk_unknown", "/api/v1/me").await;
            last = answer.status.as_u16();
            if last == 429 {
                answer.problem(429, "too-many-requests");
                assert!(!answer.header("retry-after").is_empty());
                break;
            }
            answer.problem(401, "unauthenticated");
        }
        assert_eq!(last, 429);
        // A key that was good lately is not kept waiting by others' tries.
        assert_eq!(api.get(&key, "/api/v1/me").await.status, 200);
    })
    .await;
}

/// What an organisation can have, made through the API: the ids by the names they have in paths.
async fn furnished(api: &Api, key: &str) -> BTreeMap<&'static str, String> {
    let post = async |path: &str, body: Value| {
        let made = api.send(key, "POST", path, &body).await;
        assert!(made.status.is_success(), "{path}: {}", made.json());
        made.json()
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let me = api.get(key, "/api/v1/me").await.json();
    let keys = api.get(key, "/api/v1/keys").await.json();
    let permissions = json!(["apis:view"]);
    let role = post(
        "/api/v1/roles",
        json!({"name": "Reader", "permissions": permissions}),
    )
    .await;
    let uploads = post(
        "/api/v1/sources",
        json!({"name": "Uploads", "kind": "upload"}),
    )
    .await;
    let analyzer = json!({"name": "Edge", "kind": "traffic-analyzer"});
    let analyzer = text(&post("/api/v1/sources", analyzer).await["id"]);
    let token = post(&format!("/api/v1/sources/{analyzer}/tokens"), Value::Null).await;
    let document = "openapi: 3.1.0\ninfo: {title: Shop, version: '1'}\nservers: [{url: 'https://shop.example/v1'}]\n\
        paths: {/books: {get: {responses: {'200': {description: ok}}}}}\n";
    let import = json!({"sourceId": uploads["id"], "text": document});
    let imported = post("/api/v1/imports", import).await;
    let revision = text(&imported["revisionId"]);
    let definition = api
        .get(key, &format!("/api/v1/revisions/{revision}"))
        .await
        .json();
    let target = post("/api/v1/targets", json!({"url": "https://shop.example"})).await;
    let place =
        json!({"physicalLocation": {"artifactLocation": {"uri": "https://shop.example/v1/books"}}});
    let result = json!({"ruleId": "1", "message": {"text": "found"}, "locations": [place]});
    let run = json!({"tool": {"driver": {"name": "ZAP"}}, "results": [result]});
    let scan = post("/api/v1/scans", json!({"version": "2.1.0", "runs": [run]})).await;
    let findings = api.get(key, "/api/v1/findings").await.json();
    BTreeMap::from([
        ("userId", text(&me["userId"])),
        ("organisationId", text(&me["organisation"]["id"])),
        ("keyId", text(&keys["items"][0]["id"])),
        ("roleId", text(&role["id"])),
        ("sourceId", analyzer),
        ("tokenId", text(&token["id"])),
        (
            "collectorId",
            "0198c5a2-7d3e-7b1a-9f04-5c6d7e8f9a0b".to_owned(),
        ),
        ("apiId", text(&imported["apiId"])),
        ("definitionId", text(&definition["definitionId"])),
        ("revisionId", revision.clone()),
        ("otherId", revision),
        ("targetId", text(&target["id"])),
        ("scanId", text(&scan["items"][0]["scan"]["id"])),
        ("findingId", text(&findings["items"][0]["id"])),
    ])
}

/// A body that is right in form, with ids of the same organisation as those in the path.
fn body_for(operation: &str, ids: &BTreeMap<&'static str, String>) -> Value {
    match operation {
        "setRoleOfUser" => json!({"role": "owner"}),
        "setUserActive" => json!({"active": false}),
        "updateRole" => json!({"name": "Mine", "permissions": ["apis:view"]}),
        "updateOrganisation" | "renameApi" => json!({"name": "Mine"}),
        "updateSource" | "moveDefinition" => json!({}),
        "setApiHidden" => json!({"hidden": true}),
        "linkApi" => json!({"targetId": ids["targetId"]}),
        "linkApis" => json!({"apiIds": [ids["apiId"]], "targetId": ids["targetId"]}),
        "unlinkApis" | "createTargetsForApis" | "hideApis" | "showApis" => {
            json!({"apiIds": [ids["apiId"]]})
        }
        "updateTarget" => json!({"name": "Mine", "url": "https://shop.example"}),
        "importDocument" => {
            json!({"sourceId": ids["sourceId"], "text": "openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths: {}\n"})
        }
        _ => Value::Null,
    }
}

#[tokio::test]
async fn organisations_are_separate_worlds() {
    on_each(async |store| {
        let api = Api::new(&store);
        let (acme, other) = (owned(&api, "Acme").await, owned(&api, "Other").await);
        let ids = furnished(&api, &other).await;
        let mut tried = 0;
        for (_, document) in rest::documents() {
            for (path, item) in document["paths"].as_object().unwrap() {
                for (method, operation) in item.as_object().unwrap() {
                    let id = operation["operationId"].as_str().unwrap();
                    let body = body_for(id, &ids);
                    if !path.contains('{') && body.is_null() {
                        continue;
                    }
                    let mut concrete = path.clone();
                    for (name, value) in &ids {
                        concrete = concrete.replace(&format!("{{{name}}}"), value);
                    }
                    assert!(!concrete.contains('{'), "{path}: no id for it");
                    let method = method.to_uppercase();
                    let answer = api.send(&acme, &method, &concrete, &body).await;
                    assert_eq!(
                        answer.status,
                        404,
                        "{id}: {}",
                        String::from_utf8_lossy(&answer.bytes)
                    );
                    answer.problem(404, "not-found");
                    tried += 1;
                }
            }
        }
        assert!(tried > 50, "{tried}");
        // Nothing of it was done.
        assert_eq!(furnished_still(&api, &other, &ids).await, 0);
        let organisation = [
            ("x-auth", acme.as_str()),
            ("x-invicti-organizationid", &ids["organisationId"]),
        ];
        api.raw(("GET", "/api/v1/me"), &organisation, "")
            .await
            .problem(404, "not-found");
        let user = [
            ("x-auth", acme.as_str()),
            ("x-invicti-userid", &ids["userId"]),
        ];
        api.raw(("GET", "/api/v1/me"), &user, "")
            .await
            .problem(404, "not-found");
        for list in [
            "organisations",
            "users",
            "apis",
            "targets",
            "sources",
            "scans",
            "findings",
            "roles?builtIn=false",
        ] {
            let page = api.get(&acme, &format!("/api/v1/{list}")).await.json();
            let own = match list {
                "organisations" => 1,
                "users" => 2,
                _ => 0,
            };
            assert_eq!(page["pageInfo"]["totalCount"], own, "{list}: {page}");
        }
        for filter in ["sourceId", "targetId"] {
            let path = format!("/api/v1/apis?{filter}={}", ids[filter]);
            assert_eq!(
                api.get(&acme, &path).await.json()["pageInfo"]["totalCount"],
                0
            );
        }
    })
    .await;
}

/// How many of the things an organisation had are no longer as they were.
async fn furnished_still(api: &Api, key: &str, ids: &BTreeMap<&'static str, String>) -> usize {
    let mut gone = 0;
    for (path, field, value) in [
        (format!("/api/v1/apis/{}", ids["apiId"]), "name", "Shop"),
        (
            format!("/api/v1/targets/{}", ids["targetId"]),
            "name",
            "shop.example",
        ),
        (format!("/api/v1/roles/{}", ids["roleId"]), "name", "Reader"),
        (
            format!("/api/v1/sources/{}", ids["sourceId"]),
            "name",
            "Edge",
        ),
    ] {
        let found = api.get(key, &path).await.json();
        if found[field] != value {
            println!("{path}: {found}");
            gone += 1;
        }
    }
    gone
}

#[tokio::test]
async fn who_acts_for_another_may_do_what_both_may() {
    on_each(async |store| {
        let api = Api::new(&store);
        let key = owned(&api, "Acme").await;
        let invited = api
            .send(
                &key,
                "POST",
                "/api/v1/users",
                &json!({"email": "Analyst@Acme.example", "role": "security-analyst"}),
            )
            .await;
        assert_eq!(invited.status, 201);
        let body = invited.json();
        assert!(body["password"].as_str().unwrap().len() > 20);
        let analyst = body["id"].as_str().unwrap();
        assert_eq!(
            invited.header("location"),
            format!("/api/v1/users/{analyst}")
        );
        let headers = [("x-auth", key.as_str()), ("x-invicti-userid", analyst)];
        let me = api.raw(("GET", "/api/v1/me"), &headers, "").await.json();
        assert_eq!(
            (&me["email"], &me["userId"]),
            (&json!("analyst@acme.example"), &json!(analyst))
        );
        let refused = api
            .raw(("GET", "/api/v1/users"), &headers, "")
            .await
            .problem(403, "forbidden");
        assert!(
            refused["detail"].as_str().unwrap().contains("View users"),
            "{refused}"
        );
        let log = api
            .get(&key, "/api/v1/audit-log?action=user.invite&text=analyst")
            .await
            .json();
        assert_eq!(log["pageInfo"], json!({"totalCount": 1, "totalPages": 1}));
    })
    .await;
}

#[tokio::test]
async fn pages_filters_and_orders() {
    on_each(async |store| {
        let api = Api::new(&store);
        let key = owned(&api, "Acme").await;
        for name in ["beta", "Alpha", "gamma 100%", "delta"] {
            let role = json!({"name": name, "permissions": ["apis:view", "apis:view"]});
            assert_eq!(
                api.send(&key, "POST", "/api/v1/roles", &role).await.status,
                201
            );
        }
        let names = async |query: &str| {
            let page = api
                .get(&key, &format!("/api/v1/roles?builtIn=false&{query}"))
                .await
                .json();
            let names: Vec<String> = page["items"]
                .as_array()
                .unwrap_or_else(|| panic!("{query}: {page}"))
                .iter()
                .map(|role| role["name"].as_str().unwrap().to_owned())
                .collect();
            (names.join(" "), page["pageInfo"].to_string())
        };
        let info =
            |count: u64, pages: u64| format!(r#"{{"totalCount":{count},"totalPages":{pages}}}"#);
        assert_eq!(
            names("sort=name").await,
            ("Alpha beta delta gamma 100%".to_owned(), info(4, 1))
        );
        assert_eq!(
            names("sort=-name&pageSize=3").await,
            ("gamma 100% delta beta".to_owned(), info(4, 2))
        );
        assert_eq!(
            names("sort=name&pageSize=3&pageNumber=2").await,
            ("gamma 100%".to_owned(), info(4, 2))
        );
        assert_eq!(
            names("pageNumber=4294967295").await,
            (String::new(), info(4, 1))
        );
        assert_eq!(
            names("text=00%25").await,
            ("gamma 100%".to_owned(), info(1, 1))
        );
        assert_eq!(names("text=%25a%25").await, (String::new(), info(0, 0)));
        for (query, field) in [
            ("pageSize=0", "pageSize"),
            ("pageSize=201", "pageSize"),
            ("pageNumber=0", "pageNumber"),
            ("pageNumber=1&pageNumber=2", "pageNumber"),
            ("sort=users;DROP TABLE users", "sort"),
            ("sort=--name", "sort"),
            ("text=%00", "text"),
            ("text=%FF%FE", "text"),
            ("builtIn=yes", "builtIn"),
            ("nothing=1", "nothing"),
        ] {
            let path = format!("/api/v1/roles?{}", query.replace(' ', "%20"));
            let problem = api.get(&key, &path).await.problem(400, "invalid-parameter");
            assert_eq!(problem["field"], field, "{problem}");
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_that_cannot_be_taken_are_refused_with_their_field() {
    on_each(async |store| {
        let api = Api::new(&store);
        let key = owned(&api, "Acme").await;
        let post = async |kind: &str, body: &[u8]| {
            let headers = [("x-auth", key.as_str()), ("content-type", kind)];
            api.raw(("POST", "/api/v1/roles"), &headers, body.to_vec())
                .await
        };
        let json = "application/json; charset=utf-8";
        let long = "x".repeat(101);
        for (body, status, name, field) in [
            (&b""[..], 400, "malformed-body", None),
            (b"{", 400, "malformed-body", None),
            (b"\xff\xfe", 400, "malformed-body", None),
            (
                br#"{"name":"a\u0000","permissions":["apis:view"]}"#,
                400,
                "malformed-body",
                None,
            ),
            (b"[]", 422, "invalid-field", None),
            (b"{}", 422, "invalid-field", Some("name")),
            (
                br#"{"name":1,"permissions":[]}"#,
                422,
                "invalid-field",
                Some("name"),
            ),
            (
                br#"{"name":"","permissions":["apis:view"]}"#,
                422,
                "invalid-field",
                Some("name"),
            ),
            (
                br#"{"name":"a","permissions":["apis:view"],"admin":true}"#,
                422,
                "invalid-field",
                Some("admin"),
            ),
            (
                br#"{"name":"a","permissions":["apis:view","root"]}"#,
                422,
                "invalid-field",
                Some("permissions[1]"),
            ),
            (
                br#"{"name":"a","permissions":[]}"#,
                422,
                "invalid-field",
                Some("permissions"),
            ),
            (
                format!(r#"{{"name":"{long}","permissions":["apis:view"]}}"#).as_bytes(),
                422,
                "invalid-field",
                Some("name"),
            ),
            (
                br#"{"name":"Owner","permissions":["apis:view"]}"#,
                409,
                "name-taken",
                Some("name"),
            ),
        ] {
            let answer = post(json, body).await;
            let problem = answer.problem(status, name);
            assert_eq!(problem["field"].as_str(), field, "{problem}");
        }
        for kind in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonish",
        ] {
            post(kind, b"{}")
                .await
                .problem(415, "unsupported-media-type");
        }
        let large = vec![b' '; (1 << 20) + 1];
        post(json, &large).await.problem(413, "too-large");
        // Markup and SQL are text like any other.
        for name in [
            "<script>alert(1)</script>",
            "'; DROP TABLE roles; --",
            "Ünïcödé 🦀",
        ] {
            let role = json!({"name": name, "permissions": ["apis:view"]});
            let made = api.send(&key, "POST", "/api/v1/roles", &role).await;
            assert_eq!(
                (made.status.as_u16(), &made.json()["name"]),
                (201, &json!(name))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn paths_that_are_no_ids_are_not_found() {
    on_each(async |store| {
        let api = Api::new(&store);
        let key = owned(&api, "Acme").await;
        for id in [
            "1",
            "..%2f..%2fetc%2fpasswd",
            "'%20OR%201=1%20--",
            "%00",
            &"9".repeat(4000),
        ] {
            api.get(&key, &format!("/api/v1/users/{id}"))
                .await
                .problem(404, "not-found");
            api.get(&key, &format!("/api/v1/roles/{id}"))
                .await
                .problem(404, "not-found");
        }
        let problem = api
            .get(&key, "/api/v1/users/%ff%fe")
            .await
            .problem(400, "invalid-parameter");
        assert_eq!(problem["field"], "userId");
    })
    .await;
}

#[tokio::test]
async fn the_documents_and_swagger_ui_need_nothing_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("catalog.db").display());
    let store = silhouette_catalog::store::Store::open(&url, 2)
        .await
        .unwrap();
    let api = Api::new(&store);
    let page = api.get("", "/swagger/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'self'")
    );
    let text = String::from_utf8(page.bytes).unwrap();
    assert!(
        !text.contains("http:") && !text.contains("https:"),
        "{text}"
    );
    for file in text
        .split('"')
        .filter(|piece| piece.ends_with(".js") || piece.ends_with(".css"))
    {
        let answer = api.get("", &format!("/swagger/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.bytes.is_empty());
    }
    let start = api.get("", "/swagger/swagger-initializer.js").await;
    let start = String::from_utf8(start.bytes).unwrap();
    for definition in rest::DEFINITIONS {
        assert!(start.contains(definition.title), "{start}");
        let document = api
            .get("", &format!("/openapi/{}.json", definition.name))
            .await;
        assert_eq!(document.json()["info"]["title"], definition.title);
        assert!(
            start.contains(&format!("../openapi/{}.json", definition.name)),
            "{start}"
        );
    }
    assert!(!start.contains("petstore"), "{start}");
    // The only layout that has the drop-down.
    assert!(start.contains("\"StandaloneLayout\""), "{start}");
    api.get("", "/swagger/nothing.js")
        .await
        .problem(404, "not-found");
}
