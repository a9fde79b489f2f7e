//! The settings every shim has, as an operator writes them: one table of names, defaults and help, and their parsing.
//!
//! In: names and values as text, from whatever configuration the gateway has. Out: a [`Policy`], or an error that names
//! the setting, the value and what would be accepted. Nothing here reads a file or looks at the environment.

use std::fmt;

use crate::pattern::{HostPattern, MediaPattern, PathGlob, StatusSet, is_token_byte};
use crate::policy::{Collector, Policy};
use crate::redact::Names;

/// One row of [`Settings::TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name, the same in every shim.
    pub name: &'static str,
    /// What holds when it is not set, in the form that [`Settings::set`] accepts. Empty: nothing.
    pub default: &'static str,
    /// What [`Settings::set`] accepts.
    pub accepts: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// It concerns the connection to the collector and not what is captured, so that it cannot differ between two
    /// requests that share a connection.
    pub connection: bool,
}

const LIST: &str = "separated by commas or spaces";

macro_rules! table {
    ($($name:ident: $default:expr, $accepts:expr, $connection:expr, $help:expr;)+) => {
        &[$(Setting {
            name: stringify!($name), default: $default, accepts: $accepts, help: $help, connection: $connection,
        },)+]
    };
}

/// A value that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no setting of this name.
    #[error("unknown setting `{name}`: the settings are {}", known())]
    Unknown {
        /// The name given.
        name: String,
    },
    /// The setting does not take this value.
    #[error("{name}: `{value}` is not accepted: give {accepts}")]
    Value {
        /// The setting.
        name: &'static str,
        /// The value, or the one entry of a list that is wrong; never a token.
        value: String,
        /// What would be right.
        accepts: String,
    },
}

fn known() -> String {
    Settings::TABLE
        .iter()
        .map(|setting| setting.name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Raw settings: what an operator wrote, checked value by value. [`Settings::default`] has the documented defaults.
#[derive(Clone)]
pub struct Settings {
    policy: Policy,
}

impl Default for Settings {
    fn default() -> Settings {
        let mut settings = Settings {
            policy: Policy::empty(),
        };
        for setting in Settings::TABLE {
            // A test holds every default to be accepted.
            let _ = settings.set(setting.name, setting.default);
        }
        settings
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("policy", &self.policy)
            .finish()
    }
}

impl Settings {
    /// Every setting there is, in the order of the documentation.
    ///
    /// Lists with a default (`content_types`, `excluded_methods`, `redact_*`) are replaced by what is set; when every
    /// entry begins with `+`, the entries are added to the default instead. `off` empties a list.
    pub const TABLE: &'static [Setting] = table! {
        collector: "", "`http://host[:port]` or `https://host[:port]`", true,
            "Where the collector listens.";
        token: "", "1 to 4096 visible ASCII characters", true,
            "The bearer token this shim shows to the collector.";
        tls_ca: "", "the path of a PEM file", true,
            "The certificate authorities to trust instead of the system's.";
        max_request_body: "256k", "a size in bytes with an optional `k` or `m`, from 0 to 16m", false,
            "How much of a request's body is kept; 0 keeps none.";
        max_response_body: "1m", "a size in bytes with an optional `k` or `m`, from 0 to 16m", false,
            "How much of a response's body is kept; 0 keeps none.";
        excluded_statuses: "", "statuses (`404`), classes (`5xx`) and ranges (`500-599`) separated by commas or spaces, or `off`", false,
            "Exchanges with these statuses are not captured.";
        excluded_methods: "CONNECT,TRACE", "methods separated by commas or spaces, or `off`", false,
            "Requests with these methods are not captured.";
        excluded_headers: "", "header names separated by commas or spaces, or `off`", false,
            "A request that carries one of these headers is not captured.";
        include_hosts: "", "hosts (`api.example.com`, `*.example.com`, `example.com:8443`) separated by commas or spaces, or `off`", false,
            "Only requests to these hosts are captured; empty means all.";
        exclude_hosts: "", "hosts (`api.example.com`, `*.example.com`, `example.com:8443`) separated by commas or spaces, or `off`", false,
            "Requests to these hosts are not captured.";
        include_paths: "", "paths with `*` for any characters (`/api/*`) separated by commas or spaces, or `off`", false,
            "Only requests with these paths are captured; empty means all.";
        exclude_paths: "", "paths with `*` for any characters (`/internal/*`, `*.css`) separated by commas or spaces, or `off`", false,
            "Requests with these paths are not captured.";
        content_types: "application/json,*+json,text/json,application/x-ndjson,application/jsonl,application/jsonlines,\
            application/graphql,application/x-www-form-urlencoded,multipart/form-data,application/xml,text/xml,\
            application/*+xml,text/plain",
            "media types (`application/json`, `application/*`, `*+json`) separated by commas or spaces, or `off`", false,
            "Bodies of these types are kept; of others only the size. Event streams, images and files are not among the defaults.";
        sample_rate: "1", "a number from 0 to 1", false,
            "The share of exchanges captured. The first 10 of each route in each minute always are.";
        redact_headers: "*authorization,cookie,set-cookie,*api-key,*apikey,*token,*secret,*password,*session-id,\
            x-functions-key,ocp-apim-subscription-key,x-goog-iap-jwt-assertion,x-amz-security-token,x-amzn-oidc-data,\
            x-client-cert,x-forwarded-client-cert,x-ssl-client-cert,ssl-client-cert",
            "header names, `*` in front for any beginning, separated by commas or spaces, or `off`", false,
            "The values of these headers are replaced by placeholders.";
        redact_query: "*token,*apikey,*secret,*password,passwd,pwd,pass,passphrase,*accesskey,*secretkey,*privatekey,*credential,credentials,key,\
            auth,authorization,*jwt,bearer,session,*sessionid,jsessionid,phpsessid,sid,sig,*signature,otp,pin,\
            *cardnumber,cvv,cvc,ssn,assertion,client_assertion,samlresponse,code_verifier,id_token_hint",
            "parameter names, `*` in front for any beginning, separated by commas or spaces, or `off`", false,
            "The values of these query parameters are replaced by placeholders.";
        redact_json: "*password,passwd,pwd,pass,*passphrase,*passcode,*passwordhash,pin,otp,*otpcode,mfacode,*secret,*token,*apikey,*accesskey,\
            *secretkey,*privatekey,*authorization,*credential,*credentials,*jwt,bearer,*sessionid,jsessionid,*cookie,cookies,\
            *cardnumber,*creditcard,ccnumber,pan,cvv,cvc,cvv2,cvc2,*securitycode,ssn,*socialsecuritynumber,*nationalid,\
            *passportnumber,iban,*accountnumber,*routingnumber,*taxid,assertion,client_assertion,samlresponse,code_verifier,\
            *recoverycode,*recoverycodes,*backupcode,*backupcodes",
            "field names, `*` in front for any beginning, separated by commas or spaces, or `off`", false,
            "The values of these fields of JSON, form, multipart and XML bodies are replaced by placeholders.";
        queue_bytes: "8m", "a size in bytes with an optional `k`, `m` or `g`, from 64k to 1g", true,
            "How much may wait for the collector, per worker; beyond it exchanges are dropped and counted.";
        flush_interval_ms: "200", "milliseconds from 10 to 60000", true,
            "How long an exchange waits at most for others to share its batch.";
    };

    /// Sets one setting; an empty value clears it. Refuses what it does not accept and then stays as it was.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let Some(setting) = Settings::TABLE.iter().find(|setting| setting.name == name) else {
            return Err(SettingError::Unknown {
                name: name.chars().take(64).collect(),
            });
        };
        let value = value.trim();
        let refused = || SettingError::Value {
            name: setting.name,
            value: value.chars().take(128).collect(),
            accepts: setting.accepts.to_owned(),
        };
        let entries = |accepts: &'static str| list(setting, value, accepts);
        let policy = &mut self.policy;
        match setting.name {
            "collector" => {
                policy.collector = match value {
                    "" => None,
                    url => Some(Collector::parse(url).ok_or_else(|| SettingError::Value {
                        name: setting.name,
                        // A URL may carry a password.
                        value: match url.rsplit_once('@') {
                            Some((_, rest)) => format!("…@{rest}"),
                            None => url.chars().take(128).collect(),
                        },
                        accepts: format!("{}, without user, path or query", setting.accepts),
                    })?),
                };
            }
            "token" => {
                if value.len() > 4096 || !value.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(SettingError::Value {
                        name: setting.name,
                        value: "(not shown)".to_owned(),
                        accepts: setting.accepts.to_owned(),
                    });
                }
                policy.token = value.to_owned();
            }
            "tls_ca" => {
                if value.bytes().any(|b| b.is_ascii_control()) {
                    return Err(refused());
                }
                policy.tls_ca = value.to_owned();
            }
            "max_request_body" => {
                policy.max_request_body = size(value, 0, 16 << 20).ok_or_else(refused)?
            }
            "max_response_body" => {
                policy.max_response_body = size(value, 0, 16 << 20).ok_or_else(refused)?
            }
            "excluded_statuses" => {
                let mut set = StatusSet::empty();
                let entries = entries(StatusSet::ACCEPTS);
                entries.each(|entry| set.add(entry))?;
                policy.excluded_statuses = set;
            }
            "excluded_methods" | "excluded_headers" => {
                let mut tokens = Vec::new();
                entries("a token of RFC 9110: letters, digits and `-`").each(|entry| {
                    entry
                        .bytes()
                        .all(is_token_byte)
                        .then(|| tokens.push(entry.to_ascii_lowercase()))
                })?;
                if setting.name == "excluded_methods" {
                    policy.excluded_methods = tokens;
                } else {
                    policy.excluded_headers = tokens;
                }
            }
            "include_hosts" => {
                policy.include_hosts = entries(HostPattern::ACCEPTS).collect(HostPattern::parse)?
            }
            "exclude_hosts" => {
                policy.exclude_hosts = entries(HostPattern::ACCEPTS).collect(HostPattern::parse)?
            }
            "include_paths" => {
                policy.include_paths = entries(PathGlob::ACCEPTS).collect(PathGlob::parse)?
            }
            "exclude_paths" => {
                policy.exclude_paths = entries(PathGlob::ACCEPTS).collect(PathGlob::parse)?
            }
            "content_types" => {
                policy.content_types =
                    entries(MediaPattern::ACCEPTS).collect(MediaPattern::parse)?
            }
            "sample_rate" => {
                policy.sample_rate = share(value).ok_or_else(refused)?;
            }
            "redact_headers" | "redact_query" | "redact_json" => {
                let mut names = Names::default();
                entries(Names::ACCEPTS).each(|entry| names.add(entry))?;
                match setting.name {
                    "redact_headers" => policy.redaction.headers = names,
                    "redact_query" => policy.redaction.query = names,
                    _ => policy.redaction.fields = names,
                }
            }
            "queue_bytes" => {
                policy.queue_bytes = size(value, 64 << 10, 1 << 30).ok_or_else(refused)?
            }
            "flush_interval_ms" => {
                policy.flush_interval_ms = value
                    .parse()
                    .ok()
                    .filter(|ms| (10..=60_000).contains(ms))
                    .ok_or_else(refused)?;
            }
            // A test sets every row of the table.
            _ => return Err(refused()),
        }
        Ok(())
    }

    /// The policy these settings make. Whether a collector is needed is for the shim to say.
    pub fn build(&self) -> Result<Policy, SettingError> {
        let policy = self.policy.clone();
        if policy.tls_ca.is_empty() || policy.collector.as_ref().is_none_or(Collector::tls) {
            return Ok(policy);
        }
        Err(SettingError::Value {
            name: "tls_ca",
            value: policy.tls_ca,
            accepts: "it only together with a collector at `https://…`".to_owned(),
        })
    }
}

/// A number from 0 to 1 in decimal digits. The standard library's reading of floats would bring tables of 10 KB into every
/// shim.
fn share(text: &str) -> Option<f64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    // Nine digits are more than a share of exchanges can mean.
    let part = part.get(..9).unwrap_or(part);
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let number = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse().ok()
        }
    };
    let (whole, part): (u64, u64) = (number(whole)?, number(part)?);
    let total = whole.checked_mul(scale)?.checked_add(part)?;
    (total <= scale).then(|| total as f64 / scale as f64)
}

/// The entries of a list and how to refuse one.
struct Entries<'a> {
    setting: &'static Setting,
    entries: Vec<&'a str>,
    accepts: &'a str,
    mixed: bool,
}

fn list<'a>(setting: &'static Setting, value: &'a str, accepts: &'a str) -> Entries<'a> {
    let split = |text: &'a str| {
        text.split([',', ' ', '\t', '\n', '\r'])
            .filter(|entry| !entry.is_empty())
    };
    let mut entries: Vec<&str> = split(value).collect();
    if let ["off"] = entries.as_slice() {
        entries.clear();
    }
    let added = entries
        .iter()
        .filter(|entry| entry.starts_with('+'))
        .count();
    let mixed = added > 0 && added < entries.len();
    if added > 0 {
        let extra = entries
            .iter()
            .map(|entry| entry.strip_prefix('+').unwrap_or(entry));
        entries = split(setting.default).chain(extra).collect();
    }
    Entries {
        setting,
        entries,
        accepts,
        mixed,
    }
}

impl Entries<'_> {
    fn each(self, mut take: impl FnMut(&str) -> Option<()>) -> Result<(), SettingError> {
        let name = self.setting.name;
        if self.mixed {
            return Err(SettingError::Value {
                name,
                value: self.entries.last().copied().unwrap_or_default().to_owned(),
                accepts: "either every entry with a leading `+`, to add to the default, or none, to replace it".to_owned(),
            });
        }
        for entry in self.entries {
            if entry.len() > 1024 || take(entry).is_none() {
                return Err(SettingError::Value {
                    name,
                    value: entry.chars().take(128).collect(),
                    accepts: format!("{}; several {LIST}", self.accepts),
                });
            }
        }
        Ok(())
    }

    fn collect<T>(self, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, SettingError> {
        let mut parsed = Vec::new();
        self.each(|entry| parse(entry).map(|item| parsed.push(item)))?;
        Ok(parsed)
    }
}

/// `1024`, `256k`, `1m`, `1g`; the units are powers of 1024.
fn size(text: &str, least: usize, most: usize) -> Option<usize> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (text.get(..text.len() - 1)?, 10),
        b'm' | b'M' => (text.get(..text.len() - 1)?, 20),
        b'g' | b'G' => (text.get(..text.len() - 1)?, 30),
        _ => (text, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| (least..=most).contains(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_accepted_and_every_name_known() {
        let mut settings = Settings::default();
        for setting in Settings::TABLE {
            settings.set(setting.name, setting.default).unwrap();
            assert!(
                !setting.help.is_empty() && setting.help.ends_with('.'),
                "{}",
                setting.name
            );
        }
        let policy = settings.build().unwrap();
        assert_eq!(policy.max_request_body(), 262_144);
        assert_eq!(policy.max_response_body(), 1_048_576);
        assert_eq!(policy.queue_bytes(), 8 << 20);
        assert_eq!(policy.flush_interval_ms(), 200);
        assert_eq!(policy.collector(), None);
    }

    #[test]
    fn a_refusal_names_the_setting_the_value_and_what_is_right() {
        for (name, value, parts) in [
            (
                "max_request_body",
                "17m",
                vec!["max_request_body", "`17m`", "16m"],
            ),
            ("max_request_body", "1.5k", vec!["`1.5k`"]),
            (
                "max_response_body",
                "99999999999999999999g",
                vec!["max_response_body"],
            ),
            ("queue_bytes", "1k", vec!["queue_bytes", "64k"]),
            (
                "excluded_statuses",
                "404, 6000",
                vec!["excluded_statuses", "`6000`", "`5xx`"],
            ),
            ("excluded_methods", "GET,P(T", vec!["`P(T`", "token"]),
            ("include_hosts", "*.x y/z", vec!["`y/z`", "`*.example.com`"]),
            (
                "exclude_paths",
                "health",
                vec!["`health`", "begins with `/`"],
            ),
            (
                "content_types",
                "+text/csv, json",
                vec!["`json`", "leading `+`"],
            ),
            ("sample_rate", "NaN", vec!["`NaN`", "0 to 1"]),
            ("sample_rate", "1.01", vec!["`1.01`"]),
            ("flush_interval_ms", "5", vec!["`5`", "10 to 60000"]),
            ("redact_json", "pass word*", vec!["`word*`", "leading `*`"]),
            (
                "collector",
                "ftp://x",
                vec!["`ftp://x`", "https://host[:port]"],
            ),
            ("collector", "http://me:hunter2@x", vec!["`…@x`"]),
            ("colector", "x", vec!["`colector`", "collector, token"]),
        ] {
            let error = Settings::default()
                .set(name, value)
                .unwrap_err()
                .to_string();
            for part in parts {
                assert!(error.contains(part), "{error} should contain {part}");
            }
            assert!(!error.contains("hunter2"));
        }
        let error = Settings::default()
            .set("token", "se cret")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("cret"), "{error}");
    }

    #[test]
    fn lists_replace_add_and_empty() {
        let mut settings = Settings::default();
        settings.set("redact_query", "+voucher").unwrap();
        assert!(
            settings
                .build()
                .unwrap()
                .redaction
                .query
                .contains(b"voucher")
        );
        assert!(
            settings
                .build()
                .unwrap()
                .redaction
                .query
                .contains(b"access_token")
        );
        settings.set("redact_query", "voucher").unwrap();
        assert!(
            !settings
                .build()
                .unwrap()
                .redaction
                .query
                .contains(b"access_token")
        );
        settings.set("redact_query", "off").unwrap();
        assert!(settings.build().unwrap().redaction.query.is_empty());
        let before = format!("{settings:?}");
        settings.set("redact_query", "a,(").unwrap_err();
        assert_eq!(format!("{settings:?}"), before);
    }

    #[test]
    fn a_ca_needs_tls() {
        let mut settings = Settings::default();
        settings.set("tls_ca", "/ca.pem").unwrap();
        settings.set("collector", "http://127.0.0.1:4318").unwrap();
        assert!(settings.build().unwrap_err().to_string().contains("https"));
        settings.set("collector", "https://127.0.0.1:4318").unwrap();
        settings.build().unwrap();
    }
}
