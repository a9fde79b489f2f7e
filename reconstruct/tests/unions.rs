//! Objects of several kinds: the laws, on feeds of entries that a word tells apart, or only seems to.

mod common;
#[path = "common/validate.rs"]
mod validate;

use common::Exchange;
use common::tagged::{ODDITIES, Oddity, tagged};
use proptest::prelude::*;
use serde_json::Value;
use silhouette_reconstruct::{Document, DocumentOptions, HostName, Limits, Model, OpenApi};

fn learnt<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Model {
    let mut model = Model::new(Limits::default());
    for exchange in exchanges {
        exchange.observe(&mut model);
    }
    model
}

fn document(model: &Model, openapi: OpenApi) -> Document {
    let host = HostName::parse(b"feeds.example.com", "https").unwrap();
    let options = DocumentOptions {
        openapi,
        ..DocumentOptions::default()
    };
    model.document(&host, &options)
}

fn discriminators(document: &Document) -> usize {
    document.to_json().matches("\"discriminator\"").count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_partition_do_not_matter(seed in any::<u64>(), n in 1usize..120, cut in 0usize..120, oddity in prop::sample::select(&ODDITIES)) {
        let exchanges = tagged(n, seed, oddity);
        let (left, right) = exchanges.split_at(cut.min(n));
        let mut parts = learnt(right.iter().rev());
        parts.merge(Model::from_bytes(&learnt(left).to_bytes()).unwrap());
        let whole = learnt(&exchanges);
        for openapi in [OpenApi::V30, OpenApi::V31] {
            prop_assert_eq!(document(&whole, openapi).to_json(), document(&parts, openapi).to_json());
        }
    }

    #[test]
    fn every_entry_is_one_of_the_kinds(seed in any::<u64>(), n in 1usize..120, oddity in prop::sample::select(&ODDITIES)) {
        let exchanges = tagged(n, seed, oddity);
        let model = learnt(&exchanges);
        for openapi in [OpenApi::V30, OpenApi::V31] {
            let document = document(&model, openapi);
            let root = document.as_value();
            let operation = root["paths"].as_object().unwrap().values().next().unwrap()["post"].clone();
            for e in &exchanges {
                for (content, body) in [(&operation["requestBody"]["content"], &e.request), (&operation["responses"]["200"]["content"], &e.response)] {
                    let body: Value = serde_json::from_slice(body).unwrap();
                    let why = validate::refused(root, &content["application/json"]["schema"], &body);
                    prop_assert_eq!(why, None, "{}", document.to_yaml());
                }
            }
        }
    }
}

#[test]
fn clear_evidence_makes_a_union_and_doubt_none() {
    let found = |oddity| -> Vec<usize> {
        let of = |seed| document(&learnt(&tagged(150, seed, oddity)), OpenApi::V31);
        (0..12).map(|seed| discriminators(&of(seed))).collect()
    };
    // What kinds there are is drawn: not all of these differ in two members that are always there.
    let clear = found(Oddity::None);
    assert!(
        clear.iter().filter(|n| **n > 0).count() >= 8,
        "discriminators by seed: {clear:?}"
    );
    for oddity in [Oddity::Missing, Oddity::Null, Oddity::Number, Oddity::Ids] {
        assert_eq!(found(oddity), [0; 12], "{oddity:?}");
    }
}
