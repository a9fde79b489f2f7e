//! Runs the shared test vectors natively and, under a WASI runner, on wasm32-wasip1.

#[path = "vectors/mod.rs"]
mod shared;

#[test]
fn every_vector_gives_what_it_expects() {
    #[cfg(not(target_family = "wasm"))]
    if std::env::var_os("SILHOUETTE_UPDATE_VECTORS").is_some() {
        update();
        return;
    }
    let (count, failures) = shared::run();
    assert!(
        failures.is_empty(),
        "{} of {count} vectors fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(count >= 40, "only {count} vectors were found");
}

#[cfg(not(target_family = "wasm"))]
fn update() {
    for (file, _) in shared::FILES {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("vectors")
            .join(file);
        let text = std::fs::read_to_string(&path).expect("the vectors are readable");
        let mut vectors: Vec<serde_json::Value> =
            serde_json::from_str(&text).expect("a JSON array");
        for vector in &mut vectors {
            let outcome = shared::outcome(vector);
            vector["expect"] = outcome;
        }
        let text = serde_json::to_string_pretty(&vectors).expect("vectors are JSON");
        std::fs::write(&path, text + "\n").expect("the vectors are writable");
    }
}
