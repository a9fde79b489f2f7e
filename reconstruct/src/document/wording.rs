//! What operations are called and how they are summed up, made from the template alone, so that more traffic does not change it.
//!
//! In: methods and paths. Out: operation ids, tags, summaries.

use super::names::{capital, is_prefix, pascal, words};
use super::phrase::Phrase;
use crate::part::{Fragment, Part};
use crate::tree::Method;
use std::collections::{BTreeMap, BTreeSet};

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

/// `listUsers`, `getUser`, `cancelOrder`, `resetUserPassword`.
fn short_id(method: Method, path: &[Part], parameters: &[String]) -> String {
    let phrase = Phrase::of(method, path, parameters);
    let mut out = phrase.verb;
    out.extend(phrase.which);
    let mut nouns: Vec<Vec<String>> = phrase.before.into_iter().map(|n| n.words).collect();
    nouns.push(phrase.noun);
    // `/community/api/community/posts` says it once.
    nouns.dedup();
    out.extend(nouns.into_iter().flatten());
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
    let find = |word: &str| WRITTEN.iter().find(|(w, _)| *w == word);
    find(word)
        .map(|(_, as_is)| (*as_is).to_owned())
        .or_else(|| {
            let one = word.strip_suffix('s')?;
            find(one).map(|(_, as_is)| format!("{as_is}s"))
        })
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

/// By how it is said: letters of an abbreviation one by one.
fn with_article(noun: &str) -> String {
    let first = noun.split(' ').next().unwrap_or("");
    let spelt = first.len() > 1 && first.bytes().all(|b| b.is_ascii_uppercase());
    let starts = |all: &[&str]| all.iter().any(|s| first.starts_with(s));
    let an = if spelt {
        first.starts_with(|c| "AEFHILMNORSX".contains(c))
    } else if first.starts_with(['u', 'U']) {
        starts(&["un", "up", "um", "ul"]) && !starts(&["uni"])
    } else {
        starts(&["a", "e", "i", "o", "hour", "A"]) && !starts(&["eu", "one", "once"])
    };
    format!("{} {noun}", if an { "an" } else { "a" })
}

/// One line for people: `List the orders of a user`.
pub(crate) fn summary(method: Method, path: &[Part], parameters: &[String]) -> String {
    let phrase = Phrase::of(method, path, parameters);
    let verb = match phrase.verb.join(" ").as_str() {
        "login" | "signin" => "log in".to_owned(),
        "logout" | "signout" => "log out".to_owned(),
        "signup" => "sign up".to_owned(),
        "post" => "post to".to_owned(),
        "options" => "get the options of".to_owned(),
        "forgot" | "forget" => "recover a forgotten".to_owned(),
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
    let mut noun = text(&phrase.noun);
    let owned = owner.filter(|o| o.picked);
    let mut the = owned.is_some() && verb != "recover a forgotten";
    if let Some(which) = &phrase.which {
        noun = format!("{which} {noun}");
        the |= matches!(which.as_str(), "current" | "default" | "latest" | "newest");
        the &= which != "all";
    }
    out.push(' ');
    out.push_str(&match (phrase.one, the) {
        (true, _) => with_article(&noun),
        (false, true) => format!("the {noun}"),
        (false, false) => noun,
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
        check("GET /posts/recent", "listRecentPosts", "List recent posts");
        check("DELETE /orders/all", "deleteAllOrders", "Delete all orders");
        check(
            "GET /users/{}/orders/all",
            "listAllUserOrders",
            "List all orders of a user",
        );
        check(
            "GET /releases/latest",
            "getLatestRelease",
            "Get the latest release",
        );
        check(
            "GET /recipes/random",
            "getRandomRecipe",
            "Get a random recipe",
        );
        check("GET /users/me", "getCurrentUser", "Get the current user");
        check(
            "PATCH /users/me",
            "updateCurrentUser",
            "Update the current user",
        );
        check(
            "GET /users/me/playlists",
            "listUsersMePlaylists",
            "List playlists",
        );
        check("POST /auth/login", "login", "Log in");
        check("POST /shops/{}/login", "loginShop", "Log in a shop");
        check(
            "POST /coupons/validate-coupon",
            "validateCoupon",
            "Validate coupon",
        );
        check(
            "POST /community/api/community/posts",
            "createCommunityPost",
            "Create a post",
        );
        check("GET /aliases/{}", "getAlias", "Get an alias");
        check("GET /urls", "listUrls", "List URLs");
        check(
            "POST /sms-campaigns",
            "createSmsCampaign",
            "Create an SMS campaign",
        );
        check("POST /units", "createUnit", "Create a unit");
        check("POST /uploads", "createUpload", "Create an upload");
        check("POST /posts/{}/like", "likePost", "Like a post");
        check("POST /posts/{}/unlike", "unlikePost", "Unlike a post");
        check("POST /posts/like", "createPostsLike", "Create a like");
        check("POST /receive_report", "receiveReport", "Receive report");
        check("GET /convert_video", "convertVideo", "Convert video");
        check(
            "POST /auth/forget-password",
            "forgetAuthPassword",
            "Recover a forgotten password",
        );
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
