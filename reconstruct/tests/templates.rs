//! Which segments are parameters, on several kinds of API, and that more of the same traffic does not change it.

mod common;

use common::{Draw, Exchange};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model};
use std::collections::BTreeSet;

/// Names that people give, made of words that paths are made of, too.
const NAMES: [&str; 24] = [
    "amber",
    "blue-lagoon",
    "birch",
    "reports-v",
    "cedar",
    "team-site",
    "drift",
    "ember-api",
    "falcon",
    "website",
    "granite",
    "old-docs",
    "hazel",
    "indigo-web",
    "jade",
    "lagoon",
    "my-notes",
    "onyx",
    "pebble-core",
    "quartz",
    "search-ui",
    "tulip",
    "velvet-app",
    "willow",
];

/// Plays each template `rounds` times; `{name}` draws from [`NAMES`], `{number}` a number. What is answered depends on the
/// template only.
fn played(templates: &[&str], rounds: usize, seed: u64) -> BTreeSet<String> {
    let mut draw = Draw(seed);
    let mut model = Model::new(Limits::default());
    for _ in 0..rounds {
        for template in templates {
            let (method, path) = template.split_once(' ').unwrap();
            let mut name = String::new();
            let path: Vec<String> = path
                .split('/')
                .map(|segment| match segment {
                    "{name}" => {
                        name = NAMES[(draw.next() % NAMES.len() as u64) as usize].to_owned();
                        name.clone()
                    }
                    "{number}" => (draw.next() % 5000).to_string(),
                    constant => constant.to_owned(),
                })
                .collect();
            let ends_in_name = template.ends_with("{name}");
            let body = if ends_in_name {
                format!(r#"{{"name":"{name}","size":1,"visible":true}}"#)
            } else {
                format!(r#"{{"{}":1,"ok":true}}"#, template.len())
            };
            Exchange::new(method, &path.join("/"), 200)
                .json(&body)
                .observe(&mut model);
        }
    }
    let host = HostName::parse(b"api.example.com", "https").unwrap();
    model
        .document(&host, &DocumentOptions::default())
        .operations()
        .iter()
        .map(|o| {
            let blank: Vec<&str> = o
                .path
                .split('/')
                .map(|s| if s.starts_with('{') { "{}" } else { s })
                .collect();
            format!("{} {}", o.method, blank.join("/"))
        })
        .collect()
}

/// The templates come out as they are, from little traffic and from much.
fn check(templates: &[&str]) {
    let expected: BTreeSet<String> = templates
        .iter()
        .map(|t| t.replace("{name}", "{}").replace("{number}", "{}"))
        .collect();
    for seed in 0..4 {
        for rounds in [10, 40, 160] {
            assert_eq!(
                played(templates, rounds, seed),
                expected,
                "seed {seed}, {rounds} rounds"
            );
        }
    }
}

#[test]
fn actions_below_an_id_are_constants() {
    check(&[
        "GET /api/accounts/{number}",
        "POST /api/accounts/{number}/follow",
        "POST /api/accounts/{number}/mute",
        "POST /api/accounts/{number}/block",
        "POST /api/accounts/{number}/unblock",
        "GET /api/environments/{number}/archive",
        "GET /api/environments/{number}/state",
    ]);
}

#[test]
fn words_at_the_root_are_constants() {
    check(&[
        "POST /predict",
        "POST /sentiment",
        "POST /transform-input",
        "POST /CalculateAbsolute",
        "GET /health",
    ]);
}

#[test]
fn names_in_a_row_are_parameters() {
    check(&[
        "GET /projects/{name}",
        "GET /projects/{name}/{name}",
        "GET /projects/{name}/{name}/settings",
        "GET /projects/{name}/{name}/history",
        "POST /projects/{name}/{name}/builds",
        "DELETE /projects/{name}/{name}",
    ]);
}

#[test]
fn a_word_beside_names_is_a_constant() {
    check(&[
        "GET /v1/buckets",
        "GET /v1/buckets/{name}",
        "PUT /v1/buckets/{name}",
        "GET /v1/buckets/{name}/objects",
        "GET /v1/buckets/search",
        "GET /v1/status",
    ]);
}
