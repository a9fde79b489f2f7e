//! What the host's functions do, each as Kong's does it: what it answers, when it traps, what it logs.
//!
//! In: the calling instance and the arguments as they are. Out: a status, with what is asked for in the instance's memory.
//! Errors are traps: the instance is lost. Nothing here waits.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result, anyhow};
use wasmtime::Caller;

use super::dispatch::Call;
use super::exchange::{Exchange, MOST_PAIRS, Pair, RequestBody, marshal, unmarshal, value};
use super::properties::{Property, property};
use super::record::{Level, Metric};
use super::worker::{State, Step};

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const INTERNAL_FAILURE: u32 = 10;

/// Longest name of a metric, its prefix included.
const LONGEST_METRIC: usize = 256;

/// The instance that calls.
pub struct Guest<'a, 'b> {
    caller: &'a mut Caller<'b, State>,
}

impl<'a, 'b> Guest<'a, 'b> {
    pub fn new(caller: &'a mut Caller<'b, State>) -> Guest<'a, 'b> {
        Guest { caller }
    }

    fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// The filter broke a rule for which the host takes the instance.
    pub fn forbidden(&mut self, what: impl Into<String>) -> Error {
        let what = format!("{} (in {})", what.into(), self.state().step.name());
        self.state().record.violation(what.clone());
        anyhow!(what)
    }

    /// The filter did what it must not do here; the host itself lets it pass.
    fn frowned_upon(&mut self, what: &str) {
        let what = format!("{what} (in {})", self.state().step.name());
        self.state().record.violation(what);
    }

    fn read(&mut self, at: u64, size: u64) -> Result<Vec<u8>> {
        let memory = self.state().memory.context("the instance has no memory")?;
        let (at, size) = (usize::try_from(at)?, usize::try_from(size)?);
        let bytes = memory.data(&*self.caller).get(at..at.saturating_add(size));
        Ok(bytes.context("address outside of the memory")?.to_vec())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let memory = self.state().memory.context("the instance has no memory")?;
        memory
            .write(&mut *self.caller, usize::try_from(at)?, bytes)
            .map_err(|error| anyhow!("{error}"))
    }

    /// Puts bytes into memory that the filter gives for them, and its address and size where they are wanted.
    fn hand_over(&mut self, bytes: &[u8], data: u64, size: u64) -> Result<u32> {
        let allocate = self.state().allocate.clone().context("no allocator")?;
        let length = u32::try_from(bytes.len())?;
        let at = allocate
            .call(&mut *self.caller, length)
            .map_err(|error| anyhow!("{error:#}"))?;
        if at == 0 {
            return Ok(INTERNAL_FAILURE);
        }
        self.write(u64::from(at), bytes)?;
        self.write(data, &at.to_le_bytes())?;
        self.write(size, &length.to_le_bytes())?;
        Ok(OK)
    }

    fn exchange(&mut self) -> Option<&Exchange> {
        self.state().exchange.as_ref()
    }
}

pub fn log(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[level, at, size] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let text = guest.read(at, size)?;
    let level = match level {
        0 | 1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        4 => Level::Error,
        5 => Level::Critical,
        _ => return Ok(BAD_ARGUMENT),
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    guest.state().record.log(level, text);
    Ok(OK)
}

fn unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

pub fn current_time(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[at] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    guest.write(at, &unix_nanos().to_le_bytes())?;
    Ok(OK)
}

pub fn set_effective_context(_: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    Ok(OK)
}

pub fn set_tick_period(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[millis] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    if guest.exchange().is_some() {
        return Err(guest.forbidden("can only set tick_period in root context"));
    }
    let state = guest.state();
    let root = state.root;
    if state.ticking.contains(&root) {
        return Err(guest.forbidden("tick_period already set"));
    }
    state.ticking.insert(root);
    state.timers.push((root, Duration::from_millis(millis)));
    Ok(OK)
}

pub fn get_buffer(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    // Where to start is an argument that this host does not look at.
    let &[kind, _, most, data, size] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let step = guest.state().step;
    let bytes = match kind {
        0 => {
            if !matches!(step, Step::RequestHeaders | Step::RequestBody | Step::Log) {
                return Err(guest.forbidden(
                    "can only get request body during \"on_request_body\", \"on_log\"",
                ));
            }
            match guest.exchange().map(|exchange| exchange.body.clone()) {
                None | Some(RequestBody::None) => return Ok(NOT_FOUND),
                Some(RequestBody::Memory(bytes)) => bytes,
                Some(RequestBody::Spooled(_)) => {
                    let record = guest.state().record.clone();
                    record.lock().spooled_reads += 1;
                    record.log(
                        Level::Error,
                        "cannot read request body buffered to file at \"/tmp/0000000001\"",
                    );
                    return Ok(NOT_FOUND);
                }
            }
        }
        1 => {
            if step != Step::ResponseBody {
                return Err(
                    guest.forbidden("can only get response body during \"on_response_body\"")
                );
            }
            guest
                .exchange()
                .map(|exchange| exchange.chunk.clone())
                .unwrap_or_default()
        }
        4 => {
            if step != Step::CallResponse {
                return Err(guest.forbidden(
                    "can only get dispatch response body during \"on_http_dispatch_response\"",
                ));
            }
            let answer = guest.state().answer.as_ref();
            match answer.map(|answer| answer.body.clone()) {
                Some(body) if !body.is_empty() => body,
                _ => return Ok(NOT_FOUND),
            }
        }
        6 => Vec::new(),
        7 => guest.state().configuration().into_bytes(),
        _ => {
            guest.frowned_upon(&format!("get_buffer bad buf_type: {kind}"));
            return Ok(BAD_ARGUMENT);
        }
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let part = bytes.get(..bytes.len().min(most)).unwrap_or_default();
    if part.is_empty() {
        return Ok(OK);
    }
    guest.hand_over(part, data, size)
}

pub fn set_buffer(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let step = guest.state().step;
    let allowed = match arguments.first() {
        Some(0) => matches!(step, Step::RequestHeaders | Step::RequestBody),
        Some(1) => step == Step::ResponseBody,
        _ => return Ok(BAD_ARGUMENT),
    };
    if !allowed {
        return Err(guest.forbidden("can only set a body during its callback"));
    }
    guest.frowned_upon("a capture shim changes a body");
    Ok(OK)
}

/// The pairs of a map; `None` for a map that the host does not have.
fn pairs(guest: &mut Guest<'_, '_>, map: u64) -> Result<Option<Vec<Pair>>> {
    Ok(match map {
        0 | 2 => {
            let Some(exchange) = guest.exchange() else {
                return Err(guest.forbidden("there is no request whose headers could be read"));
            };
            Some(match map {
                0 => exchange.request_pairs(),
                _ => exchange.response_pairs(),
            })
        }
        6 => {
            let answer = guest.state().answer.as_ref();
            answer.map(|answer| answer.headers.clone())
        }
        _ => None,
    })
}

pub fn get_map(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[map, data, size] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let Some(mut pairs) = pairs(guest, map)? else {
        guest.frowned_upon(&format!("get_map bad map_type: {map}"));
        return Ok(BAD_ARGUMENT);
    };
    if pairs.len() > MOST_PAIRS {
        pairs.truncate(MOST_PAIRS);
        let text = format!("marshalled map truncated to {MOST_PAIRS} elements");
        guest.state().record.log(Level::Warn, text);
    }
    guest.hand_over(&marshal(&pairs), data, size)
}

pub fn get_map_value(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[map, key, key_size, data, size] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let name = guest.read(key, key_size)?;
    let pairs = pairs(guest, map)?.unwrap_or_default();
    match value(&pairs, &String::from_utf8_lossy(&name)) {
        Some(value) => guest.hand_over(value, data, size),
        None => Ok(NOT_FOUND),
    }
}

pub fn set_map(guest: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    if guest.exchange().is_none() {
        return Err(guest.forbidden("there is no request whose headers could be set"));
    }
    guest.frowned_upon("a capture shim changes headers");
    Ok(OK)
}

pub fn get_property(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[path, path_size, data, size] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let path = guest.read(path, path_size)?;
    let path = String::from_utf8_lossy(&path).replace('\0', ".");
    match property(&path, guest.exchange()) {
        Property::Found(value) => guest.hand_over(&value, data, size),
        Property::Missing => Ok(NOT_FOUND),
        Property::Refused(why) => {
            let record = guest.state().record.clone();
            record.lock().refused_properties += 1;
            record.log(Level::Error, why);
            Ok(NOT_FOUND)
        }
        Property::OutsideRequest => {
            Err(guest.forbidden(format!("could not get \"{path}\": outside of a request")))
        }
    }
}

pub fn set_property(guest: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    if guest.exchange().is_none() {
        return Err(guest.forbidden("could not set a property: outside of a request"));
    }
    guest.frowned_upon("a capture shim sets a property");
    Ok(OK)
}

pub fn resume(guest: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    guest.frowned_upon("a capture shim continues a stream that it must not have stopped");
    Ok(OK)
}

pub fn send_local_response(guest: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    match guest.exchange() {
        None => Err(guest.forbidden("there is no request that could be answered")),
        Some(exchange) if exchange.response.is_some() => {
            Err(guest.forbidden("response already sent"))
        }
        Some(_) => {
            guest.frowned_upon("a capture shim answers a request");
            Ok(OK)
        }
    }
}

pub fn http_call(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[
        host,
        host_size,
        headers,
        headers_size,
        body,
        body_size,
        _,
        _,
        timeout,
        token,
    ] = arguments
    else {
        return Ok(BAD_ARGUMENT);
    };
    let step = guest.state().step;
    if !matches!(
        step,
        Step::RequestHeaders | Step::RequestBody | Step::Tick | Step::CallResponse
    ) {
        return Err(guest.forbidden(
            "can only send HTTP dispatch during \"on_request_headers\", \"on_request_body\", \
             \"on_dispatch_response\", \"on_tick\"",
        ));
    }
    let host = String::from_utf8_lossy(&guest.read(host, host_size)?).into_owned();
    let headers = unmarshal(&guest.read(headers, headers_size)?);
    let body = guest.read(body, body_size)?;
    let state = guest.state();
    let call = Call::new(
        state.next_call.fetch_add(1, Ordering::Relaxed),
        (state.instance, state.root),
        &host,
        headers,
        body,
        Duration::from_millis(timeout),
    );
    let call = match call {
        Ok(call) => call,
        // Outside of a request there is nobody to fail but the call.
        Err(why) if state.exchange.is_none() => {
            state
                .record
                .log(Level::Error, format!("dispatch failed: {why:#}"));
            return Ok(INTERNAL_FAILURE);
        }
        Err(why) => return Err(guest.forbidden(format!("dispatch failed: {why:#}"))),
    };
    let root = state.root;
    let in_flight = state.in_flight.entry(root).or_default();
    *in_flight += 1;
    if *in_flight > 1 {
        guest.frowned_upon(
            "a second call of this root context while one is in flight leaks a connection",
        );
    }
    let state = guest.state();
    let id = call.id;
    state.calls.push(call);
    state.record.lock().calls += 1;
    guest.write(token, &id.to_le_bytes())?;
    Ok(OK)
}

pub fn shared_data(guest: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    Err(guest.forbidden("shared data: could not resolve namespace"))
}

pub fn shared_queue(guest: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    Err(guest.forbidden("could not find queue"))
}

fn metrics_exist(guest: &mut Guest<'_, '_>) -> Result<()> {
    let kong = guest.state().kong;
    match kong.metrics {
        true => Ok(()),
        false => Err(guest.forbidden(format!("Kong {} has no metrics", kong.version))),
    }
}

pub fn define_metric(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[kind, name, name_size, id] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    metrics_exist(guest)?;
    let name = String::from_utf8_lossy(&guest.read(name, name_size)?).into_owned();
    if kind > 2 || "pw.silhouette.".len() + name.len() > LONGEST_METRIC {
        return Err(guest.forbidden(format!("could not define metric \"{name}\" of kind {kind}")));
    }
    let state = guest.state();
    let known = state.metrics.iter().position(|other| *other == name);
    let number = known.unwrap_or_else(|| {
        state.metrics.push(name.clone());
        state.metrics.len() - 1
    });
    let kind = u32::try_from(kind)?;
    let metric = Metric { kind, value: 0 };
    state.record.lock().metrics.entry(name).or_insert(metric);
    guest.write(id, &u32::try_from(number)?.to_le_bytes())?;
    Ok(OK)
}

/// The status, after `change` has looked at the metric of that number.
fn with_metric(
    guest: &mut Guest<'_, '_>,
    id: u64,
    change: impl FnOnce(&mut Metric) -> u32,
) -> Result<u32> {
    metrics_exist(guest)?;
    let state = guest.state();
    let Some(name) = state.metrics.get(usize::try_from(id)?) else {
        return Ok(NOT_FOUND);
    };
    let mut contents = state.record.lock();
    Ok(contents.metrics.get_mut(name).map_or(NOT_FOUND, change))
}

pub fn get_metric(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[id, at] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let mut value = 0;
    let status = with_metric(guest, id, |metric| {
        value = metric.value;
        OK
    })?;
    guest.write(at, &value.to_le_bytes())?;
    Ok(status)
}

pub fn record_metric(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[id, value] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let status = with_metric(guest, id, |metric| match metric.kind {
        0 => BAD_ARGUMENT,
        _ => {
            metric.value = value.cast_signed();
            OK
        }
    })?;
    if status == BAD_ARGUMENT {
        guest.frowned_upon("a counter cannot be recorded");
    }
    Ok(status)
}

pub fn increment_metric(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[id, by] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let status = with_metric(guest, id, |metric| match metric.kind {
        0 => {
            metric.value += by.cast_signed();
            OK
        }
        _ => BAD_ARGUMENT,
    })?;
    if status == BAD_ARGUMENT {
        guest.frowned_upon("only a counter can be incremented");
    }
    Ok(status)
}

pub fn get_configuration(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[data, size] = arguments else {
        return Ok(BAD_ARGUMENT);
    };
    let configuration = guest.state().configuration();
    guest.hand_over(configuration.as_bytes(), data, size)
}

pub fn wasi_nothing(_: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    Ok(0)
}

pub fn wasi_sizes(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    for &at in arguments {
        guest.write(at, &[0; 4])?;
    }
    Ok(0)
}

pub fn wasi_clock(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[clock, _, at] = arguments else {
        return Ok(28);
    };
    let nanos = match clock {
        0 => unix_nanos(),
        // Milliseconds are all that nginx keeps.
        1 => {
            let since = guest.state().begin.elapsed().as_millis();
            u64::try_from(since)? * 1_000_000
        }
        _ => return Ok(58),
    };
    guest.write(at, &nanos.to_le_bytes())?;
    Ok(0)
}

pub fn wasi_bad_file(_: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    Ok(8)
}

pub fn wasi_not_supported(_: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    Ok(58)
}

pub fn wasi_not_a_directory(_: &mut Guest<'_, '_>, _: &[u64]) -> Result<u32> {
    Ok(54)
}

pub fn wasi_write(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[file, parts, count, written] = arguments else {
        return Ok(28);
    };
    let mut text = Vec::new();
    for n in 0..count {
        let part = guest.read(parts + 8 * n, 8)?;
        let number = |at: usize| {
            let four = part.get(at..at + 4).and_then(|four| four.try_into().ok());
            u64::from(four.map_or(0, u32::from_le_bytes))
        };
        text.extend(guest.read(number(0), number(4))?);
    }
    let level = match file {
        1 => Level::Info,
        2 => Level::Error,
        _ => return Ok(8),
    };
    let line = String::from_utf8_lossy(&text).trim_end().to_owned();
    guest.state().record.log(level, line);
    guest.write(written, &u32::try_from(text.len())?.to_le_bytes())?;
    Ok(0)
}

pub fn wasi_random(guest: &mut Guest<'_, '_>, arguments: &[u64]) -> Result<u32> {
    let &[at, size] = arguments else {
        return Ok(28);
    };
    let mut random = Vec::with_capacity(usize::try_from(size)?);
    while random.len() < usize::try_from(size)? {
        random.push(fastrand::u8(..));
    }
    guest.write(at, &random)?;
    Ok(0)
}
