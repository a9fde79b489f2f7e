//! The module's directives and what they fill: the table nginx reads, beside the structures it fills.
//!
//! In: arguments as nginx has split them. Out: a [`Layer`] per http, server and location block, compiled when nginx
//! merges the levels. Whatever is wrong is reported as nginx does, with directive, value and place. Runs in the master
//! while it reads its configuration, never for a request.

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use nginx_sys::{
    NGX_CONF_1MORE, NGX_CONF_FLAG, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_HTTP_LIF_CONF,
    NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_SRV_CONF,
    ngx_command_t, ngx_conf_full_name, ngx_conf_t, ngx_shm_zone_t, ngx_str_t, ngx_uint_t,
};
use ngx::http::{HttpModuleLocationConf, HttpModuleMainConf, NgxHttpCoreModule};

use crate::config::{Book, Compiled, Layer, Place, SetError};
use crate::log;
use crate::module::Silhouette;
use crate::pool;
use crate::request;
use crate::status::Format;

/// What the http block has once.
pub(crate) struct MainConf {
    pub(crate) book: Book,
    /// Some level is on: requests are looked at.
    pub(crate) is_used: bool,
    /// A `silhouette_status` stands somewhere.
    pub(crate) has_status_page: bool,
    /// The counters' shared memory.
    pub(crate) zone: *mut ngx_shm_zone_t,
    /// Tells configurations apart.
    pub(crate) generation: u64,
}

/// What each http, server and location block has.
#[derive(Default)]
pub(crate) struct LocationConf {
    layer: Layer,
    /// Present where requests are captured.
    pub(crate) compiled: Option<Arc<Compiled>>,
    /// The form in which `silhouette_status` answers when the client does not say.
    pub(crate) status_format: Format,
    /// Where a test wants the module to panic.
    #[cfg(debug_assertions)]
    pub(crate) fault: Option<crate::fault::Stage>,
}

const ANYWHERE: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;
const PREFIX: &str = "silhouette_";
const CONF_OK: *mut c_char = ptr::null_mut();
const CONF_ERROR: *mut c_char = ptr::without_provenance_mut(usize::MAX);

type Handler =
    unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

const fn directive(name: &'static std::ffi::CStr, kind: u32, set: Handler) -> ngx_command_t {
    ngx_command_t {
        name: ngx_str_t {
            len: name.count_bytes(),
            data: name.as_ptr().cast_mut().cast(),
        },
        type_: kind as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    }
}

macro_rules! settings {
    ($($name:literal)+) => {
        /// Names of the settings that are directives `silhouette_<name>`.
        const SETTINGS: &[&str] = &[$($name),+];

        /// The table nginx reads.
        pub(crate) static mut COMMANDS: [ngx_command_t; 3 + crate::fault::DIRECTIVES + SETTINGS.len()] = [
            directive(c"silhouette", ANYWHERE | NGX_HTTP_LIF_CONF | NGX_CONF_FLAG, set_enabled),
            directive(c"silhouette_status", NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1, set_status),
            $(directive(
                match std::ffi::CStr::from_bytes_with_nul(concat!("silhouette_", $name, "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                },
                ANYWHERE | NGX_CONF_1MORE,
                set_setting,
            ),)+
            #[cfg(debug_assertions)]
            directive(crate::fault::NAME, ANYWHERE | NGX_CONF_TAKE1, set_fault),
            ngx_command_t::empty(),
        ];
    };
}

// One for each of `silhouette_capture::Settings::TABLE`, then the module's own; a test compares.
settings! {
    "collector" "token" "tls_ca" "max_request_body" "max_response_body" "excluded_statuses" "excluded_methods"
    "excluded_headers" "include_hosts" "exclude_hosts" "include_paths" "exclude_paths" "content_types" "sample_rate"
    "redact_headers" "redact_query" "redact_json" "queue_bytes" "flush_interval_ms"
    "name" "tls_certificate" "tls_certificate_key"
}

/// # Safety
/// nginx calls it with the configuration it is reading.
pub(crate) unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    let conf = MainConf {
        book: Book::default(),
        is_used: false,
        has_status_page: false,
        zone: ptr::null_mut(),
        generation: 0,
    };
    // SAFETY: nginx's promise.
    unsafe { pool::place((*cf).pool, conf) }.map_or(ptr::null_mut(), |place| place.as_ptr().cast())
}

/// # Safety
/// nginx calls it with the configuration it is reading.
pub(crate) unsafe extern "C" fn create_loc_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx's promise.
    unsafe { pool::place((*cf).pool, LocationConf::default()) }
        .map_or(ptr::null_mut(), |place| place.as_ptr().cast())
}

/// # Safety
/// nginx calls it with the configuration it is reading and two results of [`create_loc_conf`].
pub(crate) unsafe extern "C" fn merge_loc_conf(
    cf: *mut ngx_conf_t,
    above: *mut c_void,
    own: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx's promise.
    guarded(|| unsafe { merge(cf, above, own) })
}

/// Runs what a callback does; a panic in it is a refused configuration and not the end of the master.
fn guarded(f: impl FnOnce() -> *mut c_char) -> *mut c_char {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(CONF_ERROR)
}

/// # Safety
/// As [`merge_loc_conf`].
unsafe fn merge(cf: *mut ngx_conf_t, above: *mut c_void, own: *mut c_void) -> *mut c_char {
    // SAFETY: nginx's promise; the two are different levels.
    let (above, own, cf_ref) = unsafe {
        (
            &*above.cast::<LocationConf>(),
            &mut *own.cast::<LocationConf>(),
            &*cf,
        )
    };
    own.layer.inherit(&above.layer);
    #[cfg(debug_assertions)]
    {
        own.fault = own.fault.or(above.fault);
    }
    let Some(main) = Silhouette::main_conf_mut(cf_ref) else {
        return CONF_ERROR;
    };
    main.has_status_page |= own.layer.is_status_page;
    match main.book.compile(&own.layer) {
        Ok(compiled) => {
            main.is_used |= compiled.is_some();
            own.compiled = compiled;
            CONF_OK
        }
        Err(error) => {
            // SAFETY: the configuration's log; the error names its own place, nginx's is the end of the block.
            unsafe { log::write(cf_ref.log, log::Level::Emergency, &error.to_string()) };
            CONF_ERROR
        }
    }
}

/// `silhouette on|off`.
unsafe extern "C" fn set_enabled(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a directive's handler with the configuration it is reading and the block's structure.
    guarded(|| unsafe { read_enabled(cf, cmd, conf) })
}

/// # Safety
/// As [`set_enabled`].
unsafe fn read_enabled(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the caller's promise.
    let (arguments, place, conf) =
        unsafe { (arguments(cf), place(cf), &mut *conf.cast::<LocationConf>()) };
    let Some(arguments) = arguments else {
        return CONF_ERROR;
    };
    let on = match arguments.as_slice() {
        [_, "on"] => true,
        [_, "off"] => false,
        [_, value, ..] => {
            let text = format!(
                "invalid value \"{value}\" in \"silhouette\" directive, it must be \"on\" or \"off\""
            );
            // SAFETY: as above.
            unsafe { log::refuse(cf, &text) };
            return CONF_ERROR;
        }
        _ => return CONF_ERROR,
    };
    match conf.layer.enable(on, place) {
        Ok(()) => CONF_OK,
        Err(_) => c"is duplicate".as_ptr().cast_mut(),
    }
}

/// `silhouette_status [json|prometheus]`.
unsafe extern "C" fn set_status(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a directive's handler with the configuration it is reading and the block's structure.
    guarded(|| unsafe { read_status(cf, cmd, conf) })
}

/// # Safety
/// As [`set_status`].
unsafe fn read_status(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the caller's promise.
    let (arguments, conf, cf_ref) =
        unsafe { (arguments(cf), &mut *conf.cast::<LocationConf>(), &*cf) };
    let Some(arguments) = arguments else {
        return CONF_ERROR;
    };
    if conf.layer.is_status_page {
        return c"is duplicate".as_ptr().cast_mut();
    }
    conf.status_format = match arguments.as_slice() {
        [_] | [_, "json"] => Format::Json,
        [_, "prometheus"] => Format::Prometheus,
        _ => {
            let value = arguments.get(1).copied().unwrap_or_default();
            let text = format!(
                "invalid value \"{value}\" in \"silhouette_status\" directive, it must be \"json\" or \"prometheus\""
            );
            // SAFETY: as above.
            unsafe { log::refuse(cf, &text) };
            return CONF_ERROR;
        }
    };
    conf.layer.is_status_page = true;
    let Some(core) = NgxHttpCoreModule::location_conf_mut(cf_ref) else {
        return CONF_ERROR;
    };
    core.handler = Some(crate::hooks::status_handler);
    CONF_OK
}

/// `silhouette_<setting> value …`.
unsafe extern "C" fn set_setting(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a directive's handler with the configuration it is reading and the block's structure.
    guarded(|| unsafe { read_setting(cf, cmd, conf) })
}

/// # Safety
/// As [`set_setting`].
unsafe fn read_setting(
    cf: *mut ngx_conf_t,
    cmd: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the caller's promise.
    let (arguments, place, conf, directive) = unsafe {
        (
            arguments(cf),
            place(cf),
            &mut *conf.cast::<LocationConf>(),
            request::text(&(*cmd).name),
        )
    };
    let Some(arguments) = arguments else {
        return CONF_ERROR;
    };
    let known = SETTINGS
        .iter()
        .find(|name| directive.strip_prefix(PREFIX) == Some(**name));
    let (Some(name), Some((_, values))) = (known, arguments.split_first()) else {
        return CONF_ERROR;
    };
    if is_single(name) && values.len() > 1 {
        // SAFETY: as above.
        unsafe {
            log::refuse(
                cf,
                &format!("invalid number of arguments in \"{directive}\" directive: it takes one"),
            )
        };
        return CONF_ERROR;
    }
    // Lists may be written as arguments, as nginx users do, or with commas.
    let mut value = values.join(",");
    // SAFETY: as above.
    unsafe {
        match (*name, value.strip_prefix("file:")) {
            ("tls_ca" | "tls_certificate" | "tls_certificate_key", _) => {
                value = full_path(cf, &value)
            }
            ("token", Some(path)) => value = format!("file:{}", full_path(cf, path)),
            _ => {}
        }
    }
    match conf.layer.set(name, &value, place) {
        Ok(()) => CONF_OK,
        Err(SetError::Duplicate) => c"is duplicate".as_ptr().cast_mut(),
        Err(error) => {
            // SAFETY: as above.
            unsafe {
                log::refuse(
                    cf,
                    &format!("invalid value in \"{directive}\" directive: {error}"),
                )
            };
            CONF_ERROR
        }
    }
}

/// `silhouette_test_fault STAGE`, see [`crate::fault`].
#[cfg(debug_assertions)]
unsafe extern "C" fn set_fault(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    guarded(|| {
        // SAFETY: nginx calls a directive's handler with the configuration it is reading and the block's structure.
        let (arguments, conf) = unsafe { (arguments(cf), &mut *conf.cast::<LocationConf>()) };
        conf.fault = match arguments.as_deref() {
            Some([_, stage]) => crate::fault::Stage::parse(stage),
            _ => None,
        };
        match conf.fault {
            Some(_) => CONF_OK,
            None => c"takes the name of a stage".as_ptr().cast_mut(),
        }
    })
}

fn is_single(name: &str) -> bool {
    !matches!(
        name,
        "excluded_statuses"
            | "excluded_methods"
            | "excluded_headers"
            | "include_hosts"
            | "exclude_hosts"
            | "include_paths"
            | "exclude_paths"
            | "content_types"
            | "redact_headers"
            | "redact_query"
            | "redact_json"
    )
}

/// The directive's name and arguments. `None` after telling which one is not text: an empty one in its place would be a
/// setting that nobody asked for.
///
/// # Safety
/// `cf` is the configuration nginx is reading.
unsafe fn arguments<'a>(cf: *mut ngx_conf_t) -> Option<Vec<&'a str>> {
    // SAFETY: the caller's promise; the arguments are in the configuration's pool.
    let arguments = unsafe { (*(*cf).args).as_slice::<ngx_str_t>() };
    let mut texts = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let bytes = request::bytes(argument);
        let Ok(text) = std::str::from_utf8(bytes) else {
            let directive = texts.first().copied().unwrap_or("silhouette");
            let shown: String = String::from_utf8_lossy(bytes).chars().take(128).collect();
            let error = format!(
                "invalid value \"{shown}\" in \"{directive}\" directive: it is not UTF-8, save the file as UTF-8"
            );
            // SAFETY: the caller's promise.
            unsafe { log::refuse(cf, &error) };
            return None;
        };
        texts.push(text);
    }
    Some(texts)
}

/// # Safety
/// `cf` is the configuration nginx is reading.
unsafe fn place(cf: *mut ngx_conf_t) -> Place {
    // SAFETY: the caller's promise; there is no file for directives given on the command line.
    match unsafe { (*cf).conf_file.as_ref() } {
        Some(file) => Place {
            file: request::text(&file.file.name).into(),
            line: file.line,
        },
        None => Place {
            file: "command line".into(),
            line: 0,
        },
    }
}

/// A relative path is one below the directory of `nginx.conf`, as for nginx's own directives.
///
/// # Safety
/// `cf` is the configuration nginx is reading.
unsafe fn full_path(cf: *mut ngx_conf_t, path: &str) -> String {
    if Path::new(path).is_absolute() {
        return path.to_owned();
    }
    let terminated = format!("{path}\0");
    let mut name = ngx_str_t {
        len: path.len(),
        data: terminated.as_ptr().cast_mut(),
    };
    // SAFETY: the caller's promise; nginx replaces `name` by one in the pool and does not write into the old.
    unsafe {
        match ngx_conf_full_name((*cf).cycle, &mut name, 1) {
            0 => request::text(&*ptr::addr_of!(name)).to_owned(),
            _ => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use silhouette_capture::Settings;

    use super::*;
    use crate::config::OWN_SETTINGS;

    #[test]
    fn every_setting_is_a_directive() {
        let shared = Settings::TABLE.iter().map(|setting| setting.name);
        let wanted: Vec<&str> = shared.chain(OWN_SETTINGS.iter().map(|own| own.0)).collect();
        assert_eq!(SETTINGS, wanted);
        for setting in Settings::TABLE {
            let list = setting.accepts.contains("separated by commas");
            assert_eq!(is_single(setting.name), !list, "{}", setting.name);
        }
    }

    /// `SILHOUETTE_UPDATE_GENERATED=1 cargo test -p silhouette-nginx` rewrites the table after a change.
    #[test]
    fn the_documentation_has_every_setting() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/nginx.md");
        let page = std::fs::read_to_string(path).unwrap();
        let mut table = String::from("\n| directive | default | accepts | |\n|---|---|---|---|\n");
        for setting in Settings::TABLE {
            let default = match setting.default {
                "" => "–".to_owned(),
                long if long.len() > 60 => "built-in list, see below".to_owned(),
                short => format!("`{short}`"),
            };
            let accepts = setting.accepts.replace('|', "\\|");
            table += &format!(
                "| `silhouette_{}` | {default} | {accepts} | {} |\n",
                setting.name, setting.help
            );
        }
        for setting in Settings::TABLE
            .iter()
            .filter(|setting| setting.default.len() > 60)
        {
            table += &format!(
                "\nDefault of `silhouette_{}`: `{}`.\n",
                setting.name,
                setting.default.replace(',', ", ")
            );
        }
        let (before, rest) = page.split_once("directives.rs -->\n").unwrap();
        let (have, after) = rest.split_once("\n<!-- /settings -->").unwrap();
        if std::env::var_os("SILHOUETTE_UPDATE_GENERATED").is_some() {
            let page = format!("{before}directives.rs -->\n{table}\n<!-- /settings -->{after}");
            std::fs::write(path, page).unwrap();
        } else {
            assert_eq!(have, table);
        }
    }

    /// `deploy/nginx/silhouette.conf` shows every setting, and says the truth where it calls a value the default.
    #[test]
    fn the_full_example_is_complete_and_true() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/nginx/silhouette.conf"
        );
        let example = std::fs::read_to_string(path).unwrap();
        for name in SETTINGS {
            let shown = example.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("silhouette_{name} "))
            });
            assert!(shown, "silhouette_{name}");
        }
        for name in [
            "queue_bytes",
            "flush_interval_ms",
            "max_request_body",
            "max_response_body",
            "excluded_methods",
            "sample_rate",
        ] {
            let setting = Settings::TABLE.iter().find(|setting| setting.name == name);
            let default = setting.unwrap().default.replace(',', " ");
            assert!(
                example.contains(&format!("\nsilhouette_{name} {default};\n")),
                "silhouette_{name} is {default} by default"
            );
        }
    }
}
