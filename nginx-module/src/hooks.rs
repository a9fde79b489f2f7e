//! Where nginx calls the module for a request: phases, filters, the status page, the variable.
//!
//! In: nginx's request and buffer chains. Out: calls on its [`Exchange`], and always the same call on to the next filter
//! with the same arguments. A panic in the module is caught here, counted, and ends the capture of that request alone.
//!
//! The header and body filters stand between nginx's postpone and gzip filters: they see subrequests' output in its
//! place, and bodies before nginx compresses them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use nginx_sys::{
    NGX_DECLINED, NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_NOT_ALLOWED, NGX_OK, ngx_buf_t,
    ngx_chain_t, ngx_http_discard_request_body, ngx_http_output_body_filter_pt,
    ngx_http_output_filter, ngx_http_output_header_filter_pt, ngx_http_request_body_filter_pt,
    ngx_http_request_t, ngx_http_send_header, ngx_int_t, ngx_pnalloc, ngx_str_t, ngx_uint_t,
    ngx_variable_value_t,
};
use ngx::http::{HttpModuleLocationConf, HttpModuleMainConf};

use crate::config::Compiled;
use crate::exchange::Exchange;
use crate::fault::{self, Stage};
use crate::module::Silhouette;
use crate::pool;
use crate::request::{self, Request};
use crate::status;
use crate::worker::Worker;

/// The filters that were first before the module's own.
pub(crate) struct Next {
    pub(crate) header: ngx_http_output_header_filter_pt,
    pub(crate) body: ngx_http_output_body_filter_pt,
    pub(crate) request_body: ngx_http_request_body_filter_pt,
}

/// Set by each configuration that uses the module, because the modules around this one may have changed.
static mut NEXT: Next = Next {
    header: None,
    body: None,
    request_body: None,
};

/// Remembers the filters that come after the module's.
///
/// # Safety
/// While nginx reads its configuration.
pub(crate) unsafe fn set_next(next: Next) {
    // SAFETY: nginx reads its configuration on its only thread, between requests.
    unsafe { *ptr::addr_of_mut!(NEXT) = next };
}

fn next() -> &'static Next {
    // SAFETY: written by `set_next` only, never while a request is handled.
    unsafe { &*ptr::addr_of!(NEXT) }
}

const ERROR: ngx_int_t = -1;

/// The settings that hold where the request is now; `None` where nothing is captured.
fn settings<'a>(r: &ngx_http_request_t) -> Option<&'a Compiled> {
    Silhouette::location_conf(r)?.compiled.as_deref()
}

/// The request's exchange; made if there is none yet and `make` says so.
///
/// # Safety
/// `r` is a live main request.
unsafe fn exchange<'a>(r: *mut ngx_http_request_t, make: bool) -> Option<&'a mut Exchange> {
    // SAFETY: the caller's promise; nginx has a context slot for every module, and clears it at internal redirects.
    unsafe {
        let context = (*r).ctx.add(Silhouette::index());
        let mut place: Option<NonNull<Exchange>> = NonNull::new((*context).cast());
        if place.is_none() {
            place = pool::find::<Exchange>((*r).pool);
            if place.is_none() && make {
                let request = Request::new(r)?;
                let made = Worker::with(|worker| Exchange::new(request, worker))?;
                place = pool::place((*r).pool, made);
            }
            if let Some(place) = place {
                *context = place.as_ptr().cast();
            }
        }
        place.map(|mut place| place.as_mut())
    }
}

/// Runs `f`; a panic in it ends the capture of this request and nothing else.
///
/// # Safety
/// `r` is a live main request, or `f` does nothing for it.
unsafe fn guarded<R>(
    r: *mut ngx_http_request_t,
    stage: Stage,
    f: impl FnOnce() -> Option<R>,
) -> Option<R> {
    let guarded = AssertUnwindSafe(|| {
        // SAFETY: the caller's promise.
        unsafe { fault::inject(r, stage) };
        f()
    });
    match catch_unwind(guarded) {
        Ok(result) => result,
        Err(_) => {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: the caller's promise. What would only be made later is made now, to say that it is over.
                let lost = unsafe { exchange((*r).main, true) }.and_then(|exchange| {
                    let was_over = exchange.outcome().is_some();
                    exchange.fault();
                    // SAFETY: as above.
                    let here = || unsafe { settings(&*r) }.map(|settings| settings.link);
                    if was_over {
                        None
                    } else {
                        exchange.link().or_else(here)
                    }
                });
                Worker::with(|worker| worker.fault(lost));
            }));
            None
        }
    }
}

/// Post-read phase: notes when the request began, as soon as its head is there.
pub(crate) unsafe extern "C" fn post_read_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls its phases with a live request.
    unsafe {
        guarded(r, Stage::PostRead, || {
            Request::new(r)
                .filter(|request| request.is_main())
                .and_then(|_| exchange(r, true))
                .map(|_| ())
        });
    }
    NGX_DECLINED as ngx_int_t
}

/// Request body filter: bytes as they arrive, de-chunked, before they may be spooled to a file.
pub(crate) unsafe extern "C" fn request_body_filter(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx calls its filters with a live request and chain.
    unsafe {
        guarded(r, Stage::RequestBody, || {
            let request = Request::new(r).filter(|request| request.is_main())?;
            let settings = settings(&*r);
            // Where nothing is captured only what was begun elsewhere is continued.
            let exchange = exchange(r, settings.is_some())?;
            Worker::with(|worker| {
                exchange.request_body(request, settings, request::chunks(chain), worker)
            })
        });
        match next().request_body {
            Some(next) => next(r, chain),
            None => ERROR,
        }
    }
}

/// Header filter: the response's head, before nginx's own gzip changes it – or after the filters that still add to it.
pub(crate) unsafe extern "C" fn header_filter(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls its filters with a live request.
    unsafe {
        let Some(next) = next().header else {
            return ERROR;
        };
        let request = match Request::new(r) {
            Some(request) if request.is_main() => request,
            _ => return next(r),
        };
        let late = guarded(r, Stage::ResponseHead, || {
            let late = settings(&*r).is_some() && request.head_changes_downstream();
            if !late {
                head(request, false);
            }
            Some(late.then(|| request.has_content_encoding()))
        });
        let result = next(r);
        if let Some(Some(was_encoded)) = late
            && result == NGX_OK as ngx_int_t
        {
            guarded(r, Stage::ResponseHead, || {
                head(request, !was_encoded);
                Some(())
            });
        }
        result
    }
}

/// # Safety
/// `request` is a live main request.
unsafe fn head(request: Request, hide_coding: bool) -> Option<()> {
    let r = request.as_ptr();
    // SAFETY: the caller's promise.
    unsafe {
        let settings = settings(&*r);
        let exchange = exchange(r, settings.is_some())?;
        if Worker::with(|worker| exchange.response_head(request, settings, hide_coding, worker))? {
            // Without it nginx hands files over by descriptor; subrequests take it over from their parent.
            (*r).set_main_filter_need_in_memory(1);
            (*r).set_filter_need_in_memory(1);
        }
    }
    Some(())
}

/// Body filter: what the client gets, uncompressed by nginx, subrequests included.
pub(crate) unsafe extern "C" fn body_filter(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx calls its filters with a live request and chain.
    unsafe {
        if !chain.is_null() {
            guarded(r, Stage::ResponseBody, || {
                Request::new(r).filter(|request| request.is_main())?;
                let exchange = exchange(r, false)?;
                let mut chunks = request::chunks(chain);
                exchange.response_body(&mut chunks);
                if chunks.last {
                    exchange.response_end();
                }
                Some(())
            });
        }
        match next().body {
            Some(next) => next(r, chain),
            None => ERROR,
        }
    }
}

/// Log phase: the request is over. Registered before the access log's handler, so that `$silhouette_status` is known.
pub(crate) unsafe extern "C" fn log_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls its phases with a live request.
    unsafe {
        guarded(r, Stage::Log, || {
            let request = Request::new(r).filter(|request| request.is_main())?;
            let settings = settings(&*r);
            let exchange = exchange(r, settings.is_some())?;
            let flush_in = Worker::with(|worker| {
                exchange.finish(request, settings, worker);
                worker.flush_in()
            })?;
            if let Some(millis) = flush_in {
                crate::module::flush_in(millis);
            }
            Some(())
        });
    }
    NGX_OK as ngx_int_t
}

/// `$silhouette_status`: what became of the exchange. Before it is over: `recording`, or `off`.
pub(crate) unsafe extern "C" fn status_variable(
    r: *mut ngx_http_request_t,
    value: *mut ngx_variable_value_t,
    _: usize,
) -> ngx_int_t {
    // SAFETY: nginx calls it with a live request and the value to fill.
    unsafe {
        let main = (*r).main;
        let text = guarded(main, Stage::Variable, || {
            let outcome = exchange(main, false).map(|exchange| exchange.outcome());
            Some(match outcome {
                Some(Some(outcome)) => outcome.to_string(),
                _ if settings(&*main).is_some() => "recording".to_owned(),
                _ => "off".to_owned(),
            })
        })
        .unwrap_or_else(|| "fault".to_owned());
        let data = ngx_pnalloc((*r).pool, text.len()).cast::<u8>();
        if data.is_null() {
            return ERROR;
        }
        ptr::copy_nonoverlapping(text.as_ptr(), data, text.len());
        (*value).set_len(text.len() as u32);
        (*value).set_valid(1);
        (*value).set_no_cacheable(1);
        (*value).set_not_found(0);
        (*value).data = data;
    }
    NGX_OK as ngx_int_t
}

/// Content handler of a location with `silhouette_status`.
pub(crate) unsafe extern "C" fn status_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls its handlers with a live request.
    unsafe {
        if (*r).method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as ngx_uint_t == 0 {
            return NGX_HTTP_NOT_ALLOWED as ngx_int_t;
        }
        let discarded = ngx_http_discard_request_body(r);
        if discarded != NGX_OK as ngx_int_t {
            return discarded;
        }
        let page = catch_unwind(AssertUnwindSafe(|| {
            let location = Silhouette::location_conf(&*r)?;
            let accept = (*r)
                .headers_in
                .accept
                .as_ref()
                .map_or(&b""[..], |accept| request::bytes(&accept.value));
            let Some(format) = location
                .status_format
                .choose(request::bytes(&(*r).args), accept)
            else {
                return Some((
                    400,
                    "text/plain",
                    "format: give json or prometheus\n".to_owned(),
                ));
            };
            let main = Silhouette::main_conf(&*r)?;
            let (table, collectors) = crate::module::counters(main)?;
            crate::module::tick();
            let totals = table.totals(main.generation, crate::module::is_alive);
            Some((
                200,
                format.content_type(),
                status::page(format, &totals, &collectors),
            ))
        }));
        let Ok(Some((status, content_type, page))) = page else {
            return 500;
        };
        answer(r, status, content_type, &page)
    }
}

/// # Safety
/// `r` is a live request whose body was discarded.
unsafe fn answer(
    r: *mut ngx_http_request_t,
    status: ngx_uint_t,
    content_type: &'static str,
    page: &str,
) -> ngx_int_t {
    // SAFETY: the caller's promise; what is sent lies in the request's pool.
    unsafe {
        let out = &mut (*r).headers_out;
        out.status = status;
        out.content_type = ngx_str_t {
            len: content_type.len(),
            data: content_type.as_ptr().cast_mut(),
        };
        out.content_type_len = content_type.len();
        out.content_type_lowcase = ptr::null_mut();
        out.content_length_n = page.len() as _;
        let sent = ngx_http_send_header(r);
        if sent == ERROR || sent > NGX_OK as ngx_int_t || (*r).header_only() != 0 {
            return sent;
        }
        let data = ngx_pnalloc((*r).pool, page.len()).cast::<u8>();
        let buf = nginx_sys::ngx_pcalloc((*r).pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>();
        if data.is_null() || buf.is_null() {
            return 500;
        }
        ptr::copy_nonoverlapping(page.as_ptr(), data, page.len());
        (*buf).start = data;
        (*buf).pos = data;
        (*buf).last = data.add(page.len());
        (*buf).end = (*buf).last;
        (*buf).set_memory(1);
        (*buf).set_last_buf(1);
        (*buf).set_last_in_chain(1);
        let mut chain = ngx_chain_t {
            buf,
            next: ptr::null_mut(),
        };
        ngx_http_output_filter(r, &mut chain)
    }
}
