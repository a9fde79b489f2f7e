//! The functions the JavaScript calls: numbers and one buffer in, numbers and one buffer out.
//!
//! In: JavaScript writes into the buffer that [`input`] gives, and says how much of it a call is about. Texts of one call are UTF-8,
//! each ended by NUL. Out: a number, or the length of what lies at [`output`] until the next call. Times are milliseconds since
//! 1970 as `Date.now()` has them. A call before [`configure`], an exchange nobody knows: none of it does more than nothing.
#![allow(
    unsafe_code,
    reason = "functions that JavaScript calls by name are `unsafe` attributes in this edition, and it writes into this memory"
)]

use std::cell::RefCell;

use crate::core::Core;
use crate::settings::{self, Variables};

/// How much a line of the log matters.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Info = 0,
    Warn = 1,
    Error = 2,
}

#[link(wasm_import_module = "silhouette")]
unsafe extern "C" {
    #[link_name = "log"]
    fn write_log(level: u32, text: *const u8, size: usize);
}

/// A line for the log (`console`).
pub(crate) fn log(level: Level, text: &str) {
    // SAFETY: JavaScript reads these bytes before it returns and keeps nothing of them.
    unsafe { write_log(level as u32, text.as_ptr(), text.len()) }
}

/// The input is given back when it grew beyond this for one call, in bytes.
const KEPT_INPUT: usize = 256 << 10;

#[derive(Default)]
struct Worker {
    core: Option<Core>,
    input: Vec<u8>,
    output: Vec<u8>,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

fn with<R: Default>(act: impl FnOnce(&mut Worker) -> R) -> R {
    WORKER
        .try_with(|worker| {
            worker
                .try_borrow_mut()
                .ok()
                .map(|mut worker| act(&mut worker))
        })
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// Calls the core with the first `size` bytes of the input.
fn core<R: Default>(size: usize, act: impl FnOnce(&mut Core, &[u8], &mut Vec<u8>) -> R) -> R {
    with(|worker| {
        let Worker {
            core,
            input,
            output,
        } = worker;
        let result = match core {
            Some(core) => act(core, input.get(..size).unwrap_or_default(), output),
            None => R::default(),
        };
        if input.len() > KEPT_INPUT {
            *input = Vec::new();
        }
        result
    })
}

fn nanos(millis: f64) -> u64 {
    // Saturates; no time is before 1970.
    (millis as u64).saturating_mul(1_000_000)
}

/// Room for `size` bytes; what it gave before is not valid any more.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn input(size: usize) -> *mut u8 {
    with(|worker| {
        if worker.input.len() < size {
            worker.input = vec![0; size];
        }
        worker.input.as_mut_ptr() as usize
    }) as *mut u8
}

/// Where what the last call gave lies.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn output() -> *const u8 {
    with(|worker| worker.output.as_ptr() as usize) as *const u8
}

/// Takes the Worker's variables: name and value in turn. The output is a JSON object: [`settings::Plan`], or `error`. Returns its
/// length.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn configure(size: usize) -> usize {
    std::panic::set_hook(Box::new(|panic| {
        // Not its words: they may be about a request.
        if let Some(place) = panic.location() {
            log(Level::Error, &format!("silhouette: panicked at {place}"));
        }
    }));
    with(|worker| {
        let variables = Variables::parse(worker.input.get(..size).unwrap_or_default());
        worker.output = match settings::read(&variables) {
            Ok(configuration) => {
                let plan = configuration.plan();
                worker.core = Some(Core::new(configuration));
                plan
            }
            Err(error) => settings::refused(&variables, &error),
        }
        .into_bytes();
        worker.output.len()
    })
}

/// A request's head, which came when it was `began`: see [`crate::edge::Head`] for the texts. Returns 0 when it is not captured, else the exchange's number times two, plus one when the request's body is wanted.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn request(size: usize, began: f64, now: f64) -> u32 {
    core(size, |core, head, _| {
        core.request(head, nanos(began), nanos(now))
    })
}

/// The next bytes of a request's body. Whether more are of use.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn request_body(exchange: u32, size: usize) -> u32 {
    core(size, |core, chunk, _| {
        core.request_body(exchange, chunk).into()
    })
}

/// The response's head: names and values in turn. 1 when its body is wanted, 0 when no body of its type is, 2 when this one alone is
/// not.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn response(exchange: u32, size: usize, status: u32, now: f64) -> u32 {
    core(size, |core, headers, _| {
        let wanted = core.response(exchange, headers, status, nanos(now));
        wanted.map_or(2, u32::from)
    })
}

/// The next bytes of a response's body. Whether more are of use.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn response_body(exchange: u32, size: usize) -> u32 {
    core(size, |core, chunk, _| {
        core.response_body(exchange, chunk).into()
    })
}

/// The exchange is over. Sizes of bodies are below zero where nothing but what came here is known of them.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn end(
    exchange: u32,
    request_size: f64,
    response_size: f64,
    unfinished: u32,
    now: f64,
) {
    let size = |size: f64| (size >= 0.0).then_some(size as u64);
    core(0, |core, _, _| {
        core.end(
            exchange,
            size(request_size),
            size(response_size),
            unfinished != 0,
            nanos(now),
        );
    });
}

/// There was no response: the exchange is forgotten.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn forget(exchange: u32) {
    core(0, |core, _, _| core.forget(exchange));
}

/// Milliseconds until a batch is due; below zero when nothing is to be sent.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn due(now: f64) -> f64 {
    with(|worker| worker.core.as_mut().map(|core| core.due(nanos(now)))).unwrap_or(-1.0)
}

/// The next batch, framed for gRPC-Web, for the output. Returns its length, 0 when there is none to send.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn next(now: f64) -> usize {
    core(0, |core, _, output| {
        core.next(nanos(now), output);
        output.len()
    })
}

/// The answer to the batch in flight: `texts` bytes of its headers, name and value in turn, then the body.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn answered(status: u32, texts: usize, size: usize, now: f64) {
    core(size, |core, answer, _| {
        if let Some((headers, body)) = answer.split_at_checked(texts) {
            core.answered(status, headers, body, nanos(now));
        }
    });
}

/// The call of the batch in flight failed, and why.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn failed(size: usize, now: f64) {
    core(size, |core, why, _| {
        core.failed(&String::from_utf8_lossy(why), nanos(now));
    });
}

/// The batch in flight lies in a queue that does not lose it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn queued(now: f64) {
    core(0, |core, _, _| core.queued(nanos(now)));
}

/// Judges the collector's answer to a batch that came out of a queue, like [`answered`]. 0: it is done with, one way or the
/// other; else the seconds after which to try again.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn judge(status: u32, texts: usize, size: usize, now: f64) -> u32 {
    core(size, |core, answer, _| {
        let (headers, body) = answer.split_at_checked(texts).unwrap_or_default();
        core.judge(status, headers, body, nanos(now))
    })
}

/// So many exchanges were lost with an instance before this one, which failed.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn lost(exchanges: u32) {
    core(0, |core, _, _| core.lost(exchanges.into()));
}

/// How many exchanges wait or are in flight. After a panic nothing can be asked any more, so that JavaScript asks before.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn waiting() -> u32 {
    core(0, |core, _, _| core.waiting())
}

/// The status route's answer, for the output. Returns its length.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn status() -> usize {
    core(0, |core, _, output| {
        *output = core.status().into_bytes();
        output.len()
    })
}
