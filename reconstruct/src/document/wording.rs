//! What operations are called and how they are summed up, in constant path words only, so that more traffic does not change it.
//!
//! In: a method and a path. Out: operation ids, tags, summaries.

use super::names::{is_prefix, pascal, singular_words, words};
use crate::fold::Part;
use crate::tree::Method;

/// `getUsersByUserId`: every word of the path, so that ids of different paths differ.
pub(crate) fn operation_id(method: Method, path: &[Part], parameters: &[String]) -> String {
    let mut names = parameters.iter();
    let mut out = method.as_str().to_owned();
    for part in path {
        match part {
            Part::Constant(word) => out.push_str(&pascal(&words(word))),
            Part::Parameter(_) => {
                out.push_str("By");
                out.push_str(&pascal(&words(names.next().map_or("id", |n| n))));
            }
        }
    }
    if path.is_empty() {
        out.push_str("Root");
    }
    out
}

/// The first constant that names something.
pub(crate) fn tag(path: &[Part]) -> String {
    let mut constants = path.iter().filter_map(|p| match p {
        Part::Constant(word) => Some(word.as_str()),
        Part::Parameter(_) => None,
    });
    let first = constants
        .clone()
        .find(|w| !is_prefix(w))
        .or_else(|| constants.next());
    first.map_or_else(|| "root".to_owned(), |w| words(w).join(" "))
}

/// What the path is about, singular and in words: the last constant that names something.
fn subject(path: &[Part]) -> (Vec<String>, bool) {
    let ends_in_value = matches!(path.last(), Some(Part::Parameter(_)));
    let last = path.iter().rev().find_map(|p| match p {
        Part::Constant(word) if !is_prefix(word) => Some(word.as_str()),
        _ => None,
    });
    (
        last.map_or_else(
            || vec!["root".to_owned()],
            |w| {
                if ends_in_value {
                    singular_words(w)
                } else {
                    words(w)
                }
            },
        ),
        ends_in_value,
    )
}

/// One line for people.
pub(crate) fn summary(method: Method, path: &[Part]) -> String {
    let (subject, one) = subject(path);
    let noun = subject.join(" ");
    let one_of = match noun.bytes().next() {
        Some(b'a' | b'e' | b'i' | b'o') => format!("an {noun}"),
        _ => format!("a {noun}"),
    };
    match (method, one) {
        (Method::Get, true) => format!("Get {one_of}"),
        (Method::Get, false) => format!("Get {noun}"),
        (Method::Put, true) => format!("Replace {one_of}"),
        (Method::Put, false) => format!("Replace {noun}"),
        (Method::Post, true) => format!("Post to {one_of}"),
        (Method::Post, false) => format!("Post to {noun}"),
        (Method::Delete, true) => format!("Delete {one_of}"),
        (Method::Delete, false) => format!("Delete {noun}"),
        (Method::Patch, true) => format!("Update {one_of}"),
        (Method::Patch, false) => format!("Update {noun}"),
        (Method::Options, _) => format!("Options of {noun}"),
        (Method::Head, _) => format!("Check {noun}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::parameters;
    use super::*;
    use crate::fold::Kinds;

    fn path(text: &str) -> Vec<Part> {
        text.split('/')
            .filter(|s| !s.is_empty())
            .map(|s| {
                if s == "{}" {
                    Part::Parameter(Kinds::default())
                } else {
                    Part::Constant(s.into())
                }
            })
            .collect()
    }

    fn check(text: &str, id: &str, summary_expected: &str) {
        let path = path(text);
        let names = parameters(&path);
        assert_eq!(operation_id(Method::Get, &path, &names), id);
        assert_eq!(summary(Method::Get, &path), summary_expected);
    }

    #[test]
    fn wording_comes_from_the_path() {
        check("/users/{}", "getUsersByUserId", "Get a user");
        check(
            "/api/v1/order-items/{}/lines",
            "getApiV1OrderItemsByOrderItemIdLines",
            "Get lines",
        );
        check("/repos/{}/{}", "getReposByRepoIdByRepoId2", "Get a repo");
        check("/v1/{}", "getV1ById", "Get a root");
        check("/", "getRoot", "Get root");
    }
}
