//! What operations are called and how they are summed up, made from the template alone, so that more traffic does not change it.
//!
//! In: methods and paths. Out: operation ids, tags, summaries. Whether a path names many, one or an action is read off its last
//! segment: a value is one, a plural is many, a verb is an action.

use super::names::{capital, is_prefix, pascal, singular, words};
use crate::part::{Fragment, Meaning, Part};
use crate::tree::Method;
use std::collections::{BTreeMap, BTreeSet};

/// Verbs that end paths as actions (`POST /orders/{orderId}/cancel`): the words that begin operation ids of published
/// descriptions of several providers and end the path of such an operation, without those that are nouns more often.
#[rustfmt::skip]
const ACTIONS: &[&str] = &[
    "accept", "acknowledge", "activate", "add", "analyze", "apply", "approve", "archive", "assign", "attach",
    "authenticate", "authorize", "ban", "block", "buy", "calculate", "cancel", "capture", "change", "check",
    "checkout", "claim", "clear", "clone", "close", "commit", "compare", "compile", "complete", "compute", "configure",
    "confirm", "connect", "convert", "copy", "create", "deactivate", "decline", "decrypt", "delete", "deliver",
    "deploy", "detach", "detect", "disable", "disconnect", "dismiss", "download", "duplicate", "edit", "enable",
    "encrypt", "enroll", "estimate", "execute", "export", "extend", "extract", "favorite", "finalize", "find",
    "finish", "follow", "forgot", "fork", "generate", "get", "grant", "hide", "import", "initialize", "initiate",
    "install", "invite", "invoke", "join", "leave", "list", "login", "logout", "lookup", "mark", "merge", "migrate",
    "move", "mute", "notify", "parse", "pause", "pay", "ping", "predict", "prepare", "preview", "promote", "provision",
    "publish", "purge", "query", "reboot", "recover", "redeem", "refresh", "refund", "regenerate", "register",
    "reindex", "reject", "remove", "rename", "renew", "reorder", "replace", "resend", "reserve", "reset", "resolve",
    "restart", "restore", "resume", "retry", "revoke", "rotate", "run", "search", "send", "set", "sign", "signin",
    "signout", "signup", "start", "stop", "submit", "subscribe", "suspend", "sync", "toggle", "train", "transfer",
    "translate", "trigger", "truncate", "unarchive", "unassign", "unban", "unblock", "unfollow", "uninstall", "unlink",
    "unlock", "unmute", "unpublish", "unregister", "unsubscribe", "untag", "update", "upgrade", "upload", "upsert",
    "validate", "verify", "void", "withdraw",
];
/// What GET does beside getting.
const QUESTIONS: [&str; 14] = [
    "check", "compare", "download", "estimate", "export", "find", "get", "list", "lookup", "ping",
    "preview", "query", "search", "validate",
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
/// Abbreviations as they are written in titles.
const WRITTEN: [(&str, &str); 26] = [
    ("ai", "AI"),
    ("api", "API"),
    ("crm", "CRM"),
    ("csv", "CSV"),
    ("dns", "DNS"),
    ("faq", "FAQ"),
    ("gps", "GPS"),
    ("graphql", "GraphQL"),
    ("iam", "IAM"),
    ("id", "ID"),
    ("ip", "IP"),
    ("json", "JSON"),
    ("mfa", "MFA"),
    ("oauth", "OAuth"),
    ("otp", "OTP"),
    ("pdf", "PDF"),
    ("rpc", "RPC"),
    ("rss", "RSS"),
    ("sdk", "SDK"),
    ("sms", "SMS"),
    ("sql", "SQL"),
    ("sso", "SSO"),
    ("url", "URL"),
    ("vat", "VAT"),
    ("vm", "VM"),
    ("xml", "XML"),
];

fn is_action(method: Method, word: &str) -> bool {
    match method {
        Method::Get | Method::Head => QUESTIONS.contains(&word),
        Method::Post | Method::Put | Method::Patch => ACTIONS.contains(&word),
        Method::Delete | Method::Options => false,
    }
}

/// What an operation does to what.
struct Phrase {
    /// `list`, `reset`; several words for `bulk delete`.
    verb: Vec<String>,
    /// What it does it to, in words: `password`. Empty for an action on what stands before it.
    noun: Vec<String>,
    /// The nouns before, each singular where a value picks one of them.
    before: Vec<Noun>,
    /// Values without a noun of their own.
    by: Vec<String>,
    /// Whether the noun is one of many.
    one: bool,
}

struct Noun {
    words: Vec<String>,
    picked: bool,
}

fn is_plural(noun: &[String]) -> bool {
    noun.last()
        .is_some_and(|w| singular(w) != *w && !ONE_THING.contains(&w.as_str()))
}

fn phrase(method: Method, path: &[Part], parameters: &[String]) -> Phrase {
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
    if !ends_in_value && let Some(last) = nouns.last() {
        let (first, end) = (last.words.first(), last.words.last());
        let leads = first.is_some_and(|w| is_action(method, w));
        // `bulk-delete`, but not `credit-check` where it is asked for.
        let follows = !leads
            && last.words.len() == 2
            && method == Method::Post
            && first.is_some_and(|w| matches!(w.as_str(), "bulk" | "batch" | "mass" | "force"))
            && end.is_some_and(|w| is_action(method, w));
        if leads || follows {
            let mut words = nouns.pop().map(|n| n.words).unwrap_or_default();
            let noun = if follows {
                Vec::new()
            } else {
                words.split_off(1)
            };
            return Phrase {
                verb: words,
                noun,
                before: nouns,
                by,
                one: false,
            };
        }
    }
    let mut noun = nouns.pop().map(|n| n.words).unwrap_or_default();
    let many = !ends_in_value && is_plural(&noun);
    let verb = match method {
        Method::Get if many => "list",
        Method::Get => "get",
        Method::Put => "replace",
        Method::Post if ends_in_value => "post",
        Method::Post
            if noun
                .last()
                .is_some_and(|w| matches!(w.as_str(), "graphql" | "rpc" | "jsonrpc" | "soap")) =>
        {
            "call"
        }
        Method::Post => "create",
        Method::Delete => "delete",
        Method::Patch => "update",
        Method::Options => "options",
        Method::Head => "check",
    };
    let makes_one =
        verb == "create" && noun.last().is_none_or(|w| !UNCOUNTED.contains(&w.as_str()));
    if many
        && makes_one
        && let Some(last) = noun.last_mut()
    {
        *last = singular(last);
    }
    Phrase {
        verb: vec![verb.to_owned()],
        noun,
        before: nouns,
        by,
        one: ends_in_value || makes_one,
    }
}

/// `listUsers`, `getUser`, `cancelOrder`, `resetUserPassword`.
fn short_id(method: Method, path: &[Part], parameters: &[String]) -> String {
    let phrase = phrase(method, path, parameters);
    let mut out = phrase.verb;
    out.extend(phrase.before.into_iter().flat_map(|n| n.words));
    out.extend(phrase.noun);
    for (at, name) in phrase.by.iter().enumerate() {
        out.push(if at == 0 { "by" } else { "and" }.to_owned());
        out.extend(words(name));
    }
    let joined = pascal(&out);
    let mut chars = joined.chars();
    let id = chars.next().map_or_else(String::new, |c| {
        c.to_ascii_lowercase().to_string() + chars.as_str()
    });
    if out.len() == 1
        && matches!(
            id.as_str(),
            "get" | "post" | "replace" | "create" | "delete" | "update" | "options" | "check"
        )
    {
        id + "Root"
    } else {
        id
    }
}

/// `getApiV1UsersByUserId`: every word of the path, so that ids of different paths differ.
fn long_id(method: Method, path: &[Part], parameters: &[String]) -> String {
    let mut names = parameters.iter();
    let mut by = || format!("By{}", pascal(&words(names.next().map_or("id", |n| n))));
    let mut out = method.as_str().to_owned();
    for part in path {
        match part {
            Part::Constant(word) => out.push_str(&pascal(&words(word))),
            Part::Parameter(_) => out.push_str(&by()),
            Part::Mixed(pieces) => {
                for piece in pieces {
                    match piece {
                        Fragment::Text(text) => out.push_str(&pascal(&words(text))),
                        Fragment::Parameter(_) => out.push_str(&by()),
                    }
                }
            }
        }
    }
    if path.is_empty() {
        out.push_str("Root");
    }
    out
}

/// The ids of operations, given with their template, path and names of its parameters. Where two would have the same, the
/// one with the shortest template keeps it and the others spell out their path.
pub(crate) fn operation_ids<'a>(
    operations: impl Iterator<Item = (&'a str, Method, &'a [Part], Vec<String>)>,
) -> BTreeMap<(&'a str, Method), String> {
    let mut all: Vec<_> = operations.collect();
    all.sort_by_key(|(template, method, ..)| (template.len(), *template, *method));
    let mut taken = BTreeSet::new();
    let mut out = BTreeMap::new();
    let mut late = Vec::new();
    for (template, method, path, names) in all {
        let id = short_id(method, path, &names);
        if taken.insert(id.clone()) {
            out.insert((template, method), id);
        } else {
            late.push((template, method, long_id(method, path, &names)));
        }
    }
    for (template, method, id) in late {
        let mut unique = id.clone();
        let mut n = 2;
        while !taken.insert(unique.clone()) {
            unique = format!("{id}{n}");
            n += 1;
        }
        out.insert((template, method), unique);
    }
    out
}

/// The first constant that names something, as a title.
pub(crate) fn tag(path: &[Part]) -> String {
    let mut constants = path.iter().filter_map(Part::constant);
    let first = constants
        .clone()
        .find(|w| !is_prefix(w))
        .or_else(|| constants.next());
    let words = first.map(words).unwrap_or_default();
    if words.is_empty() {
        return "Root".to_owned();
    }
    let titled: Vec<String> = words
        .iter()
        .map(|w| written(w).unwrap_or_else(|| capital(w)))
        .collect();
    titled.join(" ")
}

fn written(word: &str) -> Option<String> {
    WRITTEN
        .iter()
        .find(|(w, _)| *w == word)
        .map(|(_, as_is)| (*as_is).to_owned())
}

/// What the operations of a tag are about.
pub(crate) fn tag_description(tag: &str) -> String {
    if tag == "Root" {
        return "Operations on the API itself.".to_owned();
    }
    let words: Vec<String> = tag
        .split(' ')
        .map(|w| {
            let lower = w.to_ascii_lowercase();
            written(&lower).unwrap_or(lower)
        })
        .collect();
    format!("Operations on {}.", words.join(" "))
}

fn text(words: &[String]) -> String {
    let all: Vec<String> = words
        .iter()
        .map(|w| written(w).unwrap_or_else(|| w.clone()))
        .collect();
    all.join(" ")
}

fn with_article(noun: &str) -> String {
    match noun.bytes().next() {
        Some(b'a' | b'e' | b'i' | b'o' | b'A') => format!("an {noun}"),
        _ => format!("a {noun}"),
    }
}

/// One line for people: `List the orders of a user`.
pub(crate) fn summary(method: Method, path: &[Part], parameters: &[String]) -> String {
    let phrase = phrase(method, path, parameters);
    let verb = match phrase.verb.join(" ").as_str() {
        "login" | "signin" => "log in".to_owned(),
        "logout" | "signout" => "log out".to_owned(),
        "signup" => "sign up".to_owned(),
        "post" => "post to".to_owned(),
        "options" => "get the options of".to_owned(),
        "forgot" => "recover a forgotten".to_owned(),
        verb => verb.to_owned(),
    };
    let mut out = capital(&verb);
    let owner = phrase.before.last();
    if phrase.noun.is_empty() {
        // An action on what stands before it, or the whole API.
        match owner {
            Some(noun) if noun.picked => {
                out = format!("{out} {}", with_article(&text(&noun.words)))
            }
            Some(noun) => out = format!("{out} {}", text(&noun.words)),
            None if phrase.by.is_empty() && phrase.verb.len() == 1 && path.is_empty() => {
                out.push_str(" the root");
            }
            None => {
                if let Some(name) = phrase.by.last() {
                    out = format!("{out} by {}", text(&words(name)));
                }
            }
        }
        return out;
    }
    let noun = text(&phrase.noun);
    let owned = owner.filter(|o| o.picked);
    out.push(' ');
    out.push_str(&match (phrase.one, owned) {
        (true, _) => with_article(&noun),
        (false, Some(_)) if verb != "recover a forgotten" => format!("the {noun}"),
        (false, _) => noun,
    });
    if let Some(owner) = owned {
        out.push_str(" of ");
        out.push_str(&with_article(&text(&owner.words)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::template;
    use super::*;
    use crate::part::Kinds;

    fn path(text: &str) -> Vec<Part> {
        text.split('/')
            .filter(|s| !s.is_empty())
            .map(|s| {
                if s == "{}" {
                    Part::Parameter(Kinds::default())
                } else if s.contains('{') {
                    Part::of_pattern(s)
                } else {
                    Part::Constant(s.into())
                }
            })
            .collect()
    }

    fn check(operation: &str, id: &str, summary_expected: &str) {
        let (method, at) = operation.split_once(' ').unwrap();
        let (method, path) = (Method::parse(method).unwrap(), path(at));
        let names = template::names(&path);
        assert_eq!(short_id(method, &path, &names), id, "{operation}");
        assert_eq!(
            summary(method, &path, &names),
            summary_expected,
            "{operation}"
        );
    }

    #[test]
    fn operations_are_called_what_people_call_them() {
        check("GET /users", "listUsers", "List users");
        check("GET /users/{}", "getUser", "Get a user");
        check("POST /users", "createUser", "Create a user");
        check("PUT /users/{}", "replaceUser", "Replace a user");
        check("PATCH /users/{}", "updateUser", "Update a user");
        check("DELETE /users/{}", "deleteUser", "Delete a user");
        check("GET /users/{i}.json", "getUser", "Get a user");
        check("GET /users.{w}", "listUsers", "List users");
        check("POST /jobs/{u}:cancel", "cancelJob", "Cancel a job");
        check(
            "GET /api/v1/order-items/{}/lines",
            "listOrderItemLines",
            "List the lines of an order item",
        );
        check("POST /orders/{}/cancel", "cancelOrder", "Cancel an order");
        check("PUT /orders/{}/cancel", "cancelOrder", "Cancel an order");
        check("GET /books/search", "searchBooks", "Search books");
        check("POST /login", "login", "Log in");
        check(
            "POST /users/{}/reset-password",
            "resetUserPassword",
            "Reset the password of a user",
        );
        check(
            "POST /users/bulk-delete",
            "bulkDeleteUsers",
            "Bulk delete users",
        );
        check("POST /getUserById", "getUserById", "Get user by ID");
        check(
            "GET /users/{}/settings",
            "getUserSettings",
            "Get the settings of a user",
        );
        check(
            "GET /users/{}/orders/{}",
            "getUserOrder",
            "Get an order of a user",
        );
        check("POST /graphql", "callGraphql", "Call GraphQL");
        check("GET /status", "getStatus", "Get status");
        check("POST /oauth/token", "createOauthToken", "Create a token");
        check("POST /feedback", "createFeedback", "Create feedback");
        check(
            "GET /repos/{}/{}/issues",
            "listRepoIssuesBySecondRepoId",
            "List the issues of a repo",
        );
        check("GET /v1/{}", "getById", "Get by ID");
        check("GET /", "getRoot", "Get the root");
        check(
            "DELETE /posts/{}/like",
            "deletePostLike",
            "Delete the like of a post",
        );
    }

    #[test]
    fn ids_are_unique_and_do_not_depend_on_the_order() {
        let templates = [
            "/users/{userId}",
            "/user/{userId}",
            "/v1/users/{userId}",
            "/v2/users/{userId}",
        ];
        let paths: Vec<Vec<Part>> = ["/users/{}", "/user/{}", "/v1/users/{}", "/v2/users/{}"]
            .map(path)
            .into();
        let all = |order: &[usize]| {
            let operations = order.iter().map(|i| {
                (
                    templates[*i],
                    Method::Get,
                    &paths[*i][..],
                    vec!["userId".to_owned()],
                )
            });
            operation_ids(operations)
        };
        let ids = all(&[0, 1, 2, 3]);
        assert_eq!(ids, all(&[3, 1, 0, 2]));
        assert_eq!(ids[&("/user/{userId}", Method::Get)], "getUser");
        assert_eq!(
            ids[&("/v2/users/{userId}", Method::Get)],
            "getV2UsersByUserId"
        );
        assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn tags_are_titles() {
        assert_eq!(tag(&path("/api/v1/order-items/{}")), "Order Items");
        assert_eq!(tag(&path("/{}")), "Root");
        assert_eq!(
            tag_description("SMS Messages"),
            "Operations on SMS messages."
        );
    }
}
