//! What an operator wrote at http, server and location level, layered and compiled.
//!
//! In: names and values with the place they were written at. Out: one [`Compiled`] per distinct set of settings, shared
//! by all locations that have it, and one [`LinkConfig`] per distinct connection among them; or an error with the
//! directive, the value, what is accepted, and the place. It reads the files that settings name; it knows no nginx
//! structure.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use silhouette_capture::{Policy, SettingError, Settings};

use crate::counters::LINKS;
use crate::link::LinkConfig;
use crate::tls::{self, TlsError};

/// Settings of this module besides those every shim has, with what they accept.
pub(crate) const OWN_SETTINGS: &[(&str, &str)] = &[
    ("name", "a name for this gateway, of at most 128 characters"),
    ("tls_certificate", "the path of a PEM file"),
    ("tls_certificate_key", "the path of a PEM file"),
];

/// Where a directive was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why a directive is refused where it is written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    #[error("is duplicate")]
    Duplicate,
    #[error("{0}")]
    Setting(#[from] SettingError),
    #[error("`{value}` is not accepted: give {accepts}")]
    Own {
        value: String,
        accepts: &'static str,
    },
    #[error(
        "cannot read the token from {path}: {source}; give a file that holds nothing but the token"
    )]
    TokenFile {
        path: String,
        source: std::io::Error,
    },
}

/// Why settings that are right one by one cannot be used together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error(
        "\"silhouette on\" needs a \"silhouette_collector\" at the same level or above, in {0}"
    )]
    NoCollector(Place),
    #[error("\"silhouette_{name}\": {error}, in {place}")]
    Setting {
        name: String,
        error: String,
        place: Place,
    },
    #[error("\"silhouette_{given}\" needs \"silhouette_{missing}\" beside it, in {place}")]
    Half {
        given: &'static str,
        missing: &'static str,
        place: Place,
    },
    #[error(
        "more than {LINKS} different connections (collector, token, TLS, queue) are configured: use fewer, in {0}"
    )]
    TooManyLinks(Place),
}

#[derive(Clone, Debug)]
struct Entry {
    name: &'static str,
    value: String,
    place: Place,
}

/// One level of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    enabled: Option<(bool, Place)>,
    entries: Vec<Entry>,
    /// `silhouette_status` is here: the page about the module is not traffic.
    pub(crate) is_status_page: bool,
}

impl Layer {
    /// `silhouette on|off`.
    pub(crate) fn enable(&mut self, on: bool, place: Place) -> Result<(), SetError> {
        if self.enabled.is_some() {
            return Err(SetError::Duplicate);
        }
        self.enabled = Some((on, place));
        Ok(())
    }

    /// `silhouette_<name> value`, checked at once.
    pub(crate) fn set(
        &mut self,
        name: &'static str,
        value: &str,
        place: Place,
    ) -> Result<(), SetError> {
        if self.entries.iter().any(|entry| entry.name == name) {
            return Err(SetError::Duplicate);
        }
        let value = match (name, value.strip_prefix("file:")) {
            ("token", Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| SetError::TokenFile {
                    path: path.to_owned(),
                    source,
                })?
                .trim()
                .to_owned(),
            _ => value.to_owned(),
        };
        match OWN_SETTINGS.iter().find(|own| own.0 == name) {
            None => Settings::default().set(name, &value)?,
            Some((_, accepts)) => {
                if value.is_empty()
                    || value.len() > 4096
                    || (name == "name" && value.chars().count() > 128)
                {
                    return Err(SetError::Own {
                        value: value.chars().take(128).collect(),
                        accepts,
                    });
                }
            }
        }
        self.entries.push(Entry { name, value, place });
        Ok(())
    }

    /// Takes over what this level leaves unsaid from the level above.
    pub(crate) fn inherit(&mut self, above: &Layer) {
        if self.enabled.is_none() && !self.is_status_page {
            self.enabled.clone_from(&above.enabled);
        }
        for entry in &above.entries {
            if !self.entries.iter().any(|own| own.name == entry.name) {
                self.entries.push(entry.clone());
            }
        }
    }

    fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn key(&self, wanted: impl Fn(&str) -> bool) -> Key {
        let mut key: Key = self
            .entries
            .iter()
            .filter(|e| wanted(e.name))
            .map(|e| (e.name, e.value.clone()))
            .collect();
        key.sort();
        key
    }
}

type Key = Vec<(&'static str, String)>;

/// The settings of one or more locations, ready for requests.
pub(crate) struct Compiled {
    pub(crate) policy: Arc<Policy>,
    /// Position of the connection in [`Book::links`].
    pub(crate) link: usize,
}

/// Everything compiled from one configuration.
#[derive(Default)]
pub(crate) struct Book {
    compiled: HashMap<Key, Arc<Compiled>>,
    link_keys: HashMap<Key, usize>,
    links: Vec<Arc<LinkConfig>>,
}

impl Book {
    /// The connections the configuration needs.
    pub(crate) fn links(&self) -> &[Arc<LinkConfig>] {
        &self.links
    }

    /// The settings of a level after [`Layer::inherit`]; `None` when it captures nothing.
    pub(crate) fn compile(&mut self, layer: &Layer) -> Result<Option<Arc<Compiled>>, CompileError> {
        let Some((true, place)) = &layer.enabled else {
            return Ok(None);
        };
        let key = layer.key(|_| true);
        if let Some(known) = self.compiled.get(&key) {
            return Ok(Some(known.clone()));
        }
        let place_of = |name: &str| layer.get(name).map_or(place, |entry| &entry.place).clone();
        let refused = |error: SettingError| {
            let name = match &error {
                SettingError::Value { name, .. } => (*name).to_owned(),
                SettingError::Unknown { name } => name.clone(),
            };
            CompileError::Setting {
                place: place_of(&name),
                name,
                error: error.to_string(),
            }
        };
        let mut settings = Settings::default();
        for entry in layer.entries.iter().filter(|entry| !is_own(entry.name)) {
            settings.set(entry.name, &entry.value).map_err(refused)?;
        }
        let policy = Arc::new(settings.build().map_err(refused)?);
        if policy.collector().is_none() {
            return Err(CompileError::NoCollector(place.clone()));
        }
        let link = self.link(layer, &policy, place)?;
        let compiled = Arc::new(Compiled { policy, link });
        self.compiled.insert(key, compiled.clone());
        Ok(Some(compiled))
    }

    fn link(
        &mut self,
        layer: &Layer,
        policy: &Policy,
        place: &Place,
    ) -> Result<usize, CompileError> {
        let key = layer.key(is_connection);
        if let Some(index) = self.link_keys.get(&key) {
            return Ok(*index);
        }
        if self.links.len() >= LINKS {
            return Err(CompileError::TooManyLinks(place.clone()));
        }
        let (certificate, private) = (
            layer.get("tls_certificate"),
            layer.get("tls_certificate_key"),
        );
        let identity = match (certificate, private) {
            (None, None) => None,
            (Some(certificate), Some(private)) => {
                Some((Path::new(&certificate.value), Path::new(&private.value)))
            }
            (Some(given), None) => {
                return Err(half("tls_certificate", "tls_certificate_key", given));
            }
            (None, Some(given)) => {
                return Err(half("tls_certificate_key", "tls_certificate", given));
            }
        };
        let Some(collector) = policy.collector().cloned() else {
            return Err(CompileError::NoCollector(place.clone()));
        };
        let tls = match collector.tls() {
            false => None,
            true => Some(Arc::new(
                tls::client_config(policy.tls_ca().map(Path::new), identity).map_err(|error| {
                    let name = match &error {
                        TlsError::Identity { .. } => "tls_certificate",
                        TlsError::File { path, .. }
                        | TlsError::Empty { path }
                        | TlsError::Authority { path, .. } => {
                            ["tls_ca", "tls_certificate", "tls_certificate_key"]
                                .into_iter()
                                .find(|name| {
                                    layer.get(name).is_some_and(|e| Path::new(&e.value) == path)
                                })
                                .unwrap_or("tls_ca")
                        }
                        _ => "collector",
                    };
                    let place = layer.get(name).map_or(place, |entry| &entry.place).clone();
                    CompileError::Setting {
                        name: name.to_owned(),
                        error: error.to_string(),
                        place,
                    }
                })?,
            )),
        };
        let index = self.links.len();
        self.links.push(Arc::new(LinkConfig {
            collector,
            token: policy.token().map(str::to_owned),
            tls,
            queue_bytes: policy.queue_bytes(),
            flush_interval_ms: policy.flush_interval_ms(),
            name: layer
                .get("name")
                .map(|entry| entry.value.clone())
                .unwrap_or_default(),
        }));
        self.link_keys.insert(key, index);
        Ok(index)
    }
}

fn half(given: &'static str, missing: &'static str, entry: &Entry) -> CompileError {
    CompileError::Half {
        given,
        missing,
        place: entry.place.clone(),
    }
}

fn is_own(name: &str) -> bool {
    OWN_SETTINGS.iter().any(|own| own.0 == name)
}

fn is_connection(name: &str) -> bool {
    is_own(name)
        || Settings::TABLE
            .iter()
            .any(|setting| setting.name == name && setting.connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize) -> Place {
        Place {
            file: "nginx.conf".into(),
            line,
        }
    }

    fn layer(on: Option<bool>, settings: &[(&'static str, &str)]) -> Layer {
        let mut layer = Layer::default();
        if let Some(on) = on {
            layer.enable(on, at(1)).unwrap();
        }
        for (line, (name, value)) in settings.iter().enumerate() {
            layer.set(name, value, at(line + 2)).unwrap();
        }
        layer
    }

    fn below(above: &Layer, mut own: Layer) -> Layer {
        own.inherit(above);
        own
    }

    const COLLECTOR: (&str, &str) = ("collector", "http://127.0.0.1:4317");

    #[test]
    fn a_level_keeps_its_own_and_inherits_the_rest() {
        let http = layer(
            Some(true),
            &[
                COLLECTOR,
                ("max_request_body", "1k"),
                ("excluded_statuses", "5xx"),
            ],
        );
        let server = below(&http, layer(None, &[("max_request_body", "2k")]));
        let location = below(&server, layer(None, &[("excluded_statuses", "off")]));
        let off = below(&location, layer(Some(false), &[]));
        let mut book = Book::default();
        let server = book.compile(&server).unwrap().unwrap();
        assert_eq!(server.policy.max_request_body(), 2048);
        let location = book.compile(&location).unwrap().unwrap();
        assert_eq!(location.policy.max_request_body(), 2048);
        assert!(!Arc::ptr_eq(&server, &location));
        assert!(book.compile(&off).unwrap().is_none());
        assert_eq!(
            book.links().len(),
            1,
            "what is captured differs, the connection does not"
        );
    }

    #[test]
    fn locations_with_the_same_settings_share_them() {
        let http = layer(Some(true), &[COLLECTOR]);
        let mut book = Book::default();
        let one = book
            .compile(&below(&http, layer(None, &[("sample_rate", "0.5")])))
            .unwrap()
            .unwrap();
        let two = book
            .compile(&below(&http, layer(None, &[("sample_rate", "0.5")])))
            .unwrap()
            .unwrap();
        assert!(Arc::ptr_eq(&one, &two));
    }

    #[test]
    fn each_distinct_connection_is_one_link() {
        let http = layer(Some(true), &[COLLECTOR]);
        let mut book = Book::default();
        let first = book.compile(&http).unwrap().unwrap();
        let other = book
            .compile(&below(
                &http,
                layer(None, &[("collector", "http://127.0.0.1:9")]),
            ))
            .unwrap()
            .unwrap();
        let token = book
            .compile(&below(&http, layer(None, &[("token", "t")])))
            .unwrap()
            .unwrap();
        assert_eq!((first.link, other.link, token.link), (0, 1, 2));
        for port in 10..10 + LINKS as u16 - 3 {
            let url = format!("http://127.0.0.1:{port}");
            book.compile(&below(&http, layer(None, &[("collector", &url)])))
                .unwrap();
        }
        let error = book
            .compile(&below(
                &http,
                layer(None, &[("collector", "http://127.0.0.1:99")]),
            ))
            .err()
            .unwrap();
        assert!(error.to_string().contains("more than 8"), "{error}");
    }

    #[test]
    fn the_status_page_is_not_traffic_unless_asked() {
        let http = layer(Some(true), &[COLLECTOR]);
        let page = below(
            &http,
            Layer {
                is_status_page: true,
                ..Layer::default()
            },
        );
        assert!(Book::default().compile(&page).unwrap().is_none());
        let asked = below(
            &http,
            Layer {
                is_status_page: true,
                ..layer(Some(true), &[])
            },
        );
        assert!(Book::default().compile(&asked).unwrap().is_some());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let mut book = Book::default();
        let error = book
            .compile(&layer(Some(true), &[]))
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("silhouette_collector") && error.contains("nginx.conf:1"),
            "{error}"
        );
        let ca = layer(
            Some(true),
            &[
                ("collector", "https://127.0.0.1:1"),
                ("tls_ca", "/no/such.pem"),
            ],
        );
        let error = book.compile(&ca).err().unwrap().to_string();
        assert!(
            error.contains("silhouette_tls_ca") && error.contains("/no/such.pem"),
            "{error}"
        );
        assert!(error.contains("nginx.conf:3"), "{error}");
        let plain = layer(Some(true), &[COLLECTOR, ("tls_ca", "/ca.pem")]);
        let error = book.compile(&plain).err().unwrap().to_string();
        assert!(
            error.contains("https") && error.contains("nginx.conf:3"),
            "{error}"
        );
        let half = layer(Some(true), &[COLLECTOR, ("tls_certificate", "/c.pem")]);
        let error = book.compile(&half).err().unwrap().to_string();
        assert!(error.contains("silhouette_tls_certificate_key"), "{error}");
    }

    #[test]
    fn a_directive_is_refused_where_it_is_written() {
        let mut layer = Layer::default();
        let error = layer
            .set("max_request_body", "lots", at(3))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`lots`") && error.contains("16m"), "{error}");
        layer.set("max_request_body", "1k", at(3)).unwrap();
        assert_eq!(
            layer
                .set("max_request_body", "1k", at(4))
                .unwrap_err()
                .to_string(),
            "is duplicate"
        );
        assert!(layer.set("name", "", at(5)).is_err());
    }

    #[test]
    fn a_token_may_be_in_a_file_and_is_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cr3t\n").unwrap();
        let path = format!("file:{}", file.path().display());
        let mut book = Book::default();
        book.compile(&layer(Some(true), &[COLLECTOR, ("token", &path)]))
            .unwrap();
        let link = book.links().first().unwrap();
        assert_eq!(link.token.as_deref(), Some("s3cr3t"));
        assert!(!format!("{link:?}").contains("s3cr3t"));
        let error = Layer::default()
            .set("token", "file:/no/such", at(1))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/no/such"), "{error}");
        std::fs::write(file.path(), "two words").unwrap();
        let error = Layer::default()
            .set("token", &path, at(1))
            .unwrap_err()
            .to_string();
        assert!(!error.contains("words"), "{error}");
    }
}
