//! The committed bindings are what the `.proto` files generate today.

use std::{env, fs, path::Path};

#[test]
fn committed_bindings_are_what_the_proto_files_generate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().expect("a temporary directory");
    let files = protox::compile(
        [root.join("proto/silhouette/telemetry/v1/telemetry.proto")],
        [root.join("proto")],
    )
    .expect("telemetry.proto compiles");
    tonic_prost_build::configure()
        .bytes(".")
        .client_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"grpc\")]")
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(files)
        .expect("bindings are generated");

    let name = "silhouette.telemetry.v1.rs";
    let generated = fs::read_to_string(out.path().join(name)).expect("generated file");
    let committed = root.join("src/gen").join(name);
    if env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
        fs::write(&committed, &generated).expect("write bindings");
    }
    assert!(
        fs::read_to_string(&committed).is_ok_and(|now| now == generated),
        "src/gen/{name} is not what telemetry.proto generates; \
         run `SILHOUETTE_UPDATE_GENERATED=1 cargo test -p silhouette-proto`"
    );
}
