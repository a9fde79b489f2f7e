//! Descriptions from outside: a file, stdin, or a running collector.
//!
//! In: what the command line names. Out: a [`Described`]: the description, what reports call it, and what is wrong with it. Errors
//! name the thing and what would be right; a host the collector does not know comes back with those it does.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use silhouette_openapi::{Description, MAX_SIZE, ReadError};
use silhouette_serving::tls;
use tokio::net::TcpStream;

/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A description and where it came from.
#[derive(Debug)]
pub struct Described {
    /// What it says.
    pub description: Description,
    /// What reports call it: the path as it was given, `stdin`, or a host.
    pub name: String,
    /// Whether `name` is a file that reports can point into.
    pub is_file: bool,
}

/// Why there is no description.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribedError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is no description.
    #[error("{name}: {source}")]
    Description {
        /// The file, `stdin` or host.
        name: String,
        /// What is wrong.
        source: ReadError,
    },
    /// The collector's address is none.
    #[error(
        "--collector {url:?} is no address of a collector; want one such as http://127.0.0.1:4321"
    )]
    Address {
        /// What was given.
        url: String,
    },
    /// The collector does not answer.
    #[error(
        "cannot reach the collector at {url}: {problem}\n--collector says where its admin listener is; `silhouette-collector serve` starts one{hint}"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        problem: String,
        /// What else it may be, led by a line feed; may be empty.
        hint: String,
    },
    /// The collector refuses.
    #[error("the collector at {url} answers {status}: {why}")]
    Refused {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        why: String,
    },
    /// The collector has never seen the host.
    #[error("the collector at {url} knows no host {host}; {there_are}")]
    Host {
        /// Where.
        url: String,
        /// What was asked for.
        host: String,
        /// What there is.
        there_are: String,
    },
}

impl DescribedError {
    /// Says too that what was asked for could have been meant as a file.
    pub(crate) fn or_file(mut self, name: &str) -> Self {
        if let Self::Unreachable { hint, .. } = &mut self {
            *hint =
                format!("\nThere is no file {name} here, so it was taken for the name of a host");
        }
        self
    }
}

impl Described {
    /// Reads a file, or stdin for `-`.
    pub fn file(path: &Path) -> Result<Described, DescribedError> {
        let is_file = path.as_os_str() != "-";
        let name = if is_file {
            path.display().to_string()
        } else {
            "stdin".to_owned()
        };
        let read = |source| DescribedError::Read {
            path: name.clone(),
            source,
        };
        let mut bytes = Vec::new();
        // One byte more tells that there is more.
        let limit = MAX_SIZE as u64 + 1;
        if is_file {
            let file = fs::File::open(path).map_err(read)?;
            file.take(limit).read_to_end(&mut bytes).map_err(read)?;
        } else {
            let stdin = io::stdin().lock();
            stdin.take(limit).read_to_end(&mut bytes).map_err(read)?;
        }
        Self::text(&String::from_utf8_lossy(&bytes), name, is_file)
    }

    /// Reads a text that is at hand.
    pub fn text(text: &str, name: String, is_file: bool) -> Result<Described, DescribedError> {
        match Description::read(text) {
            Ok(description) => Ok(Described {
                description,
                name,
                is_file,
            }),
            Err(source) => Err(DescribedError::Description { name, source }),
        }
    }

    /// Asks a running collector for the document of a host.
    pub fn host(host: &str, collector: &Collector) -> Result<Described, DescribedError> {
        let text = collector.ask(host, "openapi.json")?;
        Self::text(&text, host.to_owned(), false)
    }
}

/// Where a running collector is.
#[derive(Debug, Clone, clap::Args)]
pub struct Collector {
    /// Admin listener of a running collector
    #[arg(
        long,
        value_name = "URL",
        env = "SILHOUETTE_COLLECTOR",
        default_value = "http://127.0.0.1:4321"
    )]
    pub collector: String,
    /// Token for it, if it wants one (`token create --admin`)
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SILHOUETTE_ADMIN_TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// Authorities that its certificate may come from, PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<std::path::PathBuf>,
}

impl Collector {
    /// What the collector answers about a host: `openapi.json`, `explain?path=…`.
    pub fn ask(&self, host: &str, what: &str) -> Result<String, DescribedError> {
        let unreachable = |problem: String| DescribedError::Unreachable {
            url: self.collector.clone(),
            problem,
            hint: String::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        runtime.block_on(async {
            let path = format!("/v1/hosts/{}/{what}", encoded(host));
            let (status, body) = self.get(&path).await?;
            match status {
                200 => Ok(body),
                404 => {
                    let (_, hosts) = self.get("/v1/hosts").await?;
                    Err(DescribedError::Host {
                        url: self.collector.clone(),
                        host: host.to_owned(),
                        there_are: there_are(&hosts),
                    })
                }
                status => Err(DescribedError::Refused {
                    url: self.collector.clone(),
                    status,
                    why: reason(&body, status),
                }),
            }
        })
    }

    /// What the collector answers to a GET, when that is what was asked for.
    pub fn fetch(&self, path: &str) -> Result<String, DescribedError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| DescribedError::Unreachable {
                url: self.collector.clone(),
                problem: error.to_string(),
                hint: String::new(),
            })?;
        match runtime.block_on(self.get(path))? {
            (200, body) => Ok(body),
            (status, body) => Err(DescribedError::Refused {
                url: self.collector.clone(),
                status,
                why: reason(&body, status),
            }),
        }
    }

    /// The status and body of a GET.
    async fn get(&self, path: &str) -> Result<(u16, String), DescribedError> {
        let unreachable = |problem: String| DescribedError::Unreachable {
            url: self.collector.clone(),
            problem,
            hint: String::new(),
        };
        let address = || DescribedError::Address {
            url: self.collector.clone(),
        };
        let base: http::Uri = self
            .collector
            .trim_end_matches('/')
            .parse()
            .map_err(|_| address())?;
        let host = base.host().ok_or_else(address)?;
        let secure = match base.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(address()),
        };
        let port = base.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_matches(['[', ']']);
        let exchange = async {
            let socket = TcpStream::connect((bare, port))
                .await
                .map_err(|e| e.to_string())?;
            let authority = base
                .authority()
                .map_or(host, |authority| authority.as_str());
            let mut request = http::Request::get(path).header(http::header::HOST, authority);
            if let Some(token) = &self.token {
                request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let request = request
                .body(Empty::<Bytes>::new())
                .map_err(|_| "the token has characters no header may have".to_owned())?;
            if secure {
                let name = ServerName::try_from(bare.to_owned()).map_err(|e| e.to_string())?;
                let client = tls::client(self.tls_ca.as_deref()).map_err(|e| e.to_string())?;
                let connector = tokio_rustls::TlsConnector::from(client);
                let stream = connector
                    .connect(name, socket)
                    .await
                    .map_err(|e| e.to_string())?;
                answer(stream, request).await
            } else {
                answer(socket, request).await
            }
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(answer) => answer.map_err(unreachable),
            Err(_) => Err(unreachable(format!(
                "no answer in {} s",
                PATIENCE.as_secs()
            ))),
        }
    }
}

async fn answer<S>(stream: S, request: http::Request<Empty<Bytes>>) -> Result<(u16, String), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_SIZE);
    let body = body
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    connection.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The hosts of `/v1/hosts`, for people.
fn there_are(hosts: &str) -> String {
    const SHOWN: usize = 20;
    let value: serde_json::Value = serde_json::from_str(hosts).unwrap_or_default();
    let all: Vec<&str> = value["hosts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|host| host["host"].as_str())
        .collect();
    match all.as_slice() {
        [] => "it has learnt no host yet".to_owned(),
        all if all.len() > SHOWN => {
            let few: Vec<&str> = all.iter().take(SHOWN).copied().collect();
            format!(
                "there are {} and {} more",
                few.join(", "),
                all.len() - SHOWN
            )
        }
        all => format!("there are {}", all.join(", ")),
    }
}

fn reason(body: &str, status: u16) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    // What speaks TLS, or is something else, says so in a line of text.
    let line = body.lines().next().unwrap_or_default().trim();
    let is_text = !line.is_empty() && line.len() < 200 && !line.starts_with(['<', '{', '[']);
    let why = match value["error"].as_str() {
        Some(why) => why.to_owned(),
        None if is_text => line.to_owned(),
        None => "is this a collector's admin listener?".to_owned(),
    };
    if status == 401 {
        return format!("{why}; give it with --token or SILHOUETTE_ADMIN_TOKEN");
    }
    why
}

/// A host as a segment of a path, a path as a value of a query.
pub(crate) fn encoded(host: &str) -> String {
    let mut out = String::new();
    for byte in host.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
