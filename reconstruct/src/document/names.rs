//! Names in a document, made from constant path words only, so that more traffic does not change them.
//!
//! In: words of paths. Out: parameter names, templates, component names.

use super::components::Name;
use crate::class;
use crate::part::Part;

/// The words of an identifier or a path segment: `order_items`, `orderItems`, `order-items` → `order`, `items`.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut last_lower = false;
    let mut fresh = true;
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            fresh = true;
            continue;
        }
        if fresh || (c.is_ascii_uppercase() && last_lower) {
            out.push(String::new());
        }
        fresh = false;
        last_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(word) = out.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
    }
    out
}

pub(crate) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |c| {
        c.to_ascii_uppercase().to_string() + chars.as_str()
    })
}

/// `OrderItem`.
pub(crate) fn pascal(words: &[String]) -> String {
    words.iter().map(|w| capital(w)).collect()
}

pub(crate) fn camel(words: &[String]) -> String {
    let all = pascal(words);
    let mut chars = all.chars();
    chars.next().map_or_else(String::new, |c| {
        c.to_ascii_lowercase().to_string() + chars.as_str()
    })
}

/// Plurals that the rules get wrong, and what they are the plurals of; also at the end of words written as one.
#[rustfmt::skip]
const IRREGULAR: [(&str, &str); 40] = [
    ("aliases", "alias"), ("analyses", "analysis"), ("apis", "api"), ("atlases", "atlas"), ("avalanches", "avalanche"),
    ("axes", "axis"), ("biases", "bias"), ("bonuses", "bonus"), ("buses", "bus"), ("caches", "cache"), ("campuses", "campus"),
    ("canvases", "canvas"), ("children", "child"), ("cookies", "cookie"), ("cpus", "cpu"), ("crises", "crisis"),
    ("criteria", "criterion"), ("diagnoses", "diagnosis"), ("echoes", "echo"), ("emojis", "emoji"), ("gases", "gas"),
    ("gpus", "gpu"), ("heroes", "hero"), ("hypotheses", "hypothesis"), ("indices", "index"), ("kpis", "kpi"),
    ("leaves", "leaf"), ("lenses", "lens"), ("matrices", "matrix"), ("menus", "menu"), ("movies", "movie"),
    ("people", "person"), ("quizzes", "quiz"), ("shelves", "shelf"), ("skus", "sku"), ("statuses", "status"),
    ("uris", "uri"), ("vertices", "vertex"), ("viruses", "virus"), ("wikis", "wiki"),
];
/// What is its own plural, or none.
const SAME: [&str; 11] = [
    "series",
    "news",
    "species",
    "status",
    "address",
    "analysis",
    "sms",
    "dns",
    "canvas",
    "alias",
    "kubernetes",
];

/// The singular of an English noun, by rule; what is no plural stays.
pub(crate) fn singular(word: &str) -> String {
    let cut = |n: usize| {
        word.get(..word.len().saturating_sub(n))
            .unwrap_or(word)
            .to_owned()
    };
    let irregular = |(many, _): &&(&str, &str)| {
        // Of the short ones only the whole word: `taxis` is no `axis`.
        word == *many || many.len() > 5 && word.ends_with(many)
    };
    if let Some((many, one)) = IRREGULAR.iter().find(irregular) {
        return cut(many.len()) + one;
    }
    if SAME.contains(&word)
        || word.len() < 4
        || word.ends_with("ss")
        || word.ends_with("us")
        || word.ends_with("is")
    {
        word.to_owned()
    } else if word.ends_with("ies") {
        cut(3) + "y"
    } else if ["sses", "shes", "ches", "xes", "zzes"]
        .iter()
        .any(|e| word.ends_with(e))
    {
        cut(2)
    } else if word.ends_with('s') {
        cut(1)
    } else {
        word.to_owned()
    }
}

pub(crate) fn singular_words(text: &str) -> Vec<String> {
    let mut all = words(text);
    if let Some(last) = all.last_mut() {
        *last = singular(last);
    }
    all
}

/// Whether a constant says nothing about what stands under it.
pub(crate) fn is_prefix(word: &str) -> bool {
    class::is_version(word)
        || matches!(
            word,
            "api" | "apis" | "rest" | "public" | "internal" | "services" | "service"
        )
        || word.bytes().all(|b| b.is_ascii_digit())
}

/// The component a body of this path is likely to be; without a status it is what is sent.
pub(crate) fn component(path: &[Part], status: Option<&str>) -> Name {
    let mut constants = path.iter().rev().filter_map(|p| match p {
        Part::Constant(word) if !is_prefix(word) => Some(nested(word)),
        _ => None,
    });
    let last = constants.next().unwrap_or_else(|| nested("root"));
    let long = match constants.next() {
        Some(before) if !last.starts_with(&before) => format!("{before}{last}"),
        _ => last.clone(),
    };
    match status {
        Some(s) if s.starts_with(['4', '5']) => Name {
            short: "Error".into(),
            long: format!("{last}Error"),
        },
        Some(_) => Name { short: last, long },
        None => Name {
            long: format!("{last}Request"),
            short: last,
        },
    }
}

/// The component named after a member.
pub(crate) fn nested(member: &str) -> String {
    let name = pascal(&singular_words(member));
    match name.bytes().next() {
        Some(b) if b.is_ascii_alphabetic() => name,
        _ => format!("Item{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn plurals() {
        for (many, one) in [
            ("users", "user"),
            ("boxes", "box"),
            ("status", "status"),
            ("people", "person"),
            ("bus", "bus"),
            ("news", "news"),
            ("addresses", "address"),
            ("aliases", "alias"),
            ("alias", "alias"),
            ("accountstatuses", "accountstatus"),
            ("databases", "database"),
            ("purchases", "purchase"),
            ("caches", "cache"),
            ("branches", "branch"),
            ("apis", "api"),
            ("taxis", "taxis"),
            ("menus", "menu"),
            ("series", "series"),
        ] {
            assert_eq!(singular(many), one);
        }
    }
}
