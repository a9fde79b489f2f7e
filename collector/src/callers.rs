//! Who calls a host: the shims that saw it, consumers the gateway knows, and kinds of clients by what they say of themselves.
//!
//! In: one call at a time. Out: the callers with most calls, each with how many and when last. Bounded: a table per kind, kept by the
//! Space-Saving algorithm (Metwally, Agrawal, El Abbadi 2005): a newcomer takes the place and the count of the one with fewest, so
//! who calls often stays however many names are invented, and no count is too small. Of a client only the name of its product
//! is kept, without version, and browsers are one.

use serde::{Deserialize, Serialize};

/// Callers of one kind.
const MOST: usize = 32;
/// Bytes of a name.
const LENGTH: usize = 64;

/// What browsers are called.
pub const BROWSER: &str = "browser";
/// What clients are called that do not say.
pub const SILENT: &str = "(no User-Agent)";

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerKind {
    /// The capture shim that saw it.
    Shim,
    /// A consumer the gateway knows.
    Consumer,
    /// A kind of client, by what it says of itself.
    Client,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// What it is.
    pub kind: CallerKind,
    /// What it is called.
    pub name: String,
    /// How often it called, at most.
    pub calls: u64,
    /// Start of its last call, Unix milliseconds.
    pub last_seen: u64,
}

/// Those of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callers(Vec<Caller>);

impl Callers {
    /// Counts a call. `at` is in Unix milliseconds; an empty name is nobody.
    pub fn count(&mut self, kind: CallerKind, name: &str, at: u64) {
        let name = cut(name);
        if name.is_empty() {
            return;
        }
        let of_kind = || self.0.iter().enumerate().filter(|(_, it)| it.kind == kind);
        let place = match of_kind().find(|(_, it)| it.name == name) {
            Some((place, _)) => Some(place),
            None if of_kind().count() < MOST => None,
            None => {
                let fewest = of_kind()
                    .min_by_key(|(_, it)| (it.calls, it.last_seen))
                    .map(|(place, _)| place);
                if let Some(it) = fewest.and_then(|place| self.0.get_mut(place)) {
                    it.name = name.to_owned();
                }
                fewest
            }
        };
        match place.and_then(|place| self.0.get_mut(place)) {
            Some(it) => {
                it.calls += 1;
                it.last_seen = it.last_seen.max(at);
            }
            None => self.0.push(Caller {
                kind,
                name: name.to_owned(),
                calls: 1,
                last_seen: at,
            }),
        }
    }

    /// Drops those who last called before that time.
    pub fn forget(&mut self, before_unix_millis: u64) {
        self.0.retain(|it| it.last_seen >= before_unix_millis);
    }

    /// By kind, those with most calls first.
    pub fn list(&self) -> Vec<Caller> {
        let mut all = self.0.clone();
        all.sort_by(|a, b| (a.kind, b.calls, &a.name).cmp(&(b.kind, a.calls, &b.name)));
        all
    }

    /// For a checkpoint.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers and texts into memory: there is nothing that could fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// From a checkpoint; what cannot be read is nobody.
    pub fn from_bytes(bytes: &[u8]) -> Callers {
        postcard::from_bytes(bytes).unwrap_or_default()
    }
}

/// The kind of client behind a `User-Agent` (RFC 9110, 10.1.5): its first product without the version; what a browser's carries in
/// its place, when it says that it is merely compatible with one.
pub fn client(user_agent: Option<&[u8]>) -> &str {
    let Some(text) = user_agent.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return SILENT;
    };
    let text = text.trim();
    let product = |text: &str| {
        text.bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
            .count()
    };
    if let Some(comment) = text.strip_prefix("Mozilla/") {
        let robot = comment
            .split_once("compatible;")
            .map(|(_, rest)| rest.trim_start())
            .and_then(|rest| rest.get(..product(rest)))
            .filter(|name| !name.is_empty() && *name != "MSIE");
        return robot.unwrap_or(BROWSER);
    }
    match text.get(..product(text)) {
        Some(name) if !name.is_empty() => name,
        _ => SILENT,
    }
}

/// The beginning of a name.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(LENGTH);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_their_product() {
        for (agent, want) in [
            ("curl/8.5.0", "curl"),
            ("python-requests/2.31.0", "python-requests"),
            ("okhttp/4.12.0 (Linux)", "okhttp"),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
                BROWSER,
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot",
            ),
            (
                "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)",
                BROWSER,
            ),
            ("shop-app", "shop-app"),
            ("", SILENT),
            ("(nothing)", SILENT),
        ] {
            assert_eq!(client(Some(agent.as_bytes())), want, "{agent}");
        }
        assert_eq!(client(None), SILENT);
        assert_eq!(client(Some(b"\xff/1")), SILENT);
    }

    #[test]
    fn who_calls_often_stays_however_many_are_invented() {
        let mut callers = Callers::default();
        for n in 0..10_000_u64 {
            callers.count(CallerKind::Client, &format!("invented-{n}"), n);
            callers.count(CallerKind::Client, "app", n);
            callers.count(
                CallerKind::Consumer,
                if n % 3 == 0 { "alice" } else { "bob" },
                n,
            );
            callers.count(CallerKind::Consumer, "", n);
        }
        let all = callers.list();
        assert_eq!(all.len(), MOST + 2);
        let calls: Vec<_> = all[..3]
            .iter()
            .map(|it| (it.name.as_str(), it.calls))
            .collect();
        assert_eq!(calls, [("bob", 6_666), ("alice", 3_334), ("app", 10_000)]);
        assert_eq!(all[2].last_seen, 9_999);
        assert_eq!(Callers::from_bytes(&callers.to_bytes()), callers);
        assert_eq!(Callers::from_bytes(b"\xff\xff"), Callers::default());
        callers.forget(9_999);
        assert!(callers.list().iter().all(|it| it.last_seen == 9_999));
    }

    #[test]
    fn names_are_cut_between_characters() {
        let mut callers = Callers::default();
        callers.count(CallerKind::Consumer, &"é".repeat(100), 1);
        assert_eq!(callers.list()[0].name, "é".repeat(LENGTH / 2));
    }
}
