//! Lines in nginx's logs. In: a level and text. Out: nothing. Only called on nginx's own thread, never with a token.

use nginx_sys::{ngx_conf_log_error, ngx_conf_t, ngx_log_error_core, ngx_log_t, ngx_uint_t};

/// Levels of nginx's error log that the module uses.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Emergency,
    Error,
    Notice,
}

impl Level {
    fn number(self) -> ngx_uint_t {
        (match self {
            Level::Emergency => nginx_sys::NGX_LOG_EMERG,
            Level::Error => nginx_sys::NGX_LOG_ERR,
            Level::Notice => nginx_sys::NGX_LOG_NOTICE,
        }) as ngx_uint_t
    }
}

/// # Safety
/// `log` is null or a live log.
pub(crate) unsafe fn write(log: *mut ngx_log_t, level: Level, text: &str) {
    // SAFETY: the caller's promise; `%*s` takes a length and that many bytes.
    unsafe {
        if log
            .as_ref()
            .is_some_and(|log| log.log_level >= level.number())
        {
            ngx_log_error_core(
                level.number(),
                log,
                0,
                c"silhouette: %*s".as_ptr(),
                text.len(),
                text.as_ptr(),
            );
        }
    }
}

/// A configuration error; nginx adds the file and line it is reading.
///
/// # Safety
/// `cf` is the configuration nginx is reading.
pub(crate) unsafe fn refuse(cf: *mut ngx_conf_t, text: &str) {
    // SAFETY: the caller's promise.
    unsafe {
        ngx_conf_log_error(
            Level::Emergency.number(),
            cf,
            0,
            c"%*s".as_ptr(),
            text.len(),
            text.as_ptr(),
        )
    }
}
