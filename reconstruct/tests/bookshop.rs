//! A clean REST API comes out exactly: its operations, and its whole document as a golden file.

mod common;

use common::{BOOKSHOP, bookshop};
use silhouette_reconstruct::{DocumentOptions, HostName, Limits, Model, OpenApi};

fn learnt(n: usize, seed: u64) -> Model {
    let mut model = Model::new(Limits::default());
    for exchange in bookshop(n, seed) {
        exchange.observe(&mut model);
    }
    model
}

fn host() -> HostName {
    HostName::parse(b"books.example.com", "https").unwrap()
}

#[test]
fn the_document_has_exactly_the_operations_of_the_bookshop() {
    for seed in 0..6 {
        let document = learnt(600, seed).document(&host(), &DocumentOptions::default());
        let found: Vec<String> = document
            .operations()
            .iter()
            .map(|o| format!("{} {}", o.method, o.path))
            .collect();
        assert_eq!(found, BOOKSHOP, "seed {seed}");
    }
}

#[test]
fn the_document_is_the_golden_one() {
    let model = learnt(600, 1);
    insta::assert_snapshot!(
        "bookshop-3.1",
        model
            .document(&host(), &DocumentOptions::default())
            .to_yaml()
    );
    let options = DocumentOptions {
        openapi: OpenApi::V30,
        ..DocumentOptions::default()
    };
    insta::assert_snapshot!("bookshop-3.0", model.document(&host(), &options).to_json());
}

#[test]
fn a_model_survives_its_bytes() {
    let model = learnt(300, 2);
    let bytes = model.to_bytes();
    let again = Model::from_bytes(&bytes).unwrap();
    let options = DocumentOptions::default();
    assert_eq!(
        model.document(&host(), &options).to_json(),
        again.document(&host(), &options).to_json()
    );
    assert_eq!(model.summary(&options), again.summary(&options));
    let mut other = bytes.clone();
    other[0] = 99;
    assert!(
        Model::from_bytes(&other)
            .unwrap_err()
            .to_string()
            .contains("format version 99")
    );
    for at in [5, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        assert!(
            Model::from_bytes(&damaged)
                .unwrap_err()
                .to_string()
                .contains("damaged"),
            "byte {at}"
        );
    }
    assert!(Model::from_bytes(&bytes[..bytes.len() / 3]).is_err());
    assert!(Model::from_bytes(b"").is_err());
}
