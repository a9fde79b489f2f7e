//! Panics on demand, for the tests which show that one costs the capture of a request and nothing else.
//!
//! In: the request and the stage it is at. Out: a panic where the location's `silhouette_test_fault` names that stage.
//! With debug assertions only: a release build neither has the directive nor looks for it.

use nginx_sys::ngx_http_request_t;
#[cfg(debug_assertions)]
use ngx::http::HttpModuleLocationConf;

/// The directive.
#[cfg(debug_assertions)]
pub(crate) const NAME: &std::ffi::CStr = c"silhouette_test_fault";
/// How many directives this adds.
pub(crate) const DIRECTIVES: usize = cfg!(debug_assertions) as usize;

/// Where nginx calls the module for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    PostRead,
    RequestBody,
    ResponseHead,
    ResponseBody,
    Log,
    Variable,
}

#[cfg(debug_assertions)]
impl Stage {
    /// As the directive names them.
    pub(crate) fn parse(name: &str) -> Option<Stage> {
        Some(match name {
            "post_read" => Stage::PostRead,
            "request_body" => Stage::RequestBody,
            "response_head" => Stage::ResponseHead,
            "response_body" => Stage::ResponseBody,
            "log" => Stage::Log,
            "variable" => Stage::Variable,
            _ => return None,
        })
    }
}

/// Panics if a test asked for it.
///
/// # Safety
/// `r` is a live request.
#[cfg(debug_assertions)]
#[allow(clippy::panic)] // What it is for.
pub(crate) unsafe fn inject(r: *const ngx_http_request_t, stage: Stage) {
    // SAFETY: the caller's promise.
    let location = unsafe { crate::module::Silhouette::location_conf(&*r) };
    if location.is_some_and(|location| location.fault == Some(stage)) {
        std::panic::panic_any("asked for by silhouette_test_fault");
    }
}

/// # Safety
/// None.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) unsafe fn inject(_: *const ngx_http_request_t, _: Stage) {}
