//! Hands nginx's own build features (`http_ssl`, `http_v2`, …) on as `cfg(ngx_feature = "…")`, because they decide
//! which fields a request has.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_NGINX_FEATURES");
    println!("cargo:rerun-if-env-changed=DEP_NGINX_FEATURES_CHECK");
    let known = std::env::var("DEP_NGINX_FEATURES_CHECK").unwrap_or_default();
    println!("cargo:rustc-check-cfg=cfg(ngx_feature, values({known}))");
    for feature in std::env::var("DEP_NGINX_FEATURES")
        .unwrap_or_default()
        .split(',')
        .filter(|f| !f.is_empty())
    {
        println!(
            "cargo:rustc-cfg=ngx_feature=\"{}\"",
            feature.trim().trim_matches('"')
        );
    }
}
