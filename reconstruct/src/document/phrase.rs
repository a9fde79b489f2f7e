//! What an operation does to what, read off its path alone, so that more traffic does not change it.
//!
//! In: a method and a path. Out: a verb, a noun, the nouns before it. Whether a path names many, one or an action is read off its
//! last segment: a value is one, a plural is many, a verb is an action. It knows nothing of how that is written down.

use super::names::{is_prefix, singular, words};
use crate::part::{Meaning, Part};
use crate::tree::Method;

/// Verbs that end paths as actions (`POST /orders/{orderId}/cancel`): the words that begin operation ids of published
/// descriptions of several providers and end the path of such an operation, without those that are nouns more often.
#[rustfmt::skip]
const ACTIONS: &[&str] = &[
    "abort", "accept", "acknowledge", "activate", "add", "analyze", "apply", "approve", "archive", "assign", "attach",
    "authenticate", "authorize", "ban", "bind", "block", "build", "buy", "calculate", "cancel", "capture", "change",
    "check", "checkout", "claim", "classify", "clear", "clone", "close", "collect", "commit", "compare", "compile",
    "complete", "compute", "configure", "confirm", "connect", "convert", "copy", "create", "deactivate", "decline",
    "decrypt", "delete", "deliver", "deny", "deploy", "detach", "detect", "disable", "disconnect", "discover",
    "dismiss", "download", "duplicate", "edit", "enable", "encrypt", "end", "enroll", "estimate", "evaluate",
    "execute", "expire", "export", "extend", "extract", "favorite", "finalize", "find", "finish", "follow", "forgot",
    "fork", "generate", "get", "grant", "hide", "import", "initialize", "initiate", "install", "invite", "invoke",
    "join", "launch", "leave", "link", "list", "lock", "login", "logout", "lookup", "mark", "merge", "migrate",
    "modify", "move", "mute", "notify", "parse", "pause", "pay", "ping", "predict", "prepare", "preview", "process",
    "promote", "provision", "publish", "purge", "push", "query", "reactivate", "reboot", "record", "recover",
    "recreate", "redeem", "refresh", "refund", "regenerate", "register", "reindex", "reject", "remove", "rename",
    "render", "renew", "reopen", "reorder", "replace", "resend", "reserve", "reset", "resize", "resolve", "restart",
    "restore", "resume", "retrieve", "retry", "reverse", "revoke", "rotate", "run", "save", "schedule", "search",
    "send", "set", "share", "sign", "signin", "signout", "signup", "split", "star", "start", "stop", "submit",
    "subscribe", "suspend", "sync", "tag", "terminate", "toggle", "track", "train", "transfer", "transform",
    "translate", "trigger", "truncate", "unarchive", "unassign", "unban", "unblock", "unfollow", "uninstall", "unlink",
    "unlock", "unmute", "unpublish", "unregister", "unsubscribe", "unsuspend", "untag", "update", "upgrade", "upload",
    "upsert", "validate", "verify", "visualize", "void", "withdraw", "write",
];
/// Verbs only with what they are done to (`request-otp`, `test-connection`); alone they are nouns more often.
#[rustfmt::skip]
const ACTIONS_ON: [&str; 14] = [
    "append", "describe", "forget", "invalidate", "make", "place", "post", "receive", "request", "scan", "select", "swap",
    "switch", "test",
];
/// Verbs only where a value before picks what they are done to (`POST /posts/{postId}/like`).
#[rustfmt::skip]
const ACTIONS_ON_ONE: [&str; 12] = [
    "bookmark", "downvote", "favourite", "like", "pin", "reblog", "report", "repost", "review", "upvote", "view", "vote",
];
/// What GET does beside getting.
#[rustfmt::skip]
const QUESTIONS: [&str; 26] = [
    "analyze", "calculate", "check", "classify", "compare", "convert", "detect", "download", "estimate", "export", "extract", "find", "generate", "get",
    "list", "logout", "lookup", "ping", "preview", "query", "refresh", "search", "send", "suggest", "validate", "verify",
];
/// Which of the things before they are: `/orders/recent`.
#[rustfmt::skip]
const QUALIFIERS: [&str; 17] = [
    "active", "all", "archived", "available", "current", "default", "deleted", "featured", "latest", "new", "newest", "pending",
    "popular", "random", "recent", "trending", "upcoming",
];
/// Those that there is one of each time.
const PICKS: [&str; 5] = ["current", "default", "latest", "newest", "random"];
/// What people sign in to; it says nothing that the verb does not.
#[rustfmt::skip]
const SIGNED_IN_TO: [&str; 9] = [
    "account", "accounts", "auth", "authentication", "identity", "oauth", "session", "sessions", "users",
];
/// Plurals that are one thing.
const ONE_THING: [&str; 20] = [
    "settings",
    "preferences",
    "details",
    "statistics",
    "stats",
    "analytics",
    "metrics",
    "options",
    "limits",
    "totals",
    "terms",
    "capabilities",
    "basics",
    "diagnostics",
    "contents",
    "graphics",
    "insights",
    "status",
    "dependencies",
    "results",
];
/// What there is not one of.
const UNCOUNTED: [&str; 14] = [
    "data",
    "feedback",
    "information",
    "content",
    "contents",
    "media",
    "metadata",
    "access",
    "status",
    "settings",
    "preferences",
    "details",
    "analytics",
    "consent",
];

/// What an operation does to what.
pub(crate) struct Phrase {
    /// `list`, `reset`; several words for `bulk delete`.
    pub verb: Vec<String>,
    /// Which of them: `recent`.
    pub which: Option<String>,
    /// What it does it to, in words: `password`. Empty for an action on what stands before it.
    pub noun: Vec<String>,
    /// The nouns before, each singular where a value picks one of them.
    pub before: Vec<Noun>,
    /// Values without a noun of their own.
    pub by: Vec<String>,
    /// Whether the noun is one of many.
    pub one: bool,
}

/// A constant of the path.
pub(crate) struct Noun {
    pub words: Vec<String>,
    /// Whether a value behind it picks one.
    pub picked: bool,
}

/// The constants of a path as nouns, and what its values pick.
struct Sentence {
    nouns: Vec<Noun>,
    by: Vec<String>,
    ends_in_value: bool,
}

fn is_plural(noun: &[String]) -> bool {
    noun.last()
        .is_some_and(|w| singular(w) != *w && !ONE_THING.contains(&w.as_str()))
}

/// Whether a word at the end of a path is what is done: `alone`, or to the words behind it; to one that a value `picked`.
fn is_action(method: Method, word: &str, alone: bool, picked: bool) -> bool {
    match method {
        Method::Get | Method::Head => QUESTIONS.contains(&word),
        Method::Post | Method::Put | Method::Patch => {
            let undone = word.strip_prefix("un").unwrap_or(word);
            ACTIONS.contains(&word)
                || !alone && ACTIONS_ON.contains(&word)
                || alone && picked && [word, undone].iter().any(|w| ACTIONS_ON_ONE.contains(w))
        }
        Method::Delete | Method::Options => false,
    }
}

impl Sentence {
    fn of(path: &[Part], parameters: &[String]) -> Sentence {
        let mut nouns: Vec<Noun> = Vec::new();
        let mut by = Vec::new();
        let mut names = parameters.iter();
        let mut fresh = false;
        let mut ends_in_value = false;
        for meaning in path.iter().flat_map(Part::meanings) {
            match meaning {
                Meaning::Name(word) => {
                    ends_in_value = false;
                    fresh = !is_prefix(word);
                    if fresh {
                        nouns.push(Noun {
                            words: words(word),
                            picked: false,
                        });
                    }
                }
                Meaning::Format => {
                    names.next();
                }
                Meaning::Value => {
                    let name = names.next().map_or("id", |n| n);
                    match nouns.last_mut().filter(|_| fresh) {
                        Some(noun) => {
                            noun.picked = true;
                            if let Some(last) = noun.words.last_mut() {
                                *last = singular(last);
                            }
                        }
                        None => by.push(name.to_owned()),
                    }
                    ends_in_value = true;
                    fresh = false;
                }
            }
        }
        nouns.retain(|n| !n.words.is_empty());
        Sentence {
            nouns,
            by,
            ends_in_value,
        }
    }

    /// Takes the qualifier off that the path ends in: `orders/recent`, `users/me`.
    fn qualifier(&mut self, method: Method) -> Option<String> {
        let [.., things, last] = &mut self.nouns[..] else {
            return None;
        };
        let [word] = &last.words[..] else { return None };
        let me = matches!(word.as_str(), "me" | "self") && is_plural(&things.words);
        let qualifies = QUALIFIERS.contains(&word.as_str())
            && matches!(method, Method::Get | Method::Delete | Method::Head);
        if things.picked || !(me || qualifies) {
            return None;
        }
        let which = if me {
            "current".to_owned()
        } else {
            word.clone()
        };
        if PICKS.contains(&which.as_str()) {
            things.words = one(&things.words);
        }
        self.nouns.pop();
        Some(which)
    }

    /// Takes the action off that the path ends in, and what it is done to where the same segment says so.
    fn action(&mut self, method: Method) -> Option<(Vec<String>, Vec<String>)> {
        let (last, before) = self.nouns.split_last_mut()?;
        let picked = before.last().is_some_and(|n| n.picked);
        let (first, end) = (last.words.first()?, last.words.last()?);
        let leads = is_action(method, first, last.words.len() == 1, picked);
        // `bulk-delete`, but not `credit-check` where it is asked for.
        let follows = !leads
            && last.words.len() == 2
            && method == Method::Post
            && matches!(first.as_str(), "bulk" | "batch" | "mass" | "force")
            && is_action(method, end, true, picked);
        if !leads && !follows {
            return None;
        }
        let mut verb = std::mem::take(&mut last.words);
        let noun = if follows {
            Vec::new()
        } else {
            verb.split_off(1)
        };
        self.nouns.pop();
        if let Some(owner) = self.nouns.last() {
            let signs = matches!(
                verb[..].last().map(String::as_str),
                Some("login" | "logout" | "signin" | "signout" | "signup")
            );
            // `auth/login`, `coupons/validate-coupon`.
            let said = match (&noun[..], &owner.words[..]) {
                ([], [word]) => signs && SIGNED_IN_TO.contains(&word.as_str()),
                (_, words) => noun.ends_with(words) || noun.ends_with(&one(words)),
            };
            if said && !owner.picked {
                self.nouns.pop();
            }
        }
        Some((verb, noun))
    }
}

fn one(noun: &[String]) -> Vec<String> {
    let mut noun = noun.to_vec();
    if let Some(last) = noun.last_mut() {
        *last = singular(last);
    }
    noun
}

impl Phrase {
    /// Of a method at a path whose parameters have these names.
    pub(crate) fn of(method: Method, path: &[Part], parameters: &[String]) -> Phrase {
        let mut sentence = Sentence::of(path, parameters);
        if !sentence.ends_in_value {
            let (which, action) = match sentence.qualifier(method) {
                Some(which) => (Some(which), None),
                None => (None, sentence.action(method)),
            };
            let Sentence { nouns, by, .. } = &mut sentence;
            if let Some((verb, noun)) = action {
                return Phrase {
                    verb,
                    which: None,
                    noun,
                    before: std::mem::take(nouns),
                    by: std::mem::take(by),
                    one: false,
                };
            }
            if which.is_some() {
                let noun = nouns.pop().map(|n| n.words).unwrap_or_default();
                return Phrase {
                    verb: vec![plain_verb(method, &noun, is_plural(&noun), false).to_owned()],
                    noun,
                    before: std::mem::take(nouns),
                    by: std::mem::take(by),
                    one: which.as_deref() == Some("random"),
                    which,
                };
            }
        }
        let Sentence {
            mut nouns,
            by,
            ends_in_value,
        } = sentence;
        let mut noun = nouns.pop().map(|n| n.words).unwrap_or_default();
        let many = !ends_in_value && is_plural(&noun);
        let verb = plain_verb(method, &noun, many, ends_in_value);
        let makes_one =
            verb == "create" && noun.last().is_none_or(|w| !UNCOUNTED.contains(&w.as_str()));
        if many && makes_one {
            noun = one(&noun);
        }
        Phrase {
            verb: vec![verb.to_owned()],
            which: None,
            noun,
            before: nouns,
            by,
            one: ends_in_value || makes_one,
        }
    }
}

/// What a method does by itself.
fn plain_verb(method: Method, noun: &[String], many: bool, ends_in_value: bool) -> &'static str {
    let calls = |w: &String| matches!(w.as_str(), "graphql" | "rpc" | "jsonrpc" | "soap");
    match method {
        Method::Get if many => "list",
        Method::Get => "get",
        Method::Put => "replace",
        Method::Post if ends_in_value => "post",
        Method::Post if noun.last().is_some_and(calls) => "call",
        Method::Post => "create",
        Method::Delete => "delete",
        Method::Patch => "update",
        Method::Options => "options",
        Method::Head => "check",
    }
}
