//! The rules file: what operators know better than traffic shows.
//!
//! In: a TOML file. Out: per host the [`Rules`] that its documents are emitted with, or an error with line, value and
//! what would be right. The file may change while the collector runs: what is learnt does not depend on it, so a
//! changed rule holds for everything that was ever seen. Never changes the file or what is learnt.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use serde::Deserialize;
use silhouette_reconstruct::{HostName, RuleError, Rules};
use toml::Spanned;
use wildmatch::WildMatch;

/// More is no rules file.
const LARGEST: u64 = 4 << 20;

/// Why a rules file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleFileError {
    /// It cannot be read.
    #[error("cannot read the rules file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("the rules file {path} has {size} bytes; want at most {LARGEST}")]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size, bytes.
        size: u64,
    },
    /// It is no TOML, or has unknown keys.
    #[error("the rules file {path} is not valid:\n{source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A rule is none.
    #[error("{path}, line {line}: {source}")]
    Rule {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: RuleError,
    },
    /// A host pattern is none.
    #[error(
        "{path}, line {line}: `{pattern}` can match no host; want a name such as api.example.com, *.example.com or localhost:8080"
    )]
    Host {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The pattern.
        pattern: String,
    },
    /// A rule that would do nothing.
    #[error("{path}, line {line}: {what}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is missing.
        what: &'static str,
    },
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    path: Vec<RawPath>,
    ignore: Vec<Spanned<RawIgnore>>,
    host: Vec<Spanned<RawHost>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPath {
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
    template: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawIgnore {
    hosts: Vec<Spanned<String>>,
    methods: Vec<String>,
    paths: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawHost {
    hosts: Vec<Spanned<String>>,
    internal: bool,
    ignore: bool,
}

/// Which hosts a rule is for; none named means all.
#[derive(Debug, Clone)]
struct Scope(Vec<WildMatch>);

impl Scope {
    fn covers(&self, host: &HostName) -> bool {
        let full = host.as_str();
        let bare = match full.rsplit_once(':') {
            Some((bare, port)) if !port.ends_with(']') => bare,
            _ => full,
        };
        self.0.is_empty() || self.0.iter().any(|p| p.matches(full) || p.matches(bare))
    }
}

#[derive(Debug)]
enum What {
    Template(String),
    Ignore(Vec<String>, String),
    Internal,
    LeaveOut,
}

/// A checked rules file.
#[derive(Debug, Default)]
pub struct RuleFile {
    rules: Vec<(Scope, What)>,
}

impl RuleFile {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<RuleFile, RuleFileError> {
        let unread = |source| RuleFileError::Read {
            path: path.to_owned(),
            source,
        };
        let size = fs::metadata(path).map_err(unread)?.len();
        if size > LARGEST {
            return Err(RuleFileError::Size {
                path: path.to_owned(),
                size,
            });
        }
        RuleFile::parse(path, &fs::read_to_string(path).map_err(unread)?)
    }

    /// Checks a file's text; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<RuleFile, RuleFileError> {
        let raw: Raw = toml::from_str(text).map_err(|source| RuleFileError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let line = |at: std::ops::Range<usize>| {
            text.get(..at.start)
                .map_or(1, |before| before.matches('\n').count() + 1)
        };
        let scope = |hosts: &[Spanned<String>]| -> Result<Scope, RuleFileError> {
            let mut all = Vec::new();
            for host in hosts {
                let pattern = host.get_ref().trim();
                if pattern.is_empty()
                    || pattern.contains(|c: char| "/@,?".contains(c) || c.is_whitespace())
                {
                    return Err(RuleFileError::Host {
                        path: path.to_owned(),
                        line: line(host.span()),
                        pattern: pattern.to_owned(),
                    });
                }
                all.push(WildMatch::new(&pattern.to_lowercase()));
            }
            Ok(Scope(all))
        };
        let empty = |at: std::ops::Range<usize>, what| RuleFileError::Empty {
            path: path.to_owned(),
            line: line(at),
            what,
        };
        let mut rules = Vec::new();
        let mut check = Rules::default();
        for rule in raw.path {
            check
                .template(rule.template.get_ref())
                .map_err(|source| RuleFileError::Rule {
                    path: path.to_owned(),
                    line: line(rule.template.span()),
                    source,
                })?;
            rules.push((
                scope(&rule.hosts)?,
                What::Template(rule.template.into_inner()),
            ));
        }
        for rule in raw.ignore {
            let at = rule.span();
            let rule = rule.into_inner();
            if rule.paths.is_empty() {
                return Err(empty(
                    at,
                    "a rule of `ignore` needs `paths`, such as paths = [\"/internal/**\"]; to ignore a whole host write [[host]] with ignore = true",
                ));
            }
            let methods: Vec<&str> = rule.methods.iter().map(String::as_str).collect();
            for pattern in rule.paths {
                check
                    .ignore(&methods, pattern.get_ref())
                    .map_err(|source| RuleFileError::Rule {
                        path: path.to_owned(),
                        line: line(pattern.span()),
                        source,
                    })?;
                let what = What::Ignore(rule.methods.clone(), pattern.into_inner());
                rules.push((scope(&rule.hosts)?, what));
            }
        }
        for rule in raw.host {
            let at = rule.span();
            let rule = rule.into_inner();
            if rule.hosts.is_empty() {
                return Err(empty(
                    at,
                    "a rule of `host` needs `hosts`, such as hosts = [\"*.svc.cluster.local\"]",
                ));
            }
            if !rule.internal && !rule.ignore {
                return Err(empty(
                    at,
                    "a rule of `host` needs internal = true or ignore = true",
                ));
            }
            for (set, what) in [
                (rule.internal, What::Internal),
                (rule.ignore, What::LeaveOut),
            ] {
                if set {
                    rules.push((scope(&rule.hosts)?, what));
                }
            }
        }
        Ok(RuleFile { rules })
    }

    /// The rules for one host's document.
    pub fn of(&self, host: &HostName) -> Rules {
        let mut out = Rules::default();
        for (_, what) in self.rules.iter().filter(|(scope, _)| scope.covers(host)) {
            // Every rule was checked when the file was read.
            let _ = match what {
                What::Template(template) => out.template(template),
                What::Ignore(methods, pattern) => {
                    let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
                    out.ignore(&methods, pattern)
                }
                What::Internal => {
                    out.internal();
                    Ok(())
                }
                What::LeaveOut => Ok(()),
            };
        }
        out
    }

    /// Whether the host is left out altogether.
    pub fn leaves_out(&self, host: &HostName) -> bool {
        self.rules
            .iter()
            .any(|(scope, what)| matches!(what, What::LeaveOut) && scope.covers(host))
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// The rules in force, and the file they come from.
#[derive(Debug, Default)]
pub struct RulesInForce {
    path: Option<PathBuf>,
    current: RwLock<(Arc<RuleFile>, Option<SystemTime>)>,
}

impl RulesInForce {
    /// Reads the file; none means no rules.
    pub fn new(path: Option<PathBuf>) -> Result<RulesInForce, RuleFileError> {
        let Some(file) = &path else {
            return Ok(RulesInForce::default());
        };
        let stamp = modified(file);
        let rules = Arc::new(RuleFile::read(file)?);
        Ok(RulesInForce {
            path,
            current: RwLock::new((rules, stamp)),
        })
    }

    /// The rules now.
    pub fn current(&self) -> Arc<RuleFile> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Reads the file again if it has changed; how many rules it has then. On an error the old rules stay in force.
    pub fn reload(&self) -> Result<Option<usize>, RuleFileError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let stamp = modified(path);
        let before = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1;
        if stamp == before {
            return Ok(None);
        }
        let read = RuleFile::read(path);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // An error is told once per change, not once per look.
        current.1 = stamp;
        let rules = read?;
        let count = rules.len();
        current.0 = Arc::new(rules);
        Ok(Some(count))
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        HostName::parse(name.as_bytes(), "https").unwrap()
    }

    const GOOD: &str = r#"
[[path]]
hosts = ["shop.example.com", "*.eu.example.com"]
template = "/teams/{team}/members"

[[ignore]]
paths = ["/internal/**"]
methods = ["get"]

[[host]]
hosts = ["*.svc.cluster.local", "localhost"]
internal = true

[[host]]
hosts = ["localhost:9999"]
ignore = true
"#;

    #[test]
    fn rules_are_chosen_by_host() {
        let file = RuleFile::parse(Path::new("rules.toml"), GOOD).unwrap();
        assert_eq!(file.len(), 4);
        let (shop, api) = (
            file.of(&host("shop.example.com")),
            file.of(&host("api.example.com")),
        );
        assert_ne!(shop, api);
        assert_eq!(shop, file.of(&host("a.eu.example.com:8443")));
        assert_ne!(api, Rules::default(), "a rule without hosts is for all");
        assert!(file.leaves_out(&host("localhost:9999")) && !file.leaves_out(&host("localhost")));
    }

    fn refuses(text: &str, says: &[&str]) {
        let error = RuleFile::parse(Path::new("rules.toml"), text)
            .unwrap_err()
            .to_string();
        for part in says {
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
    }

    #[test]
    fn a_wrong_rule_is_named_with_its_line() {
        refuses(
            "[[path]]\n\ntemplate = \"teams\"",
            &["line 3", "`teams`", "slash"],
        );
        refuses(
            "[[path]]\ntemplate = \"/a/{x}/{x}\"",
            &["line 2", "two parameters", "`x`"],
        );
        refuses("[[path]]\ntemplate = \"/a/{x\"", &["line 2", "`{x`"]);
        refuses(
            "[[path]]\nhosts = [\"a b\"]\ntemplate = \"/a\"",
            &["line 2", "`a b`"],
        );
        refuses("[[path]]\ntemplat = \"/a\"", &["templat", "template"]);
        refuses("[[ignore]]\nmethods = [\"GET\"]", &["line 1", "paths"]);
        refuses(
            "[[ignore]]\npaths = [\"/x\"]\nmethods = [\"FETCH\"]",
            &["FETCH", "GET"],
        );
        refuses("[[host]]\nhosts = [\"a\"]", &["internal"]);
        refuses("[[host]]\ninternal = true", &["hosts"]);
        refuses("[[", &["rules.toml"]);
    }

    #[test]
    fn a_changed_file_is_taken_up_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        fs::write(&path, GOOD).unwrap();
        let rules = RulesInForce::new(Some(path.clone())).unwrap();
        assert_eq!(rules.reload().unwrap(), None);
        let later = |seconds| SystemTime::now() + std::time::Duration::from_secs(seconds);
        let write = |text: &str, seconds| {
            fs::write(&path, text).unwrap();
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(later(seconds))
                .unwrap();
        };
        write("broken", 10);
        assert!(rules.reload().is_err());
        assert_eq!(rules.reload().unwrap(), None, "told once");
        assert_eq!(rules.current().len(), 4);
        write("[[path]]\ntemplate = \"/a\"\n", 20);
        assert_eq!(rules.reload().unwrap(), Some(1));
        assert_eq!(rules.current().len(), 1);
    }
}
