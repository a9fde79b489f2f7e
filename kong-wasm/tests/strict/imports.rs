//! Every function that Kong's host has for a filter, with its exact signature, and the linking of a module against them.
//!
//! In: a compiled module. Out: what it takes to make instances of it, or why Kong would not start with it.

use anyhow::{Result, anyhow, bail, ensure};
use wasmtime::{Caller, Engine, ExternType, FuncType, InstancePre, Linker, Module, Val, ValType};

use super::hostcalls::{self, Guest};
use super::worker::State;

/// What a host function does: a status for the filter, or an error that costs the instance.
pub type HostCall = fn(&mut Guest<'_, '_>, &[u64]) -> Result<u32>;

/// Name, parameters (`i`: 32 bits, `I`: 64 bits), what it does. Without the last it exists and traps: not implemented yet.
/// All answer 32 bits.
const ENV: &[(&str, &str, Option<HostCall>)] = &[
    ("proxy_log", "iii", Some(hostcalls::log)),
    ("proxy_get_log_level", "ii", None),
    (
        "proxy_get_current_time_nanoseconds",
        "i",
        Some(hostcalls::current_time),
    ),
    (
        "proxy_set_effective_context",
        "i",
        Some(hostcalls::set_effective_context),
    ),
    ("proxy_context_finalize", "", None),
    ("proxy_done", "", None),
    ("proxy_create_timer", "iii", None),
    ("proxy_delete_timer", "i", None),
    (
        "proxy_set_tick_period_milliseconds",
        "i",
        Some(hostcalls::set_tick_period),
    ),
    ("proxy_get_buffer", "iiiii", Some(hostcalls::get_buffer)),
    (
        "proxy_get_buffer_bytes",
        "iiiii",
        Some(hostcalls::get_buffer),
    ),
    ("proxy_set_buffer", "iiiii", Some(hostcalls::set_buffer)),
    (
        "proxy_set_buffer_bytes",
        "iiiii",
        Some(hostcalls::set_buffer),
    ),
    ("proxy_get_map_values", "iiiii", None),
    (
        "proxy_get_header_map_pairs",
        "iii",
        Some(hostcalls::get_map),
    ),
    (
        "proxy_get_header_map_value",
        "iiiii",
        Some(hostcalls::get_map_value),
    ),
    ("proxy_set_map_values", "iiiii", None),
    (
        "proxy_set_header_map_pairs",
        "iii",
        Some(hostcalls::set_map),
    ),
    (
        "proxy_add_header_map_value",
        "iiiii",
        Some(hostcalls::set_map),
    ),
    (
        "proxy_replace_header_map_value",
        "iiiii",
        Some(hostcalls::set_map),
    ),
    (
        "proxy_remove_header_map_value",
        "iii",
        Some(hostcalls::set_map),
    ),
    ("proxy_get_property", "iiii", Some(hostcalls::get_property)),
    ("proxy_set_property", "iiii", Some(hostcalls::set_property)),
    ("proxy_resume_stream", "i", None),
    ("proxy_resume_downstream", "i", None),
    ("proxy_resume_upstream", "i", None),
    ("proxy_continue_stream", "i", Some(hostcalls::resume)),
    ("proxy_close_stream", "i", None),
    ("proxy_resume_http_stream", "i", None),
    ("proxy_continue_request", "", Some(hostcalls::resume)),
    ("proxy_continue_response", "", None),
    (
        "proxy_send_http_response",
        "iiiiiiii",
        Some(hostcalls::send_local_response),
    ),
    (
        "proxy_send_local_response",
        "iiiiiiii",
        Some(hostcalls::send_local_response),
    ),
    (
        "proxy_dispatch_http_call",
        "iiiiiiiiii",
        Some(hostcalls::http_call),
    ),
    ("proxy_http_call", "iiiiiiiiii", Some(hostcalls::http_call)),
    ("proxy_dispatch_grpc_call", "iiiiiiiiiiii", None),
    ("proxy_grpc_call", "iiiiiiiiiiii", None),
    ("proxy_open_grpc_stream", "iiiiiiiii", None),
    ("proxy_grpc_stream", "iiiiiiiii", None),
    ("proxy_send_grpc_stream_message", "iii", None),
    ("proxy_grpc_send", "iiii", None),
    ("proxy_cancel_grpc_call", "i", None),
    ("proxy_grpc_cancel", "i", None),
    ("proxy_close_grpc_call", "i", None),
    ("proxy_grpc_close", "i", None),
    ("proxy_get_status", "iii", None),
    ("proxy_open_shared_kvstore", "iiii", None),
    ("proxy_get_shared_kvstore_key_values", "iiiiii", None),
    (
        "proxy_get_shared_data",
        "iiiii",
        Some(hostcalls::shared_data),
    ),
    ("proxy_set_shared_kvstore_key_values", "iiiiii", None),
    (
        "proxy_set_shared_data",
        "iiiii",
        Some(hostcalls::shared_data),
    ),
    ("proxy_add_shared_kvstore_key_values", "iiiiii", None),
    ("proxy_remove_shared_kvstore_key", "iiiiii", None),
    ("proxy_delete_shared_kvstore", "iiiiii", None),
    ("proxy_open_shared_queue", "iiii", None),
    (
        "proxy_register_shared_queue",
        "iii",
        Some(hostcalls::shared_queue),
    ),
    ("proxy_dequeue_shared_queue_item", "iii", None),
    (
        "proxy_dequeue_shared_queue",
        "iii",
        Some(hostcalls::shared_queue),
    ),
    ("proxy_enqueue_shared_queue_item", "iii", None),
    (
        "proxy_enqueue_shared_queue",
        "iii",
        Some(hostcalls::shared_queue),
    ),
    ("proxy_delete_shared_queue", "iiii", None),
    ("proxy_resolve_shared_queue", "iiiii", None),
    (
        "proxy_create_metric",
        "iiii",
        Some(hostcalls::define_metric),
    ),
    (
        "proxy_define_metric",
        "iiii",
        Some(hostcalls::define_metric),
    ),
    ("proxy_get_metric_value", "ii", Some(hostcalls::get_metric)),
    ("proxy_get_metric", "ii", Some(hostcalls::get_metric)),
    (
        "proxy_set_metric_value",
        "iI",
        Some(hostcalls::record_metric),
    ),
    ("proxy_record_metric", "iI", Some(hostcalls::record_metric)),
    (
        "proxy_increment_metric_value",
        "iI",
        Some(hostcalls::increment_metric),
    ),
    (
        "proxy_increment_metric",
        "iI",
        Some(hostcalls::increment_metric),
    ),
    ("proxy_delete_metric", "i", None),
    ("proxy_call_custom_function", "iiiii", None),
    ("proxy_call_foreign_function", "iiiiii", None),
    (
        "proxy_get_configuration",
        "ii",
        Some(hostcalls::get_configuration),
    ),
    ("proxy_clear_route_cache", "", None),
];

/// The part of WASI that is there.
const WASI: &[(&str, &str, Option<HostCall>)] = &[
    ("args_get", "ii", Some(hostcalls::wasi_nothing)),
    ("args_sizes_get", "ii", Some(hostcalls::wasi_sizes)),
    ("clock_time_get", "iIi", Some(hostcalls::wasi_clock)),
    ("environ_get", "ii", Some(hostcalls::wasi_nothing)),
    ("environ_sizes_get", "ii", Some(hostcalls::wasi_sizes)),
    ("fd_close", "i", Some(hostcalls::wasi_bad_file)),
    ("fd_fdstat_get", "ii", Some(hostcalls::wasi_bad_file)),
    ("fd_prestat_get", "ii", Some(hostcalls::wasi_bad_file)),
    (
        "fd_prestat_dir_name",
        "iii",
        Some(hostcalls::wasi_not_supported),
    ),
    ("fd_read", "iiii", Some(hostcalls::wasi_bad_file)),
    ("fd_seek", "iIii", Some(hostcalls::wasi_bad_file)),
    ("fd_write", "iiii", Some(hostcalls::wasi_write)),
    (
        "path_open",
        "iiiiiIIii",
        Some(hostcalls::wasi_not_a_directory),
    ),
    ("proc_exit", "i", None),
    ("random_get", "ii", Some(hostcalls::wasi_random)),
];

/// One of these has to be exported.
const ABI: &[&str] = &[
    "proxy_abi_version_0_1_0",
    "proxy_abi_version_0_2_0",
    "proxy_abi_version_0_2_1",
];

/// Where a function is imported from, and its parameters.
pub fn signature(name: &str) -> Option<(&'static str, &'static str)> {
    let find = |functions: &'static [(&str, &str, Option<HostCall>)]| {
        let found = functions.iter().find(|(other, _, _)| *other == name);
        found.map(|(_, parameters, _)| *parameters)
    };
    let env = find(ENV).map(|parameters| ("env", parameters));
    env.or_else(|| find(WASI).map(|parameters| ("wasi_snapshot_preview1", parameters)))
}

/// What a module must import nothing beside of.
pub fn known() -> Vec<String> {
    let names = |module: &str, functions: &[(&str, &str, Option<HostCall>)]| -> Vec<String> {
        let names = functions
            .iter()
            .map(|(name, _, _)| format!("{module}.{name}"));
        names.collect()
    };
    let mut all = names("env", ENV);
    all.extend(names("wasi_snapshot_preview1", WASI));
    all
}

/// Links the module's imports, each to the host's function of that name and exactly that signature.
///
/// # Errors
/// When Kong would end at its start: an import that the host lacks or has otherwise, no ABI version, a missing callback.
pub fn link(engine: &Engine, module: &Module) -> Result<InstancePre<State>> {
    let mut linker = Linker::new(engine);
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let functions = match from {
            "env" => ENV,
            "wasi_snapshot_preview1" | "wasi_unstable" => WASI,
            _ => bail!("the host has no module \"{from}\", from which \"{name}\" is imported"),
        };
        let Some(&(name, parameters, call)) = functions.iter().find(|(n, _, _)| *n == name) else {
            bail!("failed importing \"{from}.{name}\": missing host function");
        };
        let results = match name {
            "proc_exit" => vec![],
            _ => vec![ValType::I32],
        };
        let parameters = parameters.chars().map(|c| match c {
            'i' => ValType::I32,
            _ => ValType::I64,
        });
        let signature = FuncType::new(engine, parameters, results);
        let ExternType::Func(wanted) = import.ty() else {
            bail!("\"{from}.{name}\" is imported, and is no function");
        };
        ensure!(
            FuncType::eq(&signature, &wanted),
            "failed importing \"{from}.{name}\": the host's is {signature}, the filter's {wanted}"
        );
        linker
            .func_new(from, name, signature, move |caller, arguments, results| {
                call_host(name, call, caller, arguments, results)
            })
            .map_err(|error| anyhow!("{error:#}"))?;
    }
    let exports: Vec<&str> = module.exports().map(|export| export.name()).collect();
    ensure!(
        ABI.iter().any(|version| exports.contains(version)),
        "unknown ABI version: none of {ABI:?} is exported"
    );
    ensure!(
        exports.contains(&"malloc") || exports.contains(&"proxy_on_memory_allocate"),
        "filter missing malloc"
    );
    for name in [
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
    ] {
        ensure!(exports.contains(&name), "filter missing one of: {name}");
    }
    linker
        .instantiate_pre(module)
        .map_err(|error| anyhow!("{error:#}"))
}

fn call_host(
    name: &'static str,
    call: Option<HostCall>,
    mut caller: Caller<'_, State>,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let numbers: Vec<u64> = arguments
        .iter()
        .map(|value| match value {
            Val::I32(number) => u64::from(number.cast_unsigned()),
            Val::I64(number) => number.cast_unsigned(),
            _ => 0,
        })
        .collect();
    let mut guest = Guest::new(&mut caller);
    let answer = match call {
        Some(call) => call(&mut guest, &numbers),
        None => Err(guest.forbidden(format!("{name} is not implemented"))),
    };
    let status = answer.map_err(|error| wasmtime::Error::msg(format!("{name}: {error:#}")))?;
    if let Some(result) = results.first_mut() {
        *result = Val::I32(status.cast_signed());
    }
    Ok(())
}
