//! The functions a host calls, as proxy-wasm's ABI 0.2.1 names them, and the contexts it calls them for.
//!
//! In: the host's calls. Out: calls of [`Root`] and [`Stream`]. A context nobody knows, a number that comes twice, a call
//! within a call: none of it does more than nothing. That is why the SDK is not used here: it ends the instance on each of
//! them, and with its traits come imports of everything a filter may do to a request.
#![allow(
    unsafe_code,
    reason = "functions that a host calls by name are `unsafe` attributes in this edition"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::root::Root;
use crate::stream::Stream;

const CONTINUE: u32 = 0;

#[derive(Default)]
struct Contexts {
    roots: BTreeMap<u32, Root>,
    /// With the root each belongs to.
    streams: BTreeMap<u32, (u32, Stream)>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

/// Nothing happens when the host calls within a call, or after the end.
fn with<R>(act: impl FnOnce(&mut Contexts) -> R) -> Option<R> {
    CONTEXTS
        .try_with(|contexts| contexts.try_borrow_mut().ok().map(|mut all| act(&mut all)))
        .ok()
        .flatten()
}

fn root<R>(id: u32, act: impl FnOnce(&mut Root) -> R) -> Option<R> {
    with(|all| all.roots.get_mut(&id).map(act)).flatten()
}

fn stream(id: u32, act: impl FnOnce(&mut Stream, &mut Root)) -> u32 {
    with(|all| {
        if let Some((root, stream)) = all.streams.get_mut(&id)
            && let Some(root) = all.roots.get_mut(root)
        {
            act(stream, root);
        }
    });
    CONTINUE
}

/// Which version this is.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_abi_version_0_2_1() {}

/// Room for what the host is about to give: `size` bytes that become a `Vec` of that size, or are lost.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(Box::<[u8]>::new_uninit_slice(size)).cast()
}

/// A root has no parent; whatever has one is an exchange.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    with(|all| match parent {
        0 => drop(all.roots.insert(id, Root::default())),
        _ => drop(all.streams.insert(id, (parent, Stream::default()))),
    });
}

/// The module has no configuration of its own.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_vm_start(_: u32, _: usize) -> bool {
    true
}

/// Whether the configuration is taken.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_configure(id: u32, size: usize) -> bool {
    root(id, |root| root.configure(id, size)).unwrap_or(true)
}

/// Time has passed.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_tick(id: u32) {
    root(id, Root::tick);
}

/// A call was answered, or failed. The token says whose it was.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_http_call_response(
    _: u32,
    token: u32,
    _: usize,
    size: usize,
    _: usize,
) {
    with(|all| {
        if let Some(root) = all.roots.values_mut().find(|root| root.awaits(token)) {
            root.answered(size);
        }
    });
}

/// The request's head.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_headers(id: u32, _: usize, _: u32) -> u32 {
    stream(id, Stream::request_head)
}

/// Some of the request's body.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_request_body(id: u32, size: usize, _: u32) -> u32 {
    stream(id, |stream, root| stream.request_body(root, size))
}

/// The response's head; `over` when there is no body.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_response_headers(id: u32, _: usize, over: u32) -> u32 {
    stream(id, |stream, root| stream.response_head(root, over != 0))
}

/// Some of the response's body.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_response_body(id: u32, size: usize, over: u32) -> u32 {
    stream(id, |stream, root| {
        stream.response_body(root, size, over != 0)
    })
}

/// After them nothing comes.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_response_trailers(id: u32, _: usize) -> u32 {
    stream(id, |stream, _| stream.response_end())
}

/// Whether the context may go at once. A root that has something to send says later, from a tick, that it may.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_done(id: u32) -> bool {
    root(id, Root::leave).unwrap_or(true)
}

/// The exchange is over.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_log(id: u32) {
    stream(id, Stream::end);
}

/// The context is not used any more.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn proxy_on_delete(id: u32) {
    with(|all| {
        all.streams.remove(&id);
        all.roots.remove(&id);
    });
}
