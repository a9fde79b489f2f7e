//! What a word looks like: one more piece of evidence about it, never a decision.
//!
//! In: a word without a [`crate::class::Class`]. Out: whether it has a look that values or constants tend to have. Pure
//! functions of the text.

use crate::lexicon;

/// Digits among letters, or changing case without a word that anybody would read: made by a machine or numbered.
pub(crate) fn is_made(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let turns = bytes
        .windows(2)
        .filter(|w| matches!(w, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
        .count();
    let mixed =
        bytes.iter().any(u8::is_ascii_lowercase) && bytes.iter().any(u8::is_ascii_uppercase);
    digits >= 2 && digits * 5 >= bytes.len()
        || digits >= 1 && mixed && turns >= 1 && bytes.len() <= 10
        || mixed && (digits >= 1 || turns >= 2) && lexicon::level(word) == 0.0
}

/// `getUserById`, `FindByStatus`, `_search`: names programmers give.
pub(crate) fn is_code_name(word: &str) -> bool {
    let camel = word
        .as_bytes()
        .windows(2)
        .any(|w| matches!(w, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
        && word.bytes().all(|b| b.is_ascii_alphabetic());
    let vowels = word.bytes().filter(|b| b"aeiouAEIOU".contains(b)).count();
    (camel && vowels * 5 >= word.len()) || word.starts_with('_') || word.starts_with('.')
}

/// `DE`, `USD`, `BTC`: codes.
pub(crate) fn is_code(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_uppercase()) && !word.bytes().any(|b| b.is_ascii_lowercase())
}

/// A noun in the plural names a collection.
pub(crate) fn is_plural(word: &str) -> bool {
    word.len() >= 4
        && (word.ends_with('s')
            && !word.ends_with("ss")
            && !word.ends_with("us")
            && !word.ends_with("is"))
        || matches!(word, "people" | "children" | "data" | "media")
}

/// Whether all words share a long beginning or end, as names of variants do (`int32s`, `int64s`).
pub(crate) fn have_common_end(words: &[&str]) -> bool {
    let Some(first) = words.first() else {
        return false;
    };
    let shared = |suffix: bool| {
        words.iter().fold(first.len(), |n, w| {
            let same = |(a, b): &(u8, u8)| a == b;
            let common = if suffix {
                first
                    .bytes()
                    .rev()
                    .zip(w.bytes().rev())
                    .take_while(same)
                    .count()
            } else {
                first.bytes().zip(w.bytes()).take_while(same).count()
            };
            n.min(common)
        })
    };
    shared(true) >= 4 || shared(false) >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(look: fn(&str) -> bool, yes: &[&str], no: &[&str]) {
        for word in yes {
            assert!(look(word), "{word}");
        }
        for word in no {
            assert!(!look(word), "{word}");
        }
    }

    #[test]
    fn looks_are_told_apart() {
        check(
            is_made,
            &[
                "ab3dEFgh",
                "joan80",
                "x12",
                "zzjwQjUu",
                "ErsTqBze",
                "dat_GKWKQMWFN4CQwh",
            ],
            &["users", "getUser", "oauth2", "WhatAreMyOptions", "Users2"],
        );
        check(
            is_code_name,
            &["getUserById", "_search"],
            &["users", "XkZrTq", "getUser2"],
        );
        check(is_code, &["DE", "USD", "A-1"], &["De", "de", "42"]);
        check(
            is_plural,
            &["users", "people"],
            &["status", "address", "analysis", "gas"],
        );
    }

    #[test]
    fn variants_share_an_end() {
        assert!(have_common_end(&["int32s", "int64s"]) == have_common_end(&["a2s", "b4s"]));
        assert!(have_common_end(&["lowestfares", "bestfares"]));
        assert!(!have_common_end(&["amber", "birch"]));
    }
}
