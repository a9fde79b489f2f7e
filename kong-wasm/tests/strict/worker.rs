//! One worker process of nginx with the filter in it: one instance for all chains, its contexts, its timers, its end.
//!
//! In: a module, chains, then the steps of exchanges, ticks and answers of calls. Out: calls to be made, timers to be set,
//! and a fault where the filter has cost the request. No thread, no socket, no waiting.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use wasmtime::{
    Config, Engine, Instance, InstancePre, Memory, Module, Store, TypedFunc, WasmParams,
    WasmResults,
};

use super::dispatch::{Answer, Call};
use super::exchange::{Exchange, Kong};
use super::imports;
use super::record::{Level, Record};

/// What the host is doing while the filter runs: it decides what the filter may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Start,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    Log,
    Done,
    Tick,
    CallResponse,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Step::Start => "on_configure",
            Step::RequestHeaders => "on_request_headers",
            Step::RequestBody => "on_request_body",
            Step::ResponseHeaders => "on_response_headers",
            Step::ResponseBody => "on_response_body",
            Step::Log => "on_log",
            Step::Done => "on_delete",
            Step::Tick => "on_tick",
            Step::CallResponse => "on_http_call_response",
        }
    }
}

/// A filter chain: the filter with one configuration, for the paths below a prefix.
#[derive(Debug, Clone)]
pub struct Chain {
    pub prefix: String,
    pub configuration: String,
}

/// The request cannot go on because of the filter: 500, or a broken connection once the answer has begun.
#[derive(Debug)]
pub struct Fault;

/// What host functions see of the instance that calls them.
pub struct State {
    pub kong: Kong,
    pub record: Record,
    pub begin: Instant,
    pub step: Step,
    pub instance: usize,
    /// The root context whose configuration is in force now.
    pub root: u32,
    pub exchange: Option<Exchange>,
    pub answer: Option<Answer>,
    pub memory: Option<Memory>,
    pub allocate: Option<TypedFunc<u32, u32>>,
    pub ticking: HashSet<u32>,
    pub timers: Vec<(u32, Duration)>,
    pub calls: Vec<Call>,
    pub in_flight: HashMap<u32, u32>,
    pub next_call: Arc<AtomicU32>,
    pub metrics: Vec<String>,
    configurations: HashMap<u32, String>,
}

impl State {
    pub fn configuration(&self) -> String {
        let configuration = self.configurations.get(&self.root);
        configuration.cloned().unwrap_or_default()
    }
}

struct Loaded {
    store: Store<State>,
    instance: Instance,
    roots: HashSet<u32>,
    next_context: u32,
    trapped: bool,
}

/// A request on its way through the filter.
#[derive(Debug)]
pub struct Stream {
    instance: usize,
    root: u32,
    context: u32,
    created: bool,
    lost: bool,
}

impl Stream {
    /// The filter has cost this request already.
    pub fn is_lost(&self) -> bool {
        self.lost
    }
}

/// A timer that is due every `period`.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    pub instance: usize,
    pub root: u32,
    pub period: Duration,
}

/// See the module's documentation.
pub struct Worker {
    engine: Engine,
    ready: InstancePre<State>,
    kong: Kong,
    record: Record,
    chains: Vec<Chain>,
    instances: Vec<Loaded>,
    begin: Instant,
    next_call: Arc<AtomicU32>,
    fuel: bool,
    burnt: u64,
    trap_next: bool,
}

/// Fuel of one call when it is counted: as good as no end.
const TANK: u64 = 1 << 50;

/// An engine for [`Worker`]; with `fuel` it counts instructions.
pub fn engine(fuel: bool) -> Result<Engine> {
    let mut config = Config::new();
    config.consume_fuel(fuel);
    Engine::new(&config).map_err(|error| anyhow!("{error:#}"))
}

impl Worker {
    /// Loads the filter and starts all chains, as nginx does before it takes the first request.
    ///
    /// # Errors
    /// When Kong would not start.
    pub fn start(
        engine: &Engine,
        module: &Module,
        kong: Kong,
        chains: Vec<Chain>,
        fuel: bool,
        record: Record,
    ) -> Result<Worker> {
        let mut worker = Worker {
            engine: engine.clone(),
            ready: imports::link(engine, module)?,
            kong,
            record,
            chains,
            instances: Vec::new(),
            begin: Instant::now(),
            next_call: Arc::default(),
            fuel,
            burnt: 0,
            trap_next: false,
        };
        worker.new_instance()?;
        for chain in 0..worker.chains.len() {
            worker
                .start_root(0, root_of(chain), true)
                .map_err(|Fault| {
                    let contents = worker.record.contents();
                    anyhow!("proxy_wasm failed initializing \"silhouette\" filter: {contents:#?}")
                })?;
        }
        Ok(worker)
    }

    fn new_instance(&mut self) -> Result<usize> {
        let number = self.instances.len();
        let configurations = self.chains.iter().enumerate();
        let configurations =
            configurations.map(|(n, chain)| (root_of(n), chain.configuration.clone()));
        let state = State {
            kong: self.kong,
            record: self.record.clone(),
            begin: self.begin,
            step: Step::Start,
            instance: number,
            root: 0,
            exchange: None,
            answer: None,
            memory: None,
            allocate: None,
            ticking: HashSet::new(),
            timers: Vec::new(),
            calls: Vec::new(),
            in_flight: HashMap::new(),
            next_call: self.next_call.clone(),
            metrics: Vec::new(),
            configurations: configurations.collect(),
        };
        let mut store = Store::new(&self.engine, state);
        if self.fuel {
            store.set_fuel(TANK).map_err(|error| anyhow!("{error:#}"))?;
        }
        let instance = self
            .ready
            .instantiate(&mut store)
            .map_err(|error| anyhow!("failed instantiating: {error:#}"))?;
        let memory = instance.get_memory(&mut store, "memory");
        let allocate = ["malloc", "proxy_on_memory_allocate"]
            .into_iter()
            .find_map(|name| instance.get_typed_func(&mut store, name).ok());
        store.data_mut().memory = memory;
        store.data_mut().allocate = allocate;
        self.record.lock().instances += 1;
        self.instances.push(Loaded {
            store,
            instance,
            roots: HashSet::new(),
            next_context: 1,
            trapped: false,
        });
        for name in ["_initialize", "_start"] {
            if self.has(number, name) {
                self.call::<(), ()>(number, name, ())
                    .map_err(|Fault| anyhow!("failed instantiating: {name} trapped"))?;
                break;
            }
        }
        Ok(number)
    }

    fn loaded(&mut self, number: usize) -> Result<&mut Loaded, Fault> {
        self.instances.get_mut(number).ok_or(Fault)
    }

    fn has(&mut self, number: usize, name: &str) -> bool {
        let Ok(loaded) = self.loaded(number) else {
            return false;
        };
        loaded.instance.get_func(&mut loaded.store, name).is_some()
    }

    /// Calls an exported function. A trap costs the instance.
    fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        number: usize,
        name: &str,
        parameters: P,
    ) -> Result<R, Fault> {
        let trap_next = std::mem::take(&mut self.trap_next);
        let fuel = self.fuel;
        let loaded = self.loaded(number)?;
        if loaded.trapped {
            return Err(Fault);
        }
        if fuel {
            let _ = loaded.store.set_fuel(TANK);
        }
        let function = loaded
            .instance
            .get_typed_func::<P, R>(&mut loaded.store, name);
        let result = match function {
            Ok(_) if trap_next => Err(wasmtime::Error::msg("trapped on the test's demand")),
            Ok(function) => function.call(&mut loaded.store, parameters),
            Err(error) => Err(error),
        };
        let burnt = TANK.saturating_sub(loaded.store.get_fuel().unwrap_or(TANK));
        let memory = loaded.store.data().memory;
        let memory = memory.map_or(0, |memory| memory.data_size(&loaded.store));
        let result = result.map_err(|error| {
            loaded.trapped = true;
            format!("{name}: {error:#}")
        });
        self.burnt += burnt;
        let mut contents = self.record.lock();
        contents.memory = contents.memory.max(memory);
        result.map_err(|why| {
            contents.traps.push(why);
            Fault
        })
    }

    /// Runs `on_configure` of a chain in an instance that has not seen it yet; at the start of nginx `on_vm_start` too.
    fn start_root(&mut self, number: usize, root: u32, at_start: bool) -> Result<(), Fault> {
        if !self.loaded(number)?.roots.insert(root) {
            return Ok(());
        }
        self.enter(number, Step::Start, root)?;
        let size = self.loaded(number)?.store.data().configuration().len();
        let size = u32::try_from(size).map_err(|_| Fault)?;
        self.call::<_, ()>(number, "proxy_on_context_create", (root, 0u32))?;
        self.record.lock().configured += 1;
        // Older builds configure first, newer ones last.
        let mut starts = [
            ("proxy_on_configure", size, true),
            ("proxy_on_vm_start", 0, at_start),
        ];
        if self.kong.all_properties {
            starts.reverse();
        }
        let mut started = 1;
        for (name, size, _) in starts.into_iter().filter(|(_, _, wanted)| *wanted) {
            if started != 0 {
                started = self.call::<_, u32>(number, name, (root, size))?;
            }
        }
        if started == 0 {
            // Asked again, it would be configured again: each request then finds it failing.
            self.loaded(number)?.roots.remove(&root);
            self.record.log(
                Level::Error,
                "proxy_wasm failed initializing filter (initialization failed)",
            );
            return Err(Fault);
        }
        Ok(())
    }

    fn enter(&mut self, number: usize, step: Step, root: u32) -> Result<(), Fault> {
        let state = self.loaded(number)?.store.data_mut();
        (state.step, state.root) = (step, root);
        Ok(())
    }

    /// The chain for a path: the one with the longest prefix.
    pub fn chain_for(&self, path: &str) -> Option<usize> {
        let chains = self.chains.iter().enumerate();
        let fitting = chains.filter(|(_, chain)| path.starts_with(&chain.prefix));
        fitting
            .max_by_key(|(_, chain)| chain.prefix.len())
            .map(|(n, _)| n)
    }

    /// Attaches a chain to a request. A lost instance is replaced here, and nowhere else.
    ///
    /// # Errors
    /// When no instance can be made.
    pub fn open(&mut self, chain: usize) -> Result<Stream> {
        let mut number = self.instances.len().checked_sub(1).context("no instance")?;
        if self
            .instances
            .get(number)
            .is_some_and(|loaded| loaded.trapped)
        {
            number = self.new_instance()?;
        }
        let Some(loaded) = self.instances.get_mut(number) else {
            bail!("no instance {number}");
        };
        let context = loaded.next_context;
        loaded.next_context += 1;
        Ok(Stream {
            instance: number,
            root: root_of(chain),
            context,
            created: false,
            lost: false,
        })
    }

    /// Shows the filter a step of an exchange.
    ///
    /// # Errors
    /// When the request cannot go on.
    pub fn step(
        &mut self,
        stream: &mut Stream,
        step: Step,
        exchange: &mut Exchange,
        end_of_stream: bool,
    ) -> Result<(), Fault> {
        if stream.lost {
            return Err(Fault);
        }
        let outcome = self.lend(stream, step, exchange, end_of_stream);
        stream.lost = outcome.is_err();
        outcome
    }

    fn lend(
        &mut self,
        stream: &mut Stream,
        step: Step,
        exchange: &mut Exchange,
        end_of_stream: bool,
    ) -> Result<(), Fault> {
        let number = stream.instance;
        if !stream.created {
            self.start_root(number, stream.root, false)?;
        }
        self.enter(number, step, stream.root)?;
        self.loaded(number)?.store.data_mut().exchange = Some(exchange.clone());
        let outcome = self.run(stream, step, exchange, end_of_stream);
        self.loaded(number)?.store.data_mut().exchange = None;
        outcome
    }

    fn run(
        &mut self,
        stream: &mut Stream,
        step: Step,
        exchange: &Exchange,
        end_of_stream: bool,
    ) -> Result<(), Fault> {
        let (number, context) = (stream.instance, stream.context);
        if !stream.created {
            self.call::<_, ()>(number, "proxy_on_context_create", (context, stream.root))?;
            stream.created = true;
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (name, size, end) = match step {
            // Headers are always announced as the end, whatever follows.
            Step::RequestHeaders => (
                "proxy_on_request_headers",
                count(exchange.headers.len()),
                true,
            ),
            Step::RequestBody => ("proxy_on_request_body", count(exchange.body.size()), true),
            Step::ResponseHeaders => {
                let headers = exchange.response.as_ref().map_or(0, |r| r.headers.len());
                ("proxy_on_response_headers", count(headers), true)
            }
            Step::ResponseBody => (
                "proxy_on_response_body",
                count(exchange.chunk.len()),
                end_of_stream,
            ),
            Step::Log => {
                if self.has(number, "proxy_on_done") {
                    self.call::<_, u32>(number, "proxy_on_done", context)?;
                }
                if self.has(number, "proxy_on_log") {
                    self.call::<_, ()>(number, "proxy_on_log", context)?;
                }
                self.record.lock().logged += 1;
                return Ok(());
            }
            Step::Done => {
                if self.has(number, "proxy_on_delete") {
                    self.call::<_, ()>(number, "proxy_on_delete", context)?;
                }
                return Ok(());
            }
            Step::Start | Step::Tick | Step::CallResponse => return Ok(()),
        };
        if !self.has(number, name) {
            return Ok(());
        }
        let action: u32 = self.call(number, name, (context, size, u32::from(end)))?;
        if action != 0 {
            self.record.violation(format!(
                "action {action} instead of Continue (in {})",
                step.name()
            ));
        }
        Ok(())
    }

    /// A timer is due. That of a lost instance ticks the one that has taken its place, if it knows the chain already: from
    /// then on it ticks twice as often.
    pub fn tick(&mut self, timer: Timer) {
        let mut number = timer.instance;
        if self
            .instances
            .get(number)
            .is_none_or(|loaded| loaded.trapped)
        {
            number = self.instances.len().saturating_sub(1);
        }
        let knows = |loaded: &Loaded| !loaded.trapped && loaded.roots.contains(&timer.root);
        if !self.instances.get(number).is_some_and(knows) || !self.has(number, "proxy_on_tick") {
            return;
        }
        let mut contents = self.record.lock();
        contents.ticks += 1;
        contents.inherited_ticks += u64::from(number != timer.instance);
        drop(contents);
        if self.enter(number, Step::Tick, timer.root).is_ok() {
            let _ = self.call::<_, ()>(number, "proxy_on_tick", timer.root);
        }
    }

    /// A call has come to its end. What a lost instance waited for is not told to anyone.
    pub fn answered(&mut self, call: &Call, answer: Result<Answer>) {
        let (number, root) = (call.instance, call.root);
        let Ok(loaded) = self.loaded(number) else {
            return;
        };
        let state = loaded.store.data_mut();
        if let Some(in_flight) = state.in_flight.get_mut(&root) {
            *in_flight = in_flight.saturating_sub(1);
        }
        let lost = loaded.trapped;
        let answer = match answer {
            Ok(answer) => {
                self.record.lock().answered += 1;
                answer
            }
            Err(why) => {
                self.record
                    .log(Level::Error, format!("dispatch failed: {why:#}"));
                self.record.lock().failed += 1;
                if !self.kong.failures_told {
                    return;
                }
                Answer::default()
            }
        };
        if lost || !self.has(number, "proxy_on_http_call_response") {
            return;
        }
        let headers = u32::try_from(answer.headers.len()).unwrap_or(u32::MAX);
        let body = u32::try_from(answer.body.len()).unwrap_or(u32::MAX);
        if self.enter(number, Step::CallResponse, root).is_err() {
            return;
        }
        if let Ok(loaded) = self.loaded(number) {
            loaded.store.data_mut().answer = Some(answer);
        }
        let parameters = (root, call.id, headers, body, 0u32);
        let _ = self.call::<_, ()>(number, "proxy_on_http_call_response", parameters);
        if let Ok(loaded) = self.loaded(number) {
            loaded.store.data_mut().answer = None;
        }
    }

    /// Calls that the filter has asked for since the last time.
    pub fn take_calls(&mut self) -> Vec<Call> {
        let instances = self.instances.iter_mut();
        instances
            .flat_map(|loaded| std::mem::take(&mut loaded.store.data_mut().calls))
            .collect()
    }

    /// Timers that the filter has asked for since the last time.
    pub fn take_timers(&mut self) -> Vec<Timer> {
        let mut timers = Vec::new();
        for (instance, loaded) in self.instances.iter_mut().enumerate() {
            for (root, period) in std::mem::take(&mut loaded.store.data_mut().timers) {
                timers.push(Timer {
                    instance,
                    root,
                    period,
                });
            }
        }
        timers
    }

    /// The next callback traps before it does anything: what a panic of the filter would be.
    pub fn trap_next(&mut self) {
        self.trap_next = true;
    }

    /// Instructions since the last time, if they are counted.
    pub fn take_burnt(&mut self) -> u64 {
        std::mem::take(&mut self.burnt)
    }

    /// Linear memory of the newest instance, in bytes.
    pub fn memory(&self) -> usize {
        let loaded = self.instances.last();
        let memory = loaded.and_then(|l| Some(l.store.data().memory?.data_size(&l.store)));
        memory.unwrap_or(0)
    }
}

/// The number of a chain's root context: a hash in the real host, large and never that of a request here as well.
fn root_of(chain: usize) -> u32 {
    0x8000_0000 + 7919 * u32::try_from(chain).unwrap_or(u32::MAX >> 8)
}
