//! The module as nginx knows it: its tables, its place among the filters, and what it does when a process starts and
//! ends.
//!
//! In: nginx's calls. Out: hooks in their places, shared memory for the counters, a [`Worker`] in every worker process.
//! The exporter thread is started in the worker, never before the fork, and never in the master or the cache manager.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use nginx_sys::{
    NGX_HTTP_VAR_NOCACHEABLE, NGX_OK, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_add_timer,
    ngx_array_push, ngx_array_t, ngx_conf_t, ngx_connection_t, ngx_current_msec, ngx_cycle,
    ngx_cycle_t, ngx_event_t, ngx_http_add_variable, ngx_http_handler_pt, ngx_http_module_t,
    ngx_http_phases_NGX_HTTP_LOG_PHASE as NGX_HTTP_LOG_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE as NGX_HTTP_POST_READ_PHASE, ngx_http_top_body_filter,
    ngx_http_top_header_filter, ngx_http_top_request_body_filter, ngx_int_t, ngx_module_t, ngx_pid,
    ngx_process, ngx_shared_memory_add, ngx_shm_zone_t, ngx_slab_calloc, ngx_slab_pool_t,
    ngx_str_t, ngx_time,
};
use ngx::http::{HttpModule, HttpModuleLocationConf, HttpModuleMainConf, NgxHttpCoreModule};

use crate::counters::Table;
use crate::directives::{
    COMMANDS, LocationConf, MainConf, create_loc_conf, create_main_conf, merge_loc_conf,
};
use crate::hooks::{self, Next};
use crate::log::{self, Level};
use crate::worker::{Setup, Worker};

/// The module's type, for access to its configuration.
pub(crate) struct Silhouette;

impl HttpModule for Silhouette {
    fn module() -> &'static ngx_module_t {
        // SAFETY: nginx writes to it while it loads the module only.
        unsafe { &*ptr::addr_of!(ngx_http_silhouette_module) }
    }
}

// SAFETY: `create_main_conf` and `create_loc_conf` make these types.
unsafe impl HttpModuleMainConf for Silhouette {
    type MainConf = MainConf;
}

// SAFETY: as above.
unsafe impl HttpModuleLocationConf for Silhouette {
    type LocationConf = LocationConf;
}

impl Silhouette {
    /// The module's place in a request's contexts.
    pub(crate) fn index() -> usize {
        Self::module().ctx_index
    }
}

static CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(preconfiguration),
    postconfiguration: Some(postconfiguration),
    create_main_conf: Some(create_main_conf),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(create_loc_conf),
    merge_loc_conf: Some(merge_loc_conf),
};

/// The module's descriptor.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_http_silhouette_module: ngx_module_t = ngx_module_t {
    ctx: ptr::addr_of!(CONTEXT).cast_mut().cast(),
    commands: ptr::addr_of_mut!(COMMANDS).cast(),
    type_: nginx_sys::NGX_HTTP_MODULE as usize,
    init_process: Some(init_process),
    exit_process: Some(exit_process),
    ..ngx_module_t::default()
};

/// What `load_module` looks for: the modules in this file …
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_modules: [*const ngx_module_t; 2] =
    [ptr::addr_of!(ngx_http_silhouette_module), ptr::null()];

/// … their names …
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_module_names: [*const c_char; 2] =
    [c"ngx_http_silhouette_module".as_ptr(), ptr::null()];

/// … and where they belong: filters run in reverse order, so that this is after the postpone filter and before gzip.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_module_order: [*const c_char; 3] = [
    c"ngx_http_silhouette_module".as_ptr(),
    c"ngx_http_postpone_filter_module".as_ptr(),
    ptr::null(),
];

/// With the version in its name, so that a reload after an upgrade does not read another layout.
const ZONE_NAME: &str = concat!("silhouette_", env!("CARGO_PKG_VERSION"));
/// The table, the slab allocator's own needs, and rounding.
const ZONE_SIZE: usize = (size_of::<Table>() + 16 * 4096).next_multiple_of(4096);
/// Milliseconds between two looks at the exporter.
const TICK: usize = 1000;

const OK: ngx_int_t = NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = -1;

/// Adds the variable.
unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    let mut name = ngx::ngx_string!("silhouette_status");
    // SAFETY: nginx calls it with the configuration it is reading.
    unsafe {
        let Some(variable) =
            ngx_http_add_variable(cf, &mut name, NGX_HTTP_VAR_NOCACHEABLE as _).as_mut()
        else {
            return ERROR;
        };
        variable.get_handler = Some(hooks::status_variable);
    }
    OK
}

/// Puts the hooks in their places, when any level captures, and asks for shared memory.
unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: nginx calls it with the configuration it is reading, before any process starts.
    unsafe {
        let Some(main) = Silhouette::main_conf_mut(&*cf) else {
            return ERROR;
        };
        main.generation = generation();
        if main.is_used || main.has_status_page {
            let mut name = ngx_str_t {
                len: ZONE_NAME.len(),
                data: ZONE_NAME.as_ptr().cast_mut(),
            };
            let tag = ptr::addr_of_mut!(ngx_http_silhouette_module).cast();
            let Some(zone) = ngx_shared_memory_add(cf, &mut name, ZONE_SIZE, tag).as_mut() else {
                return ERROR;
            };
            zone.init = Some(init_zone);
            main.zone = zone;
        }
        if !main.is_used {
            return OK;
        }
        let Some(core) = NgxHttpCoreModule::main_conf_mut(&*cf) else {
            return ERROR;
        };
        let [log, post_read] = [NGX_HTTP_LOG_PHASE, NGX_HTTP_POST_READ_PHASE].map(|phase| {
            core.phases
                .get_mut(phase as usize)
                .map_or(ptr::null_mut(), |phase| ptr::addr_of_mut!(phase.handlers))
        });
        if !push_first(log, Some(hooks::log_handler))
            || !push_first(post_read, Some(hooks::post_read_handler))
        {
            return ERROR;
        }
        hooks::set_next(Next {
            header: ngx_http_top_header_filter,
            body: ngx_http_top_body_filter,
            request_body: ngx_http_top_request_body_filter,
        });
        ngx_http_top_header_filter = Some(hooks::header_filter);
        ngx_http_top_body_filter = Some(hooks::body_filter);
        ngx_http_top_request_body_filter = Some(hooks::request_body_filter);
    }
    OK
}

/// Registers a handler before those that are there. In the log phase that makes it run before the access log's.
///
/// # Safety
/// `handlers` is null or a phase's array.
unsafe fn push_first(handlers: *mut ngx_array_t, handler: ngx_http_handler_pt) -> bool {
    // SAFETY: the caller's promise; after the push there is room for one more element.
    unsafe {
        if handlers.is_null() || ngx_array_push(handlers).is_null() {
            return false;
        }
        let first = (*handlers).elts.cast::<ngx_http_handler_pt>();
        ptr::copy(first, first.add(1), (*handlers).nelts - 1);
        first.write(handler);
    }
    true
}

/// Shared memory is there: take the table over from the configuration before, or make a new one.
unsafe extern "C" fn init_zone(zone: *mut ngx_shm_zone_t, before: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx calls it with the zone, mapped and with a slab pool at its beginning.
    unsafe {
        if !before.is_null() {
            (*zone).data = before;
            return OK;
        }
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        if (*zone).shm.exists != 0 {
            (*zone).data = (*pool).data;
            return OK;
        }
        // All zeroes is an empty table.
        let table = ngx_slab_calloc(pool, size_of::<Table>());
        if table.is_null() {
            return ERROR;
        }
        (*pool).data = table;
        (*zone).data = table;
    }
    OK
}

/// The counters, and the URLs of the links they are about.
pub(crate) fn counters(main: &MainConf) -> Option<(&'static Table, Vec<String>)> {
    // SAFETY: the zone lives as long as the cycle; a worker never outlives the mapping it was forked with.
    let table = unsafe { main.zone.as_ref()?.data.cast::<Table>().as_ref()? };
    Some((
        table,
        main.book
            .links()
            .iter()
            .map(|link| link.collector.to_string())
            .collect(),
    ))
}

/// A number that differs between configurations of one master.
fn generation() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Relaxed) + 1
}

/// Is there a process with this number?
pub(crate) fn is_alive(pid: u64) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    // SAFETY: signal 0 sends nothing.
    pid > 0
        && (unsafe { nginx_sys::kill(pid, 0) } == 0
            || nginx_sys::ngx_errno() as u32 == nginx_sys::EPERM)
}

unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // A worker without capture is better than no worker: this never fails.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: nginx calls it with the live cycle.
        unsafe {
            let kind = ngx_process as u32;
            if kind != NGX_PROCESS_WORKER && kind != NGX_PROCESS_SINGLE {
                return;
            }
            let Some(main) = Silhouette::main_conf(&*cycle) else {
                return;
            };
            if !main.is_used {
                return;
            }
            if let Err(error) = start_worker(&*cycle, main) {
                log::write(
                    (*cycle).log,
                    Level::Error,
                    &format!("nothing is captured in this worker: {error}"),
                );
            }
        }
    });
    OK
}

/// # Safety
/// In a worker process, once.
unsafe fn start_worker(cycle: &ngx_cycle_t, main: &MainConf) -> std::io::Result<()> {
    let (table, _) =
        counters(main).ok_or_else(|| std::io::Error::other("there is no shared memory"))?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    let setup = Setup {
        links: main.book.links(),
        table,
        // SAFETY: set before a process initialises its modules.
        pid: unsafe { ngx_pid }.unsigned_abs().into(),
        configuration: main.generation,
        node: crate::request::text(&cycle.hostname),
        gateway_version: nginx_sys::NGINX_VER.to_str().unwrap_or("nginx"),
        random,
    };
    // SAFETY: plain system calls on this thread's mask; the new thread inherits "all blocked".
    unsafe {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        nginx_sys::sigfillset(all.as_mut_ptr());
        let blocked = nginx_sys::pthread_sigmask(
            nginx_sys::SIG_SETMASK as c_int,
            all.as_ptr(),
            before.as_mut_ptr(),
        ) == 0;
        let started = Worker::start(&setup, is_alive);
        if blocked {
            nginx_sys::pthread_sigmask(
                nginx_sys::SIG_SETMASK as c_int,
                before.as_ptr(),
                ptr::null_mut(),
            );
        }
        started?;
        start_timers(cycle);
    }
    Ok(())
}

thread_local! {
    /// The timer for exchanges that have gathered; null where there is no worker.
    static FLUSH: Cell<*mut ngx_event_t> = const { Cell::new(ptr::null_mut()) };
}

/// Starts ticking once a second, as long as the process lives.
///
/// # Safety
/// In a process with an event loop.
unsafe fn start_timers(cycle: &ngx_cycle_t) {
    // SAFETY: the caller's promise.
    unsafe {
        FLUSH.set(new_timer(cycle, on_flush));
        ngx_add_timer(new_timer(cycle, on_tick), TICK);
    }
}

/// A timer that lives as long as the process and does not keep it from ending.
///
/// # Safety
/// `cycle` is the live cycle.
unsafe fn new_timer(
    cycle: &ngx_cycle_t,
    handler: unsafe extern "C" fn(*mut ngx_event_t),
) -> *mut ngx_event_t {
    // SAFETY: zeroes are a valid, unset event and connection.
    let (connection, event): (&mut ngx_connection_t, &mut ngx_event_t) = unsafe {
        (
            Box::leak(Box::new(MaybeUninit::zeroed().assume_init())),
            Box::leak(Box::new(MaybeUninit::zeroed().assume_init())),
        )
    };
    // nginx's debug log prints the descriptor of the connection an event belongs to.
    connection.fd = -1;
    event.data = ptr::from_mut(connection).cast();
    event.log = cycle.log;
    event.handler = Some(handler);
    event.set_cancelable(1);
    event
}

unsafe extern "C" fn on_tick(event: *mut ngx_event_t) {
    let _ = std::panic::catch_unwind(tick);
    // SAFETY: the event `start_timers` made.
    unsafe { ngx_add_timer(event, TICK) };
}

unsafe extern "C" fn on_flush(_: *mut ngx_event_t) {
    let _ = std::panic::catch_unwind(|| Worker::with(Worker::flush));
}

/// Has what has gathered handed over to the exporter after so many milliseconds, or earlier.
pub(crate) fn flush_in(millis: usize) {
    let flush = FLUSH.get();
    // SAFETY: null, or the event `start_timers` made; nginx calls this on the thread of its event loop.
    unsafe {
        let Some(event) = flush.as_ref() else { return };
        if event.timer_set() == 0 || ngx_current_msec.wrapping_add(millis) < event.timer.key {
            ngx_add_timer(flush, millis);
        }
    }
}

/// Shows this worker's counters and logs what the exporter had to say.
pub(crate) fn tick() {
    Worker::with(|worker| worker.tick(seconds(), log_line));
}

fn log_line(is_failure: bool, text: &str) {
    let level = if is_failure {
        Level::Error
    } else {
        Level::Notice
    };
    // SAFETY: the current cycle and its log.
    unsafe {
        if let Some(cycle) = ngx_cycle.as_ref() {
            log::write(cycle.log, level, text);
        }
    }
}

fn seconds() -> u64 {
    u64::try_from(ngx_time()).unwrap_or(0)
}

unsafe extern "C" fn exit_process(_: *mut ngx_cycle_t) {
    let _ = std::panic::catch_unwind(|| {
        if let Some(worker) = Worker::take()
            && !worker.end(seconds(), log_line)
        {
            log_line(true, "the exporter did not end in time and is left behind");
        }
    });
}
