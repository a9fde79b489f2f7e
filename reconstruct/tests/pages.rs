//! Pages and pictures: operations below a value of the API, a web site's own everywhere else.

mod common;

use common::Exchange;
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model, Noise};

const PAGE: (&str, &str) = ("text/html; charset=utf-8", "<!doctype html><p>Label</p>");
const PICTURE: (&str, &str) = ("image/png", "\u{89}PNG");

fn get(path: &str, (media, body): (&str, &str)) -> Exchange {
    Exchange::new("GET", path, 200).answers(media, body)
}

fn api() -> Vec<Exchange> {
    (1..20)
        .flat_map(|n| {
            let body = format!(r#"{{"id":{n},"title":"Soup {n}"}}"#);
            [
                Exchange::new("GET", &format!("/recipes/{n}"), 200).json(&body),
                Exchange::new("GET", &format!("/recipes/{n}/similar"), 200).json("[1,2]"),
            ]
        })
        .collect()
}

fn learnt(all: &[Exchange]) -> Model {
    let mut model = Model::new(Limits::default());
    for exchange in all {
        exchange.observe(&mut model);
    }
    model
}

/// Beside the API, exchanges become these operations, and so many are left out as pages and as static assets.
fn check(beside: Vec<Exchange>, expected: &[&str], left_out: (u64, u64)) {
    let host = HostName::parse(b"api.example.com", "https").unwrap();
    let options = DocumentOptions::default();
    let mut all = api();
    all.extend(beside);
    let model = learnt(&all);
    let document = model.document(&host, &options);
    let mut found: Vec<String> = document
        .operations()
        .iter()
        .map(|o| o.path.clone())
        .filter(|p| {
            !matches!(
                p.as_str(),
                "/recipes/{recipeId}" | "/recipes/{recipeId}/similar"
            )
        })
        .collect();
    found.sort();
    assert_eq!(found, expected);
    let count = |noise| document.left_out().get(&noise).copied().unwrap_or(0);
    assert_eq!((count(Noise::Page), count(Noise::StaticAsset)), left_out);
    assert_eq!(&model.summary(&options).left_out, document.left_out());
    // In any order, and in parts.
    all.reverse();
    let (left, right) = all.split_at(all.len() / 3);
    let mut merged = learnt(left);
    merged.merge(learnt(right));
    let merged = Model::from_bytes(&merged.to_bytes()).unwrap();
    assert_eq!(
        merged.document(&host, &options).to_json(),
        document.to_json()
    );
}

fn several(path: &str, answer: (&str, &str)) -> Vec<Exchange> {
    (1..9)
        .map(|n| get(&path.replace("{}", &n.to_string()), answer))
        .collect()
}

#[test]
fn pictures_and_pages_below_a_value_of_the_api_are_operations() {
    let mut beside = several("/recipes/{}/card.png", PICTURE);
    beside.extend(several("/recipes/{}/label", PAGE));
    // What fails there is a response of theirs.
    beside.push(Exchange::new("GET", "/recipes/99/label", 404));
    check(
        beside,
        &["/recipes/{recipeId}/card.png", "/recipes/{recipeId}/label"],
        (0, 0),
    );
}

#[test]
fn pages_and_assets_of_a_site_stay_out() {
    let mut beside = several("/blog/{}", PAGE);
    beside.extend(several("/blog/{}/picture.png", PICTURE));
    beside.extend(several("/recipes/{}.html", PAGE));
    beside.extend([
        get("/", PAGE),
        get("/recipes", PAGE),
        get("/recipes/soup.jpg", PICTURE),
        get("/static/logo.png", PICTURE),
    ]);
    check(beside, &[], (8 + 8 + 2, 8 + 2));
}

#[test]
fn what_a_browser_opens_or_runs_is_no_operation_wherever_it_stands() {
    let mut beside = Vec::new();
    for n in 1..9 {
        beside.push(
            get(&format!("/recipes/{n}/edit"), PAGE)
                .header("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        );
        beside.push(get(&format!("/recipes/{n}/print"), PAGE).header("sec-fetch-mode", "navigate"));
        beside.push(get(
            &format!("/recipes/{n}/app.js"),
            ("application/javascript", ""),
        ));
        beside.push(get(&format!("/recipes/{n}/font"), ("font/woff2", "")));
    }
    check(beside, &[], (16, 16));
}
