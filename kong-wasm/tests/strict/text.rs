//! Small filters written as WebAssembly text, for tests of the host itself.
//!
//! In: callbacks as instructions. Out: a whole module, with every other callback doing nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::exchange::{Pair, marshal};
use super::imports;

/// Where a test can put names and paths.
pub const TABLE: usize = 1024;
/// Where a call's upstream, headers and body lie.
pub const UPSTREAM: usize = 2048;
pub const HEADERS: usize = 4096;
pub const BODY: usize = 8192;
const CALLS_BODY: &str = "call's body";

/// Name, parameters, result, what it does when a test says nothing.
const EXPORTS: &[(&str, usize, bool, &str)] = &[
    ("proxy_abi_version_0_2_1", 0, false, ""),
    (
        "proxy_on_memory_allocate",
        1,
        true,
        "(global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0)))",
    ),
    ("proxy_on_context_create", 2, false, ""),
    ("proxy_on_vm_start", 2, true, "(i32.const 1)"),
    ("proxy_on_configure", 2, true, "(i32.const 1)"),
    ("proxy_on_tick", 1, false, ""),
    ("proxy_on_request_headers", 3, true, "(i32.const 0)"),
    ("proxy_on_request_body", 3, true, "(i32.const 0)"),
    ("proxy_on_response_headers", 3, true, "(i32.const 0)"),
    ("proxy_on_response_body", 3, true, "(i32.const 0)"),
    ("proxy_on_http_call_response", 5, false, ""),
    ("proxy_on_done", 1, true, "(i32.const 1)"),
    ("proxy_on_log", 1, false, ""),
    ("proxy_on_delete", 1, false, ""),
];

/// A module in the making.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    imports: BTreeMap<(String, String), String>,
    callbacks: BTreeMap<String, String>,
    data: BTreeMap<usize, Vec<u8>>,
    left_out: Vec<String>,
    ticking: bool,
}

impl Filter {
    pub fn new() -> Filter {
        Filter::default()
    }

    /// Imports a function of `env` with these parameters; those that callbacks call are imported as the host has them.
    pub fn import(self, name: &str, parameters: &str) -> Filter {
        self.import_from("env", name, parameters)
    }

    pub fn import_from(mut self, module: &str, name: &str, parameters: &str) -> Filter {
        self.imports
            .insert((module.into(), name.into()), parameters.into());
        self
    }

    /// What a callback does; parameters are `(local.get N)`.
    pub fn on(mut self, callback: &str, instructions: impl Into<String>) -> Filter {
        self.callbacks.insert(callback.into(), instructions.into());
        self
    }

    /// Bytes that are in memory from the start.
    pub fn data(mut self, at: usize, bytes: &[u8]) -> Filter {
        self.data.insert(at, bytes.to_vec());
        self
    }

    /// Asks for ticks when it is configured.
    pub fn ticking(mut self, millis: u32) -> Filter {
        self.ticking = true;
        let set = format!("(drop (call $proxy_set_tick_period_milliseconds (i32.const {millis})))");
        self.on("proxy_on_configure", format!("{set} (i32.const 1)"))
    }

    pub fn without(mut self, export: &str) -> Filter {
        self.left_out.push(export.into());
        self
    }

    /// The module.
    pub fn text(&self) -> String {
        let mut imports = self.imports.clone();
        for instructions in self.callbacks.values() {
            for call in instructions.split("(call $").skip(1) {
                let name = call.split([' ', ')']).next().unwrap_or_default();
                let Some((module, parameters)) = imports::signature(name) else {
                    continue;
                };
                let key = (module.to_owned(), name.to_owned());
                imports.entry(key).or_insert_with(|| parameters.to_owned());
            }
        }
        let mut text = String::from("(module\n");
        for ((module, name), parameters) in &imports {
            let parameters = parameters
                .chars()
                .map(|c| if c == 'i' { " i32" } else { " i64" });
            let parameters: String = parameters.collect();
            let result = if name == "proc_exit" {
                ""
            } else {
                "(result i32)"
            };
            let _ = writeln!(
                text,
                "(import \"{module}\" \"{name}\" (func ${name} (param{parameters}) {result}))"
            );
        }
        text.push_str(
            "(memory (export \"memory\") 64)\n(global $heap (mut i32) (i32.const 65536))\n",
        );
        text.push_str("(global $busy (mut i32) (i32.const 0))\n");
        for (at, bytes) in &self.data {
            let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            let _ = writeln!(text, "(data (i32.const {at}) \"{bytes}\")");
        }
        for &(name, parameters, result, nothing) in EXPORTS {
            if self.left_out.iter().any(|left| left == name) {
                continue;
            }
            let instructions = self.callbacks.get(name).map_or(nothing, String::as_str);
            let parameters = " i32".repeat(parameters);
            let result = if result { "(result i32)" } else { "" };
            let _ = writeln!(
                text,
                "(func (export \"{name}\") (param{parameters}) {result} {instructions})"
            );
        }
        text.push(')');
        text
    }
}

/// Calls a host function with zeros.
pub fn drop_call(name: &str, parameters: &str) -> String {
    let zeros: String = parameters
        .chars()
        .map(|c| {
            if c == 'i' {
                "(i32.const 0)"
            } else {
                "(i64.const 0)"
            }
        })
        .collect();
    format!("(drop (call ${name} {zeros}))")
}

/// Logs a number below ten.
pub fn say(number: &str) -> String {
    format!(
        "(i32.store8 (i32.const 16) (i32.add (i32.const 48) {number}))\
         (drop (call $proxy_log (i32.const 2) (i32.const 16) (i32.const 1)))"
    )
}

/// Logs what a function has handed over.
fn say_handed_over(call: &str) -> String {
    format!(
        "(i32.store (i32.const 72) (i32.const 0)) (i32.store (i32.const 76) (i32.const 0))\
         (drop {call})\
         (drop (call $proxy_log (i32.const 2) (i32.load (i32.const 72)) (i32.load (i32.const 76))))"
    )
}

/// Logs a part of a buffer.
pub fn say_buffer(buffer: u32, start: u32, most: u32) -> String {
    say_handed_over(&format!(
        "(call $proxy_get_buffer_bytes (i32.const {buffer}) (i32.const {start}) (i32.const {most}) (i32.const 72) (i32.const 76))"
    ))
}

/// Logs a map.
pub fn say_map(map: u32) -> String {
    say_handed_over(&format!(
        "(call $proxy_get_header_map_pairs (i32.const {map}) (i32.const 72) (i32.const 76))"
    ))
}

/// Logs the property whose path of this size is in [`TABLE`].
pub fn say_property(size: usize) -> String {
    say_handed_over(&format!(
        "(call $proxy_get_property (i32.const {TABLE}) (i32.const {size}) (i32.const 72) (i32.const 76))"
    ))
}

/// The status of a call to `upstream`; it, the headers and the body have to be in memory.
pub fn http_call(upstream: &str, headers: &[Pair]) -> String {
    format!(
        "(call $proxy_http_call (i32.const {UPSTREAM}) (i32.const {}) (i32.const {HEADERS}) (i32.const {}) \
         (i32.const {BODY}) (i32.const {}) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 64))",
        upstream.len(),
        marshal(headers).len(),
        CALLS_BODY.len()
    )
}
