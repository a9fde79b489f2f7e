//! What a module must import and export for Kong to start with it.

use super::*;

#[test]
fn imports_are_a_closed_list_with_exact_signatures() {
    let unknown = refused_at_start(&Filter::new().import("proxy_make_coffee", "i"));
    assert!(
        unknown.contains("env.proxy_make_coffee\": missing host function"),
        "{unknown}"
    );
    let of_the_sdk = refused_at_start(&Filter::new().import("proxy_get_log_level", "i"));
    assert!(
        of_the_sdk.contains("proxy_get_log_level\": the host's is"),
        "{of_the_sdk}"
    );
    let wide = refused_at_start(&Filter::new().import("proxy_record_metric", "ii"));
    assert!(wide.contains("proxy_record_metric"), "{wide}");
    let file =
        refused_at_start(&Filter::new().import_from("wasi_snapshot_preview1", "fd_sync", "i"));
    assert!(file.contains("fd_sync\": missing host function"), "{file}");
    let elsewhere = refused_at_start(&Filter::new().import_from("kong", "anything", "i"));
    assert!(elsewhere.contains("no module \"kong\""), "{elsewhere}");
}

#[test]
fn what_a_filter_must_export() {
    for (name, complaint) in [
        ("proxy_abi_version_0_2_1", "unknown ABI version"),
        ("proxy_on_memory_allocate", "missing malloc"),
        ("proxy_on_context_create", "proxy_on_context_create"),
        ("proxy_on_vm_start", "proxy_on_vm_start"),
        ("proxy_on_configure", "proxy_on_configure"),
    ] {
        let refusal = refused_at_start(&Filter::new().without(name));
        assert!(refusal.contains(complaint), "{name}: {refusal}");
    }
}

#[test]
fn a_configuration_that_is_refused_keeps_kong_from_starting() {
    for name in ["proxy_on_configure", "proxy_on_vm_start"] {
        let refusal = refused_at_start(&Filter::new().on(name, "(i32.const 0)"));
        assert!(refusal.contains("failed initializing"), "{name}: {refusal}");
    }
}

#[test]
fn what_is_not_implemented_traps() -> Result<()> {
    for (function, parameters) in [
        ("proxy_grpc_call", "iiiiiiiiiiii"),
        ("proxy_grpc_stream", "iiiiiiiii"),
        ("proxy_grpc_send", "iiii"),
        ("proxy_grpc_cancel", "i"),
        ("proxy_get_status", "iii"),
        ("proxy_call_foreign_function", "iiiiii"),
        ("proxy_done", ""),
        ("proxy_close_stream", "i"),
        ("proxy_register_shared_queue", "iii"),
        ("proxy_enqueue_shared_queue", "iii"),
        ("proxy_dequeue_shared_queue", "iii"),
        ("proxy_get_shared_data", "iiiii"),
        ("proxy_set_shared_data", "iiiii"),
    ] {
        let filter = Filter::new().import(function, parameters).on(
            "proxy_on_request_headers",
            format!("{} (i32.const 0)", text::drop_call(function, parameters)),
        );
        let stand = Stand::new(&filter)?;
        assert_eq!(stand.ask("/json", &[])?.status, 500, "{function}");
        let contents = stand.gateway.record().contents();
        assert_eq!(
            contents.violations.len(),
            1,
            "{function}: {:?}",
            contents.violations
        );
        assert_eq!(contents.traps.len(), 1, "{function}: {:?}", contents.traps);
        assert!(stand.gateway.record().is_clean().is_err());
    }
    Ok(())
}

#[test]
fn leaving_the_program_traps() -> Result<()> {
    let filter = Filter::new()
        .import_from("wasi_snapshot_preview1", "proc_exit", "i")
        .on(
            "proxy_on_request_headers",
            "(call $proc_exit (i32.const 1)) (i32.const 0)",
        );
    let stand = Stand::new(&filter)?;
    assert_eq!(stand.ask("/json", &[])?.status, 500);
    Ok(())
}
