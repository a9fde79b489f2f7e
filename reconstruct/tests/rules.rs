//! An operator's rules, applied to what was learnt; and the explanations of what was decided.

mod common;

use common::Exchange;
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model, Reason, RuleError, Rules};
use std::sync::Arc;

fn learnt(calls: &[(&str, &str)]) -> Model {
    let mut model = Model::new(Limits::default());
    for (method, path) in calls {
        for _ in 0..3 {
            Exchange::new(method, path, 200)
                .json(r#"{"id":1,"name":"x"}"#)
                .observe(&mut model);
        }
    }
    model
}

fn options(build: impl FnOnce(&mut Rules)) -> DocumentOptions {
    let mut rules = Rules::default();
    build(&mut rules);
    DocumentOptions {
        rules: Arc::new(rules),
        ..DocumentOptions::default()
    }
}

fn host() -> HostName {
    HostName::parse(b"api.example.com", "https").unwrap()
}

fn operations(model: &Model, options: &DocumentOptions) -> Vec<String> {
    let document = model.document(&host(), options);
    assert_eq!(
        model.summary(options).operations,
        document.operations().len(),
        "the summary counts what the document has"
    );
    document
        .operations()
        .iter()
        .map(|o| format!("{} {}", o.method, o.path))
        .collect()
}

fn check(calls: &[(&str, &str)], templates: &[&str], expected: &[&str]) {
    let options = options(|rules| templates.iter().for_each(|t| rules.template(t).unwrap()));
    assert_eq!(
        operations(&learnt(calls), &options),
        expected,
        "{templates:?}"
    );
}

#[test]
fn a_template_splits_merges_and_names() {
    let teams = [
        ("GET", "/teams/red/members/7"),
        ("GET", "/teams/blue/members/8"),
        ("GET", "/teams/all"),
    ];
    check(
        &teams,
        &["/teams/{team}/members/{member}", "/teams/all"],
        &["GET /teams/all", "GET /teams/{team}/members/{member}"],
    );
    check(
        &teams,
        &["/teams/red"],
        &[
            "GET /teams/all",
            "GET /teams/blue/members/{memberId}",
            "GET /teams/red/members/{memberId}",
        ],
    );
    check(
        &[
            ("GET", "/x/alpha"),
            ("GET", "/x/beta.json"),
            ("GET", "/x/9"),
        ],
        &["/x/{letter}", "/x/{letter2}.json"],
        &["GET /x/{letter2}.json", "GET /x/{letter}"],
    );
    check(
        &[("GET", "/v1/red/paint"), ("GET", "/v2/blue/paint")],
        &["/*/{color}"],
        &["GET /v1/{color}/paint", "GET /v2/{color}/paint"],
    );
}

#[test]
fn a_constant_number_can_be_told_where_it_never_varies() {
    let calls = [("GET", "/shelf/7/books"), ("GET", "/shelf/7/lamp")];
    check(
        &calls,
        &[],
        &["GET /shelf/{shelfId}/books", "GET /shelf/{shelfId}/lamp"],
    );
    check(
        &calls,
        &["/shelf/7"],
        &["GET /shelf/7/books", "GET /shelf/7/lamp"],
    );
}

#[test]
fn what_is_ignored_leaves_the_document_and_is_counted() {
    let model = learnt(&[
        ("GET", "/internal/a/b"),
        ("POST", "/internal/a/b"),
        ("GET", "/users/7/debug"),
        ("GET", "/users/7"),
    ]);
    let options = options(|rules| {
        rules.ignore(&["get"], "/internal/**").unwrap();
        rules.ignore(&[], "/users/{}/debug").unwrap();
        rules.internal();
    });
    assert_eq!(
        operations(&model, &options),
        ["POST /internal/a/b", "GET /users/{userId}"]
    );
    let document = model.document(&host(), &options);
    let extension = &document.as_value()["x-silhouette"];
    assert_eq!(extension["leftOut"]["rule"], 6);
    assert_eq!(extension["internal"], true);
}

#[test]
fn rules_hold_for_what_comes_later_and_can_be_taken_back() {
    let mut model = learnt(&[("GET", "/tools/hammer"), ("GET", "/tools/saw")]);
    let merged = options(|rules| rules.template("/tools/{tool}").unwrap());
    let before = operations(&model, &DocumentOptions::default());
    assert_eq!(operations(&model, &merged), ["GET /tools/{tool}"]);
    Exchange::new("GET", "/tools/plane", 200)
        .json("{}")
        .observe(&mut model);
    assert_eq!(operations(&model, &merged), ["GET /tools/{tool}"]);
    assert_ne!(before, ["GET /tools/{tool}"]);
}

#[test]
fn a_wrong_rule_says_what_would_be_right() {
    let mut rules = Rules::default();
    for (template, says) in [
        ("users", "begins with a slash"),
        ("/", "begins with a slash"),
        ("/a?b=c", "begins with a slash"),
        ("/a/{x", "`{x`"),
        ("/a/{x}{y}", "`{x}{y}`"),
        ("/a//b", "``"),
        ("/a/b*", "`b*`"),
        ("/{x}/{x}", "two parameters of the name `x`"),
    ] {
        let error = rules.template(template).unwrap_err().to_string();
        assert!(error.contains(says), "{template}: {error}");
    }
    assert_eq!(
        rules.ignore(&["FETCH"], "/a"),
        Err(RuleError::Method("FETCH".into()))
    );
    assert!(rules.ignore(&[], "a").is_err());
    assert_eq!(rules, Rules::default(), "a wrong rule changes nothing");
}

#[test]
fn an_explanation_tells_the_template_and_what_decided() {
    let mut calls: Vec<(String, String)> = Vec::new();
    for word in [
        "ada", "grace", "edsger", "barbara", "donald", "frances", "hedy", "alan",
    ] {
        calls.push(("GET".into(), format!("/v1/people/{word}/letters/42")));
    }
    let calls: Vec<(&str, &str)> = calls
        .iter()
        .map(|(m, p)| (m.as_str(), p.as_str()))
        .collect();
    let model = learnt(&calls);
    let defaults = DocumentOptions::default();
    let told = model.explain("GET", "/v1/people/ada/letters/7", &defaults);
    assert!(told.known);
    assert_eq!(told.methods, ["GET"]);
    assert_eq!(told.operation.as_ref().map(|o| o.succeeded), Some(24));
    let parts: Vec<&str> = told.steps.iter().map(|s| s.part.as_str()).collect();
    assert_eq!(told.template.split('/').skip(1).collect::<Vec<_>>(), parts);
    assert_eq!(told.steps[0].ground, Reason::Version);
    assert_eq!(told.steps[4].ground, Reason::Looks("an integer"));
    let Reason::Weighed(weighed) = &told.steps[2].ground else {
        panic!("{:?}", told.steps[2]);
    };
    assert_eq!(weighed.together, 8);
    assert!((weighed.odds - weighed.pieces.iter().map(|p| p.odds).sum::<f32>()).abs() < 1e-3);
    assert_eq!(weighed.odds > 0.0, told.steps[2].part.starts_with('{'));

    let ruled = options(|rules| rules.template("/v1/people/ada").unwrap());
    let told = model.explain("GET", "/v1/people/ada/letters/7", &ruled);
    assert_eq!(told.steps[2].ground, Reason::Rule);
    assert_eq!(told.template, "/v1/people/ada/letters/{letterId}");
    assert_eq!(told.operation.map(|o| o.succeeded), Some(3));

    let told = model.explain("GET", "/v1/animals/7", &defaults);
    assert!(!told.known && told.methods.is_empty() && told.operation.is_none());
    assert_eq!(told.steps.len(), 2);
    assert_eq!(told.steps[1].ground, Reason::Unknown);
    assert_eq!(told.steps[1].beside, ["people"]);
}
