//! The Worker's variables as settings: those every shim has and some of this one, each as `SILHOUETTE_` and its name in capitals.
//!
//! In: names and values. Out: a [`Configuration`] and what of it the JavaScript needs ([`Configuration::plan`]), or words that name
//! the variable, the value and what would be right. A token never gets into an error.

use std::sync::Arc;

use serde_json::json;
use silhouette_capture::{Policy, Setting, SettingError, Settings, grpc_web};

use crate::edge::Texts;

/// What every variable's name begins with.
const PREFIX: &str = "SILHOUETTE_";

/// Where this shim has another default than the others.
pub(crate) const DEFAULTS: [(&str, &str); 2] = [
    // An isolate has 128 MB for everything.
    ("queue_bytes", "4m"),
    // Each batch is a subrequest.
    ("flush_interval_ms", "1000"),
];

/// What only this shim has; documented like [`Settings::TABLE`].
pub(crate) const OWN: &[Setting] = &[
    own(
        "name",
        "",
        "1 to 256 bytes of text",
        "What you call this gateway.",
    ),
    own(
        "origin",
        "",
        "`http://host[:port]` or `https://host[:port]`",
        "Where requests go; empty means where they would go without this Worker. For custom domains, which have nothing behind them.",
    ),
    own(
        "status_path",
        "",
        "a path such as `/.well-known/silhouette`",
        "This path answers with counters of the isolate, as JSON, and goes to no origin; empty means there is none.",
    ),
    own(
        "status_token",
        "",
        "1 to 4096 visible ASCII characters",
        "The bearer token that `status_path` asks for; empty means none.",
    ),
    own(
        "subrequests",
        "4",
        "a number from 1 to 1000",
        "How many batches the JavaScript of one request sends at most: each is a subrequest of Cloudflare's limits.",
    ),
    own(
        "capture_seconds",
        "20",
        "a number from 1 to 28",
        "How long a body of unknown length is watched; what came until then is captured.",
    ),
];

const fn own(
    name: &'static str,
    default: &'static str,
    accepts: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        accepts,
        help,
        connection: true,
    }
}

/// What JavaScript gives: the variables, and some things only it knows, under names without the prefix.
pub(crate) struct Variables<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Variables<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Variables<'a> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap_or_default();
        let pairs = Texts::new(bytes).pairs();
        Variables {
            pairs: pairs
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        }
    }

    fn get(&self, name: &str) -> &'a str {
        let pair = self.pairs.iter().find(|(known, _)| *known == name);
        pair.map(|(_, value)| *value).unwrap_or_default()
    }
}

/// Random bytes of this instance.
pub(crate) struct Seed {
    pub(crate) instance: [u8; 16],
    pub(crate) ids: [u8; 8],
    pub(crate) spread: u64,
}

impl Seed {
    /// From 64 hexadecimal digits; whatever is missing is zero.
    fn parse(text: &str) -> Seed {
        let mut bytes = [0u8; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        }
        let [a, b, ids, spread] = eights(&bytes);
        let mut instance = [0; 16];
        for (to, from) in instance.iter_mut().zip(a.into_iter().chain(b)) {
            *to = from;
        }
        Seed {
            instance,
            ids,
            spread: u64::from_le_bytes(spread),
        }
    }
}

fn eights(bytes: &[u8; 32]) -> [[u8; 8]; 4] {
    let mut eights = [[0; 8]; 4];
    for (eight, bytes) in eights.iter_mut().zip(bytes.chunks_exact(8)) {
        eight.copy_from_slice(bytes);
    }
    eights
}

/// What the Worker is told to do.
pub(crate) struct Configuration {
    pub(crate) policy: Arc<Policy>,
    /// `host:port` of the collector.
    pub(crate) collector: String,
    pub(crate) name: String,
    pub(crate) seed: Seed,
    /// What the runtime calls itself.
    pub(crate) runtime: String,
    /// The data centre of the first request.
    pub(crate) colo: String,
    /// Batches go into one of Cloudflare's queues.
    pub(crate) queue: bool,
    /// How many instances of the core this isolate had, with this one.
    pub(crate) instance: u32,
    own: Own,
}

/// The values of [`OWN`], checked.
#[derive(Default)]
struct Own {
    name: String,
    status_path: String,
    status_token: String,
    subrequests: u32,
    capture_seconds: u32,
}

impl Own {
    fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let Some(setting) = OWN.iter().find(|setting| setting.name == name) else {
            return Err(SettingError::Unknown {
                name: name.chars().take(64).collect(),
            });
        };
        let refused = || SettingError::Value {
            name: setting.name,
            value: match setting.name {
                "status_token" => "(not shown)".to_owned(),
                _ => value.chars().take(128).collect(),
            },
            accepts: setting.accepts.to_owned(),
        };
        let number = |least: u32, most: u32| {
            let number = value.parse().ok();
            number
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(refused)
        };
        let is_text =
            |most: usize| value.len() <= most && value.bytes().all(|b| b.is_ascii_graphic());
        match name {
            "name" if value.len() <= 256 => value.clone_into(&mut self.name),
            // It is written like a collector's, and JavaScript takes it from its variable.
            "origin" => {
                let mut as_collector = Settings::default();
                as_collector
                    .set("collector", value)
                    .map_err(|_| refused())?;
            }
            "status_path" if value.is_empty() || (value.starts_with('/') && is_text(1024)) => {
                value.clone_into(&mut self.status_path);
            }
            "status_token" if is_text(4096) => value.clone_into(&mut self.status_token),
            "subrequests" => self.subrequests = number(1, 1000)?,
            "capture_seconds" => self.capture_seconds = number(1, 28)?,
            _ => return Err(refused()),
        }
        Ok(())
    }
}

/// Reads the variables.
pub(crate) fn read(variables: &Variables<'_>) -> Result<Configuration, String> {
    let mut settings = Settings::default();
    let mut own = Own::default();
    for setting in OWN {
        own.set(setting.name, setting.default)
            .map_err(|error| told(&error))?;
    }
    for (name, value) in DEFAULTS {
        settings.set(name, value).map_err(|error| told(&error))?;
    }
    for (variable, value) in &variables.pairs {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        let is_own = OWN.iter().any(|setting| setting.name == name);
        let result = match name.as_str() {
            "tls_ca" => {
                return Err(
                    "SILHOUETTE_TLS_CA: a Worker trusts public certificate authorities alone; a collector with a certificate of \
                     your own is reached by a binding, SILHOUETTE_COLLECTOR_BINDING"
                        .to_owned(),
                );
            }
            // An empty variable is one that is not set.
            _ if value.is_empty() => Ok(()),
            _ if is_own => own.set(&name, value.trim()),
            _ => settings.set(&name, value),
        };
        result.map_err(|error| told(&error))?;
    }
    let policy = settings.build().map_err(|error| told(&error))?;
    let Some(collector) = policy.collector() else {
        return Err(
            "SILHOUETTE_COLLECTOR: is not set: give `http://host[:port]` or `https://host[:port]`"
                .to_owned(),
        );
    };
    Ok(Configuration {
        collector: format!("{}:{}", collector.host(), collector.port()),
        policy: Arc::new(policy),
        name: own.name.clone(),
        seed: Seed::parse(variables.get("seed")),
        runtime: variables.get("runtime").to_owned(),
        colo: variables.get("colo").to_owned(),
        queue: !variables.get("queue").is_empty(),
        instance: variables.get("instance").parse().unwrap_or(1),
        own,
    })
}

/// An error in the words of variables.
fn told(error: &SettingError) -> String {
    match error {
        SettingError::Unknown { name } => {
            let known = Settings::TABLE.iter().chain(OWN);
            let known: Vec<String> = known
                .map(|setting| variable(setting.name))
                .filter(|name| name != "SILHOUETTE_TLS_CA")
                .collect();
            format!(
                "there is no setting {}: the settings are {}",
                variable(name),
                known.join(", ")
            )
        }
        SettingError::Value {
            name,
            value,
            accepts,
        } => format!(
            "{}: `{value}` is not accepted: give {accepts}",
            variable(name)
        ),
    }
}

fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

impl Configuration {
    /// What the JavaScript needs to know, as JSON.
    pub(crate) fn plan(&self) -> String {
        let url = self.policy.collector().map(ToString::to_string);
        json!({
            "url": format!("{}{}", url.unwrap_or_default(), grpc_web::EXPORT_PATH),
            "headers": self.headers(),
            "maxRequestBody": self.policy.max_request_body(),
            "maxResponseBody": self.policy.max_response_body(),
            "statusPath": self.own.status_path,
            "statusToken": self.own.status_token,
            "subrequests": self.own.subrequests,
            "captureMillis": u64::from(self.own.capture_seconds) * 1000,
        })
        .to_string()
    }

    fn headers(&self) -> serde_json::Value {
        let mut headers = json!({
            "content-type": grpc_web::CONTENT_TYPE,
            "accept": grpc_web::CONTENT_TYPE,
            "x-grpc-web": "1",
            "user-agent": concat!("silhouette-cloudflare/", env!("CARGO_PKG_VERSION")),
        });
        if let (Some(token), Some(headers)) = (self.policy.token(), headers.as_object_mut()) {
            headers.insert("authorization".to_owned(), format!("Bearer {token}").into());
        }
        headers
    }
}

/// What the JavaScript is told of settings that are refused: the error, and the status route if that much can be understood.
pub(crate) fn refused(variables: &Variables<'_>, error: &str) -> String {
    let mut own = Own::default();
    let mut understood = true;
    for name in ["status_path", "status_token"] {
        understood &= own.set(name, variables.get(&variable(name)).trim()).is_ok();
    }
    if !understood {
        // Without its token the route must not answer.
        own.status_path.clear();
    }
    json!({
        "error": error,
        "statusPath": own.status_path,
        "statusToken": own.status_token,
    })
    .to_string()
}
