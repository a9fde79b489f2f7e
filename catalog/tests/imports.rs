//! Documents that people bring, and what they say against the traffic, on both databases.

mod documents;
mod people;
mod stores;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use documents::{Collector, document, observed, source};
use people::{at, door, organisation, user};
use silhouette_catalog::Refusal;
use silhouette_catalog::access::Actor;
use silhouette_catalog::bodies::{self, Bodies};
use silhouette_catalog::ids::{ApiId, SourceId};
use silhouette_catalog::imports::{self, FetchRules, Imported, Outcome, Upload, fetch};
use silhouette_catalog::inventory::{self, *};
use silhouette_catalog::store::{Direction, Page, Store};
use stores::on_each;

fn upload(source: &SourceId, name: &str, text: impl Into<Bytes>) -> Upload {
    Upload {
        source: source.clone(),
        name: name.to_owned(),
        text: text.into(),
        base_url: None,
        fetched_from: None,
        join: Join::Fitting,
        limit: 1 << 20,
    }
}

async fn import(
    store: &Store,
    actor: &Actor,
    upload: Upload,
    seconds: i64,
) -> Result<Imported, Refusal> {
    // Handlers need what they wait for to be Send.
    fn send<T: Send>(value: T) -> T {
        value
    }
    send(imports::document(store, actor, upload, at(seconds))).await
}

fn api_of(imported: &Imported) -> ApiId {
    imported.kept.clone().unwrap().0
}

async fn drifts(store: &Store, actor: &Actor, api: &ApiId) -> Vec<(DriftClass, String)> {
    let page = inventory::drift(store, actor, api, None, None, Page::default())
        .await
        .unwrap();
    page.items
        .into_iter()
        .map(|d| (d.class, format!("{} {}", d.method, d.path)))
        .collect()
}

#[tokio::test]
async fn documents_of_all_kinds_are_taken() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let source = source(&store, &acme, "Uploads", "upload").await;
        let check = async |text: &str, expected: &str| {
            let imported = import(&store, &acme, upload(&source, "", text.to_owned()), 1).await.unwrap();
            assert_eq!(imported.outcome, Outcome::Created, "{text}");
            let api = inventory::api(&store, &acme, &api_of(&imported)).await.unwrap();
            let of = definitions(&store, &acme, &api.id).await.unwrap().remove(0);
            assert_eq!(format!("{} {} {}", api.base_url, of.specification, of.operations), expected);
            imported
        };
        check(
            "swagger: '2.0'\ninfo: {title: Pets, version: 1.0.0}\nhost: pets.example\nbasePath: /v2\nschemes: [https]\npaths:\n  /pets:\n    get: {responses: {'200': {description: OK}}}\n",
            "https://pets.example/v2 Swagger 2.0 1",
        )
        .await;
        check(
            r#"{"openapi":"3.0.3","info":{"title":"A","version":"1"},"servers":[{"url":"https://{region}.a.example","variables":{"region":{"default":"eu"}}}],"paths":{"/x":{"get":{"responses":{"200":{"description":"OK"}}}}}}"#,
            "https://eu.a.example OpenAPI 3.0 1",
        )
        .await;
        // Odd, and taken: a remote reference, a parameter that is not declared, a name twice.
        let odd = check(
            "{\"openapi\":\"3.1.0\",\n\"info\":{\"title\":\"Odd\",\"title\":\"Odd\",\"version\":\"1\"},\n\"servers\":[{\"url\":\"https://odd.example\"}],\n\"paths\":{\"/x/{id}\":{\"get\":{\"responses\":{\"200\":{\"$ref\":\"http://127.0.0.1:1/r.json\"}}}}}}",
            "https://odd.example OpenAPI 3.1 1",
        )
        .await;
        let shown: Vec<String> = odd.warnings.iter().map(|w| format!("{}: {}", w.line, w.message)).collect();
        assert!(shown.iter().any(|w| w.starts_with("2: ") && w.contains("twice")), "{shown:?}");
        assert!(shown.iter().any(|w| w.starts_with("4: ") && w.contains("`id`")), "{shown:?}");
        assert!(shown.iter().any(|w| w.contains("127.0.0.1:1")), "{shown:?}");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_taken_says_where_and_why() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let other = organisation(&store, &door, "Other", "owner@other.example").await;
        let analyst = user(&store, &door, &acme, "a@acme.example", "security-analyst").await;
        let source_id = source(&store, &acme, "Uploads", "upload").await;
        let check = async |text: Vec<u8>, expected: &str| {
            let error = import(&store, &acme, upload(&source_id, "x", text), 1).await.unwrap_err();
            assert!(matches!(error, Refusal::Invalid { field: "document" | "baseUrl", .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(b"{\"openapi\": \"3.1.0\",\n  ]".to_vec(), "line 2, column 3").await;
        check(b"openapi: 3.1.0\npaths:\n\t- x".to_vec(), "line 3").await;
        check(b"a: \xff".to_vec(), "not UTF-8: line 1, column 4").await;
        check(b"{}".to_vec(), "not an OpenAPI document").await;
        check(b"{\"swagger\":\"1.2\",\"apis\":[]}".to_vec(), "which is not read").await;
        let mut relative = document("/v1", &["GET /a"]);
        check(relative.to_string().into_bytes(), "does not say where the API stands").await;
        // YAML bombs and deep texts end, soon.
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let below = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 9].join(", "));
        }
        check(bomb.into_bytes(), "not an OpenAPI document").await;
        check(format!("{{\"x\":{}", "[".repeat(10_000)).into_bytes(), "it is not").await;
        // Recursion is data like any other.
        relative["servers"][0]["url"] = "https://deep.example".into();
        relative["components"] = serde_json::json!({ "schemas": { "A": { "$ref": "#/components/schemas/B" }, "B": { "$ref": "#/components/schemas/A" } } });
        let deep = format!("{}{}1{}}}", relative.to_string().trim_end_matches('}').to_owned() + "}}},\"x-deep\":", "[".repeat(10_000), "]".repeat(10_000));
        let imported = import(&store, &acme, upload(&source_id, "deep", deep), 1).await.unwrap();
        assert!(imported.warnings.iter().any(|w| w.message.contains("nested more than")), "{:?}", imported.warnings);

        let whole = document("https://h.example", &["GET /a"]).to_string();
        let mut large = upload(&source_id, "x", whole.clone());
        large.limit = 20;
        assert!(matches!(import(&store, &acme, large, 1).await, Err(Refusal::TooLarge { .. })));
        assert!(matches!(import(&store, &analyst, upload(&source_id, "x", whole.clone()), 1).await, Err(Refusal::Forbidden { .. })));
        assert!(matches!(import(&store, &other, upload(&source_id, "x", whole.clone()), 1).await, Err(Refusal::NotFound { what: "source", .. })));
        let theirs = source(&store, &other, "Uploads", "upload").await;
        let mut joining = upload(&theirs, "x", whole.clone());
        joining.join = Join::Api(api_of(&imported));
        assert!(matches!(import(&store, &other, joining, 1).await, Err(Refusal::NotFound { what: "API", .. })));
        let analyzer = source(&store, &acme, "Edge", "traffic-analyzer").await;
        assert!(matches!(import(&store, &acme, upload(&analyzer, "x", whole), 1).await, Err(Refusal::Conflict { code: "source-kind", .. })));
        let empty = document("https://h.example", &[]).to_string();
        let skipped = import(&store, &acme, upload(&source_id, "x", empty.clone()), 1).await.unwrap();
        assert!(matches!(&skipped.outcome, Outcome::Skipped { reason } if reason.contains("no operations")));
        assert_eq!(skipped.kept, None);
        sqlx::query("UPDATE sources SET exclude_empty = 0").execute(store.pool()).await.unwrap();
        let kept = import(&store, &acme, upload(&source_id, "x", empty), 1).await.unwrap();
        assert_eq!(kept.outcome, Outcome::Created);
    })
    .await;
}

#[tokio::test]
async fn seen_and_documented_meet_and_part() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let collector = Collector::of(&store, &acme, "edge").await;
        let uploads = source(&store, &acme, "Uploads", "upload").await;
        let traffic = observed(
            "https://h.example",
            &[
                "GET /v1/books",
                "GET /v1/books/{id}",
                "DELETE /v1/books/{id}",
                "GET /v2/stock",
            ],
            4,
        );
        let api = collector
            .push_new(&store, "h.example", 1, &traffic, at(1))
            .await;
        let v1 = document(
            "https://h.example/v1",
            &["GET /books", "!GET /books/{isbn}", "POST /books"],
        );
        let first = import(&store, &acme, upload(&uploads, "v1", v1.to_string()), 2)
            .await
            .unwrap();
        assert_eq!(
            api_of(&first),
            api,
            "the same server, one base path covers the other"
        );
        let found = inventory::api(&store, &acme, &api).await.unwrap();
        assert_eq!(
            (found.operations, found.observed, found.documented),
            (5, 4, 3)
        );
        assert_eq!(
            found.drift,
            DriftCounts {
                shadow: 2,
                zombie: 1,
                orphan: 1,
                contradictions: 0
            }
        );
        let drift = drifts(&store, &acme, &api).await;
        assert_eq!(
            drift,
            [
                (DriftClass::Shadow, "DELETE /v1/books/{id}".to_owned()),
                (DriftClass::Shadow, "GET /v2/stock".to_owned()),
                (DriftClass::Zombie, "GET /v1/books/{isbn}".to_owned()),
                (DriftClass::Orphan, "POST /v1/books".to_owned()),
            ]
        );
        let zombies = OperationFilter {
            drift: Some(DriftClass::Zombie),
            ..OperationFilter::default()
        };
        let list = operations(
            &store,
            &acme,
            &api,
            &zombies,
            OperationSort::Path,
            Direction::Ascending,
            Page::default(),
        );
        let zombie = list.await.unwrap().items.remove(0);
        assert_eq!(
            (
                zombie.path.as_str(),
                zombie.calls,
                zombie.observed,
                zombie.documented,
                zombie.deprecated
            ),
            ("/v1/books/{isbn}", Some(4), true, true, true)
        );
        assert_eq!(zombie.drift, Some(DriftClass::Zombie));

        // A second document takes a shadow away: one is a shadow only if no document has it.
        let v2 = document("https://h.example/v2", &["GET /stock"]);
        import(&store, &acme, upload(&uploads, "v2", v2.to_string()), 3)
            .await
            .unwrap();
        let drift = drifts(&store, &acme, &api).await;
        assert_eq!(
            drift
                .iter()
                .filter(|(class, _)| *class == DriftClass::Shadow)
                .count(),
            1,
            "{drift:?}"
        );
        // Traffic elsewhere takes an orphan away.
        let second = Collector::of(&store, &acme, "edge 2").await;
        let more = observed("http://h.example", &["POST /v1/books", "GET /v1/books"], 1);
        assert_eq!(
            second.push_new(&store, "h.example", 1, &more, at(4)).await,
            api
        );
        let drift = drifts(&store, &acme, &api).await;
        assert!(
            !drift.iter().any(|(class, _)| *class == DriftClass::Orphan),
            "{drift:?}"
        );
        let found = inventory::api(&store, &acme, &api).await.unwrap();
        let names: Vec<&str> = found.sources.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["edge", "edge 2", "Uploads"]);

        // The next revision under the same name; the same text is none.
        let again = import(&store, &acme, upload(&uploads, "v1", v1.to_string()), 5)
            .await
            .unwrap();
        assert_eq!(again.outcome, Outcome::Same);
        let fixed = document(
            "https://h.example/v1",
            &[
                "GET /books",
                "GET /books/{isbn}",
                "DELETE /books/{isbn}",
                "POST /books",
            ],
        );
        assert_eq!(
            import(&store, &acme, upload(&uploads, "v1", fixed.to_string()), 6)
                .await
                .unwrap()
                .outcome,
            Outcome::Created
        );
        assert_eq!(
            inventory::api(&store, &acme, &api).await.unwrap().drift,
            DriftCounts::default()
        );

        // Taken out into an API of its own, drift goes with it.
        let all = definitions(&store, &acme, &api).await.unwrap();
        let v2 = all.iter().find(|d| d.key == "v2").unwrap();
        let own = move_definition(&store, &acme, &v2.id, &Join::New, at(7))
            .await
            .unwrap();
        assert_eq!(
            inventory::api(&store, &acme, &own)
                .await
                .unwrap()
                .base_url
                .to_string(),
            "https://h.example/v2"
        );
        assert_eq!(
            inventory::api(&store, &acme, &api)
                .await
                .unwrap()
                .drift
                .shadow,
            1
        );
        assert!(matches!(
            move_definition(&store, &acme, &v2.id, &Join::New, at(8)).await,
            Err(Refusal::Conflict {
                code: "only-definition",
                ..
            })
        ));
        assert_eq!(
            move_definition(&store, &acme, &v2.id, &Join::Api(api.clone()), at(9))
                .await
                .unwrap(),
            api
        );
        assert!(matches!(
            inventory::api(&store, &acme, &own).await,
            Err(Refusal::NotFound { .. })
        ));
        assert_eq!(
            inventory::api(&store, &acme, &api)
                .await
                .unwrap()
                .drift
                .shadow,
            0
        );
        delete_definition(&store, &acme, &v2.id, at(10))
            .await
            .unwrap();
        assert_eq!(
            inventory::api(&store, &acme, &api)
                .await
                .unwrap()
                .drift
                .shadow,
            1
        );
        assert_eq!(catch_up_drift(&store).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_document_stands_where_one_says_or_where_it_came_from() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let source = source(&store, &acme, "Uploads", "upload").await;
        let relative = document("/v1", &["GET /books/{id}"]).to_string();
        let check = async |name: &str,
                           base: Option<&str>,
                           fetched: Option<&str>,
                           expected: (&str, &str)| {
            let mut upload = upload(&source, name, relative.clone());
            upload.base_url = base.map(|base| BaseUrl::parse(base).unwrap());
            upload.fetched_from = fetched.map(|url| url.parse().unwrap());
            let api = api_of(&import(&store, &acme, upload, 1).await.unwrap());
            let all = OperationFilter::default();
            let list = operations(
                &store,
                &acme,
                &api,
                &all,
                OperationSort::Path,
                Direction::Ascending,
                Page::default(),
            );
            let paths: Vec<String> = list
                .await
                .unwrap()
                .items
                .into_iter()
                .map(|o| o.path)
                .collect();
            let base = inventory::api(&store, &acme, &api)
                .await
                .unwrap()
                .base_url
                .to_string();
            assert_eq!((base.as_str(), paths[0].as_str()), expected);
        };
        check(
            "a",
            Some("https://a.example/api"),
            None,
            ("https://a.example/api", "/api/books/{id}"),
        )
        .await;
        check(
            "b",
            None,
            Some("https://b.example/docs/openapi.json"),
            ("https://b.example/v1", "/v1/books/{id}"),
        )
        .await;
    })
    .await;
}

/// Serves answers one after the other, each to one connection.
fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shown = url.clone();
    let thread = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.replace("SELF", &shown).as_bytes());
        }
    });
    (url, thread)
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn moved(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

fn bodies() -> Bodies {
    Bodies::new(64 << 20, bodies::Meters::default())
}

#[tokio::test]
async fn fetching_keeps_to_the_rules() {
    let rules = FetchRules {
        private_addresses: true,
        max_bytes: 100,
        ..FetchRules::default()
    };
    let (url, thread) = serve(vec![moved("/next"), ok("{}")]);
    let fetched = fetch(&url, &rules, &bodies()).await.unwrap();
    assert_eq!(
        (fetched.url.path(), &fetched.text[..]),
        ("/next", b"{}".as_slice())
    );
    thread.join().unwrap();
    let check = async |answers: Vec<String>, rules: FetchRules, expected: &str| {
        let (url, thread) = serve(answers);
        let error = fetch(&url, &rules, &bodies())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        thread.join().unwrap();
    };
    check(vec![moved("SELF/again"); 6], rules, "more than 5 redirects").await;
    // Each hop is checked, and metadata services whatever is allowed.
    check(
        vec![moved("http://169.254.169.254/latest/meta-data/")],
        rules,
        "clouds hand out credentials",
    )
    .await;
    check(
        vec![moved("http://[::ffff:169.254.169.254]/")],
        rules,
        "clouds hand out credentials",
    )
    .await;
    check(
        vec![moved("file:///etc/passwd")],
        rules,
        "neither http nor https",
    )
    .await;
    check(vec![ok(&"x".repeat(101))], rules, "at most 100").await;
    check(
        vec!["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned() + &"x".repeat(5000)],
        rules,
        "at most 100",
    )
    .await;
    check(
        vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into()],
        rules,
        "404",
    )
    .await;
    let check = async |url: &str, expected: &str| {
        let error = fetch(url, &FetchRules::default(), &bodies())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    };
    check("http://127.0.0.1:1/x", "inside of a network").await;
    check("http://localhost:1/x", "inside of a network").await;
    check("http://0x7f.1/x", "inside of a network").await;
    check("http://169.254.169.254/", "clouds hand out credentials").await;
    check("https://me:secret@example.com/", "without credentials").await;
    check("gopher://example.com/?secret", "neither http nor https").await;
    check("openapi.json", "no absolute URL").await;
    // A server that does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let short = FetchRules {
        timeout: Duration::from_millis(50),
        ..rules
    };
    let error = fetch(
        &format!("http://{}/", silent.local_addr().unwrap()),
        &short,
        &bodies(),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("did not deliver"), "{error}");
}

fn books_at(server: &str, member: &str) -> String {
    format!(
        "openapi: 3.0.3\ninfo: {{title: Books, version: '1'}}\nservers: [{{url: '{server}'}}]\npaths:\n  /{member}:\n    get: {{responses: {{'200': {{description: OK}}}}}}\n"
    )
}

#[tokio::test]
async fn a_name_stands_for_one_server() {
    on_each(async |store: Store| {
        let door = door();
        let acme = organisation(&store, &door, "Acme", "owner@acme.example").await;
        let source = source(&store, &acme, "Uploads", "upload").await;
        let given = |server: &str, member: &str| upload(&source, "books", books_at(server, member));
        let made = |server: &str, member: &str| upload(&source, "", books_at(server, member));
        let first = import(&store, &acme, given("https://a.example/v1", "one"), 1)
            .await
            .unwrap();
        // The same server under another base path is the same API's next version.
        let next = import(&store, &acme, given("https://a.example/v2", "two"), 2)
            .await
            .unwrap();
        assert_eq!(api_of(&next), api_of(&first));
        // Another server is not; the refusal names both.
        let refused = import(&store, &acme, given("https://b.example", "three"), 3)
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, Refusal::Conflict { code: "name-elsewhere", field: "name", message, .. }
            if message.contains("https://a.example/v2") && message.contains("https://b.example")),
            "{refused:?}"
        );
        // Unless the person says that it has moved.
        let mut moved = given("https://b.example", "three");
        moved.base_url = Some(BaseUrl::parse("https://b.example").unwrap());
        let moved = import(&store, &acme, moved, 4).await.unwrap();
        assert_eq!(api_of(&moved), api_of(&first));
        // Titles are alike by chance: each server has a name of its own.
        let titled = import(&store, &acme, made("https://c.example", "four"), 5)
            .await
            .unwrap();
        let other = import(&store, &acme, made("https://d.example", "five"), 6)
            .await
            .unwrap();
        assert_eq!(
            (titled.name.as_str(), other.name.as_str()),
            ("Books", "Books (d.example)")
        );
        assert_ne!(api_of(&titled), api_of(&other));
        let again = import(&store, &acme, made("https://d.example", "six"), 7)
            .await
            .unwrap();
        assert_eq!(
            (again.outcome.clone(), api_of(&again)),
            (Outcome::Created, api_of(&other))
        );
    })
    .await;
}
