//! What a path segment can be: values with text around them, endings, points, empty segments, numbers that never vary.

mod common;

use common::Exchange;
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model};

fn learnt(paths: impl IntoIterator<Item = (String, String)>) -> Model {
    let mut model = Model::new(Limits::default());
    for (path, body) in paths {
        Exchange::new("GET", &path, 200)
            .json(&body)
            .observe(&mut model);
    }
    model
}

/// Sorted: what comes first in a document is a law of its own.
fn templates(model: &Model) -> Vec<String> {
    let host = HostName::parse(b"api.example.com", "https").unwrap();
    let document = model.document(&host, &DocumentOptions::default());
    let mut out: Vec<String> = document
        .operations()
        .iter()
        .map(|o| o.path.clone())
        .collect();
    out.sort();
    out
}

/// Paths that are answered alike, one blank-separated list per kind of answer.
fn check(kinds: &[&str], expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let mut calls = Vec::new();
    for (kind, paths) in kinds.iter().enumerate() {
        for (at, path) in paths.split_whitespace().enumerate() {
            let body =
                format!(r#"{{"a{kind}":{at},"b{kind}":"x y","c{kind}":true,"d{kind}":null}}"#);
            calls.extend(std::iter::repeat_n((path.to_owned(), body), 3));
        }
    }
    let model = learnt(calls.clone());
    assert_eq!(templates(&model), expected, "{kinds:?}");
    // In any order, and in parts.
    calls.reverse();
    let (left, right) = calls.split_at(calls.len() / 3);
    let mut merged = learnt(left.to_vec());
    merged.merge(learnt(right.to_vec()));
    assert_eq!(templates(&merged), expected, "{kinds:?} in parts");
}

#[test]
fn a_suffix_that_never_varies_is_constant() {
    check(
        &[
            "/models/42.json /models/7.json /models/1881.json",
            "/models.json",
            "/models/search.json",
        ],
        &[
            "/models.json",
            "/models/search.json",
            "/models/{modelId}.json",
        ],
    );
    check(
        &[
            "/jobs/11:cancel /jobs/12:cancel",
            "/jobs/11:retry /jobs/14:retry",
            "/jobs/11 /jobs/12",
        ],
        &[
            "/jobs/{jobId}",
            "/jobs/{jobId}:cancel",
            "/jobs/{jobId}:retry",
        ],
    );
    check(
        &[
            "/scans/5f2b9a64-7c1d-4e8b-9a55-0c8e6a1b2c3d.tar.gz /scans/6a2b9a64-7c1d-4e8b-9a55-0c8e6a1b2c3d.tar.gz",
        ],
        &["/scans/{scanId}.tar.gz"],
    );
}

#[test]
fn an_ending_that_varies_is_a_parameter() {
    check(
        &[
            "/lists.json /lists.jsonp /lists.json",
            "/names.xml /names.json",
        ],
        &["/lists.{format}", "/names.{format}"],
    );
    check(
        &["/records/1.json /records/2.xml /records/3.json /records/4.xml"],
        &["/records/{recordId}.{format}"],
    );
}

#[test]
fn names_with_points_in_them_are_constants() {
    check(
        &[
            "/ws/album.get",
            "/ws/album.tracks.get",
            "/ws/artist.search",
            "/ws/chart.list",
        ],
        &[
            "/ws/album.get",
            "/ws/album.tracks.get",
            "/ws/artist.search",
            "/ws/chart.list",
        ],
    );
    check(
        &["/shop/4/label", "/shop/4/label.json /shop/5/label.json"],
        &["/shop/{shopId}/label", "/shop/{shopId}/label.json"],
    );
}

#[test]
fn a_sigil_stands_before_its_parameter() {
    check(
        &["/places/$17 /places/$18 /places/$19"],
        &["/places/${placeId}"],
    );
}

#[test]
fn two_numbers_are_a_point_and_other_counts_a_list() {
    check(
        &["/near/48.85,2.35 /near/52.52,13.4 /near/1,2"],
        &["/near/{nearId},{secondNearId}"],
    );
    check(&["/sum/1,2 /sum/3 /sum/4,5,6"], &["/sum/{sumId}"]);
}

#[test]
fn an_empty_first_segment_stays_where_nobody_leaves_it_out() {
    check(
        &["//users/1 //users/2", "//orders"],
        &["//orders", "//users/{userId}"],
    );
    check(
        &["//users/1 /users/2", "/orders"],
        &["/orders", "/users/{userId}"],
    );
    check(&["/a/users//1 /a/users/2/"], &["/a/users/{userId}"]);
}

#[test]
fn versions_stay_constants() {
    check(
        &["/v1/users", "/v2/users", "/2.0/users"],
        &["/2.0/users", "/v1/users", "/v2/users"],
    );
    check(
        &["/2/users", "/2/tweets", "/2/lists"],
        &["/2/lists", "/2/tweets", "/2/users"],
    );
    check(
        &[
            "/2024-10-01/users",
            "/2024-10-01/tweets",
            "/2024-10-01/lists",
        ],
        &[
            "/2024-10-01/lists",
            "/2024-10-01/tweets",
            "/2024-10-01/users",
        ],
    );
}

#[test]
fn numbers_with_a_point_are_no_versions_beside_others() {
    check(&["/at/48.8566 /at/2.5 /at/-0.12"], &["/at/{atId}"]);
}

#[test]
fn each_operation_knows_the_values_of_its_own_parameter() {
    let mut model = Model::new(Limits::default());
    let body = r#"{"name":"a b","age":7,"tags":[]}"#;
    for word in [
        "amber-birch",
        "cedar-clover",
        "fern-moss",
        "ivory-jade",
        "lark-mint",
        "opal-reef",
    ] {
        Exchange::new("GET", &format!("/users/{word}"), 200)
            .json(body)
            .observe(&mut model);
    }
    for id in 10..30 {
        Exchange::new("GET", &format!("/users/{id}"), 200)
            .json(body)
            .observe(&mut model);
        Exchange::new("DELETE", &format!("/users/{id}"), 204).observe(&mut model);
    }
    let host = HostName::parse(b"api.example.com", "https").unwrap();
    let document = model.document(&host, &DocumentOptions::default());
    let kind = |method: &str| {
        document.as_value()["paths"]["/users/{userId}"][method]["parameters"][0]["schema"]["type"]
            .clone()
    };
    assert_eq!(
        (kind("get"), kind("delete")),
        ("string".into(), "integer".into())
    );
}

#[test]
fn a_billion_values_with_affixes_are_few_entries() {
    let limits = Limits {
        memory_bytes: 4 << 20,
    };
    let calls = |from: u64| {
        let mut model = Model::new(limits.clone());
        for n in from..from + 6000 {
            for path in [
                format!("/x/{n}.json"),
                format!("/y/a{n}:b{n}"),
                format!("/z/{n}.e{n:x}"),
                format!("/w/w{n}.json"),
                format!("/honest/{n}:cancel"),
            ] {
                Exchange::new("GET", &path, 200)
                    .json("{}")
                    .observe(&mut model);
            }
        }
        model
    };
    let (mut one, two) = (calls(0), calls(6000));
    assert!(one.memory_bytes() <= limits.memory_bytes);
    let mut other = two.clone();
    other.merge(one.clone());
    one.merge(two);
    assert!(one.memory_bytes() <= limits.memory_bytes);
    assert_eq!(templates(&one), templates(&other));
    let found = templates(&one);
    for path in ["/honest/{honestId}:cancel", "/x/{xId}.json"] {
        assert!(found.contains(&path.to_owned()), "{found:?}");
    }
}

#[test]
fn what_all_paths_begin_with_and_names_nothing_is_the_servers() {
    let written = |paths: &str| {
        let calls = paths
            .split_whitespace()
            .map(|p| (p.to_owned(), "{}".into()));
        let model = learnt(calls);
        let host = HostName::parse(b"api.example.com:8443", "https").unwrap();
        let document = model.document(&host, &DocumentOptions::default());
        let root = document.as_value();
        let keys: Vec<String> = root["paths"].as_object().unwrap().keys().cloned().collect();
        let whole: Vec<String> = document
            .operations()
            .iter()
            .map(|o| o.path.clone())
            .collect();
        let url = root["servers"][0]["url"].as_str().unwrap().to_owned();
        let host = url.len().min("https://api.example.com:8443".len());
        let joined: Vec<String> = keys
            .iter()
            .map(|k| format!("{}{k}", &url[host..]))
            .collect();
        assert_eq!(joined, whole, "the summary has whole paths");
        (url, keys)
    };
    assert_eq!(
        written("/api/v1/users /api/v1/users/7"),
        (
            "https://api.example.com:8443/api/v1".to_owned(),
            vec!["/users".to_owned(), "/users/{userId}".to_owned()]
        )
    );
    assert_eq!(
        written("/api/v1/users /health"),
        (
            "https://api.example.com:8443".to_owned(),
            vec!["/api/v1/users".to_owned(), "/health".to_owned()]
        )
    );
}

#[test]
fn formats_that_are_asked_for_often_are_enumerated() {
    let calls = |formats: &[&str], n: usize| -> Vec<(String, String)> {
        (0..n)
            .flat_map(|at| {
                let body = format!(r#"{{"rows":{at},"title":"x y"}}"#);
                let path = |f: &&str| (format!("/records/{}.{f}", 4000 + at), body.clone());
                formats.iter().map(path).collect::<Vec<_>>()
            })
            .collect()
    };
    let enumerated = |calls: Vec<(String, String)>| {
        let host = HostName::parse(b"api.example.com", "https").unwrap();
        let document = learnt(calls).document(&host, &DocumentOptions::default());
        let parameters =
            &document.as_value()["paths"]["/records/{recordId}.{format}"]["get"]["parameters"];
        assert_eq!(parameters[1]["name"], "format", "{}", document.to_yaml());
        parameters[1]["schema"]["enum"].clone()
    };
    let both = serde_json::json!(["csv", "json"]);
    assert_eq!(enumerated(calls(&["json", "csv"], 6)), both);
    assert!(enumerated(calls(&["json", "csv"], 3)).is_null());
    // One more that was asked for once.
    let mut rare = calls(&["json", "csv"], 6);
    rare.extend(calls(&["xml"], 1));
    assert!(enumerated(rare).is_null());
}

#[test]
fn several_numbers_at_the_front_are_versions_while_they_are_few() {
    check(
        &[
            "/1/users /2/users",
            "/1/statuses /2/tweets",
            "/1/lists /2/spaces",
        ],
        &[
            "/1/lists",
            "/1/statuses",
            "/1/users",
            "/2/spaces",
            "/2/tweets",
            "/2/users",
        ],
    );
    // Before the same paths they are values of a parameter.
    check(
        &[
            "/1/users /2/users",
            "/1/tweets /2/tweets",
            "/1/lists /2/lists",
        ],
        &["/{id}/lists", "/{id}/tweets", "/{id}/users"],
    );
    // A number before nothing of its own is an id, as are many.
    check(
        &[
            "/1/photos /2/photos /7/photos",
            "/1/likes /4/likes /7/likes",
        ],
        &["/{id}/likes", "/{id}/photos"],
    );
    let many = |word: &str| (1..9).map(|n| format!("/{n}/{word} ")).collect::<String>();
    check(
        &[&many("albums"), &many("likes"), &many("photos")],
        &["/{id}/albums", "/{id}/likes", "/{id}/photos"],
    );
    // Elsewhere they are ids, however few.
    check(
        &[
            "/rooms/1/a /rooms/2/a",
            "/rooms/1/b /rooms/2/b",
            "/rooms/1/c /rooms/2/c",
        ],
        &[
            "/rooms/{roomId}/a",
            "/rooms/{roomId}/b",
            "/rooms/{roomId}/c",
        ],
    );
}

#[test]
fn languages_at_the_front_are_a_locale() {
    check(
        &[
            "/en/products /de/products /pt-BR/products",
            "/en/stores /de/stores /pt-BR/stores",
            "/en/products/7 /de/products/8",
        ],
        &[
            "/{locale}/products",
            "/{locale}/products/{productId}",
            "/{locale}/stores",
        ],
    );
    check(
        &["/api/v1/en-us/terms /api/v1/fr-fr/terms"],
        &["/api/v1/{locale}/terms"],
    );
    // One is a word like others, and so are two that are not alike.
    check(
        &["/en/products", "/en/stores"],
        &["/en/products", "/en/stores"],
    );
    check(
        &["/ca/accounts /ca/accounts/7", "/my/feed"],
        &["/ca/accounts", "/ca/accounts/{accountId}", "/my/feed"],
    );
}

#[test]
fn segments_that_say_what_is_a_value() {
    // Some say which operation it is.
    check(
        &[
            "/Action=CreateUser",
            "/Action=ListUsers",
            "/Action=DeleteUser",
        ],
        &[
            "/Action=CreateUser",
            "/Action=DeleteUser",
            "/Action=ListUsers",
        ],
    );
    check(
        &[
            "/Users(7) /Users(8) /Users(9)",
            "/Users",
            "/Users(7)/Orders /Users(8)/Orders",
            "/Countries('de') /Countries('fr')",
            "/Near(lat=48.8566,lon=2.3522) /Near(lat=2.5,lon=7.25)",
        ],
        &[
            "/Countries('{countryId}')",
            "/Near(lat={lat},lon={lon})",
            "/Users",
            "/Users({userId})",
            "/Users({userId})/Orders",
        ],
    );
    check(
        &[
            "/sales/year=2024/month=1 /sales/year=2025/month=12",
            "/sales/country=de",
        ],
        &["/sales/country=de", "/sales/year={year}/month={month}"],
    );
    check(
        &[
            "/map;lat=48.8566;lon=2.3522/tiles /map;lat=2.5;lon=7/tiles",
            "/users/7;version=3 /users/9;version=4",
            "/users/7 /users/9",
        ],
        &[
            "/map;lat={lat};lon={lon}/tiles",
            "/users/{userId}",
            "/users/{userId};version={version}",
        ],
    );
}

#[test]
fn paths_are_told_apart_by_case_and_say_so() {
    let paths = "/Api/Users /Api/Users/7 /Api/users /Api/users/8 /Api/orders";
    let model = learnt(
        paths
            .split_whitespace()
            .flat_map(|p| std::iter::repeat_n((p.to_owned(), r#"{"a":1,"b":2}"#.to_owned()), 5)),
    );
    let host = HostName::parse(b"api.example.com", "https").unwrap();
    let document = model.document(&host, &DocumentOptions::default());
    let paths = document.as_value()["paths"].as_object().unwrap();
    let said: Vec<(&str, &serde_json::Value)> = paths
        .iter()
        .map(|(path, item)| (path.as_str(), &item["get"]["x-silhouette"]["otherCase"]))
        .collect();
    assert_eq!(
        said,
        [
            ("/Users", &serde_json::json!(["/users"])),
            ("/Users/{userId}", &serde_json::json!(["/users/{userId}"])),
            ("/orders", &serde_json::Value::Null),
            ("/users", &serde_json::json!(["/Users"])),
            ("/users/{userId}", &serde_json::json!(["/Users/{userId}"])),
        ]
    );
}
