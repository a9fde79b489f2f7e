//! The artifact itself: what it asks of a host, what it offers, how large it is.
//!
//! In: the filter as `cargo xtask filter` has built it, which is what ships. Out: a list of all it imports, so that nothing
//! is added unnoticed: one import that a host lacks keeps the whole gateway from starting.

mod strict;

use anyhow::Result;
use strict::imports;

/// Largest size, in bytes.
const LARGEST: u64 = 250 * 1024;

/// Everything the filter may import. Kong and Envoy both have these with the same signatures.
const ALLOWED: &[&str] = &[
    "env.proxy_define_metric",
    "env.proxy_done",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_property",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_record_metric",
    "env.proxy_set_effective_context",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.proc_exit",
    "wasi_snapshot_preview1.random_get",
];

/// Callbacks that do the work, and what hosts need to call them.
const WANTED: &[&str] = &[
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_done",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_memory_allocate",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_response_body",
    "proxy_on_response_headers",
    "proxy_on_tick",
    "proxy_on_vm_start",
];

#[test]
fn it_imports_nothing_beside_the_list() -> Result<()> {
    let imports = strict::module()?.imports();
    let mut imports: Vec<String> = imports
        .map(|i| format!("{}.{}", i.module(), i.name()))
        .collect();
    imports.sort();
    let surplus: Vec<&String> = imports
        .iter()
        .filter(|name| !ALLOWED.contains(&name.as_str()))
        .collect();
    assert!(
        surplus.is_empty(),
        "imported and not on the list: {surplus:?}"
    );
    for name in [
        "env.proxy_get_log_level",
        "env.proxy_grpc_call",
        "env.proxy_get_status",
    ] {
        assert!(
            !imports.iter().any(|import| import == name),
            "{name} ends Kong's workers"
        );
    }
    let known = imports::known();
    assert!(
        ALLOWED.iter().all(|name| known.iter().any(|k| k == name)),
        "Kong has all of the list"
    );
    let module = strict::module()?;
    imports::link(module.engine(), module)?;
    Ok(())
}

#[test]
fn it_exports_what_hosts_call() -> Result<()> {
    let exports: Vec<&str> = strict::module()?
        .exports()
        .map(|export| export.name())
        .collect();
    for name in WANTED {
        assert!(
            exports.contains(name),
            "{name} is not exported: {exports:?}"
        );
    }
    let versions = exports
        .iter()
        .filter(|name| name.starts_with("proxy_abi_version_"));
    assert_eq!(versions.count(), 1, "one ABI version: {exports:?}");
    // Kong takes `malloc` for its allocator if there is one, whoever has made it.
    assert!(!exports.contains(&"malloc"));
    Ok(())
}

#[test]
fn it_is_small() -> Result<()> {
    let size = std::fs::metadata(strict::filter()?)?.len();
    assert!(size <= LARGEST, "{size} bytes");
    Ok(())
}
