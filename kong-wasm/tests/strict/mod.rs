//! A strict host: Kong's rules for proxy-wasm filters, enforced, in front of a real origin.
//!
//! In: a module, filter chains, an origin. Out: a gateway on loopback that runs the module in wasmtime as a worker process of
//! Kong does, and a [`Record`] of every rule that the module broke. Calls of the module go to real servers. Envoy forgives
//! what this host does not.
//!
//! The rules are those of `ngx_wasm_module` (`src/common/proxy_wasm`, `src/http/proxy_wasm`, `src/wasm/wasi`) and of Kong's
//! `kong/runloop/wasm.lua`, 3.4 to 3.10; where builds differ, the harsher one counts:
//!
//! * Loading. Imports are a closed list with exact signatures, WASI's included; `proxy_get_log_level` is in it with a signature
//!   that no SDK has. An ABI version of 0.1.0 to 0.2.1, an allocator and the callbacks for contexts are exported.
//! * One instance for all chains. Each chain is a root context: created, configured, started. A configuration that is refused
//!   keeps Kong from starting, and later answers each request of its chain with 500.
//! * Phases. `proxy_http_call` traps outside of request headers, request body, tick and call response; the request's body is
//!   there in request headers, request body and log alone, the response's and a call's in their callbacks alone. gRPC, shared
//!   data and shared queues trap, in Kong 3.4 metrics too.
//! * Calls. One in flight per root context: a second one leaks a connection. HTTP/1.1, a connection each. Kong 3.4 never tells
//!   that one has failed.
//! * Ticks. One period per root context, set outside of requests. The timer of a lost instance ticks its successor.
//! * Traps. The request gets 500, or a broken connection once its answer has begun; so do the others that the instance has.
//!   The next request gets a new instance, which is configured and not started.
//! * Bodies. A request's comes in one callback, and beyond `client_body_buffer_size` its bytes are not there and asking for
//!   them is an error in the log. A response's comes in pieces; with `Content-Length` and more than one piece no piece is the
//!   last. To HEAD, 204 and 304 there is none. `get_buffer` always begins at the beginning.
//! * Headers. Always announced as the end of the stream. Names as they were sent, pseudo-headers first, 100 at most; `:path` is
//!   decoded and normalised, `:authority` is the server's name and port.
//! * Properties are text. What Kong lacks is an error in the log; what belongs to a request traps outside of one.
//! * A capture shim changes nothing: an action other than Continue, and every function that sets something, is recorded as a
//!   violation, though Kong allows it.

// Each test program uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod dispatch;
pub mod exchange;
pub mod front;
pub mod hostcalls;
pub mod imports;
pub mod piping;
pub mod properties;
pub mod record;
pub mod text;
pub mod worker;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;
use wasmtime::Module;

pub use exchange::Kong;
use exchange::Tls;
use front::{Connection, Front, LocalExecutor, Setup};
#[allow(unused_imports, reason = "not by the benchmark")]
pub use record::{Level, Record};
pub use worker::Chain;
use worker::Worker;

/// `client_body_buffer_size` as Kong sets it.
pub const BODY_BUFFER: usize = 8192;

/// How a gateway is to be.
#[derive(Debug, Clone)]
pub struct Options {
    pub kong: Kong,
    pub origin: SocketAddr,
    /// See [`Setup::routes`].
    pub routes: Vec<(String, SocketAddr)>,
    pub chains: Vec<Chain>,
    /// See [`Setup::added`].
    pub added: Vec<(String, String)>,
    /// PEM: whom calls over TLS trust.
    pub trusted: Option<PathBuf>,
    /// Serves TLS with this identity too.
    pub identity: Option<silhouette_e2e::tls::Identity>,
}

impl Options {
    /// The newest Kong, no chain, no TLS.
    pub fn new(origin: SocketAddr) -> Options {
        Options {
            kong: Kong::V3_10,
            origin,
            routes: Vec::new(),
            chains: Vec::new(),
            added: Vec::new(),
            trusted: None,
            identity: None,
        }
    }

    /// With the filter on all paths that begin with `prefix`.
    pub fn chain(mut self, prefix: &str, configuration: impl Into<String>) -> Options {
        self.chains.push(Chain {
            prefix: prefix.to_owned(),
            configuration: configuration.into(),
        });
        self
    }
}

/// The running gateway: a thread that is a worker process. Gone when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    http: SocketAddr,
    h2c: SocketAddr,
    tls: SocketAddr,
    record: Record,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    TrapNext,
    Stop,
}

impl Gateway {
    /// Starts it with a module that is WebAssembly, binary or text.
    ///
    /// # Errors
    /// When Kong would not start with it.
    pub fn start(module: &[u8], options: Options) -> Result<Gateway> {
        let engine = worker::engine(false)?;
        let module = Module::new(&engine, module).map_err(|error| anyhow!("{error:#}"))?;
        Gateway::start_module(&module, options)
    }

    /// The same with a module that is compiled already.
    pub fn start_module(module: &Module, options: Options) -> Result<Gateway> {
        let record = Record::default();
        let (orders, received) = mpsc::unbounded_channel();
        let (ready, started) = std::sync::mpsc::channel();
        let (module, kept) = (module.clone(), record.clone());
        let thread = std::thread::Builder::new()
            .name("strict-host".to_owned())
            .spawn(move || run(&module, options, &kept, received, &ready))?;
        let ports = started
            .recv()
            .context("the worker ended while it started")?;
        let [http, h2c, tls] = ports?;
        Ok(Gateway {
            http,
            h2c,
            tls,
            record,
            orders,
            thread: Some(thread),
        })
    }

    /// Where it listens for HTTP/1.1.
    pub fn address(&self) -> SocketAddr {
        self.http
    }

    /// HTTP/1.1.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// HTTP/2 by prior knowledge.
    pub fn h2c_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.h2c)
    }

    /// TLS, by a name that the tests' certificates carry.
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls.port())
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The next callback of the filter traps: what a panic in it would be.
    pub fn trap_next(&self) {
        let _ = self.orders.send(Order::TrapNext);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if std::thread::panicking() {
            eprintln!(
                "the strict host has recorded: {:#?}",
                self.record.contents()
            );
        }
    }
}

type Ports = Result<[SocketAddr; 3]>;

fn run(
    module: &Module,
    options: Options,
    record: &Record,
    orders: mpsc::UnboundedReceiver<Order>,
    ready: &std::sync::mpsc::Sender<Ports>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        match listen(module, options, record).await {
            Ok((front, ports)) => {
                let _ = ready.send(Ok(ports));
                obey(&front, orders).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

async fn obey(front: &Front, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(Order::TrapNext) = orders.recv().await {
        front.trap_next();
    }
    front.stop();
}

async fn listen(
    module: &Module,
    options: Options,
    record: &Record,
) -> Result<(Rc<Front>, [SocketAddr; 3])> {
    let worker = Worker::start(
        module.engine(),
        module,
        options.kong,
        options.chains,
        false,
        record.clone(),
    )?;
    let setup = Setup {
        kong: options.kong,
        origin: options.origin,
        routes: options.routes,
        body_buffer: BODY_BUFFER,
        added: options.added,
        trusted: options.trusted,
    };
    let acceptor = options
        .identity
        .map(|identity| identity.server_config())
        .transpose()?;
    let acceptor = acceptor.map(TlsAcceptor::from);
    let front = Front::new(worker, record.clone(), setup);
    front.pump();
    let any = (Ipv4Addr::LOCALHOST, 0);
    let listeners = [
        TcpListener::bind(any).await?,
        TcpListener::bind(any).await?,
        TcpListener::bind(any).await?,
    ];
    let [http, h2c, tls] = &listeners;
    let ports = [http.local_addr()?, h2c.local_addr()?, tls.local_addr()?];
    let [http, h2c, tls] = listeners;
    tokio::task::spawn_local(accept(http, front.clone(), Kind::Http));
    tokio::task::spawn_local(accept(h2c, front.clone(), Kind::H2c));
    if let Some(acceptor) = acceptor {
        tokio::task::spawn_local(accept(tls, front.clone(), Kind::Tls(acceptor)));
    }
    Ok((front, ports))
}

#[derive(Clone)]
enum Kind {
    Http,
    H2c,
    Tls(TlsAcceptor),
}

async fn accept(listener: TcpListener, front: Rc<Front>, kind: Kind) {
    while let Ok((socket, client)) = listener.accept().await {
        let (front, kind) = (front.clone(), kind.clone());
        tokio::task::spawn_local(async move {
            // A client that goes away is no error of anybody's.
            let _ = connection(socket, client, front, kind).await;
        });
    }
}

async fn connection(
    socket: TcpStream,
    client: SocketAddr,
    front: Rc<Front>,
    kind: Kind,
) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut connection = Connection {
        client,
        server: socket.local_addr()?,
        tls: None,
    };
    match kind {
        Kind::Http => serve(TokioIo::new(socket), front, connection, false).await,
        Kind::H2c => serve(TokioIo::new(socket), front, connection, true).await,
        Kind::Tls(acceptor) => {
            let stream = acceptor.accept(socket).await?;
            let (_, session) = stream.get_ref();
            let name = |text: Option<String>| text.unwrap_or_default();
            let protocol = session.protocol_version().map(|version| match version {
                rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
                _ => "TLSv1.3".to_owned(),
            });
            let cipher = session.negotiated_cipher_suite();
            let cipher = cipher.and_then(|suite| suite.suite().as_str().map(openssl_name));
            connection.tls = Some(Tls {
                protocol: name(protocol),
                cipher: name(cipher),
                server_name: name(session.server_name().map(str::to_owned)),
            });
            let http2 = session.alpn_protocol() == Some(b"h2");
            serve(TokioIo::new(stream), front, connection, http2).await
        }
    }
}

/// `TLS13_AES_256_GCM_SHA384` is what rustls calls OpenSSL's `TLS_AES_256_GCM_SHA384`.
fn openssl_name(name: &str) -> String {
    name.replace("TLS13_", "TLS_")
}

async fn serve<S>(
    io: TokioIo<S>,
    front: Rc<Front>,
    connection: Connection,
    http2: bool,
) -> Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        front.clone().serve(request, connection.clone())
    });
    if http2 {
        let builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
        builder.serve_connection(io, service).await?;
        return Ok(());
    }
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.max_headers(300);
    builder
        .serve_connection(io, service)
        .with_upgrades()
        .await?;
    Ok(())
}

/// The filter as `cargo xtask filter` has built it: what ships.
///
/// # Errors
/// When it is not built.
pub fn filter() -> Result<PathBuf> {
    silhouette_e2e::artifacts::filter()
}

/// The filter, compiled once per test program.
pub fn module() -> Result<&'static Module> {
    static MODULE: std::sync::OnceLock<Result<Module, String>> = std::sync::OnceLock::new();
    let module = MODULE.get_or_init(|| {
        let compiled = filter().and_then(|path| compile(&path));
        compiled.map_err(|error| format!("{error:#}"))
    });
    module.as_ref().map_err(|error| anyhow!("{error}"))
}

fn compile(path: &Path) -> Result<Module> {
    let engine = worker::engine(false)?;
    Module::from_file(&engine, path).map_err(|error| anyhow!("{}: {error:#}", path.display()))
}
